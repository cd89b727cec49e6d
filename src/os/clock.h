/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HRI_OS_CLOCK_H
#define HRI_OS_CLOCK_H

#include "base/clock.h"

/* CLOCK_MONOTONIC. */
extern const hri_clock hri_os_clock;

/* The processor time that the calling thread has had. */
int64_t hri_os_thread_ns(void);

/* CLOCK_REALTIME, in nanoseconds since 1970: for people and logs, never for a difference. */
int64_t hri_os_wall_ns(void);

#endif
