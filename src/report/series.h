/* SPDX-License-Identifier: Apache-2.0 */
/* One ledger's history as a series, whatever it is kept in: records, or buckets. Time is made to go forward: a clock
 * that steps back counts as no time at all between two samples. */
#ifndef HRI_REPORT_SERIES_H
#define HRI_REPORT_SERIES_H

#include "report/tiers.h"

/* One place of a series. */
typedef struct hri_sample {
    int64_t time_ns;
    uint64_t low_bytes; /* HR_NONE, as high_bytes: the ledger is absent here */
    uint64_t high_bytes;
} hri_sample;

/* The ledgers that a trend looks at. */
typedef enum hri_series_ledger {
    HRI_SERIES_LIVE,
    HRI_SERIES_RSS,
    HRI_SERIES_CGROUP, /* without page cache; buckets: its anonymous part */
    HRI_SERIES_CACHE,
    HRI_SERIES_LEDGERS
} hri_series_ledger;

typedef struct hri_series hri_series;

struct hri_series {
    void (*read)(const hri_series *series, size_t index, hri_series_ledger ledger, hri_sample *ret_sample);
    const void *source;
    size_t count;
};

hri_series hri_series_of_records(const hr_record *records, size_t count);
hri_series hri_series_of_buckets(const hr_bucket *buckets, size_t count);
hri_series hri_series_of_tier(const hri_tier *tier);

/* The most bins that a series is cut into. */
#define HRI_BINS 60

/* A stretch of time, with its smallest and largest sample. Times are seconds since the part's first sample. */
typedef struct hri_bin {
    double low, low_s;
    double high, high_s;
} hri_bin;

/* A series from one sample on. */
typedef struct hri_part {
    size_t first;    /* the sample */
    size_t samples;  /* present ones */
    int64_t span_ns; /* of the forward time, at most INT64_MAX */
    double span_s;
    unsigned count;  /* of bins that are not empty */
    unsigned wanted; /* of bins */
    hri_bin bins[HRI_BINS];
    uint32_t begins[HRI_BINS]; /* the series' index at which each bin begins */
    double highest, lowest;
} hri_part;

/* Cuts the series from `first` on into `wanted` bins of equal time. */
void hri_part_cut(hri_part *part, const hri_series *series, hri_series_ledger ledger, size_t first, unsigned wanted);

/* Joins neighbouring bins in pairs. */
void hri_part_halve(hri_part *part);

/* Is a ledger there, and anything but 0? */
bool hri_series_has(const hri_series *series, hri_series_ledger ledger);

#endif
