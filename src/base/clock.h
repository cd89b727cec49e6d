/* SPDX-License-Identifier: Apache-2.0 */
/* Time as an interface, so that tests of time need no time. The real one is hri_os_clock (os/clock.h). */
#ifndef HRI_BASE_CLOCK_H
#define HRI_BASE_CLOCK_H

#include <stdint.h>

#define HRI_MICROSECOND INT64_C(1000)
#define HRI_MILLISECOND INT64_C(1000000)
#define HRI_SECOND INT64_C(1000000000)

typedef struct hri_clock {
    int64_t (*now_ns)(void *context); /* monotonic, any epoch */
    void *context;
} hri_clock;

static inline int64_t hri_clock_now(const hri_clock *clock)
{
    return clock->now_ns(clock->context);
}

static inline int64_t hri_earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t hri_later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
