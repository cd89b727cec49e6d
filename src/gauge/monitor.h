/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor: a thread that calls a function again and again, when its time has come, when it is woken, or when the
 * kernel signals memory pressure. */
#ifndef HRI_GAUGE_MONITOR_H
#define HRI_GAUGE_MONITOR_H

#include "base/fork.h"
#include "os/file.h"
#include "os/pressure.h"

#include <pthread.h>
#include <stdatomic.h>

/* Does one round; gives how long the next may wait. */
typedef int64_t hri_monitor_fn(void *context);

typedef struct hri_monitor {
    /* Constant once made. */
    hri_monitor_fn *round;
    void *context;

    pthread_mutex_t lock; /* of those who start and stop; never taken by the thread itself */
    pthread_t thread;
    hri_pressure pressure; /* the thread's while it runs */
    _Atomic int event;     /* an eventfd that ends the thread's wait; below 0 until the first start */
    hri_file_mark event_mark;
    _Atomic bool running;
    _Atomic bool stopping;
    _Atomic bool woken;              /* a wake is on its way: no need for another */
    _Atomic uint64_t pressure_wakes; /* rounds that the kernel's signal has brought about */
} hri_monitor;

int hri_monitor_init(hri_monitor *monitor, hri_monitor_fn *round, void *context);
void hri_monitor_destroy(hri_monitor *monitor); /* stops it first */

/* The thread stays with the parent, and so does its signal. */
void hri_monitor_fork(hri_monitor *monitor, hri_fork moment);

/* Arms the kernel's signal for a process's groups and starts the thread, with all signals blocked. Gives 0, -EALREADY,
 * -EAGAIN, or a shortage of descriptors. */
int hri_monitor_start(hri_monitor *monitor, const hri_site *site, const hri_cgroup_chain *chain);

/* Stops the thread and waits for its end. Gives 0 or -EALREADY. */
int hri_monitor_stop(hri_monitor *monitor);

static inline bool hri_monitor_is_running(const hri_monitor *monitor)
{
    return atomic_load_explicit(&monitor->running, memory_order_relaxed);
}

/* Makes the next round come at once. Takes no lock. Gives false where no thread runs. */
bool hri_monitor_wake(hri_monitor *monitor);

#endif
