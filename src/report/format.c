/* SPDX-License-Identifier: Apache-2.0 */
/* One table names every figure once; the four formats walk it. All names are ours and need no escaping, but for
 * limit_source, which may carry the path of a cgroup, and holder, which may carry the name of a budget.
 */
#include "report/format.h"

#include "report/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum kind {
    BYTES,
    COUNTER,       /* only grows */
    COUNTER_BYTES, /* only grows, in bytes */
    NANOSECONDS,
};

struct figure {
    const char *name;   /* of the field */
    const char *metric; /* in OpenMetrics, behind headroom_: without _total, with the base unit */
    enum kind kind;
    size_t offset;
    const char *text;
};

#define FIGURE(field, kind, text) METRIC(field, #field, kind, text)
#define METRIC(field, metric, kind, text)                                                                              \
    {                                                                                                                  \
#field, metric, kind, offsetof(hr_figures, field), text                                                        \
    }

static const struct figure figures_of[] = {
    FIGURE(limit_bytes, BYTES, "what the root budget may grant at most"),
    FIGURE(live_bytes, BYTES, "charged and not given back"),
    FIGURE(promised_bytes, BYTES, "admitted and not yet spent"),
    FIGURE(peak_bytes, BYTES, "the most that was held and promised at once"),
    METRIC(total_bytes, "held_bytes", COUNTER_BYTES, "everything ever held"),
    FIGURE(rss_bytes, BYTES, "resident set of this process"),
    FIGURE(cgroup_bytes, BYTES, "use of the binding cgroup without page cache"),
    FIGURE(cgroup_anonymous_bytes, BYTES, "anonymous, shared and locked memory of the binding cgroup"),
    FIGURE(cgroup_kernel_bytes, BYTES, "kernel memory and sockets of the binding cgroup"),
    FIGURE(cgroup_limit_bytes, BYTES, "limit of the binding cgroup"),
    FIGURE(cgroup_cache_bytes, BYTES, "page cache of the binding cgroup"),
    FIGURE(others_bytes, BYTES, "cgroup memory outside of the budget"),
    FIGURE(host_available_bytes, BYTES, "what the host could still give"),
    FIGURE(reserve_bytes, BYTES, "emergency reserve in hand"),
    FIGURE(reliefs, COUNTER, "times that relief gave something back"),
    FIGURE(relieved_bytes, COUNTER_BYTES, "what relief gave back"),
    FIGURE(cleanups, COUNTER, "times that the janitor ran"),
    FIGURE(cleaned_bytes, COUNTER_BYTES, "what the janitor gave back"),
    FIGURE(cleanup_before_bytes, BYTES, "resident set before the last cleanup"),
    FIGURE(cleanup_after_bytes, BYTES, "resident set after the last cleanup"),
    FIGURE(purges, COUNTER, "times that the allocator was asked to return pages"),
    METRIC(purge_longest_ns, "purge_longest_seconds", NANOSECONDS, "the longest that a purge took"),
    FIGURE(refusals, COUNTER, "charges and requests refused"),
    FIGURE(faults, COUNTER, "misuse that was caught and survived"),
    FIGURE(pressure_wakes, COUNTER, "looks that the kernel's signal of memory pressure brought about"),
    METRIC(stalled_ns, "stalled_seconds", NANOSECONDS, "for how long relief has achieved nothing while short"),
    FIGURE(holder_bytes, BYTES, "what the largest holder has while relief is stalled"),
};

#define FIGURE_COUNT (sizeof figures_of / sizeof *figures_of)

static uint64_t value_of(const hr_figures *figures, const struct figure *figure)
{
    uint64_t value;
    memcpy(&value, (const char *)figures + figure->offset, sizeof value);
    return value;
}

static void put_people(hri_text *text, const hr_figures *figures)
{
    hri_text_put(text, "%-22s %s, %.1f %% of the %s limit\n", "level", hr_level_text(figures->level),
                 figures->use * 100, figures->use_source);
    hri_text_put(text, "%-22s %s\n", "limit_source", figures->limit_source);
    if (figures->stalled_ns > 0) {
        char bytes[24];
        hri_text_put(text, "%-22s relief has achieved nothing for %.1f s; most is held by %s: %s\n", "stalled",
                     (double)figures->stalled_ns / 1e9, figures->holder,
                     hr_size_format(figures->holder_bytes, bytes, sizeof bytes));
    }
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        const struct figure *figure = &figures_of[i];
        uint64_t value = value_of(figures, figure);
        char number[32];
        if (figure->kind == BYTES || figure->kind == COUNTER_BYTES)
            hr_size_format(value, number, sizeof number);
        else if (figure->kind == NANOSECONDS)
            snprintf(number, sizeof number, "%.1f ms", (double)value / 1e6);
        else
            snprintf(number, sizeof number, "%llu", (unsigned long long)value);
        hri_text_put(text, "%-22s %-12s %s\n", figure->name, number, figure->text);
    }
}

