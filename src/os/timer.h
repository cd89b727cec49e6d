/* SPDX-License-Identifier: Apache-2.0 */
/* A timerfd: a descriptor that becomes readable after a while. */
#ifndef HRI_OS_TIMER_H
#define HRI_OS_TIMER_H

#include <stdint.h>

/* Gives a descriptor, non-blocking and close-on-exec, or a negative errno. */
int hri_timer_open(void);

/* Makes it unreadable, and readable again once `after_ns` (0 or more) have passed. A descriptor below 0 is fine. */
void hri_timer_set(int fd, int64_t after_ns);

/* Makes it unreadable for good. */
void hri_timer_clear(int fd);

#endif
