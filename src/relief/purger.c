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

static void set_next(hri_purger *purger, int64_t time_ns)
{
    for (unsigned need = 0; need < HRI_PURGE_NEEDS; need++)
        purger->next_ns[need] = time_ns;
}

/* One purges at a time, and is due next once it has ended. */
static void begin(hri_purger *purger)
{
    set_next(purger, INT64_MAX);
}

static bool is_running(const hri_purger *purger)
{
    return purger->next_ns[HRI_PURGE_NEEDED] == INT64_MAX;
}

int hri_purger_init(hri_purger *purger, const hri_clock *clock, int64_t interval_ns, int64_t urgent_interval_ns)
{
    *purger = (hri_purger){
        .clock = clock,
        .interval_ns = interval_ns,
        .urgent_interval_ns = urgent_interval_ns,
    };
    set_next(purger, INT64_MIN);
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
    if (is_running(purger))
        set_next(purger, INT64_MIN); /* whoever was purging has stayed behind */
}

/* Under the lock. */
static bool is_due(const hri_purger *purger, uint64_t kept_bytes, hri_purge_need need, int64_t now_ns)
{
    if (purger->interval_ns < 0 || is_running(purger))
        return false;
    /* Memory that came to be kept since the last purge is none that it could not return. */
    if (need == HRI_PURGE_ORDINARY && hri_sub(kept_bytes, purger->left_bytes) > kept_bytes / HRI_PURGE_SHARE)
        need = HRI_PURGE_WANTED;
    bool more = kept_bytes / 2 > purger->left_bytes && now_ns - purger->ended_ns >= purger->urgent_interval_ns;
    return now_ns >= purger->next_ns[need] || (need == HRI_PURGE_NEEDED && more);
}

bool hri_purger_run(hri_purger *purger, uint64_t kept_bytes, hri_purge_need need, uint64_t *ret_bytes)
{
    int64_t start_ns = hri_clock_now(purger->clock);
    pthread_mutex_lock(&purger->lock);
    bool due = is_due(purger, kept_bytes, need, start_ns);
    if (due)
        begin(purger);
    pthread_mutex_unlock(&purger->lock);
    if (!due)
        return false;
    if (purger->inherited) {
        hri_process_close(&purger->process);
        hri_process_open(&purger->process, &(hri_site){.root = ""}); /* if that fails, purges count nothing */
        purger->inherited = false;
    }
    int64_t ran_ns = hri_os_thread_ns();
    uint64_t bytes = purge(&purger->process);
    int64_t end_ns = hri_clock_now(purger->clock), took_ns = end_ns - start_ns;
    int64_t cost_ns = hri_earlier(took_ns, hri_os_thread_ns() - ran_ns); /* on a busy machine it waits for its turn */
    pthread_mutex_lock(&purger->lock);
    if (need != HRI_PURGE_ORDINARY || bytes >= kept_bytes / HRI_PURGE_SHARE)
        purger->fruitless = 0;
    else if (purger->fruitless < HRI_PURGE_FRUITLESS_MAX)
        purger->fruitless++;
    purger->ended_ns = end_ns;
    purger->left_bytes = hri_sub(kept_bytes, bytes);
    int64_t rest_ns = cost_ns * HRI_PURGE_SHARE, interval_ns = purger->interval_ns;
    purger->next_ns[HRI_PURGE_ORDINARY] = end_ns + hri_later(rest_ns, interval_ns << purger->fruitless);
    purger->next_ns[HRI_PURGE_WANTED] = end_ns + hri_later(rest_ns, interval_ns);
    purger->next_ns[HRI_PURGE_URGENT] = end_ns + hri_later(rest_ns, purger->urgent_interval_ns);
    purger->next_ns[HRI_PURGE_NEEDED] =
        bytes < kept_bytes / HRI_PURGE_SHARE ? purger->next_ns[HRI_PURGE_URGENT] : end_ns + purger->urgent_interval_ns;
    purger->longest_ns = hri_later(purger->longest_ns, took_ns);
    purger->count++;
    pthread_cond_broadcast(&purger->done);
    pthread_mutex_unlock(&purger->lock);
    *ret_bytes = bytes;
    return true;
}

bool hri_purger_await(hri_purger *purger)
{
    pthread_mutex_lock(&purger->lock);
    bool waited = is_running(purger);
    while (is_running(purger))
        hri_wait_on(&purger->done, &purger->lock);
    pthread_mutex_unlock(&purger->lock);
    return waited;
}

void hri_purger_read(hri_purger *purger, uint64_t *ret_count, int64_t *ret_longest_ns)
{
    pthread_mutex_lock(&purger->lock);
    *ret_count = purger->count;
    *ret_longest_ns = purger->longest_ns;
    pthread_mutex_unlock(&purger->lock);
}
