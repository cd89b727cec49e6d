/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/monitor.h"

#include "base/wait.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

/* Enough for rounds and for the callbacks of users, which run here; touched at start, so that it never has to grow
 * when memory has run out. */
#define STACK_BYTES (256 * 1024)
#define STACK_TOUCHED_BYTES (64 * 1024)

static __attribute__((noinline)) void touch_stack(void)
{
    volatile char pages[STACK_TOUCHED_BYTES];
    for (size_t i = 0; i < sizeof pages; i += 1024)
        pages[i] = 0;
}

static void *run(void *argument)
{
    hri_monitor *monitor = argument;
    touch_stack();
    pthread_mutex_lock(&monitor->lock);
    while (!monitor->stopping) {
        monitor->woken = false;
        pthread_mutex_unlock(&monitor->lock);
        struct timespec until = hri_deadline_after(monitor->round(monitor->context));
        pthread_mutex_lock(&monitor->lock);
        int error = 0;
        while (!monitor->stopping && !monitor->woken && !error)
            error = pthread_cond_timedwait(&monitor->wake, &monitor->lock, &until);
    }
    pthread_mutex_unlock(&monitor->lock);
    return NULL;
}

int hri_monitor_init(hri_monitor *monitor, hri_monitor_fn *round, void *context)
{
    *monitor = (hri_monitor){.round = round, .context = context};
    return hri_wait_init(&monitor->lock, &monitor->wake);
}

void hri_monitor_destroy(hri_monitor *monitor)
{
    hri_monitor_stop(monitor);
    hri_wait_destroy(&monitor->lock, &monitor->wake);
}

void hri_monitor_fork(hri_monitor *monitor, hri_fork moment)
{
    hri_fork_wait(&monitor->lock, &monitor->wake, moment);
    if (moment == HRI_FORK_CHILD)
        monitor->running = monitor->stopping = monitor->woken = false;
}

static int create(hri_monitor *monitor)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return -EAGAIN;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&monitor->thread, &attributes, run, monitor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error ? -EAGAIN : 0;
}

int hri_monitor_start(hri_monitor *monitor)
{
    pthread_mutex_lock(&monitor->lock);
    int error = monitor->running ? -EALREADY : 0;
    if (!error) {
        monitor->stopping = false;
        error = create(monitor);
        monitor->running = !error;
    }
    pthread_mutex_unlock(&monitor->lock);
    return error;
}

int hri_monitor_stop(hri_monitor *monitor)
{
    pthread_mutex_lock(&monitor->lock);
    bool running = monitor->running && !monitor->stopping;
    if (running) {
        monitor->stopping = true;
        pthread_cond_broadcast(&monitor->wake);
    }
    pthread_mutex_unlock(&monitor->lock);
    if (!running)
        return -EALREADY;
    pthread_join(monitor->thread, NULL);
    pthread_mutex_lock(&monitor->lock);
    monitor->running = false;
    pthread_mutex_unlock(&monitor->lock);
    return 0;
}

bool hri_monitor_wake(hri_monitor *monitor)
{
    pthread_mutex_lock(&monitor->lock);
    bool running = monitor->running;
    if (running && !monitor->woken) {
        monitor->woken = true;
        pthread_cond_signal(&monitor->wake);
    }
    pthread_mutex_unlock(&monitor->lock);
    return running;
}
