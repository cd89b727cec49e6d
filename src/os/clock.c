/* SPDX-License-Identifier: Apache-2.0 */
#include "os/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * HRI_SECOND + now.tv_nsec;
}

static int64_t now_ns(void *context)
{
    (void)context;
    return read_clock(CLOCK_MONOTONIC);
}

int64_t hri_os_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

int64_t hri_os_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

const hri_clock hri_os_clock = {now_ns, NULL};
