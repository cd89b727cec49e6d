/* SPDX-License-Identifier: Apache-2.0 */
/* The data of a page as JSON, row by row: nothing is kept but one stretch's least and most values. */
#include "report/page.h"

#include "report/census.h"

#include <errno.h>
#include <string.h>

static const char *const columns[HRI_PAGE_COLUMNS] = {
    [HRI_PAGE_LEVEL] = "level",
    [HRI_PAGE_USE] = "use_bytes",
    [HRI_PAGE_LIMIT] = "limit_bytes",
    [HRI_PAGE_LIVE] = "live",
    [HRI_PAGE_RSS] = "rss",
    [HRI_PAGE_CGROUP] = "cgroup",
    [HRI_PAGE_ANONYMOUS] = "anonymous",
    [HRI_PAGE_KERNEL] = "kernel",
    [HRI_PAGE_CACHE] = "cache",
    [HRI_PAGE_TOTAL] = "total",
    [HRI_PAGE_REFUSALS] = "refusals",
    [HRI_PAGE_REFUSALS_DEGRADED] = "refusals_degraded",
    [HRI_PAGE_REFUSALS_CRITICAL] = "refusals_critical",
    [HRI_PAGE_RELIEVED] = "relieved",
};

/* ── values ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void put_value(hri_text *text, uint64_t value)
{
    if (value == HR_NONE)
        hri_text_put(text, "null");
    else
        hri_text_put(text, "%llu", (unsigned long long)value);
}

static void put_figure(hri_text *text, const char *name, uint64_t value)
{
    hri_text_put(text, ", \"%s\": ", name);
    put_value(text, value);
}

/* A text that is not trusted, or null. */
static void put_said(hri_text *text, const char *name, const char *said)
{
    hri_text_put(text, ", \"%s\": ", name);
    if (said)
        hri_text_put_json(text, said);
    else
        hri_text_put(text, "null");
}

void hri_page_put_part(const hri_page_part *part, hri_text *text)
{
    for (size_t at = 0; at < part->size;) {
        size_t left = part->size - at, size = left < 1024 ? left : 1024;
        hri_text_put(text, "%.*s", (int)size, part->bytes + at);
        at += size;
    }
}

void hri_page_row_of(const hr_record *record, bool of_cgroup, hri_page_row *ret_row)
{
    bool decided = strcmp(record->decided_by, "cgroup") == 0 && record->use > 0;
    uint64_t cgroup_limit = decided ? (uint64_t)((double)record->cgroup_bytes / record->use) : HR_NONE;
    *ret_row = (hri_page_row){
        .wall_ns = record->wall_ns,
        .values =
            {
                [HRI_PAGE_LEVEL] = (uint64_t)record->level,
                [HRI_PAGE_USE] = of_cgroup ? record->cgroup_bytes : record->live_bytes,
                [HRI_PAGE_LIMIT] = of_cgroup ? cgroup_limit : record->limit_bytes,
                [HRI_PAGE_LIVE] = record->live_bytes,
                [HRI_PAGE_RSS] = record->rss_bytes,
                [HRI_PAGE_CGROUP] = record->cgroup_bytes,
                [HRI_PAGE_ANONYMOUS] = record->cgroup_anonymous_bytes,
                [HRI_PAGE_KERNEL] = record->cgroup_kernel_bytes,
                [HRI_PAGE_CACHE] = record->cgroup_cache_bytes,
                [HRI_PAGE_TOTAL] = record->total_bytes,
                [HRI_PAGE_REFUSALS] = record->refusals,
                [HRI_PAGE_REFUSALS_DEGRADED] = record->refusals_degraded,
                [HRI_PAGE_REFUSALS_CRITICAL] = record->refusals_critical,
                [HRI_PAGE_RELIEVED] = record->relieved_bytes,
            },
    };
}

/* ── rows ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The least and the most of a column in a stretch, and which of them came first. */
struct extremes {
    uint64_t least, most;
    bool most_first;
};

