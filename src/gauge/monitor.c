/* SPDX-License-Identifier: Apache-2.0 */
/* The thread sleeps in ppoll() on two descriptors: the eventfd by which others wake it, and the kernel's signal. A
 * signal that comes again and again makes no more than one round every PRESSURE_PAUSE_NS: between them it is not
 * polled.
 *
 * No wake is lost: `woken` is cleared before a round begins. A thread that finds it set is served by that round. A
 * thread that finds it clear writes the event, which ends the wait after it.
 */
#include "gauge/monitor.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/uncancelled.h"
#include "base/wait.h"
#include "os/clock.h"
#include "os/event.h"
#include "os/file.h"

#include <errno.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#define PRESSURE_PAUSE_NS (10 * HRI_MILLISECOND)

/* Enough for rounds and for the callbacks of users, which run here; touched at start, so that it never has to grow
 * when memory has run out. The thread-local variables of all libraries come on top: they lie in the thread's stack,
 * and 200 KiB of them left too little. */
#define STACK_BYTES (256 * 1024)
#define STACK_TOUCHED_BYTES (64 * 1024)

static __attribute__((noinline)) void touch_stack(void)
{
    volatile char pages[STACK_TOUCHED_BYTES];
    for (size_t i = 0; i < sizeof pages; i += 1024)
        pages[i] = 0;
}

/* ── the thread ─────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes an event anew that the program has closed: its number may be another file's. Without one, rounds come by time
 * alone. */
static void renew_event(hri_monitor *monitor)
{
    int event = hri_event_open();
    monitor->event_mark = hri_file_mark_of(event);
    atomic_store(&monitor->event, event);
}

/* Polls until a wake, a signal or `until_ns`. Gives whether it was a signal. */
static bool poll_until(hri_monitor *monitor, int64_t until_ns, bool listening)
{
    hri_pressure *pressure = &monitor->pressure;
    struct pollfd asked[2] = {
        {.fd = atomic_load_explicit(&monitor->event, memory_order_relaxed), .events = POLLIN},
        {.fd = listening ? pressure->fd : -1, .events = pressure->events},
    };
    int64_t left_ns = until_ns - hri_clock_now(&hri_os_clock);
    if (left_ns < 0)
        left_ns = 0;
    struct timespec timeout = {.tv_sec = (time_t)(left_ns / HRI_SECOND), .tv_nsec = (long)(left_ns % HRI_SECOND)};
    if (ppoll(asked, 2, &timeout, NULL) <= 0)
        return false;
    if (asked[0].revents && hri_file_is(asked[0].fd, &monitor->event_mark))
        hri_event_clear(asked[0].fd);
    else if (asked[0].revents)
        renew_event(monitor);
    return asked[1].revents && hri_pressure_take(pressure, asked[1].revents);
}

static bool is_asked_for(hri_monitor *monitor)
{
    return atomic_load(&monitor->woken) || atomic_load(&monitor->stopping);
}

/* Waits for `pause_ns`, or for less if there is a reason. `*quiet_until_ns` is when signals count again. */
static void wait_for_reason(hri_monitor *monitor, int64_t pause_ns, int64_t *quiet_until_ns)
{
    int64_t now_ns = hri_clock_now(&hri_os_clock);
    int64_t until_ns = pause_ns < INT64_MAX - now_ns ? now_ns + pause_ns : INT64_MAX;
    while (now_ns < until_ns && !is_asked_for(monitor)) {
        bool listening = now_ns >= *quiet_until_ns;
        bool pressed = poll_until(monitor, listening ? until_ns : hri_earlier(until_ns, *quiet_until_ns), listening);
        now_ns = hri_clock_now(&hri_os_clock);
        if (pressed) {
            *quiet_until_ns = now_ns + PRESSURE_PAUSE_NS;
            atomic_fetch_add_explicit(&monitor->pressure_wakes, 1, memory_order_relaxed);
            return;
        }
    }
}

static void *run(void *argument)
{
    HRI_UNCANCELLED;
    hri_monitor *monitor = argument;
    int64_t quiet_until_ns = INT64_MIN;
    touch_stack();
    while (!atomic_load(&monitor->stopping)) {
        atomic_store(&monitor->woken, false);
        wait_for_reason(monitor, monitor->round(monitor->context), &quiet_until_ns);
    }
    return NULL;
}

