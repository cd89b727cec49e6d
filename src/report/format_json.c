/* SPDX-License-Identifier: Apache-2.0 */
/* One object; schemas/report.schema.json describes it. An absent figure is null. */
#include "report/format.h"

#include <math.h>
#include <stdio.h>

static void put_value(hri_text *text, uint64_t value)
{
    if (value == HR_NONE)
        hri_text_put(text, "null");
    else
        hri_text_put(text, "%llu", (unsigned long long)value);
}

/* JSON has no infinity: without an interval there is no slope. */
static void put_trend(const hr_trend *trend, hri_text *text)
{
    static const char *const changes[] = {"none", "restart", "step", "slope"};
    hri_text_put(text, "{\"kind\": \"%s\", \"ledger\": \"%s\", \"growth_bytes\": %lld, \"span_ns\": %lld, ",
                 hr_trend_kind_text(trend->kind), hr_history_ledger_text(trend->ledger), (long long)trend->growth_bytes,
                 (long long)trend->span_ns);
    if (trend->slope_low == -INFINITY)
        hri_text_put(text, "\"slope_bytes_per_s\": null, \"slope_low\": null, \"slope_high\": null");
    else
        hri_text_put(text, "\"slope_bytes_per_s\": %.6g, \"slope_low\": %.6g, \"slope_high\": %.6g",
                     trend->slope_bytes_per_s, trend->slope_low, trend->slope_high);
    hri_text_put(text, ", \"time_to_limit_ns\": %lld, \"time_to_limit_low_ns\": %lld, \"time_to_limit_high_ns\": %lld",
                 (long long)trend->time_to_limit_ns, (long long)trend->time_to_limit_low_ns,
                 (long long)trend->time_to_limit_high_ns);
    hri_text_put(text, ", \"reason\": \"%s\", \"change\": \"%s\", \"settled_ns\": %lld}", trend->reason,
                 changes[trend->change], (long long)trend->settled_ns);
}

void hri_report_put_sheet(const hri_figure_sheet *sheet, hri_text *text)
{
    hri_text_put(text, ", \"%ss\": [", sheet->source.noun);
    for (size_t i = 0; i < sheet->count; i++) {
        hri_text_put(text, "%s{\"name\": ", i ? ", " : "");
        hri_text_put_json(text, sheet->rows[i].name);
        for (size_t k = 0; k < sheet->source.count; k++) {
            hri_text_put(text, ", \"%s\": ", sheet->source.figures[k].name);
            put_value(text, sheet->rows[i].values[k]);
        }
        hri_text_put(text, "}");
    }
    hri_text_put(text, "], \"%ss_left_out\": %zu", sheet->source.noun, sheet->left_out);
}

static void put_bucket(const hr_bucket *bucket, hri_text *text)
{
    static const char *const names[HR_HISTORY_LEDGERS] = {"live", "rss", "cgroup_anonymous", "cgroup_kernel",
                                                          "cgroup_cache"};
    hri_text_put(text, "{\"time_ns\": %lld, \"wall_ns\": %lld, \"samples\": %u, \"level\": \"%s\", ",
                 (long long)bucket->time_ns, (long long)bucket->wall_ns, bucket->samples,
                 hr_level_text(bucket->worst_level));
    hri_text_put(text, "\"level_changes\": %u, \"reliefs\": %u, \"relieved_bytes\": %llu", bucket->level_changes,
                 bucket->reliefs, (unsigned long long)bucket->relieved_bytes);
    hri_text_put(text, ", \"refusals\": %llu, \"refusals_by_level\": %llu, \"would_have_refused\": %llu",
                 (unsigned long long)bucket->refusals, (unsigned long long)bucket->refusals_by_level,
                 (unsigned long long)bucket->would_have_refused);
    for (unsigned i = 0; i < HR_HISTORY_LEDGERS; i++) {
        const hr_bytes_range *range = &bucket->ledgers[i];
        hri_text_put(text, ", \"%s\": ", names[i]);
        if (range->max_bytes == HR_NONE)
            hri_text_put(text, "null");
        else
            hri_text_put(text, "[%llu, %llu, %llu]", (unsigned long long)range->min_bytes,
                         (unsigned long long)range->max_bytes, (unsigned long long)range->mean_bytes);
    }
    hri_text_put(text, "}");
}

