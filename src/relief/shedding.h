/* SPDX-License-Identifier: Apache-2.0 */
/* Who is shed first: pure, by what was asked for lately.
 *
 * Between degrade_at and critical_at a growing share of the requests is refused, those of the lowest priority first.
 * Each request has a *rank* among the recent ones: 0 is shed first, towards 1 last. It may go as far beyond degrade_at
 * as its rank says, so that half way to critical_at one half is refused: whatever priorities the clients use, be it one
 * alone. Among equal priorities the key decides: the same key has the same rank while the mix of priorities stays.
 */
#ifndef HRI_RELIEF_SHEDDING_H
#define HRI_RELIEF_SHEDDING_H

#include <stdint.h>

typedef struct hri_shedding {
    uint32_t counts[256]; /* recent requests, by priority */
    uint32_t total;
    uint64_t unkeyed; /* requests without a key take turns */
} hri_shedding;

/* Counts a request and gives its rank, from 0 up to but not 1. A `key` of 0 is none. */
double hri_shedding_rank(hri_shedding *shedding, uint8_t priority, uint64_t key);

#endif
