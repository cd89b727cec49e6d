/* SPDX-License-Identifier: Apache-2.0 */
/* The use of late of those who hold most, by numbers and time alone. How fast they grow follows from the same rule as
 * the trend of the whole (trend.h), and only where that is certain. */
#ifndef HRI_REPORT_HOLDERS_H
#define HRI_REPORT_HOLDERS_H

#include "budget/budget.h"

#include <headroom/report.h>

/* The points of a holder are as close as HRI_TRACK_STEP_NS at first. When there is no place for another, every second
 * one goes, until they reach back 31 times HRI_TRACK_STEP_MAX_NS; from then on the oldest one goes. So a holder that is
 * new has a rate after half a second, and one that is old by the last half minute. */
#define HRI_TRACK_POINTS 32
#define HRI_TRACK_STEP_NS INT64_C(100000000)
#define HRI_TRACK_STEP_MAX_NS INT64_C(1000000000)

typedef struct hri_point {
    int64_t time_ns;
    uint64_t bytes;
} hri_point;

typedef struct hri_track {
    hri_holder holder; /* as it was noted last, at time_ns: a point of its own, if no point is as new */
    int64_t time_ns;
    int64_t step_ns;
    size_t count;
    hri_point points[HRI_TRACK_POINTS]; /* oldest first */
} hri_track;

typedef struct hri_holders {
    size_t count;
    unsigned char order[HRI_HOLDERS_MAX]; /* the tracks of those who hold most, largest first */
    hri_track tracks[HRI_HOLDERS_MAX];
} hri_holders;

/* Notes who holds most now. */
void hri_holders_note(hri_holders *holders, const hri_holder *list, size_t count, int64_t now_ns);

/* The trend of one of them. Gives 0, or -ENODATA where there is but one point. */
int hri_track_trend(const hri_track *track, hr_trend *ret_trend);

#endif
