/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls that take a guard: thin faces over the rooms' own. */
#include "guard/rooms.h"

#include "base/assert.h"
#include "base/checked.h"
#include "heap/heap.h"
#include "os/clock.h"
#include "os/event.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

hr_budget *hr_guard_root(hr_guard *guard)
{
    return guard ? &guard->tree.root : NULL;
}

hr_level hr_guard_level(const hr_guard *guard)
{
    return guard ? hri_level_word_get(&guard->watcher.word) : HR_NORMAL;
}

hr_level hr_guard_check(hr_guard *guard)
{
    if (!guard)
        return HR_NORMAL;
    hri_watcher_sample(&guard->watcher, HRI_ON_CHECK);
    hri_relief_act(&guard->relief, HRI_ACTOR_CALLER);
    if (!hri_monitor_is_running(&guard->monitor))
        hri_guard_follow_level(guard);
    hri_guard_record(guard);
    hri_guard_write_history(guard);
    return hr_guard_level(guard);
}

const char *hri_guard_larger_holder(const hri_snapshot *snapshot, uint64_t *bytes)
{
    if (snapshot->ledgers.worst == HRI_LEDGER_BUDGET)
        return NULL;
    uint64_t anonymous = snapshot->process.anonymous_bytes;
    uint64_t unbudgeted = anonymous == HR_NONE ? 0 : hri_sub(anonymous, snapshot->resident_bytes);
    uint64_t others = hri_sub(snapshot->ledgers.others_bytes, unbudgeted), larger = hri_max(unbudgeted, others);
    if (larger <= *bytes)
        return NULL;
    *bytes = larger;
    return others > unbudgeted ? "others in the cgroup" : "this process, in no budget";
}

/* Names the largest holder: one of the budgets, or, if it is not the budget's own limit that is short, the memory that
 * no budget knows of. */
static void name_holder(hr_guard *guard, const hri_snapshot *snapshot, hr_figures *figures)
{
    hri_holder largest = {0};
    bool budget = hri_budget_tree_holders(&guard->tree, UINT_MAX, &largest, 1) > 0;
    const char *larger = hri_guard_larger_holder(snapshot, &largest.bytes);
    figures->holder_bytes = largest.bytes;
    if (larger || budget)
        snprintf(figures->holder, sizeof figures->holder, larger ? "%s" : "budget %s", larger ? larger : largest.name);
}

int hr_guard_read(hr_guard *guard, hr_figures *ret_figures)
{
    if (!guard || !ret_figures)
        return -EINVAL;
    hri_accounts accounts;
    hri_snapshot snapshot;
    hri_watcher_read_now(&guard->watcher, &snapshot, &accounts);
    hri_heap_figures heap;
    hri_heap_read(&heap);
    *ret_figures = (hr_figures){
        .level = hr_guard_level(guard),
        .limit_bytes = accounts.limit_bytes,
        .limit_source = snapshot.limit_source,
        .live_bytes = accounts.held_bytes,
        .promised_bytes = accounts.promised_bytes,
        .total_bytes = accounts.total_bytes,
        .peak_bytes = accounts.peak_bytes,
        .rss_bytes = snapshot.process.rss_bytes,
        .cgroup_bytes = snapshot.binding.use_bytes,
        .cgroup_limit_bytes = snapshot.binding.limit_bytes,
        .cgroup_cache_bytes = snapshot.binding.cache_bytes,
        .others_bytes = snapshot.ledgers.others_bytes,
        .host_available_bytes = snapshot.host.available_bytes,
        .use = snapshot.ledgers.use,
        .use_source = hri_ledger_text(snapshot.ledgers.worst),
        .refusals = accounts.refused.all,
        .faults = hri_fault_count(),
        .pressure_wakes = atomic_load_explicit(&guard->monitor.pressure_wakes, memory_order_relaxed),
        .time_ns = snapshot.time_ns,
        .cgroup_anonymous_bytes = snapshot.binding.anonymous_bytes,
        .cgroup_kernel_bytes = snapshot.binding.use_bytes == HR_NONE
                                   ? HR_NONE
                                   : snapshot.binding.use_bytes - snapshot.binding.anonymous_bytes,
        .pending_bytes = snapshot.pending.bytes,
        .lease_bytes = snapshot.lease_bytes,
        .lease_processes = snapshot.sharing.processes,
        .wall_ns = hri_os_wall_ns() - (hri_clock_now(guard->clock) - snapshot.time_ns),
        .refusals_degraded = accounts.refused.degraded,
        .refusals_critical = accounts.refused.critical,
        .swap_bytes = snapshot.binding.swap_bytes,
        .dirty_bytes = snapshot.binding.use_bytes == HR_NONE ? HR_NONE : snapshot.binding.dirty_bytes,
        .stalled_share = snapshot.stalls.full.avg10 / 100,
        .would_have_refused = accounts.would_have_refused.all,
        .would_have_refused_degraded = accounts.would_have_refused.degraded,
        .would_have_refused_critical = accounts.would_have_refused.critical,
        .committed_bytes = heap.committed_bytes,
        .idle_bytes = heap.idle_bytes,
    };
    hri_relief_read(&guard->relief, ret_figures);
    if (ret_figures->stalled_ns > 0)
        name_holder(guard, &snapshot, ret_figures);
    return 0;
}

static_assert(HRI_LEDGERS_MAX <= HR_LEDGERS_MAX, "what guard.h promises");

