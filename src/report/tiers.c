/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket begins where the clock enters its second, minute or hour, by the monotonic clock: a wall clock that is set
 * moves no bucket. Where nothing was sampled there is no bucket, so that a gap shows. */
#include "report/tiers.h"

#include "base/checked.h"
#include "base/clock.h"

#define HOURS_MAX 48
#define SECONDS_SHARE 0.37 /* of what the hours leave */

static const int64_t widths_ns[HR_TIERS] = {
    [HR_TIER_SECONDS] = HRI_SECOND,
    [HR_TIER_MINUTES] = 60 * HRI_SECOND,
    [HR_TIER_HOURS] = 3600 * HRI_SECOND,
};

void hri_tiers_init(hri_tiers *tiers, hri_bucket *buckets, size_t count)
{
    size_t hours = hri_min(count / 8, HOURS_MAX);
    size_t seconds = (size_t)((double)(count - hours) * SECONDS_SHARE);
    const size_t counts[HR_TIERS] = {
        [HR_TIER_SECONDS] = seconds,
        [HR_TIER_MINUTES] = count - hours - seconds,
        [HR_TIER_HOURS] = hours,
    };
    for (unsigned i = 0; i < HR_TIERS; i++) {
        tiers->tiers[i] = (hri_tier){.buckets = buckets, .capacity = counts[i], .width_ns = widths_ns[i]};
        buckets += counts[i];
    }
}

void hri_record_ledgers(const hr_record *record, uint64_t ret_bytes[HR_HISTORY_LEDGERS])
{
    ret_bytes[HR_HISTORY_LIVE] = record->live_bytes;
    ret_bytes[HR_HISTORY_RSS] = record->rss_bytes;
    ret_bytes[HR_HISTORY_CGROUP_ANONYMOUS] = record->cgroup_anonymous_bytes;
    ret_bytes[HR_HISTORY_CGROUP_KERNEL] = record->cgroup_kernel_bytes;
    ret_bytes[HR_HISTORY_CGROUP_CACHE] = record->cgroup_cache_bytes;
}

static hri_bucket *newest(const hri_tier *tier)
{
    return tier->begun ? &tier->buckets[(tier->begun - 1) % tier->capacity] : NULL;
}

/* The number of the second, minute or hour that a time lies in; also before zero. */
static int64_t period(const hri_tier *tier, int64_t time_ns)
{
    return time_ns / tier->width_ns - (time_ns % tier->width_ns < 0);
}

static hri_bucket *bucket_for(hri_tier *tier, const hr_record *record)
{
    hri_bucket *bucket = newest(tier);
    if (bucket && period(tier, record->time_ns) <= period(tier, bucket->time_ns))
        return bucket;
    tier->begun++;
    bucket = newest(tier);
    *bucket = (hri_bucket){.time_ns = record->time_ns, .wall_ns = record->wall_ns};
    return bucket;
}

static void tally(hri_bucket *bucket, unsigned which, uint64_t bytes)
{
    hri_tally *ledger = &bucket->ledgers[which];
    if (bytes == HR_NONE)
        return;
    bool first = bucket->sampled[which]++ == 0;
    ledger->min_bytes = first ? bytes : hri_min(ledger->min_bytes, bytes);
    ledger->max_bytes = first ? bytes : hri_max(ledger->max_bytes, bytes);
    ledger->sum_bytes += (double)bytes;
}

static void count(uint32_t *counter, uint64_t more)
{
    *counter = (uint32_t)hri_min(hri_add(*counter, more), UINT32_MAX);
}

void hri_tiers_add(hri_tiers *tiers, const hr_record *record)
{
    uint64_t bytes[HR_HISTORY_LEDGERS];
    uint64_t by_level = hri_add(record->refusals_degraded, record->refusals_critical);
    hri_record_ledgers(record, bytes);
    for (unsigned i = 0; i < HR_TIERS; i++) {
        if (!tiers->tiers[i].capacity)
            continue;
        hri_bucket *bucket = bucket_for(&tiers->tiers[i], record);
        bucket->samples++;
        count(&bucket->refusals, hri_sub(record->refusals, tiers->refusals));
        count(&bucket->refusals_by_level, hri_sub(by_level, tiers->refusals_by_level));
        count(&bucket->would_have_refused, hri_sub(record->would_have_refused, tiers->would_have_refused));
        bucket->worst = record->level > bucket->worst ? record->level : bucket->worst;
        for (unsigned k = 0; k < HR_HISTORY_LEDGERS; k++)
            tally(bucket, k, bytes[k]);
    }
    tiers->refusals = record->refusals;
    tiers->refusals_by_level = by_level;
    tiers->would_have_refused = record->would_have_refused;
}

void hri_tiers_note(hri_tiers *tiers, const hr_event *event)
{
    for (unsigned i = 0; i < HR_TIERS; i++) {
        hri_bucket *bucket = tiers->tiers[i].capacity ? newest(&tiers->tiers[i]) : NULL;
        if (!bucket)
            continue;
        bucket->level_changes += event->kind == HR_EVENT_LEVEL;
        bucket->reliefs += event->kind == HR_EVENT_RELIEF;
        if (event->kind == HR_EVENT_RELIEF)
            bucket->relieved_bytes = hri_add(bucket->relieved_bytes, event->freed_bytes);
    }
}

size_t hri_tier_count(const hri_tier *tier)
{
    return tier->begun < tier->capacity ? (size_t)tier->begun : tier->capacity;
}

const hri_bucket *hri_tier_at(const hri_tier *tier, size_t index)
{
    return &tier->buckets[(tier->begun - hri_tier_count(tier) + index) % tier->capacity];
}

/* Rounding may carry a mean past the ends that it lies between. */
static uint64_t mean(const hri_tally *ledger, uint32_t samples)
{
    double bytes = ledger->sum_bytes / samples;
    if (bytes >= (double)ledger->max_bytes)
        return ledger->max_bytes;
    return hri_max((uint64_t)bytes, ledger->min_bytes);
}

void hri_bucket_show(const hri_tier *tier, const hri_bucket *bucket, hr_bucket *ret_bucket)
{
    *ret_bucket = (hr_bucket){
        .time_ns = bucket->time_ns,
        .wall_ns = bucket->wall_ns,
        .width_ns = tier->width_ns,
        .samples = bucket->samples,
        .worst_level = bucket->worst,
        .level_changes = bucket->level_changes,
        .reliefs = bucket->reliefs,
        .relieved_bytes = bucket->relieved_bytes,
        .refusals = bucket->refusals,
        .refusals_by_level = bucket->refusals_by_level,
        .would_have_refused = bucket->would_have_refused,
    };
    for (unsigned i = 0; i < HR_HISTORY_LEDGERS; i++) {
        const hri_tally *ledger = &bucket->ledgers[i];
        hr_bytes_range none = {HR_NONE, HR_NONE, HR_NONE};
        ret_bucket->ledgers[i] = none;
        if (bucket->sampled[i])
            ret_bucket->ledgers[i] =
                (hr_bytes_range){ledger->min_bytes, ledger->max_bytes, mean(ledger, bucket->sampled[i])};
    }
}
