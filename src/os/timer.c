/* SPDX-License-Identifier: Apache-2.0 */
#include "os/timer.h"

#include "base/clock.h"

#include <errno.h>
#include <sys/timerfd.h>

int hri_timer_open(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static void set(int fd, int64_t after_ns)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(after_ns / HRI_SECOND), .tv_nsec = (long)(after_ns % HRI_SECOND)}};
    if (fd >= 0)
        (void)timerfd_settime(fd, 0, &when, NULL); /* fails for no value that can come here */
}

void hri_timer_set(int fd, int64_t after_ns)
{
    set(fd, after_ns > 0 ? after_ns : 1); /* 0 would be never */
}

void hri_timer_clear(int fd)
{
    set(fd, 0);
}
