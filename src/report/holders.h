/* SPDX-License-Identifier: Apache-2.0 */
/* How fast those grow who hold most: noted now and then, by numbers and time alone. */
#ifndef HRI_REPORT_HOLDERS_H
#define HRI_REPORT_HOLDERS_H

#include "budget/budget.h"

typedef struct hri_growing {
    hri_holder holder;
    uint64_t base_bytes; /* at the holders' time: what its rate is reckoned from */
    double bytes_per_s;  /* of late: what is older than ten seconds weighs little */
    bool known;          /* it was there the last time too */
} hri_growing;

typedef struct hri_holders {
    int64_t time_ns; /* from which rates are reckoned */
    size_t count;
    hri_growing list[HRI_HOLDERS_MAX]; /* largest first */
} hri_holders;

/* Notes who holds most now. Within HRI_HOLDERS_STEP_NS of the last time rates stay as they are. */
#define HRI_HOLDERS_STEP_NS INT64_C(100000000)
void hri_holders_note(hri_holders *holders, const hri_holder *list, size_t count, int64_t now_ns);

#endif
