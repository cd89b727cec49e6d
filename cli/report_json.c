/* SPDX-License-Identifier: Apache-2.0 */
/* The report for programs: JSON by jansson, and CSV. A million samples are written one by one, not held as JSON. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static const struct column {
    const char *name;
    size_t offset;
} columns[] = {
    {"limit_bytes", offsetof(hr_record, limit_bytes)},
    {"live_bytes", offsetof(hr_record, live_bytes)},
    {"total_bytes", offsetof(hr_record, total_bytes)},
    {"rss_bytes", offsetof(hr_record, rss_bytes)},
    {"cgroup_bytes", offsetof(hr_record, cgroup_bytes)},
    {"cgroup_anonymous_bytes", offsetof(hr_record, cgroup_anonymous_bytes)},
    {"cgroup_kernel_bytes", offsetof(hr_record, cgroup_kernel_bytes)},
    {"cgroup_cache_bytes", offsetof(hr_record, cgroup_cache_bytes)},
    {"reliefs", offsetof(hr_record, reliefs)},
    {"relieved_bytes", offsetof(hr_record, relieved_bytes)},
    {"refusals", offsetof(hr_record, refusals)},
    {"refusals_degraded", offsetof(hr_record, refusals_degraded)},
    {"refusals_critical", offsetof(hr_record, refusals_critical)},
    {"would_have_refused", offsetof(hr_record, would_have_refused)},
    {"would_have_refused_degraded", offsetof(hr_record, would_have_refused_degraded)},
    {"would_have_refused_critical", offsetof(hr_record, would_have_refused_critical)},
};

#define COLUMNS (sizeof columns / sizeof *columns)

static uint64_t value_of(const hr_record *record, const struct column *column)
{
    return *(const uint64_t *)(const void *)((const char *)record + column->offset);
}

/* The ledger that decided the level, and its use; null where a file does not say it. */
static void put_decision(double use, const char *name, FILE *out)
{
    if (*name)
        fprintf(out, "\"use\": %.6f, \"decided_by\": \"%s\"", use, name);
    else
        fputs("\"use\": null, \"decided_by\": null", out);
}

/* Of a name that others gave: what JSON does not take as it is becomes '?'. */
static void put_name(const char *name, FILE *out)
{
    json_t *string = json_string(name);
    char *text = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    fputs(text ? text : "\"?\"", out);
    free(text);
    json_decref(string);
}

/* A text that the file may not say. */
static void put_said(const char *text, FILE *out)
{
    if (*text)
        put_name(text, out);
    else
        fputs("null", out);
}

static void put_record(const hr_record *record, FILE *out)
{
    fprintf(out, "{\"time_ns\": %" PRId64 ", \"wall_ns\": %" PRId64 ", \"level\": \"%s\"", record->time_ns,
            record->wall_ns, hr_level_text(record->level));
    for (size_t i = 0; i < COLUMNS; i++) {
        uint64_t value = value_of(record, &columns[i]);
        fprintf(out, ", \"%s\": ", columns[i].name);
        if (value == HR_NONE)
            fputs("null", out);
        else
            fprintf(out, "%" PRIu64, value);
    }
    fputs(", ", out);
    put_decision(record->use, record->decided_by, out);
    fputc('}', out);
}

static void put_event(const hr_event *event, FILE *out)
{
    fprintf(out,
            "{\"time_ns\": %" PRId64 ", \"wall_ns\": %" PRId64
            ", \"kind\": \"%s\", \"from\": \"%s\", \"to\": \"%s\", \"freed_bytes\": %" PRIu64 ", ",
            event->time_ns, event->wall_ns, hr_event_kind_text(event->kind), hr_level_text(event->from),
            hr_level_text(event->to), event->freed_bytes);
    put_decision(event->use, event->decided_by, out);
    if (event->kind == HR_EVENT_REFUSALS || event->kind == HR_EVENT_WOULD_REFUSE) {
        fputs(", \"budget\": ", out);
        put_name(event->budget, out);
        fprintf(out, ", \"refused_by_limit\": %" PRIu64 ", \"refused_by_level\": %" PRIu64 ", \"span_ns\": %" PRId64,
                event->refused_by_limit, event->refused_by_level, event->span_ns);
    }
    if (event->kind == HR_EVENT_ACTION) {
        fputs(", \"action\": ", out);
        put_name(event->budget, out);
    }
    if (event->kind == HR_EVENT_KERNEL_KILL)
        fprintf(out, ", \"kills\": %" PRIu64, event->kills);
    fputc('}', out);
}

/* A number, or null for what is not finite. */
static json_t *real(double number)
{
    return number > -INFINITY && number < INFINITY ? json_real(number) : json_null();
}

