/* SPDX-License-Identifier: Apache-2.0 */
/* The emergency, the janitor and what the program asks for; the way of a demand is in obtain.c. The order is always:
 * give back, return pages to the kernel, read again, then decide. Bytes that reclaimers free in the process's malloc
 * stay resident there until the next purge. Until then they are not asked for again (`retained_bytes`): else each look
 * would ask the reclaimers for the same bytes once more and empty every cache.
 */
#include "relief/relief.h"

#include "base/checked.h"
#include "base/lock.h"
#include "base/yield.h"
#include "heap/heap.h"
#include "os/clock.h"

/* Half a millisecond is what a request pays at most for a level that it happened to cross, with the readings around the
 * slice. */
#define REQUEST_SLICE_NS (400 * HRI_MICROSECOND)
#define CLEAN_DEADLINE_NS (1 * HRI_SECOND)

/* Less than this share of the limit is not worth a purge by which no demand is granted. */
#define PURGE_SHARE (1.0 / 64)

static uint64_t load(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

int hri_relief_init(hri_relief *relief, uint64_t reserve_bytes, int64_t purge_interval_ns,
                    int64_t urgent_purge_interval_ns)
{
    int error = hri_reclaimers_init(&relief->reclaimers, relief->clock);
    if (error)
        return error;
    error = hri_purger_init(&relief->purger, relief->clock, purge_interval_ns, urgent_purge_interval_ns);
    if (error)
        goto destroy_reclaimers;
    error = hri_reserve_init(&relief->reserve, reserve_bytes);
    if (error)
        goto destroy_purger;
    error = hri_lock_init(&relief->judging);
    if (error)
        goto destroy_reserve;
    return 0;

destroy_reserve:
    hri_reserve_destroy(&relief->reserve);
destroy_purger:
    hri_purger_destroy(&relief->purger);
destroy_reclaimers:
    hri_reclaimers_destroy(&relief->reclaimers);
    return error;
}

void hri_relief_destroy(hri_relief *relief)
{
    pthread_mutex_destroy(&relief->judging);
    hri_reserve_destroy(&relief->reserve);
    hri_purger_destroy(&relief->purger);
    hri_reclaimers_destroy(&relief->reclaimers);
}

void hri_relief_fork(hri_relief *relief, hri_fork moment)
{
    hri_reclaimers_fork(&relief->reclaimers, moment);
    hri_purger_fork(&relief->purger, moment);
    hri_fork_lock(&relief->reserve.lock, moment);
    hri_fork_lock(&relief->judging, moment);
    if (moment == HRI_FORK_CHILD)
        atomic_flag_clear_explicit(&relief->acting, memory_order_relaxed);
}

void hri_relief_read(hri_relief *relief, hr_figures *figures)
{
    figures->reliefs = load(&relief->reliefs);
    figures->relieved_bytes = load(&relief->relieved_bytes);
    figures->would_have_relieved = load(&relief->would_have_relieved);
    figures->cleanups = load(&relief->cleanups);
    figures->cleaned_bytes = load(&relief->cleaned_bytes);
    figures->cleanup_before_bytes = load(&relief->cleanup_before_bytes);
    figures->cleanup_after_bytes = load(&relief->cleanup_after_bytes);
    figures->reserve_bytes = hri_reserve_held(&relief->reserve);
    hri_purger_read(&relief->purger, &figures->purges, &figures->purge_longest_ns);
    pthread_mutex_lock(&relief->judging);
    figures->stalled_ns = hri_stall_age(&relief->stall, hri_clock_now(relief->clock), hri_relief_patience(relief));
    pthread_mutex_unlock(&relief->judging);
}

static void tell(hri_relief *relief, hri_relief_news news, uint64_t bytes)
{
    if (bytes)
        relief->told(relief->context, news, bytes);
}

void hri_relief_note_aid(hri_relief *relief)
{
    atomic_store_explicit(&relief->watcher->aided, true, memory_order_relaxed);
}

uint64_t hri_relief_run(hri_relief *relief, hri_reclaim_goal *goal)
{
    uint64_t freed = hri_reclaimers_run(&relief->reclaimers, goal);
    count(&relief->reliefs, freed > 0);
    count(&relief->relieved_bytes, freed);
    if (freed > 0)
        hri_relief_note_aid(relief);
    tell(relief, HRI_RELIEVED, freed);
    return freed;
}

/* How much the worst ledger is over what relief aims at. */
static uint64_t over_aim(const hri_relief *relief, const hri_snapshot *snapshot)
{
    uint64_t aim = hri_sub(hri_share(snapshot->ledgers.worst_limit_bytes, relief->watcher->rules.recover_below), 1);
    return hri_sub(snapshot->ledgers.worst_use_bytes, aim);
}

bool hri_relief_purge(hri_relief *relief, const hri_snapshot *snapshot, uint64_t need_bytes, bool urgent)
{
    uint64_t bytes, anonymous_bytes = snapshot->process.anonymous_bytes;
    hri_purge_wish wish = {.need_bytes = need_bytes, .urgent = urgent};
    if (anonymous_bytes != HR_NONE)
        wish.retained_bytes = hri_sub(anonymous_bytes, snapshot->resident_bytes);
    if (!hri_purger_run(&relief->purger, &wish, &bytes))
        return false;
    atomic_store_explicit(&relief->watcher->purged, true, memory_order_relaxed);
    count(&relief->purged_bytes, bytes);
    tell(relief, HRI_PURGED, bytes);
    return true;
}

uint64_t hri_relief_retained(const hri_relief *relief, const hri_snapshot *snapshot)
{
    return relief->purger.interval_ns < 0 ? 0 : snapshot->pending.retained_bytes;
}

/* Purges at rest. Gives the bytes that all purges have returned meanwhile. */
static uint64_t purge(hri_relief *relief, uint64_t need_bytes)
{
    hri_snapshot snapshot;
    uint64_t before = load(&relief->purged_bytes);
    hri_watcher_read(relief->watcher, &snapshot);
    hri_relief_purge(relief, &snapshot, need_bytes, false);
    return load(&relief->purged_bytes) - before;
}

/* Purges for the level, where pages count. Gives whether it did. */
static bool purge_for_level(hri_relief *relief)
{
    hri_snapshot snapshot;
    hri_watcher_read(relief->watcher, &snapshot);
    uint64_t least_bytes = hri_share(snapshot.ledgers.worst_limit_bytes, PURGE_SHARE);
    return snapshot.ledgers.worst != HRI_LEDGER_BUDGET &&
           hri_relief_purge(relief, &snapshot, hri_max(over_aim(relief, &snapshot), least_bytes),
                            hri_level_word_get(&relief->watcher->word) >= HR_DEGRADED);
}

/* A guard without a dwell has patience all the same. */
int64_t hri_relief_probe_interval(const hri_relief *relief)
{
    int64_t dwell_ns = relief->watcher->rules.dwell_ns;
    return dwell_ns > 0 ? dwell_ns : HRI_SECOND;
}

#define PATIENCE_DWELLS 10

int64_t hri_relief_patience(const hri_relief *relief)
{
    int64_t dwell_ns = hri_relief_probe_interval(relief);
    return dwell_ns < INT64_MAX / PATIENCE_DWELLS ? dwell_ns * PATIENCE_DWELLS : INT64_MAX;
}

void hri_relief_note_progress(hri_relief *relief)
{
    hri_snapshot snapshot;
    if (relief->tree->hooks.observes) /* it is not relief that achieves nothing */
        return;
    hri_watcher_read(relief->watcher, &snapshot);
    hri_stall_input input = {
        .level = hri_level_word_get(&relief->watcher->word),
        .freed_bytes = hri_add(load(&relief->relieved_bytes), load(&relief->purged_bytes)),
        .use_bytes = snapshot.ledgers.worst_use_bytes,
        .now_ns = hri_clock_now(relief->clock),
    };
    pthread_mutex_lock(&relief->judging);
    hri_stall_sample(&relief->stall, &input);
    pthread_mutex_unlock(&relief->judging);
}

/* Freed bytes that the allocator may still keep are not asked for twice. */
uint64_t hri_relief_excess(hri_relief *relief)
{
    hri_snapshot snapshot;
    hri_watcher_read(relief->watcher, &snapshot);
    uint64_t over = over_aim(relief, &snapshot);
    if (snapshot.ledgers.worst == HRI_LEDGER_BUDGET)
        return over;
    return hri_sub(over, hri_relief_retained(relief, &snapshot));
}

/* ── observing ──────────────────────────────────────────────────────────────────────────────────────────────────── */

#define SPARED_INTERVAL_NS (1 * HRI_SECOND)

/* Counts a relief that did not run. */
static void spare(hri_relief *relief, uint64_t want_bytes)
{
    int64_t now_ns = hri_clock_now(relief->clock);
    int64_t told_ns = atomic_load_explicit(&relief->spared_ns, memory_order_relaxed);
    bool first = load(&relief->would_have_relieved) == 0;
    count(&relief->would_have_relieved, 1);
    if ((first || now_ns - told_ns >= SPARED_INTERVAL_NS) &&
        atomic_compare_exchange_strong(&relief->spared_ns, &told_ns, now_ns))
        tell(relief, HRI_SPARED, want_bytes);
}

bool hri_relief_observe(hri_relief *relief, const hri_shortage *shortage)
{
    uint64_t want = hri_shortage_lacks(shortage);
    if (!hri_reclaimers_any(&relief->reclaimers))
        return false;
    spare(relief, want);
    return hri_yielders_spare(relief->tree->yielders, hri_budget_is_inside, shortage->budget) >= want;
}

bool hri_relief_could_recover(hri_relief *relief)
{
    const hr_budget *root = &relief->tree->root;
    return hri_yielders_spare(relief->tree->yielders, hri_budget_is_inside, root) >= hri_relief_excess(relief);
}

/* Before a purge the kernel's ledgers cannot show what was freed. */
static bool hides_what_was_freed(hri_relief *relief)
{
    hri_snapshot snapshot;
    hri_watcher_read(relief->watcher, &snapshot);
    return snapshot.ledgers.worst != HRI_LEDGER_BUDGET && hri_relief_retained(relief, &snapshot) > 0;
}

/* One round of the emergency. Gives how the level is to be decided after it. */
static hri_occasion act_once(hri_relief *relief, hri_actor actor)
{
    bool on_request = actor == HRI_ACTOR_REQUEST;
    bool watched_over = on_request && hri_monitor_wake(relief->monitor);
    int64_t now_ns = hri_clock_now(relief->clock);
    hri_reclaim_goal goal = {
        .want_bytes = hri_relief_excess(relief),
        .deadline_ns = now_ns + (watched_over ? REQUEST_SLICE_NS : HRI_RELIEF_DEADLINE_NS),
    };
    uint64_t freed = goal.want_bytes ? hri_relief_run(relief, &goal) : 0;
    hri_heap_trim(UINT64_MAX); /* idle pages are no use, but the kernel counts them, and others take what is left */
    bool out_of_time = freed < goal.want_bytes && hri_clock_now(relief->clock) >= goal.deadline_ns;
    bool purged = !watched_over && purge_for_level(relief);
    if (on_request && !watched_over)
        return freed == 0 && !purged ? HRI_ON_FUTILE : HRI_ON_RELIEVED;
    if (actor == HRI_ACTOR_CALLER)
        return HRI_ON_CHECKED;
    hri_watcher_sample_quietly(relief->watcher, HRI_ON_RETURN, NULL);
    return out_of_time || hides_what_was_freed(relief) ? HRI_ON_TIME : HRI_ON_RELIEVED;
}

void hri_relief_act(hri_relief *relief, hri_actor actor)
{
    if (hri_reclaiming() || hri_level_word_get(&relief->watcher->word) < HR_DEGRADED ||
        atomic_flag_test_and_set_explicit(&relief->acting, memory_order_acquire))
        return;
    hri_occasion occasion = actor == HRI_ACTOR_CALLER ? HRI_ON_CHECK : HRI_ON_TIME;
    uint64_t excess = hri_relief_excess(relief);
    if (!relief->tree->hooks.observes) {
        if (excess > 0 || actor != HRI_ACTOR_REQUEST || !hri_monitor_is_running(relief->monitor))
            occasion = act_once(relief, actor);
    } else if (excess > 0) {
        spare(relief, excess);
    }
    atomic_flag_clear_explicit(&relief->acting, memory_order_release);
    hri_watcher_sample(relief->watcher, occasion);
    hri_relief_note_progress(relief);
}

void hri_relief_sample(hri_relief *relief, hri_occasion occasion, bool quiet)
{
    hr_level before = hri_level_word_get(&relief->watcher->word);
    bool reclaiming = hri_reclaiming(), watched_over = hri_monitor_is_running(relief->monitor);
    if (occasion == HRI_ON_RECEDING && reclaiming)
        hri_relief_note_aid(relief);
    if (quiet || reclaiming || (occasion == HRI_ON_RECEDING && watched_over)) {
        if (hri_watcher_sample_quietly(relief->watcher, occasion, NULL) != before)
            hri_monitor_wake(relief->monitor);
        return;
    }
    hri_watcher_sample(relief->watcher, occasion);
    if (occasion == HRI_ON_RECEDING)
        return;
    /* At a refusal relief has just found nothing: what else there is to do is the monitor's. */
    if (occasion != HRI_ON_REFUSAL || !hri_monitor_wake(relief->monitor))
        hri_relief_act(relief, HRI_ACTOR_REQUEST);
}

void hri_relief_level_changed(hri_relief *relief, hr_level to)
{
    hri_relief_note_progress(relief);
    if (relief->tree->hooks.observes || to == HR_DEGRADED)
        return;
    uint64_t dropped = hri_reserve_drop(&relief->reserve, to == HR_CRITICAL);
    atomic_store_explicit(&relief->watcher->reserve_bytes, dropped, memory_order_relaxed);
}

void hri_relief_trim(hri_relief *relief)
{
    hri_accounts accounts;
    if (relief->tree->hooks.observes)
        return;
    hri_budget_tree_snapshot(relief->tree, &accounts);
    if (accounts.waited_for || hri_level_word_get(&relief->watcher->word) > HR_NORMAL)
        purge_for_level(relief);
}

static uint64_t resident_now(hri_relief *relief)
{
    hri_snapshot snapshot;
    hri_watcher_sample(relief->watcher, HRI_ON_TIME);
    hri_watcher_read(relief->watcher, &snapshot);
    return snapshot.process.rss_bytes;
}

uint64_t hri_relief_clean(hri_relief *relief)
{
    if (hri_reclaiming() || relief->tree->hooks.observes)
        return 0;
    uint64_t before = resident_now(relief);
    hri_reclaim_goal goal = {.deadline_ns = hri_clock_now(relief->clock) + CLEAN_DEADLINE_NS};
    uint64_t freed = hri_reclaimers_run(&relief->reclaimers, &goal); /* no relief: nothing was short */
    uint64_t purged = purge(relief, 0);
    count(&relief->cleanups, 1);
    count(&relief->cleaned_bytes, hri_max(freed, purged));
    atomic_store_explicit(&relief->cleanup_before_bytes, before, memory_order_relaxed);
    atomic_store_explicit(&relief->cleanup_after_bytes, resident_now(relief), memory_order_relaxed);
    return hri_max(freed, purged);
}

uint64_t hri_relief_relieve(hri_relief *relief, uint64_t want_bytes)
{
    if (hri_reclaiming() || want_bytes == 0)
        return 0;
    if (relief->tree->hooks.observes) {
        spare(relief, want_bytes);
        return 0;
    }
    hri_reclaim_goal goal = {.want_bytes = want_bytes, .deadline_ns = INT64_MAX};
    uint64_t freed = hri_relief_run(relief, &goal);
    uint64_t purged = freed < want_bytes ? purge(relief, want_bytes - freed) : 0;
    hri_watcher_sample(relief->watcher, HRI_ON_TIME);
    return hri_max(freed, purged);
}
