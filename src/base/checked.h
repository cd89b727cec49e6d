/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on bytes that stops at its ends instead of wrapping. HR_NONE is the upper end, and stays there. */
#ifndef HRI_BASE_CHECKED_H
#define HRI_BASE_CHECKED_H

#include <stdint.h>

static inline uint64_t hri_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static inline uint64_t hri_sub(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static inline uint64_t hri_mul(uint64_t a, uint64_t b)
{
    return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

static inline uint64_t hri_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t hri_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* `share` of `bytes`; HR_NONE stays HR_NONE. */
static inline uint64_t hri_share(uint64_t bytes, double share)
{
    return bytes == UINT64_MAX ? UINT64_MAX : (uint64_t)((double)bytes * share);
}

#endif