static json_t *trend(const hr_trend *from)
{
    bool known = from->slope_low > -INFINITY;
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:s, s:I}", "kind",
                     hr_trend_kind_text(from->kind), "ledger", hr_history_ledger_text(from->ledger), "growth_bytes",
                     (json_int_t)from->growth_bytes, "span_ns", (json_int_t)from->span_ns, "slope_bytes_per_s",
                     known ? json_real(from->slope_bytes_per_s) : json_null(), "slope_low", real(from->slope_low),
                     "slope_high", real(from->slope_high), "time_to_limit_ns", (json_int_t)from->time_to_limit_ns,
                     "time_to_limit_low_ns", (json_int_t)from->time_to_limit_low_ns, "time_to_limit_high_ns",
                     (json_int_t)from->time_to_limit_high_ns, "reason", from->reason, "settled_ns",
                     (json_int_t)from->settled_ns);
}

/* The holders by the last census; null where the file has none. */
static json_t *census(const hr_census *from)
{
    static const char *const kinds[HR_CENSUS_KINDS] = {"budget", "pool", "cache"};
    json_t *rows = from->count ? json_array() : NULL;
    for (size_t i = 0; rows && i < from->count; i++) {
        const hr_census_row *row = &from->rows[i];
        const uint64_t figures[] = {row->used_bytes, row->limit_bytes, row->peak_bytes, row->refused};
        static const char *const names[] = {"used_bytes", "limit_bytes", "peak_bytes", "refused"};
        json_t *name = json_string(row->name);
        json_t *object = json_pack("{s:s, s:o}", "kind", kinds[row->kind], "name", name ? name : json_string("?"));
        for (size_t k = 0; object && k < sizeof names / sizeof *names; k++)
            json_object_set_new(object, names[k],
                                figures[k] == HR_NONE ? json_null() : json_integer((json_int_t)figures[k]));
        json_array_append_new(rows, object);
    }
    return rows ? json_pack("{s:I, s:o}", "wall_ns", (json_int_t)from->wall_ns, "rows", rows) : json_null();
}

/* Puts all but the lists, as an object of which the last brace is left out: the lists follow. */
static int put_summary(const struct history *history, FILE *out)
{
    const hr_history_findings *findings = &history->findings;
    json_object_seed(1); /* all keys are ours: no need to ask the machine for a random one */
    json_t *object =
        json_pack("{s:I, s:I, s:I, s:I, s:b, s:I, s:b, s:o, s:o}", "sessions", (json_int_t)history->sessions, "damaged",
                  (json_int_t)findings->damaged, "unknown", (json_int_t)findings->unknown, "torn_bytes",
                  (json_int_t)findings->torn_bytes, "older", (int)findings->older, "left_out",
                  (json_int_t)history->left_out, "trend_is_earlier", (int)history->trend_is_earlier, "trend",
                  history->has_trend ? trend(&history->trend) : json_null(), "census", census(&history->census));
    char *text = object ? json_dumps(object, 0) : NULL;
    json_decref(object);
    if (!text)
        return -ENOMEM;
    for (const char *at = text; at[1]; at++)
        fputc(*at, out);
    free(text);
    return 0;
}

int report_print_json(const struct history *history, FILE *out)
{
    int error = put_summary(history, out);
    if (error)
        return error;
    fputs(",\n\"command\": ", out);
    put_said(history->origin.command, out);
    fputs(", \"limit_source\": ", out);
    put_said(history->origin.limit_source, out);
    fputs(",\n\"records\": [", out);
    for (size_t i = 0; i < history->count; i++) {
        fputs(i ? ",\n" : "\n", out);
        put_record(&history->records[i], out);
    }
    fputs("],\n\"events\": [", out);
    for (size_t i = 0; i < events_kept(history); i++) {
        fputs(i ? ",\n" : "\n", out);
        put_event(event_at(history, i), out);
    }
    fputs("]}\n", out);
    return 0;
}

int report_print_csv(const struct history *history, FILE *out)
{
    fputs("time_utc,time_ns,wall_ns,level", out);
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(out, ",%s", columns[i].name);
    fputs(",use,decided_by\n", out);
    for (size_t k = 0; k < history->count; k++) {
        const hr_record *record = &history->records[k];
        char date[DATE_BYTES];
        fprintf(out, "%s,%" PRId64 ",%" PRId64 ",%s", write_date(record->wall_ns, date), record->time_ns,
                record->wall_ns, hr_level_text(record->level));
        for (size_t i = 0; i < COLUMNS; i++) {
            uint64_t value = value_of(record, &columns[i]);
            fputc(',', out);
            if (value != HR_NONE)
                fprintf(out, "%" PRIu64, value);
        }
        if (*record->decided_by)
            fprintf(out, ",%.6f,%s\n", record->use, record->decided_by);
        else
            fputs(",,\n", out);
    }
    return 0;
}