struct stretch {
    size_t rows;
    int64_t begin_ms, end_ms;
    struct extremes columns[HRI_PAGE_COLUMNS];
};

/* The rows that are written so far. */
struct writer {
    hri_text *text;
    bool begun;
    int64_t last_ms; /* times only grow: a clock that is set back stands still here */
};

static int64_t write_time(struct writer *writer, int64_t time_ms)
{
    if (writer->begun && time_ms <= writer->last_ms)
        time_ms = writer->last_ms + 1;
    hri_text_put(writer->text, "%s[%lld", writer->begun ? ",\n" : "\n", (long long)time_ms);
    writer->begun = true;
    writer->last_ms = time_ms;
    return time_ms;
}

static void write_point(struct writer *writer, const struct stretch *stretch, bool second)
{
    write_time(writer, second ? stretch->end_ms : stretch->begin_ms);
    for (unsigned i = 0; i < HRI_PAGE_COLUMNS; i++) {
        const struct extremes *column = &stretch->columns[i];
        hri_text_put(writer->text, ",");
        put_value(writer->text, column->most_first == second ? column->least : column->most);
    }
    hri_text_put(writer->text, "]");
}

static void write_stretch(struct writer *writer, struct stretch *stretch)
{
    if (stretch->rows > 0)
        write_point(writer, stretch, false);
    if (stretch->rows > 1)
        write_point(writer, stretch, true);
    stretch->rows = 0;
}

/* Between two processes there is a hole in every line. */
static void write_hole(struct writer *writer)
{
    write_time(writer, writer->last_ms + 1);
    for (unsigned i = 0; i < HRI_PAGE_COLUMNS; i++)
        hri_text_put(writer->text, ",null");
    hri_text_put(writer->text, "]");
}

static void take(struct stretch *stretch, const hri_page_row *row)
{
    int64_t time_ms = row->wall_ns / 1000000;
    for (unsigned i = 0; i < HRI_PAGE_COLUMNS; i++) {
        struct extremes *column = &stretch->columns[i];
        uint64_t value = row->values[i];
        if (stretch->rows == 0)
            *column = (struct extremes){HR_NONE, HR_NONE, false};
        if (value == HR_NONE)
            continue;
        if (column->least == HR_NONE) {
            column->least = column->most = value;
        } else if (value < column->least) {
            column->least = value;
            column->most_first = true;
        } else if (value > column->most) {
            column->most = value;
            column->most_first = false;
        }
    }
    if (stretch->rows++ == 0)
        stretch->begin_ms = time_ms;
    stretch->end_ms = time_ms;
}

/* Sums of a pass over all rows. */
struct sums {
    size_t begins;
    size_t rows;
    hri_page_row last;
    uint64_t peak_bytes;
    uint64_t refusals, relieved_bytes; /* of all processes; HR_NONE: not counted */
    int64_t begin_ns;
};

/* Adds what a counter has grown by; it begins at 0 with each process. */
static void add_growth(uint64_t *sum, uint64_t before, uint64_t value, bool begins)
{
    if (value == HR_NONE)
        return;
    uint64_t grown = begins || before == HR_NONE || value < before ? value : value - before;
    *sum = *sum == HR_NONE ? grown : *sum + grown;
}

