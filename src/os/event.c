/* SPDX-License-Identifier: Apache-2.0 */
#include "os/event.h"

#include "base/uncancelled.h"

#include <errno.h>
#include <sys/eventfd.h>

int hri_event_open(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

void hri_event_signal(int fd)
{
    HRI_UNCANCELLED;
    if (fd >= 0)
        (void)eventfd_write(fd, 1); /* fails only where the count is full: it is readable then */
}

void hri_event_signal_own(int fd, const hri_file_mark *mark)
{
    if (hri_file_is(fd, mark))
        hri_event_signal(fd);
}

void hri_event_clear(int fd)
{
    HRI_UNCANCELLED;
    eventfd_t count;
    (void)eventfd_read(fd, &count); /* fails only where it is clear */
}
