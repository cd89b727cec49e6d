/* SPDX-License-Identifier: Apache-2.0 */
#include "relief/purger.h"

#include "base/checked.h"
#include "base/wait.h"
#include "heap/heap.h"
#include "os/clock.h"
#include "os/heap.h"

#include <headroom/relief.h>

/* Purges, and gives by how much the resident set shrank. */
static uint64_t purge(const hri_process *process)
{
    hri_process_reading before, after;
    hri_process_read(process, &before);
    hri_heap_purge();
    hri_process_read(process, &after);
    bool known = before.rss_bytes != HR_NONE && after.rss_bytes != HR_NONE;
    return known ? hri_sub(before.rss_bytes, after.rss_bytes) : 0;
}

uint64_t hr_purge(void)
{
    uint64_t idle_bytes = hri_heap_trim(UINT64_MAX);
    hri_process process;
    if (hri_process_open(&process, &(hri_site){.root = ""}) != 0) {
        hri_heap_purge();
        return idle_bytes;
    }
    uint64_t bytes = purge(&process);
    hri_process_close(&process);
    return hri_add(idle_bytes, bytes);
}

int hri_purger_init(hri_purger *purger, const hri_clock *clock, int64_t interval_ns, int64_t urgent_interval_ns)
{
    *purger = (hri_purger){
        .clock = clock,
        .interval_ns = interval_ns,
        .urgent_interval_ns = urgent_interval_ns,
    };
    hri_heap_allocator(); /* it is found by a call of malloc(), which may give nothing when a purge is due */
    int error = hri_process_open(&purger->process, &(hri_site){.root = ""});
    if (error)
        return error;
    error = hri_wait_init(&purger->lock, &purger->done);
    if (error)
        hri_process_close(&purger->process);
    return error;
}

void hri_purger_destroy(hri_purger *purger)
{
    hri_wait_destroy(&purger->lock, &purger->done);
    hri_process_close(&purger->process);
}

void hri_purger_fork(hri_purger *purger, hri_fork moment)
{
    hri_fork_wait(&purger->lock, &purger->done, moment);
    if (moment != HRI_FORK_CHILD)
        return;
    purger->inherited = true;
    purger->running = false; /* whoever was purging has stayed behind */
}

/* Under the lock. */
static bool is_worth_it(const hri_purger *purger, const hri_purge_wish *wish)
{
    uint64_t more = hri_sub(wish->retained_bytes, purger->left_bytes);
    return more > 0 && more >= hri_max(wish->need_bytes, wish->retained_bytes / HRI_PURGE_SHARE);
}

static bool is_due(const hri_purger *purger, bool urgent)
{
    int64_t interval_ns = urgent ? purger->urgent_interval_ns : purger->interval_ns;
    int64_t rest_ns = hri_later(purger->cost_ns * HRI_PURGE_SHARE, interval_ns);
    return purger->count == 0 || hri_clock_now(purger->clock) - purger->ended_ns >= rest_ns;
}

/* Begins a purge under the lock, where that is the thing to do. Gives whether another thread had one. */
static bool begin(hri_purger *purger, const hri_purge_wish *wish, bool *ret_begun)
{
    bool waited = false, wanted = purger->interval_ns >= 0 && is_worth_it(purger, wish);
    while (wanted && wish->urgent && purger->running) {
        hri_wait_on(&purger->done, &purger->lock);
        waited = true;
    }
    *ret_begun = wanted && !waited && !purger->running && is_due(purger, wish->urgent);
    purger->running |= *ret_begun;
    return waited;
}

static void end(hri_purger *purger, int64_t start_ns, int64_t ran_ns, uint64_t retained_bytes, uint64_t bytes)
{
    int64_t took_ns = hri_clock_now(purger->clock) - start_ns;
    bool fruitful = bytes > 0 && bytes >= retained_bytes / HRI_PURGE_SHARE;
    pthread_mutex_lock(&purger->lock);
    purger->running = false;
    purger->ended_ns = start_ns + took_ns;
    purger->cost_ns = fruitful ? 0 : hri_earlier(took_ns, ran_ns); /* on a busy machine it waits for its turn */
    purger->left_bytes = hri_sub(retained_bytes, bytes);
    purger->longest_ns = hri_later(purger->longest_ns, took_ns);
    purger->count++;
    pthread_cond_broadcast(&purger->done);
    pthread_mutex_unlock(&purger->lock);
}

bool hri_purger_run(hri_purger *purger, const hri_purge_wish *wish, uint64_t *ret_bytes)
{
    bool begun;
    *ret_bytes = 0;
    pthread_mutex_lock(&purger->lock);
    bool waited = begin(purger, wish, &begun);
    pthread_mutex_unlock(&purger->lock);
    if (!begun)
        return waited;
    if (purger->inherited) {
        hri_process_close(&purger->process);
        hri_process_open(&purger->process, &(hri_site){.root = ""}); /* if that fails, purges count nothing */
        purger->inherited = false;
    }
    int64_t start_ns = hri_clock_now(purger->clock), ran_ns = hri_os_thread_ns();
    *ret_bytes = purge(&purger->process);
    end(purger, start_ns, hri_os_thread_ns() - ran_ns, wish->retained_bytes, *ret_bytes);
    return true;
}

void hri_purger_run_own(const hri_purger *purger)
{
    static __attribute__((tls_model("initial-exec"))) _Thread_local int64_t next_ns;
    if (purger->interval_ns < 0 || !hri_heap_purges_by_thread())
        return;
    int64_t start_ns = hri_os_thread_ns();
    if (start_ns < next_ns)
        return;
    hri_heap_purge();
    int64_t end_ns = hri_os_thread_ns();
    next_ns = end_ns + (end_ns - start_ns) * HRI_PURGE_SHARE;
}

void hri_purger_read(hri_purger *purger, uint64_t *ret_count, int64_t *ret_longest_ns)
{
    pthread_mutex_lock(&purger->lock);
    *ret_count = purger->count;
    *ret_longest_ns = purger->longest_ns;
    pthread_mutex_unlock(&purger->lock);
}