static void sum_up(const hri_page_rows *rows, struct sums *ret_sums)
{
    hri_page_row row;
    *ret_sums = (struct sums){.peak_bytes = HR_NONE, .refusals = HR_NONE, .relieved_bytes = HR_NONE};
    memset(ret_sums->last.values, 0xff, sizeof ret_sums->last.values); /* each is HR_NONE */
    for (size_t i = 0; i < rows->count; i++) {
        if (!rows->read(rows->context, i, &row))
            continue;
        const uint64_t *before = ret_sums->last.values;
        uint64_t use = row.values[HRI_PAGE_USE];
        ret_sums->begins += row.begins;
        ret_sums->begin_ns = ret_sums->rows ? ret_sums->begin_ns : row.wall_ns;
        if (use != HR_NONE && (ret_sums->peak_bytes == HR_NONE || use > ret_sums->peak_bytes))
            ret_sums->peak_bytes = use;
        add_growth(&ret_sums->refusals, before[HRI_PAGE_REFUSALS], row.values[HRI_PAGE_REFUSALS], row.begins);
        add_growth(&ret_sums->relieved_bytes, before[HRI_PAGE_RELIEVED], row.values[HRI_PAGE_RELIEVED], row.begins);
        uint64_t limit = row.values[HRI_PAGE_LIMIT] == HR_NONE ? before[HRI_PAGE_LIMIT] : row.values[HRI_PAGE_LIMIT];
        ret_sums->last = row;
        ret_sums->last.values[HRI_PAGE_LIMIT] = limit;
        ret_sums->rows++;
    }
}

/* Gives how many rows are one stretch, so that no more than `points` come of them: a hole and a short stretch at each
 * beginning of a process included. */
static size_t rows_of_stretch(const struct sums *sums, size_t points)
{
    size_t lost = sums->begins < points / 8 ? 3 * sums->begins : points / 2;
    size_t stretches = (points - lost) / 2;
    return sums->rows <= points - 2 * sums->begins || sums->rows <= points / 2
               ? 1
               : (sums->rows + stretches - 1) / stretches;
}

static void put_rows(const hri_page_rows *rows, const struct sums *sums, size_t points, hri_text *text)
{
    size_t each = rows_of_stretch(sums, points);
    struct writer writer = {.text = text};
    struct stretch stretch = {0};
    hri_page_row row;
    for (size_t i = 0; i < rows->count; i++) {
        if (!rows->read(rows->context, i, &row))
            continue;
        if (row.begins && (writer.begun || stretch.rows > 0)) {
            write_stretch(&writer, &stretch);
            write_hole(&writer);
        }
        take(&stretch, &row);
        if (stretch.rows == each)
            write_stretch(&writer, &stretch);
    }
    write_stretch(&writer, &stretch);
}

/* ── a run ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void put_event(const hr_event *event, hri_text *text)
{
    hri_text_put(text, "{\"time_ms\": %lld, \"kind\": \"%s\", \"from\": \"%s\", \"to\": \"%s\"",
                 (long long)(event->wall_ns / 1000000), hr_event_kind_text(event->kind), hr_level_text(event->from),
                 hr_level_text(event->to));
    put_figure(text, "freed_bytes", event->freed_bytes);
    put_figure(text, "refused_by_limit", event->refused_by_limit);
    put_figure(text, "refused_by_level", event->refused_by_level);
    put_figure(text, "kills", event->kills);
    put_said(text, "budget", event->budget);
    hri_text_put(text, "}");
}

static void put_events(const hr_history_view *view, hri_text *text)
{
    size_t most = 1000, first = view->event_count > most ? view->event_count - most : 0;
    hri_text_put(text, ", \"events_left_out\": %zu, \"events\": [", first);
    for (size_t i = first; i < view->event_count; i++) {
        hri_text_put(text, "%s", i > first ? ",\n" : "\n");
        put_event(&view->events[i], text);
    }
    hri_text_put(text, "]");
}

/* One string for each line. */
static void put_lines(const char *lines, hri_text *text)
{
    char line[512];
    hri_text_put(text, ", \"left_out\": [");
    for (bool first = true; lines && *lines; first = false) {
        size_t length = strcspn(lines, "\n"), size = length < sizeof line - 1 ? length : sizeof line - 1;
        memcpy(line, lines, size);
        line[size] = '\0';
        hri_text_put(text, "%s", first ? "" : ", ");
        hri_text_put_json(text, line);
        lines += length + (lines[length] == '\n');
    }
    hri_text_put(text, "]");
}

