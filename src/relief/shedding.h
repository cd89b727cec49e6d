/* SPDX-License-Identifier: Apache-2.0 */
/* Decides which requests are shed first: pure, by what was asked for lately.
 *
 * Between degrade_at and critical_at a growing share of the requests is refused, those of the lowest priority first.
 * Each request has a *rank* among the recent ones: 0 is shed first, towards 1 last. It may go as far beyond degrade_at
 * as its rank says, so that half way to critical_at one half is refused: whatever priorities the clients use, be it one
 * alone. Among equal priorities the key decides: the same key has the same rank while the mix of priorities stays.
 *
 * Recent are the requests of this period and of the one before it. An older one has no part: while the requests of high
 * priority are counted that have ceased, all the others count as the lowest and are refused. Counts that fade with the
 * number of requests do that for minutes where requests are few.
 */
#ifndef HRI_RELIEF_SHEDDING_H
#define HRI_RELIEF_SHEDDING_H

#include "base/clock.h"

#include <stdint.h>

/* How long a request counts: one to two periods. A server of 1,000 requests a second has the ranks to 4 %. */
#define HRI_SHEDDING_PERIOD_NS (500 * HRI_MILLISECOND)

typedef struct hri_shedding {
    uint32_t counts[2][256]; /* requests by priority: of this period and of the one before */
    unsigned now;            /* which of them is this period's */
    int64_t since_ns;
    uint64_t unkeyed; /* requests without a key take turns */
} hri_shedding;

/* Counts a request and gives its rank, from 0 up to but not 1. A `key` of 0 is none. */
double hri_shedding_rank(hri_shedding *shedding, int64_t now_ns, uint8_t priority, uint64_t key);

#endif
