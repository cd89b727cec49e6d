/* SPDX-License-Identifier: Apache-2.0 */
/* History by the second, the minute and the hour: rings of buckets in memory that the caller gives. Pure: each sample
 * goes into the newest bucket of every tier, or begins the next one. Nothing is copied from tier to tier, so that an
 * hour is as exact as a second. */
#ifndef HRI_REPORT_TIERS_H
#define HRI_REPORT_TIERS_H

#include <headroom/report.h>

/* One ledger of a bucket. The sum is of doubles: it cannot overflow, and a mean needs no more digits. */
typedef struct hri_tally {
    uint64_t min_bytes;
    uint64_t max_bytes;
    double sum_bytes;
} hri_tally;

typedef struct hri_bucket {
    int64_t time_ns; /* of its first sample */
    int64_t wall_ns;
    uint64_t relieved_bytes;
    uint32_t refusals; /* at most what 32 bits hold, as the counts below */
    uint32_t refusals_by_level;
    uint32_t would_have_refused;
    uint32_t reliefs;
    uint32_t level_changes;
    uint32_t samples;
    hr_level worst;
    uint32_t
        sampled[HR_HISTORY_LEDGERS]; /* of the samples, those that had the ledger: beside the tallies, since a day of
                                             buckets has to fit into 256 KiB */
    hri_tally ledgers[HR_HISTORY_LEDGERS];
} hri_bucket;

typedef struct hri_tier {
    hri_bucket *buckets;
    size_t capacity;  /* 0: the tier is not kept */
    uint64_t begun;   /* so far: the newest is begun - 1, at its remainder by capacity */
    int64_t width_ns; /* of a bucket */
} hri_tier;

typedef struct hri_tiers {
    uint64_t refusals; /* until the last sample */
    uint64_t refusals_by_level;
    uint64_t would_have_refused;
    hri_tier tiers[HR_TIERS];
} hri_tiers;

/* Shares `count` buckets among the tiers: most to the seconds and minutes, up to two days to the hours. */
void hri_tiers_init(hri_tiers *tiers, hri_bucket *buckets, size_t count);

/* Gives the bytes of each ledger in a record, in the order of hr_history_ledger; HR_NONE where it is absent. */
void hri_record_ledgers(const hr_record *record, uint64_t ret_bytes[HR_HISTORY_LEDGERS]);

/* Adds a sample. One whose time lies before the newest bucket belongs to that: buckets never go back. */
void hri_tiers_add(hri_tiers *tiers, const hr_record *record);

/* Notes an event in the newest buckets. */
void hri_tiers_note(hri_tiers *tiers, const hr_event *event);

/* How many buckets a tier has, and its `index`th from the oldest. */
size_t hri_tier_count(const hri_tier *tier);
const hri_bucket *hri_tier_at(const hri_tier *tier, size_t index);

/* A bucket as the public one. */
void hri_bucket_show(const hri_tier *tier, const hri_bucket *bucket, hr_bucket *ret_bucket);

#endif