static void put_value(hri_text *text, uint64_t value, const char *absent)
{
    if (value == HR_NONE)
        hri_text_put(text, "%s", absent);
    else
        hri_text_put(text, "%llu", (unsigned long long)value);
}

static void put_json(hri_text *text, const hr_figures *figures)
{
    hri_text_put(text, "{\"level\": \"%s\", \"use\": %.6f, \"use_source\": \"%s\", \"limit_source\": ",
                 hr_level_text(figures->level), figures->use, figures->use_source);
    hri_text_put_json(text, figures->limit_source);
    hri_text_put(text, ", \"holder\": ");
    hri_text_put_json(text, figures->holder);
    hri_text_put(text, ", \"time_ns\": %lld", (long long)figures->time_ns);
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        hri_text_put(text, ", \"%s\": ", figures_of[i].name);
        put_value(text, value_of(figures, &figures_of[i]), "null");
    }
    hri_text_put(text, "}\n");
}

static void put_csv(hri_text *text, const hr_figures *figures)
{
    hri_text_put(text, "time_ns,level,use");
    for (size_t i = 0; i < FIGURE_COUNT; i++)
        hri_text_put(text, ",%s", figures_of[i].name);
    hri_text_put(text, "\n%lld,%s,%.6f", (long long)figures->time_ns, hr_level_text(figures->level), figures->use);
    for (size_t i = 0; i < FIGURE_COUNT; i++) {
        hri_text_put(text, ",");
        put_value(text, value_of(figures, &figures_of[i]), "");
    }
    hri_text_put(text, "\n");
}

static void put_metric(hri_text *text, const struct figure *figure, uint64_t value)
{
    static const char *const units[] = {"bytes", NULL, "bytes", "seconds"};
    if (value == HR_NONE)
        return;
    bool counter = figure->kind == COUNTER || figure->kind == COUNTER_BYTES;
    hri_text_put(text, "# TYPE headroom_%s %s\n", figure->metric, counter ? "counter" : "gauge");
    if (units[figure->kind])
        hri_text_put(text, "# UNIT headroom_%s %s\n", figure->metric, units[figure->kind]);
    hri_text_put(text, "# HELP headroom_%s %s\n", figure->metric, figure->text);
    hri_text_put(text, "headroom_%s%s ", figure->metric, counter ? "_total" : "");
    if (figure->kind == NANOSECONDS)
        hri_text_put(text, "%.9f\n", (double)value / 1e9);
    else
        hri_text_put(text, "%llu\n", (unsigned long long)value);
}

static void put_openmetrics(hri_text *text, const hr_figures *figures)
{
    hri_text_put(text,
                 "# TYPE headroom_level gauge\n# HELP headroom_level 0 normal, 1 warning, 2 degraded, 3 critical\n");
    hri_text_put(text, "headroom_level %d\n", (int)figures->level);
    hri_text_put(text, "# TYPE headroom_use_ratio gauge\n# UNIT headroom_use_ratio ratio\n");
    hri_text_put(text, "# HELP headroom_use_ratio use of the ledger that is nearest to its limit\n");
    hri_text_put(text, "headroom_use_ratio %.6f\n", figures->use);
    for (size_t i = 0; i < FIGURE_COUNT; i++)
        put_metric(text, &figures_of[i], value_of(figures, &figures_of[i]));
    hri_text_put(text, "# EOF\n");
}

ssize_t hri_report_format(const hr_figures *figures, hr_format format, char *buffer, size_t size)
{
    hri_text text = {buffer, size, 0};
    switch (format) {
    case HR_TEXT:
        put_people(&text, figures);
        break;
    case HR_JSON:
        put_json(&text, figures);
        break;
    case HR_CSV:
        put_csv(&text, figures);
        break;
    case HR_OPENMETRICS:
        put_openmetrics(&text, figures);
        break;
    default:
        return -EINVAL;
    }
    return (ssize_t)text.length;
}
