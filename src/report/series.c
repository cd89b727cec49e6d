/* SPDX-License-Identifier: Apache-2.0 */
#include "report/series.h"

#include "base/checked.h"

/* ── sources ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void read_record(const hri_series *series, size_t index, hri_series_ledger ledger, hri_sample *ret_sample)
{
    const hr_record *record = &((const hr_record *)series->source)[index];
    const uint64_t bytes[HRI_SERIES_LEDGERS] = {record->live_bytes, record->rss_bytes, record->cgroup_bytes,
                                                record->cgroup_cache_bytes};
    *ret_sample = (hri_sample){record->time_ns, bytes[ledger], bytes[ledger]};
}

static const hr_history_ledger kept_as[HRI_SERIES_LEDGERS] = {HR_HISTORY_LIVE, HR_HISTORY_RSS,
                                                              HR_HISTORY_CGROUP_ANONYMOUS, HR_HISTORY_CGROUP_CACHE};

static void read_bucket(const hri_series *series, size_t index, hri_series_ledger ledger, hri_sample *ret_sample)
{
    const hr_bucket *bucket = &((const hr_bucket *)series->source)[index];
    const hr_bytes_range *range = &bucket->ledgers[kept_as[ledger]];
    *ret_sample = (hri_sample){bucket->time_ns, range->min_bytes, range->max_bytes};
}

static void read_tier(const hri_series *series, size_t index, hri_series_ledger ledger, hri_sample *ret_sample)
{
    const hri_bucket *bucket = hri_tier_at(series->source, index);
    hr_history_ledger kept = kept_as[ledger];
    const hri_tally *tally = &bucket->ledgers[kept];
    *ret_sample = (hri_sample){bucket->time_ns, HR_NONE, HR_NONE};
    if (bucket->sampled[kept])
        *ret_sample = (hri_sample){bucket->time_ns, tally->min_bytes, tally->max_bytes};
}

hri_series hri_series_of_records(const hr_record *records, size_t count)
{
    return (hri_series){read_record, records, count};
}

hri_series hri_series_of_buckets(const hr_bucket *buckets, size_t count)
{
    return (hri_series){read_bucket, buckets, count};
}

hri_series hri_series_of_tier(const hri_tier *tier)
{
    return (hri_series){read_tier, tier, hri_tier_count(tier)};
}

static bool is_absent(const hri_sample *sample)
{
    return sample->low_bytes == HR_NONE;
}

bool hri_series_has(const hri_series *series, hri_series_ledger ledger)
{
    for (size_t i = 0; i < series->count; i++) {
        hri_sample sample;
        series->read(series, i, ledger, &sample);
        if (!is_absent(&sample) && sample.high_bytes != 0)
            return true;
    }
    return false;
}

/* ── bins ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The forward time from one sample on to the next. The difference of two 64-bit times need not fit in 64 bits with a
 * sign. */
static uint64_t step_ns(int64_t from_ns, int64_t to_ns)
{
    return to_ns > from_ns ? (uint64_t)to_ns - (uint64_t)from_ns : 0;
}

static uint64_t span_of(const hri_series *series, hri_series_ledger ledger, size_t first)
{
    uint64_t span_ns = 0;
    hri_sample before, sample;
    if (first >= series->count)
        return 0;
    series->read(series, first, ledger, &before);
    for (size_t i = first + 1; i < series->count; i++) {
        series->read(series, i, ledger, &sample);
        span_ns = hri_add(span_ns, step_ns(before.time_ns, sample.time_ns));
        before = sample;
    }
    return span_ns;
}

static void take_in(hri_part *part, const hri_sample *sample, double time_s)
{
    double low = (double)sample->low_bytes, high = (double)sample->high_bytes;
    hri_bin *bin = &part->bins[part->count - 1];
    if (low < bin->low) {
        bin->low = low;
        bin->low_s = time_s;
    }
    if (high > bin->high) {
        bin->high = high;
        bin->high_s = time_s;
    }
    part->lowest = low < part->lowest ? low : part->lowest;
    part->highest = high > part->highest ? high : part->highest;
    part->samples++;
}

void hri_part_cut(hri_part *part, const hri_series *series, hri_series_ledger ledger, size_t first, unsigned wanted)
{
    uint64_t time_ns = 0, span_ns = span_of(series, ledger, first);
    unsigned at = 0;
    hri_sample before = {0};
    part->first = first;
    part->samples = 0;
    part->count = 0;
    part->wanted = wanted;
    part->span_ns = (int64_t)hri_min(span_ns, INT64_MAX);
    part->span_s = (double)span_ns / 1e9;
    for (size_t i = first; i < series->count; i++) {
        hri_sample sample;
        series->read(series, i, ledger, &sample);
        time_ns = hri_add(time_ns, i > first ? step_ns(before.time_ns, sample.time_ns) : 0);
        before = sample;
        if (is_absent(&sample))
            continue;
        double time_s = (double)time_ns / 1e9, place = span_ns > 0 ? time_s / part->span_s * wanted : 0;
        unsigned slot = place >= wanted ? wanted - 1 : (unsigned)place;
        double low = (double)sample.low_bytes, high = (double)sample.high_bytes;
        if (part->samples == 0) {
            part->lowest = low;
            part->highest = high;
        }
        if (part->count == 0 || slot != at) {
            part->begins[part->count] = (uint32_t)(i - first);
            part->bins[part->count++] = (hri_bin){low, time_s, high, time_s};
        }
        at = slot;
        take_in(part, &sample, time_s);
    }
}

void hri_part_halve(hri_part *part)
{
    unsigned count = 0;
    for (unsigned i = 0; i < part->count; i += 2, count++) {
        hri_bin bin = part->bins[i];
        const hri_bin *next = i + 1 < part->count ? &part->bins[i + 1] : &part->bins[i];
        if (next->low < bin.low) {
            bin.low = next->low;
            bin.low_s = next->low_s;
        }
        if (next->high > bin.high) {
            bin.high = next->high;
            bin.high_s = next->high_s;
        }
        part->bins[count] = bin;
        part->begins[count] = part->begins[i];
    }
    part->count = count;
    part->wanted /= 2;
}