static void put_trend(const hr_trend *trend, hri_text *text)
{
    char words[512];
    hri_text said = {.buffer = words, .size = sizeof words};
    bool forecast = trend && trend->time_to_limit_ns >= 0;
    hri_text_put(text, ", \"full_in_ns\": %lld, \"full_low_ns\": %lld, \"full_high_ns\": %lld",
                 forecast ? (long long)trend->time_to_limit_ns : -1LL,
                 forecast ? (long long)trend->time_to_limit_low_ns : -1LL,
                 forecast ? (long long)trend->time_to_limit_high_ns : -1LL);
    if (trend)
        hri_trend_put(trend, &said);
    put_said(text, "trend", trend ? words : NULL);
}

static void put_sheets(hri_figure_registry *registry, hri_text *text)
{
    hri_figure_sheet sheet;
    for (size_t i = 0; registry && hri_figures_take(registry, i, &sheet); i++)
        hri_report_put_sheet(&sheet, text);
}

static void put_sums(const hri_page_run *run, const struct sums *sums, hri_text *text)
{
    const hr_figures *figures = run->figures;
    put_figure(text, "use_bytes", sums->last.values[HRI_PAGE_USE]);
    put_figure(text, "limit_bytes", sums->last.values[HRI_PAGE_LIMIT]);
    put_figure(text, "peak_bytes", figures && !run->of_cgroup ? figures->peak_bytes : sums->peak_bytes);
    put_figure(text, "refusals", figures ? figures->refusals : sums->refusals);
    put_figure(text, "relieved_bytes", figures ? figures->relieved_bytes : sums->relieved_bytes);
    put_figure(text, "kernel_kills", run->said.kernel_kills);
    hri_text_put(text, ", \"verdict_level\": \"%s\", \"binding\": \"%s\", \"is_guard\": %s, \"total_counts\": %s",
                 hr_level_text(run->said.level), run->of_cgroup ? "cgroup" : "live", figures ? "true" : "false",
                 run->counts_total ? "true" : "false");
}

static void put_sampling(const hri_page_run *run, const struct sums *sums, size_t points, hri_text *text)
{
    char words[256];
    hri_text said = {.buffer = words, .size = sizeof words};
    size_t each = rows_of_stretch(sums, points);
    hri_text_put(&said, "%zu samples in ", sums->rows);
    hri_text_put_time(&said, sums->last.wall_ns - sums->begin_ns);
    if (sums->begins > 1)
        hri_text_put(&said, " of %zu processes", sums->begins);
    if (each > 1)
        hri_text_put(&said, "; the least and the most of every %zu are drawn", each);
    if (run->said.sampling)
        hri_text_put(&said, "; %.100s", run->said.sampling);
    put_said(text, "sampling", words);
}

void hri_page_put_begin(bool live, hri_text *text)
{
    hri_text_put(text, "{\"format\": 1, \"version\": \"%s\", \"live\": %s, \"runs\": [", hr_version(),
                 live ? "true" : "false");
}

void hri_page_put_run(const hri_page_run *run, size_t place, size_t points, hri_text *text)
{
    const hr_page_run *said = &run->said;
    struct sums sums;
    sum_up(&run->rows, &sums);
    hri_text_put(text, "%s{\"title\": ", place ? ",\n" : "\n");
    hri_text_put_json(text, said->title ? said->title : "headroom");
    put_said(text, "command", said->command);
    put_said(text, "source", said->source);
    put_said(text, "explanation", said->explanation);
    put_said(text, "limit_source", said->limit_source);
    put_lines(said->left_out, text);
    put_sampling(run, &sums, points, text);
    put_sums(run, &sums, text);
    put_trend(said->trend, text);
    put_sheets(run->registry, text);
    if (said->census) {
        put_figure(text, "census_ms", (uint64_t)(said->census->wall_ns / 1000000));
        hri_census_put(said->census, text);
    }
    put_events(&said->history, text);
    hri_text_put(text, ", \"columns\": [\"time_ms\"");
    for (unsigned i = 0; i < HRI_PAGE_COLUMNS; i++)
        hri_text_put(text, ", \"%s\"", columns[i]);
    hri_text_put(text, "], \"rows\": [");
    put_rows(&run->rows, &sums, points, text);
    hri_text_put(text, "]}");
}

