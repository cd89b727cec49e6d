/* SPDX-License-Identifier: Apache-2.0 */
/* The trend of a series: see hr_trend_compute() in the public header. */
#ifndef HRI_REPORT_TREND_H
#define HRI_REPORT_TREND_H

#include "report/series.h"

/* The limit of each ledger; HR_NONE: none is known. */
typedef struct hri_trend_limits {
    uint64_t bytes[HR_HISTORY_LEDGERS];
} hri_trend_limits;

/* Gives 0 or -ENODATA. `begin` is where the series begins anew: after the last restart. */
int hri_trend_compute(const hri_series *series, size_t begin, const hri_trend_limits *limits, hr_trend *ret_trend);

/* Takes back a forecast that says nothing to people: of too short a history, or of growth too uneven for a time. */
void hri_trend_withhold(hr_trend *trend);

/* The record after the last restart: there total_bytes, which only grows, is smaller than before. */
size_t hri_trend_restart(const hr_record *records, size_t count);

#endif