/* ── those who start, stop and wake it ──────────────────────────────────────────────────────────────────────────── */

int hri_monitor_init(hri_monitor *monitor, hri_monitor_fn *round, void *context)
{
    *monitor = (hri_monitor){.round = round, .context = context, .pressure = {.fd = -1}};
    atomic_init(&monitor->event, -1);
    return hri_lock_init(&monitor->lock);
}

void hri_monitor_destroy(hri_monitor *monitor)
{
    hri_monitor_stop(monitor);
    int event = atomic_load_explicit(&monitor->event, memory_order_relaxed);
    hri_file_close_own(event, &monitor->event_mark);
    pthread_mutex_destroy(&monitor->lock);
}

void hri_monitor_fork(hri_monitor *monitor, hri_fork moment)
{
    hri_fork_lock(&monitor->lock, moment);
    if (moment != HRI_FORK_CHILD)
        return;
    atomic_store(&monitor->running, false);
    int event = atomic_exchange(&monitor->event, -1); /* a wake here must not wake the parent's */
    hri_file_close_own(event, &monitor->event_mark);
    hri_pressure_close(&monitor->pressure);
}

static int add_thread_local(struct dl_phdr_info *library, size_t size, void *sum)
{
    (void)size;
    for (unsigned i = 0; i < library->dlpi_phnum; i++)
        if (library->dlpi_phdr[i].p_type == PT_TLS)
            *(size_t *)sum += library->dlpi_phdr[i].p_memsz + library->dlpi_phdr[i].p_align;
    return 0;
}

static int create(hri_monitor *monitor)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return -EAGAIN;
    size_t stack_bytes = STACK_BYTES;
    dl_iterate_phdr(add_thread_local, &stack_bytes);
    pthread_attr_setstacksize(&attributes, (stack_bytes + 4095) / 4096 * 4096);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&monitor->thread, &attributes, run, monitor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error ? -EAGAIN : 0;
}

/* Opens the files that the thread needs, under the lock. The eventfd stays until the monitor goes: a thread that wakes
 * the monitor may still hold it. */
static int prepare(hri_monitor *monitor, const hri_site *site, const hri_cgroup_chain *chain)
{
    int event = atomic_load_explicit(&monitor->event, memory_order_relaxed);
    if (event < 0 || !hri_file_is(event, &monitor->event_mark))
        event = hri_event_open();
    if (event < 0)
        return event;
    monitor->event_mark = hri_file_mark_of(event);
    atomic_store(&monitor->event, event);
    atomic_store(&monitor->stopping, false);
    return hri_pressure_open(&monitor->pressure, site, chain);
}

int hri_monitor_start(hri_monitor *monitor, const hri_site *site, const hri_cgroup_chain *chain)
{
    pthread_mutex_lock(&monitor->lock);
    int error = atomic_load(&monitor->running) ? -EALREADY : prepare(monitor, site, chain);
    if (!error) {
        error = create(monitor);
        atomic_store(&monitor->running, !error);
        if (error)
            hri_pressure_close(&monitor->pressure);
    }
    pthread_mutex_unlock(&monitor->lock);
    return error;
}

int hri_monitor_stop(hri_monitor *monitor)
{
    HRI_UNCANCELLED;
    pthread_mutex_lock(&monitor->lock);
    bool ours = atomic_load(&monitor->running) && !atomic_exchange(&monitor->stopping, true);
    pthread_mutex_unlock(&monitor->lock);
    if (!ours)
        return -EALREADY;
    hri_event_signal_own(atomic_load(&monitor->event), &monitor->event_mark);
    pthread_join(monitor->thread, NULL); /* not under the lock, which a fork may want meanwhile */
    pthread_mutex_lock(&monitor->lock);
    hri_pressure_close(&monitor->pressure);
    atomic_store(&monitor->running, false);
    pthread_mutex_unlock(&monitor->lock);
    return 0;
}

bool hri_monitor_wake(hri_monitor *monitor)
{
    bool running = hri_monitor_is_running(monitor);
    if (running && !atomic_exchange(&monitor->woken, true))
        hri_event_signal_own(atomic_load(&monitor->event), &monitor->event_mark);
    return running;
}