void hri_page_put_end(hri_text *text)
{
    hri_text_put(text, "\n]}\n");
}

/* ── a page of somebody else's samples ──────────────────────────────────────────────────────────────────────────── */

static bool read_record(const void *context, size_t index, hri_page_row *ret_row)
{
    const hri_page_run *run = context;
    const hr_page_run *said = &run->said;
    hri_page_row_of(&said->history.records[index], run->of_cgroup, ret_row);
    ret_row->begins = index == 0;
    for (size_t i = 0; i < said->begin_count && !ret_row->begins; i++)
        ret_row->begins = said->begins[i] == index;
    return true;
}

static void put_said_run(const hr_page_run *said, size_t place, size_t points, hri_text *text)
{
    size_t count = said->history.record_count, by_cgroup = 0, decided = 0;
    for (size_t i = 0; i < count; i++) {
        const hr_record *record = &said->history.records[i];
        decided += *record->decided_by != '\0';
        by_cgroup += strcmp(record->decided_by, "cgroup") == 0 && record->cgroup_bytes != HR_NONE;
    }
    hri_page_run run = {.said = *said, .of_cgroup = by_cgroup > count / 2, .counts_total = decided > 0};
    if (run.of_cgroup && said->limit_source && strncmp(said->limit_source, "cgroup", 6) != 0)
        run.said.limit_source = "cgroup"; /* a file names the limit of the budget */
    run.rows = (hri_page_rows){read_record, &run, count};
    hri_page_put_run(&run, place, points, text);
}

static bool is_valid(const hr_page *page)
{
    if (!page || (!page->runs && page->run_count))
        return false;
    for (size_t i = 0; i < page->run_count; i++) {
        const hr_history_view *view = &page->runs[i].history;
        if ((!view->records && view->record_count) || (!view->events && view->event_count) ||
            (!page->runs[i].begins && page->runs[i].begin_count))
            return false;
    }
    return true;
}

static void put_data(const hr_page *page, hri_text *text)
{
    size_t points = page->live ? HRI_PAGE_LIVE_POINTS : HRI_PAGE_POINTS;
    hri_page_put_begin(page->live, text);
    for (size_t i = 0; i < page->run_count; i++)
        put_said_run(&page->runs[i], i, points, text);
    hri_page_put_end(text);
}

ssize_t hr_page_format(const hr_page *page, char *buffer, size_t size)
{
    hri_text text = {.buffer = buffer, .size = buffer ? size : 0};
    if (!is_valid(page))
        return -EINVAL;
    put_data(page, &text);
    return (ssize_t)text.length;
}

int hr_page_write(const hr_page *page, int fd)
{
    char buffer[HRI_REPORT_STREAM_BYTES];
    hri_text text = {.buffer = buffer, .size = sizeof buffer, .streams = true, .fd = fd};
    if (!is_valid(page))
        return -EINVAL;
    if (hri_page.head.size == 0)
        return -ENOTSUP;
    hri_page_put_part(&hri_page.head, &text);
    hri_text_put(&text, "%s", page->live ? "; connect-src 'self'" : "");
    hri_page_put_part(&hri_page.middle, &text);
    put_data(page, &text);
    hri_page_put_part(&hri_page.tail, &text);
    return hri_text_finish(&text);
}

int hr_page_read_parts(hr_page_parts *ret_parts)
{
    if (!ret_parts)
        return -EINVAL;
    if (hri_page.head.size == 0)
        return -ENOTSUP;
    *ret_parts = (hr_page_parts){
        .head = hri_page.head.bytes,
        .head_bytes = hri_page.head.size,
        .middle = hri_page.middle.bytes,
        .middle_bytes = hri_page.middle.size,
        .tail = hri_page.tail.bytes,
        .tail_bytes = hri_page.tail.size,
        .policy = hri_page.policy.bytes,
    };
    return 0;
}
