/* SPDX-License-Identifier: Apache-2.0 */
/* Tables with an empty line between them: the guard's own figures, then those of budgets and the like by their names,
 * then history, the hours first. An absent figure is an empty field. */
#include "report/format.h"

#include <stdio.h>

static void put_value(hri_text *text, uint64_t value)
{
    if (value == HR_NONE)
        hri_text_put(text, ",");
    else
        hri_text_put(text, ",%llu", (unsigned long long)value);
}

static void put_sheet(const hri_figure_sheet *sheet, hri_text *text)
{
    hri_text_put(text, "\n%s", sheet->source.noun);
    for (size_t k = 0; k < sheet->source.count; k++)
        hri_text_put(text, ",%s", sheet->source.figures[k].name);
    hri_text_put(text, "\n");
    for (size_t i = 0; i < sheet->count; i++) {
        hri_text_put_csv(text, sheet->rows[i].name);
        for (size_t k = 0; k < sheet->source.count; k++)
            put_value(text, sheet->rows[i].values[k]);
        hri_text_put(text, "\n");
    }
}

static void put_history(hri_history *history, hri_text *text)
{
    static const char *const names[HR_TIERS] = {"second", "minute", "hour"};
    hr_bucket buckets[HRI_REPORT_BUCKETS];
    hri_text_put(text, "\nspan,time_ns,wall_ns,samples,level,level_changes,reliefs,relieved_bytes,refusals,refusals_by_"
                       "level,would_have_refused");
    for (hr_history_ledger i = 0; i < HR_HISTORY_LEDGERS; i++)
        hri_text_put(text, ",%s min,%s max,%s mean", hr_history_ledger_text(i), hr_history_ledger_text(i),
                     hr_history_ledger_text(i));
    hri_text_put(text, "\n");
    for (int tier = HR_TIERS - 1; tier >= 0; tier--) {
        size_t count = hri_history_copy_tier(history, (hr_tier)tier, buckets, HRI_REPORT_BUCKETS);
        for (size_t i = 0; i < count; i++) {
            const hr_bucket *bucket = &buckets[i];
            hri_text_put(text, "%s,%lld,%lld,%u,%s,%u,%u,%llu,%llu,%llu,%llu", names[tier], (long long)bucket->time_ns,
                         (long long)bucket->wall_ns, bucket->samples, hr_level_text(bucket->worst_level),
                         bucket->level_changes, bucket->reliefs, (unsigned long long)bucket->relieved_bytes,
                         (unsigned long long)bucket->refusals, (unsigned long long)bucket->refusals_by_level,
                         (unsigned long long)bucket->would_have_refused);
            for (unsigned k = 0; k < HR_HISTORY_LEDGERS; k++) {
                put_value(text, bucket->ledgers[k].min_bytes);
                put_value(text, bucket->ledgers[k].max_bytes);
                put_value(text, bucket->ledgers[k].mean_bytes);
            }
            hri_text_put(text, "\n");
        }
    }
}

void hri_report_put_csv(const hri_report *report, hri_text *text)
{
    const hr_figures *figures = report->figures;
    hri_figure_sheet sheet;
    hri_text_put(text, "time_ns,wall_ns,level,use");
    for (size_t i = 0; i < hri_own_figure_count; i++)
        hri_text_put(text, ",%s", hri_own_figures[i].figure.name);
    hri_text_put(text, "\n%lld,%lld,%s,%.6f", (long long)figures->time_ns, (long long)figures->wall_ns,
                 hr_level_text(figures->level), figures->use);
    for (size_t i = 0; i < hri_own_figure_count; i++)
        put_value(text, hri_own_value(figures, &hri_own_figures[i]));
    hri_text_put(text, "\n");
    for (size_t i = 0; report->registry && hri_figures_take(report->registry, i, &sheet); i++)
        put_sheet(&sheet, text);
    if (report->history)
        put_history(report->history, text);
}
