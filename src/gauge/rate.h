/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a counter that only grows does so: pure, by numbers and time alone. */
#ifndef HRI_GAUGE_RATE_H
#define HRI_GAUGE_RATE_H

#include <stdint.h>

typedef struct hri_rate {
    uint64_t bytes_per_s; /* of late: what is older than a second weighs little */
    uint64_t total_bytes; /* the counter, when it was last looked at */
    int64_t time_ns;      /* and when that was; 0: never */
} hri_rate;

/* Looks at the counter. More often than every HRI_RATE_STEP_NS changes nothing. */
#define HRI_RATE_STEP_NS INT64_C(10000000)
void hri_rate_sample(hri_rate *rate, uint64_t total_bytes, int64_t now_ns);

#endif
