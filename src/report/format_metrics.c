/* SPDX-License-Identifier: Apache-2.0 */
/* OpenMetrics 1.0, by Prometheus' conventions: base units in the names, _total behind counters, each family in one
 * piece. An absent figure has no sample. */
#include "report/format.h"

#include <math.h>
#include <stdio.h>

static bool is_counter(const hri_figure *figure)
{
    return figure->kind == HRI_COUNTER || figure->kind == HRI_COUNTER_BYTES;
}

/* `prefix` is "" or a noun with its underscore. */
static void put_head(const hri_figure *figure, const char *prefix, hri_text *text)
{
    const char *metric = figure->metric ? figure->metric : figure->name;
    bool bytes = figure->kind == HRI_BYTES || figure->kind == HRI_COUNTER_BYTES;
    hri_text_put(text, "# TYPE headroom_%s%s %s\n", prefix, metric, is_counter(figure) ? "counter" : "gauge");
    if (bytes || figure->kind == HRI_NANOSECONDS)
        hri_text_put(text, "# UNIT headroom_%s%s %s\n", prefix, metric, bytes ? "bytes" : "seconds");
    hri_text_put(text, "# HELP headroom_%s%s %s\n", prefix, metric, figure->text);
}

static void put_number(const hri_figure *figure, uint64_t value, hri_text *text)
{
    if (figure->kind == HRI_NANOSECONDS)
        hri_text_put(text, " %.9f\n", (double)value / 1e9);
    else
        hri_text_put(text, " %llu\n", (unsigned long long)value);
}

static void put_own(const hri_figure *figure, uint64_t value, hri_text *text)
{
    if (value == HR_NONE)
        return;
    put_head(figure, "", text);
    hri_text_put(text, "headroom_%s%s", figure->metric ? figure->metric : figure->name,
                 is_counter(figure) ? "_total" : "");
    put_number(figure, value, text);
}

static void put_family(const hri_figure_sheet *sheet, size_t which, hri_text *text)
{
    const hri_figure *figure = &sheet->source.figures[which];
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%s_", sheet->source.noun);
    put_head(figure, prefix, text);
    for (size_t i = 0; i < sheet->count; i++) {
        if (sheet->rows[i].values[which] == HR_NONE)
            continue;
        hri_text_put(text, "headroom_%s%s%s{%s=", prefix, figure->metric ? figure->metric : figure->name,
                     is_counter(figure) ? "_total" : "", sheet->source.noun);
        hri_text_put_label(text, sheet->rows[i].name);
        hri_text_put(text, "}");
        put_number(figure, sheet->rows[i].values[which], text);
    }
}

static void put_gauge(const char *name, const char *unit, const char *help, double value, hri_text *text)
{
    hri_text_put(text, "# TYPE headroom_%s gauge\n", name);
    if (unit)
        hri_text_put(text, "# UNIT headroom_%s %s\n", name, unit);
    hri_text_put(text, "# HELP headroom_%s %s\nheadroom_%s %.9g\n", name, help, name, value);
}

static void put_trend(const hr_trend *trend, hri_text *text)
{
    if (trend->slope_low > -INFINITY) {
        bool sure = trend->slope_low > 0 || trend->slope_high < 0;
        put_gauge("growth_bytes_per_second", NULL, "slope of the low points of use; 0 unless it is certain at 95 %",
                  sure ? trend->slope_bytes_per_s : 0, text);
        put_gauge("growth_low_bytes_per_second", NULL, "the least that the slope may be, at 95 %", trend->slope_low,
                  text);
        put_gauge("growth_high_bytes_per_second", NULL, "the most that the slope may be, at 95 %", trend->slope_high,
                  text);
    }
    put_gauge("leak_suspected", NULL, "1 while a leak is suspected", trend->kind == HR_TREND_LEAK_SUSPECTED, text);
    if (trend->time_to_limit_ns < 0)
        return;
    put_gauge("time_to_limit_seconds", "seconds", "when the limit will be reached at this rate",
              (double)trend->time_to_limit_ns / 1e9, text);
    put_gauge("time_to_limit_low_seconds", "seconds", "the soonest that it may be",
              (double)trend->time_to_limit_low_ns / 1e9, text);
}

void hri_report_put_metrics(const hri_report *report, hri_text *text)
{
    const hr_figures *figures = report->figures;
    hri_figure_sheet sheet;
    put_gauge("level", NULL, "0 normal, 1 warning, 2 degraded, 3 critical", (double)figures->level, text);
    hri_text_put(text,
                 "# TYPE headroom_read_timestamp_seconds gauge\n# UNIT headroom_read_timestamp_seconds seconds\n"
                 "# HELP headroom_read_timestamp_seconds when the kernel's figures were read\n"
                 "headroom_read_timestamp_seconds %.3f\n",
                 (double)figures->wall_ns / 1e9);
    put_gauge("use_ratio", "ratio", "use of the ledger that is nearest to its limit", figures->use, text);
    for (size_t i = 0; i < hri_own_figure_count; i++)
        put_own(&hri_own_figures[i].figure, hri_own_value(figures, &hri_own_figures[i]), text);
    if (report->trend)
        put_trend(report->trend, text);
    for (size_t i = 0; report->registry && hri_figures_take(report->registry, i, &sheet); i++)
        for (size_t k = 0; sheet.count && k < sheet.source.count; k++)
            put_family(&sheet, k, text);
    hri_text_put(text, "# EOF\n");
}
