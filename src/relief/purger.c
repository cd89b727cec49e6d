/* SPDX-License-Identifier: Apache-2.0 */
#include "relief/purger.h"

#include "base/checked.h"
#include "os/heap.h"
#include "os/process.h"

#include <headroom/relief.h>

int hri_purger_init(hri_purger *purger, const hri_clock *clock, int64_t interval_ns)
{
    *purger = (hri_purger){.clock = clock, .interval_ns = interval_ns, .next_ns = INT64_MIN};
    return -pthread_mutex_init(&purger->lock, NULL);
}

void hri_purger_destroy(hri_purger *purger)
{
    pthread_mutex_destroy(&purger->lock);
}

bool hri_purger_run(hri_purger *purger, uint64_t *ret_bytes)
{
    int64_t start_ns = hri_clock_now(purger->clock);
    pthread_mutex_lock(&purger->lock);
    bool due = purger->interval_ns >= 0 && start_ns >= purger->next_ns;
    if (due)
        purger->next_ns = INT64_MAX; /* one at a time */
    pthread_mutex_unlock(&purger->lock);
    if (!due)
        return false;
    *ret_bytes = hr_purge();
    int64_t end_ns = hri_clock_now(purger->clock), cost_ns = end_ns - start_ns;
    int64_t pause_ns =
        cost_ns * HRI_PURGE_SHARE > purger->interval_ns ? cost_ns * HRI_PURGE_SHARE : purger->interval_ns;
    pthread_mutex_lock(&purger->lock);
    purger->next_ns = end_ns + pause_ns;
    purger->count++;
    if (cost_ns > purger->longest_ns)
        purger->longest_ns = cost_ns;
    pthread_mutex_unlock(&purger->lock);
    return true;
}

void hri_purger_read(hri_purger *purger, uint64_t *ret_count, int64_t *ret_longest_ns)
{
    pthread_mutex_lock(&purger->lock);
    *ret_count = purger->count;
    *ret_longest_ns = purger->longest_ns;
    pthread_mutex_unlock(&purger->lock);
}

static uint64_t resident(const hri_process *process)
{
    hri_process_reading reading;
    hri_process_read(process, &reading);
    return reading.rss_bytes;
}

uint64_t hr_purge(void)
{
    hri_process process;
    bool known = hri_process_open(&process, "") == 0;
    uint64_t before = known ? resident(&process) : HR_NONE;
    hri_heap_purge();
    uint64_t after = known ? resident(&process) : HR_NONE;
    if (known)
        hri_process_close(&process);
    return before == HR_NONE || after == HR_NONE ? 0 : hri_sub(before, after);
}
