/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor: a thread that calls a function again and again, when its time has come or when it is woken. */
#ifndef HRI_GAUGE_MONITOR_H
#define HRI_GAUGE_MONITOR_H

#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Does one round; gives how long the next may wait. */
typedef int64_t hri_monitor_fn(void *context);

typedef struct hri_monitor {
    pthread_mutex_t lock; /* guards the flags; a leaf */
    pthread_cond_t wake;
    pthread_t thread;
    hri_monitor_fn *round;
    void *context;
    _Atomic bool running;
    bool stopping;
    bool woken;
} hri_monitor;

int hri_monitor_init(hri_monitor *monitor, hri_monitor_fn *round, void *context);
void hri_monitor_destroy(hri_monitor *monitor); /* stops it first */

/* The thread stays with the parent. */
void hri_monitor_fork(hri_monitor *monitor, hri_fork moment);

/* Starts the thread, with all signals blocked. Gives 0, -EALREADY, -EAGAIN. */
int hri_monitor_start(hri_monitor *monitor);

/* Stops the thread and waits for its end. Gives 0 or -EALREADY. */
int hri_monitor_stop(hri_monitor *monitor);

static inline bool hri_monitor_is_running(const hri_monitor *monitor)
{
    return atomic_load_explicit(&monitor->running, memory_order_relaxed);
}

/* Makes the next round come at once. Gives false where no thread runs. */
bool hri_monitor_wake(hri_monitor *monitor);

#endif
