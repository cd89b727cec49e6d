/* SPDX-License-Identifier: Apache-2.0 */
/* A flag for those who look, and an eventfd for those who wait. Setting is a store and a write(), so that a signal
 * handler may do it.
 */
#include "flow/cancel.h"

#include "os/event.h"
#include "os/file.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct hr_cancel {
    _Atomic bool set;
    int fd;
};

int hr_cancel_new(hr_cancel **ret_cancel)
{
    if (!ret_cancel)
        return -EINVAL;
    hr_cancel *cancel = malloc(sizeof *cancel);
    if (!cancel)
        return -ENOMEM;
    atomic_init(&cancel->set, false);
    cancel->fd = hri_event_open();
    if (cancel->fd < 0) {
        int error = cancel->fd;
        free(cancel);
        return error;
    }
    *ret_cancel = cancel;
    return 0;
}

void hr_cancel_free(hr_cancel *cancel)
{
    if (!cancel)
        return;
    hri_file_close(cancel->fd);
    free(cancel);
}

void hr_cancel_set(hr_cancel *cancel)
{
    if (!cancel)
        return;
    int before = errno;
    atomic_store(&cancel->set, true);
    hri_event_signal(cancel->fd);
    errno = before;
}

void hr_cancel_clear(hr_cancel *cancel)
{
    if (!cancel)
        return;
    hri_event_clear(cancel->fd);
    atomic_store(&cancel->set, false);
}

bool hr_cancel_is_set(const hr_cancel *cancel)
{
    return cancel && atomic_load_explicit(&cancel->set, memory_order_relaxed);
}

int hri_cancel_fd(const hr_cancel *cancel)
{
    return cancel ? cancel->fd : -1;
}