int hr_guard_thresholds(hr_guard *guard, hr_thresholds *ret_thresholds)
{
    if (!guard || !ret_thresholds)
        return -EINVAL;
    hri_accounts accounts;
    hri_budget_tree_snapshot(&guard->tree, &accounts);
    const hri_level_rules *rules = &guard->watcher.rules;
    uint64_t limit_bytes = accounts.limit_bytes;
    *ret_thresholds = (hr_thresholds){
        .warn_at = rules->warn_at,
        .warn_below = rules->warn_below,
        .degrade_at = rules->degrade_at,
        .critical_at = rules->critical_at,
        .recover_below = rules->recover_below,
        .limit_bytes = limit_bytes,
        .warn_at_bytes = hri_share(limit_bytes, rules->warn_at),
        .warn_below_bytes = hri_share(limit_bytes, rules->warn_below),
        .degrade_at_bytes = hri_share(limit_bytes, rules->degrade_at),
        .critical_at_bytes = hri_share(limit_bytes, rules->critical_at),
        .recover_below_bytes = hri_share(limit_bytes, rules->recover_below),
    };
    return 0;
}

int hr_guard_ledgers(hr_guard *guard, hr_ledger *ledgers, size_t capacity, size_t *ret_count)
{
    if (!guard || (!ledgers && capacity) || !ret_count)
        return -EINVAL;
    hr_ledger list[HRI_LEDGERS_MAX];
    size_t count = hri_watcher_list(&guard->watcher, list);
    *ret_count = count < capacity ? count : capacity;
    if (*ret_count)
        memcpy(ledgers, list, *ret_count * sizeof *ledgers);
    return 0;
}

int hr_guard_wait(hr_guard *guard, hr_level at_most, int64_t timeout_ns)
{
    if (!guard)
        return -EINVAL;
    int64_t start_ns = hri_clock_now(&hri_os_clock);
    if (guard->tree.hooks.observes)
        return 0;
    for (;;) {
        pthread_testcancel(); /* here nothing is held */
        if (!hri_monitor_is_running(&guard->monitor))
            hri_watcher_sample(&guard->watcher, HRI_ON_TIME);
        int64_t left_ns = timeout_ns < 0 ? INT64_MAX : timeout_ns - (hri_clock_now(&hri_os_clock) - start_ns);
        int error = hri_level_word_wait(&guard->watcher.word, at_most, hri_earlier(left_ns, HRI_WATCHER_PAUSE_NS));
        if (!error || left_ns <= 0)
            return error;
    }
}

int hr_guard_fd(hr_guard *guard)
{
    if (!guard)
        return -EINVAL;
    pthread_mutex_lock(&guard->fd_lock);
    int fd = atomic_load_explicit(&guard->fd, memory_order_relaxed);
    if (fd < 0 || !hri_file_is(fd, &guard->fd_mark)) {
        fd = hri_event_open();
        guard->fd_mark = hri_file_mark_of(fd);
        atomic_store_explicit(&guard->fd, fd, memory_order_relaxed);
    }
    pthread_mutex_unlock(&guard->fd_lock);
    return fd;
}

int hr_guard_start(hr_guard *guard, int64_t interval_ns)
{
    if (!guard || interval_ns < 0)
        return -EINVAL;
    if (hri_monitor_is_running(&guard->monitor))
        return -EALREADY;
    if (interval_ns > 0)
        atomic_store_explicit(&guard->interval_ns, hri_guard_interval(interval_ns), memory_order_relaxed);
    return hri_watcher_start(&guard->watcher, &guard->monitor);
}

int hr_guard_stop(hr_guard *guard)
{
    return guard ? hri_monitor_stop(&guard->monitor) : -EINVAL;
}

int hr_budget_walk(hr_guard *guard, hr_budget_walk_fn *visit, void *context)
{
    return guard && visit ? hri_budget_tree_walk(&guard->tree, visit, context) : -EINVAL;
}

int hr_reclaimer_add(hr_guard *guard, hr_reclaimer *node)
{
    if (!guard || !node || !node->reclaim || (node->budget && node->budget->tree != &guard->tree))
        return -EINVAL;
    return hri_reclaimers_add(&guard->relief.reclaimers, node);
}

void hr_reclaimer_remove(hr_guard *guard, hr_reclaimer *node)
{
    if (guard && node)
        hri_reclaimers_remove(&guard->relief.reclaimers, node);
}

uint64_t hr_relieve(hr_guard *guard, uint64_t want_bytes)
{
    return guard ? hri_relief_relieve(&guard->relief, want_bytes) : 0;
}

uint64_t hr_guard_cleanup(hr_guard *guard)
{
    return guard ? hri_relief_clean(&guard->relief) : 0;
}

uint64_t hr_cleanup(hr_guard *guard)
{
    return hr_guard_cleanup(guard);
}

hr_verdict hr_admit(hr_guard *guard, const hr_request *request, hr_ticket *ret_ticket)
{
    bool foreign = guard && request && request->budget && request->budget->tree != &guard->tree;
    if (!guard || !request || !ret_ticket || foreign) {
        if (ret_ticket)
            *ret_ticket = (hr_ticket){
                .limit_name = "", .verdict = HR_REFUSED_NO_BUDGET, .asked_bytes = request ? request->bytes : 0};
        return HR_REFUSED_NO_BUDGET;
    }
    return hri_relief_admit(&guard->relief, request, ret_ticket);
}
