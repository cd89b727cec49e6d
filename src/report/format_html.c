/* SPDX-License-Identifier: Apache-2.0 */
/* A guard's page. Its rows are those of its history, from coarse to fine: hours, then the minutes since the last whole
 * hour that is there, then seconds, then the last samples. A bucket is two rows, its least and its most. */
#include "report/page.h"

#include "report/origin.h"

#include <errno.h>
#include <string.h>

struct way {
    hri_history *history;
    size_t buckets[HR_TIERS]; /* that end before the next finer rows begin */
    uint64_t first_record;
    size_t records;
    bool of_cgroup;
    uint64_t limit_bytes; /* of now: buckets have none */
};

/* The time of the first sample of a tier; INT64_MAX where it has none. */
static int64_t begin_of(hri_history *history, hr_tier tier)
{
    hr_bucket bucket;
    return hri_history_bucket_at(history, tier, 0, &bucket) ? bucket.time_ns : INT64_MAX;
}

static int64_t first_record_ns(struct way *way)
{
    hr_record record;
    way->first_record = 0;
    while (hri_history_record_at(way->history, &way->first_record, way->records, &record))
        way->records++;
    return way->records && hri_history_record_at(way->history, &way->first_record, 0, &record) ? record.time_ns
                                                                                               : INT64_MAX;
}

/* Finds which buckets are shown. */
static void find_way(struct way *way)
{
    int64_t until_ns = first_record_ns(way);
    hr_bucket bucket;
    for (hr_tier tier = HR_TIER_SECONDS; tier < HR_TIERS; tier++) {
        while (hri_history_bucket_at(way->history, tier, way->buckets[tier], &bucket) &&
               bucket.time_ns + bucket.width_ns <= until_ns)
            way->buckets[tier]++;
        if (begin_of(way->history, tier) < until_ns)
            until_ns = begin_of(way->history, tier);
    }
}

/* One of a bucket's two rows. */
static bool read_bucket(const struct way *way, hr_tier tier, size_t index, bool most, hri_page_row *ret_row)
{
    hr_bucket bucket;
    if (!hri_history_bucket_at(way->history, tier, index, &bucket))
        return false;
    uint64_t ledgers[HR_HISTORY_LEDGERS];
    for (unsigned i = 0; i < HR_HISTORY_LEDGERS; i++)
        ledgers[i] = most ? bucket.ledgers[i].max_bytes : bucket.ledgers[i].min_bytes;
    uint64_t anonymous = ledgers[HR_HISTORY_CGROUP_ANONYMOUS], kernel = ledgers[HR_HISTORY_CGROUP_KERNEL];
    uint64_t cgroup = anonymous == HR_NONE || kernel == HR_NONE ? anonymous : anonymous + kernel;
    *ret_row = (hri_page_row){.wall_ns = bucket.wall_ns + (most ? bucket.width_ns / 2 : 0)};
    memset(ret_row->values, 0xff, sizeof ret_row->values); /* each is HR_NONE */
    uint64_t *values = ret_row->values;
    values[HRI_PAGE_LEVEL] = (uint64_t)bucket.worst_level;
    values[HRI_PAGE_USE] = way->of_cgroup ? cgroup : ledgers[HR_HISTORY_LIVE];
    values[HRI_PAGE_LIMIT] = way->limit_bytes;
    values[HRI_PAGE_LIVE] = ledgers[HR_HISTORY_LIVE];
    values[HRI_PAGE_RSS] = ledgers[HR_HISTORY_RSS];
    values[HRI_PAGE_CGROUP] = cgroup;
    values[HRI_PAGE_ANONYMOUS] = anonymous;
    values[HRI_PAGE_KERNEL] = kernel;
    values[HRI_PAGE_CACHE] = ledgers[HR_HISTORY_CGROUP_CACHE];
    return true;
}

static bool read_row(const void *context, size_t index, hri_page_row *ret_row)
{
    const struct way *way = context;
    for (hr_tier tier = HR_TIERS; tier-- > HR_TIER_SECONDS;) {
        size_t rows = 2 * way->buckets[tier];
        if (index < rows)
            return read_bucket(way, tier, index / 2, index % 2, ret_row);
        index -= rows;
    }
    hr_record record;
    uint64_t first = way->first_record;
    if (!hri_history_record_at(way->history, &first, index, &record))
        return false;
    hri_page_row_of(&record, way->of_cgroup, ret_row);
    if (way->of_cgroup && ret_row->values[HRI_PAGE_LIMIT] == HR_NONE)
        ret_row->values[HRI_PAGE_LIMIT] = way->limit_bytes;
    return true;
}

void hri_report_put_page_data(const hri_report *report, bool live, hri_text *text)
{
    const hr_figures *figures = report->figures;
    char command[HR_COMMAND_BYTES];
    hr_event events[HR_HISTORY_EVENTS];
    struct way way = {.history = report->history, .of_cgroup = strcmp(figures->use_source, "cgroup") == 0};
    way.limit_bytes = way.of_cgroup ? figures->cgroup_limit_bytes : figures->limit_bytes;
    find_way(&way);
    hri_origin_read_command(command);
    size_t rows = way.records;
    for (hr_tier tier = HR_TIER_SECONDS; tier < HR_TIERS; tier++)
        rows += 2 * way.buckets[tier];
    hri_page_run run = {
        .said =
            {
                .title = program_invocation_short_name,
                .command = *command ? command : NULL,
                .source = live ? "the running process" : "the process, at that moment",
                .explanation = report->explanation,
                .limit_source = way.of_cgroup ? "cgroup" : figures->limit_source,
                .sampling = "older ones by the second, the minute and the hour, least and most",
                .left_out =
                    "limits and refusals before the last hundred samples are not kept one by one: there the line of "
                    "the limit is that of now",
                .level = figures->level,
                .kernel_kills = HR_NONE,
                .trend = report->trend,
                .history = {.events = events,
                            .event_count = hri_history_copy_events(report->history, events, HR_HISTORY_EVENTS)},
            },
        .rows = {read_row, &way, rows},
        .of_cgroup = way.of_cgroup,
        .counts_total = true,
        .figures = figures,
        .registry = report->registry,
    };
    hri_page_put_begin(live, text);
    hri_page_put_run(&run, 0, live ? HRI_PAGE_LIVE_POINTS : HRI_PAGE_POINTS, text);
    hri_page_put_end(text);
}

int hri_report_put_html(const hri_report *report, hri_text *text)
{
    if (hri_page.head.size == 0)
        return -ENOTSUP;
    hri_page_put_part(&hri_page.head, text);
    hri_page_put_part(&hri_page.middle, text);
    hri_report_put_page_data(report, false, text);
    hri_page_put_part(&hri_page.tail, text);
    return 0;
}