static void put_refusals(const hr_event *event, hri_text *text)
{
    hri_text_put(text, ", \"budget\": ");
    hri_text_put_json(text, event->budget);
    hri_text_put(text, ", \"refused_by_limit\": %llu, \"refused_by_level\": %llu, \"span_ns\": %lld",
                 (unsigned long long)event->refused_by_limit, (unsigned long long)event->refused_by_level,
                 (long long)event->span_ns);
}

static void put_history(hri_history *history, hri_text *text)
{
    static const char *const names[HR_TIERS] = {"seconds", "minutes", "hours"};
    hr_bucket buckets[HRI_REPORT_BUCKETS];
    hr_event events[HR_HISTORY_EVENTS];
    hri_text_put(text, ", \"history\": {");
    for (hr_tier tier = HR_TIER_SECONDS; tier < HR_TIERS; tier++) {
        size_t count = hri_history_copy_tier(history, tier, buckets, HRI_REPORT_BUCKETS);
        hri_text_put(text, "\"%s\": [", names[tier]);
        for (size_t i = 0; i < count; i++) {
            hri_text_put(text, "%s", i ? ", " : "");
            put_bucket(&buckets[i], text);
        }
        hri_text_put(text, "], ");
    }
    size_t count = hri_history_copy_events(history, events, HR_HISTORY_EVENTS);
    hri_text_put(text, "\"events\": [");
    for (size_t i = 0; i < count; i++) {
        hri_text_put(text, "%s{\"time_ns\": %lld, \"wall_ns\": %lld, \"kind\": \"%s\"", i ? ", " : "",
                     (long long)events[i].time_ns, (long long)events[i].wall_ns, hr_event_kind_text(events[i].kind));
        hri_text_put(text, ", \"from\": \"%s\", \"to\": \"%s\", \"freed_bytes\": %llu", hr_level_text(events[i].from),
                     hr_level_text(events[i].to), (unsigned long long)events[i].freed_bytes);
        hri_text_put(text, ", \"use\": %.6f, \"decided_by\": \"%s\"", events[i].use, events[i].decided_by);
        if (events[i].kind == HR_EVENT_REFUSALS || events[i].kind == HR_EVENT_WOULD_REFUSE)
            put_refusals(&events[i], text);
        hri_text_put(text, "}");
    }
    hri_text_put(text, "]}");
}

void hri_report_put_json(const hri_report *report, hri_text *text)
{
    const hr_figures *figures = report->figures;
    hri_figure_sheet sheet;
    hri_text_put(text, "{\"level\": \"%s\", \"use\": %.6f, \"use_source\": \"%s\", \"limit_source\": ",
                 hr_level_text(figures->level), figures->use, figures->use_source);
    hri_text_put_json(text, figures->limit_source);
    hri_text_put(text, ", \"holder\": ");
    hri_text_put_json(text, figures->holder);
    hri_text_put(text, ", \"time_ns\": %lld, \"wall_ns\": %lld", (long long)figures->time_ns,
                 (long long)figures->wall_ns);
    for (size_t i = 0; i < hri_own_figure_count; i++) {
        hri_text_put(text, ", \"%s\": ", hri_own_figures[i].figure.name);
        put_value(text, hri_own_value(figures, &hri_own_figures[i]));
    }
    if (report->explanation) {
        hri_text_put(text, ", \"explanation\": ");
        hri_text_put_json(text, report->explanation);
    }
    hri_text_put(text, ", \"trend\": ");
    if (report->trend)
        put_trend(report->trend, text);
    else
        hri_text_put(text, "null");
    for (size_t i = 0; report->registry && hri_figures_take(report->registry, i, &sheet); i++)
        hri_report_put_sheet(&sheet, text);
    if (report->history)
        put_history(report->history, text);
    hri_text_put(text, "}\n");
}
