/* SPDX-License-Identifier: Apache-2.0 */
/* The order is always: give back, return pages to the kernel, read again, then decide. The heap gives back what is idle
 * first, which nobody has to be asked for. What reclaimers free of the process's malloc stays resident there until the
 * next purge; until then it counts as ours to use again (`retained_bytes`), else each look would ask the reclaimers for
 * the same bytes once more and empty every cache.
 */
#include "relief/relief.h"

#include "base/checked.h"
#include "base/lock.h"
#include "base/yield.h"
#include "heap/heap.h"
#include "os/clock.h"

/* How long a demand, or a round of the emergency, may spend in reclaimers; half a millisecond is what a request pays at
 * most for a level that it happened to cross, with the readings around the slice. */
#define DEADLINE_NS (20 * HRI_MILLISECOND)
#define RENEWALS_MAX 25 /* half a second, five periods of a usual quota */
#define PURGES_MAX 3    /* by a demand itself */
#define LOST_MAX 2      /* attempts that say nothing */
#define REQUEST_SLICE_NS (400 * HRI_MICROSECOND)
#define CLEAN_DEADLINE_NS (1 * HRI_SECOND)

/* The allocator keeps "much" when it keeps more than this share of the limit. */
#define KEPT_SHARE (1.0 / 16)

/* More than this share of the limit, given back and kept by the allocator, is worth a purge when it is tight. */
#define URGENT_SHARE (1.0 / 64)

static uint64_t load(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

int hri_relief_init(hri_relief *relief, const hri_relief_options *options)
{
    *relief = (hri_relief){
        .clock = options->clock,
        .watcher = options->watcher,
        .tree = options->tree,
        .monitor = options->monitor,
        .degraded_request_bytes = options->degraded_request_bytes,
        .relieved = options->relieved,
        .spared = options->spared,
        .context = options->context,
        .acting = ATOMIC_FLAG_INIT,
    };
    int error = hri_reclaimers_init(&relief->reclaimers, options->clock);
    if (error)
        return error;
    error =
        hri_purger_init(&relief->purger, options->clock, options->purge_interval_ns, options->urgent_purge_interval_ns);
    if (error)
        goto destroy_reclaimers;
    error = hri_reserve_init(&relief->reserve, options->reserve_bytes);
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

void hri_relief_read(hri_relief *relief, hri_relief_counts *ret_counts)
{
    hri_relief_counts counts = {
        .reliefs = load(&relief->reliefs),
        .relieved_bytes = load(&relief->relieved_bytes),
        .would_have_relieved = load(&relief->would_have_relieved),
        .cleanups = load(&relief->cleanups),
        .cleaned_bytes = load(&relief->cleaned_bytes),
        .cleanup_before_bytes = load(&relief->cleanup_before_bytes),
        .cleanup_after_bytes = load(&relief->cleanup_after_bytes),
        .reserve_bytes = hri_reserve_held(&relief->reserve),
    };
    hri_purger_read(&relief->purger, &counts.purges, &counts.purge_longest_ns);
    pthread_mutex_lock(&relief->judging);
    counts.stalled_ns = hri_stall_age(&relief->stall, hri_clock_now(relief->clock), hri_relief_patience(relief));
    pthread_mutex_unlock(&relief->judging);
    *ret_counts = counts;
}

static void tell(hri_relief *relief, bool purge, uint64_t bytes)
{
    if (bytes && relief->relieved)
        relief->relieved(relief->context, purge, bytes);
}

void hri_relief_note_aid(hri_relief *relief)
{
    atomic_store_explicit(&relief->watcher->aided, true, memory_order_relaxed);
}

uint64_t hri_relief_run(hri_relief *relief, const hri_reclaim_goal *goal)
{
    uint64_t freed = hri_reclaimers_run(&relief->reclaimers, goal);
    count(&relief->reliefs, freed > 0);
    count(&relief->relieved_bytes, freed);
    if (freed > 0)
        hri_relief_note_aid(relief);
    tell(relief, false, freed);
    return freed;
}

/* What is resident and neither the heap's, nor a pool's, nor charged by hand: free pages of the process's malloc, and
 * what the program never charged. */
static uint64_t kept_bytes(const hri_sight *sight)
{
    uint64_t anonymous_bytes = sight->process.anonymous_bytes;
    return anonymous_bytes == HR_NONE ? 0 : hri_sub(anonymous_bytes, sight->resident_bytes);
}

/* How much the worst ledger is over what relief aims at. */
static uint64_t over_aim(const hri_relief *relief, const hri_sight *sight)
{
    uint64_t aim = hri_sub(hri_share(sight->ledgers.worst_limit_bytes, relief->watcher->rules.recover_below), 1);
    return hri_sub(sight->ledgers.worst_use_bytes, aim);
}

/* Does the allocator keep so much of what was given back that the kernel's limit may be met for nothing, or that the
 * level stays up for nothing? */
static hri_purge_need need_to_purge(hri_relief *relief, const hri_sight *sight, uint64_t kept_bytes)
{
    uint64_t hidden = hri_min(kept_bytes, sight->retained_bytes), over = over_aim(relief, sight);
    if (hri_level_word_get(&relief->watcher->word) < HR_DEGRADED || sight->ledgers.worst == HRI_LEDGER_BUDGET)
        return HRI_PURGE_ORDINARY;
    if (hidden > hri_share(sight->ledgers.worst_limit_bytes, KEPT_SHARE))
        return HRI_PURGE_NEEDED;
    if (hidden > hri_share(sight->ledgers.worst_limit_bytes, URGENT_SHARE))
        return HRI_PURGE_URGENT;
    return over > 0 && hidden >= over ? HRI_PURGE_WANTED : HRI_PURGE_ORDINARY;
}

/* As above, for a demand: can what the allocator keeps be all that it lacks? How much of that was given back is known
 * by what looks saw, so it is rather more. Where most of it may be what nobody ever charged, a large demand tries at
 * the ordinary rate, and a small one leaves that to the monitor. Where it is much, no cost is too high: everybody would
 * be refused, and clients that give back meanwhile leave the process empty. */
static bool demand_needs_purge(const hri_shortage *shortage, const hri_sight *sight, uint64_t kept_bytes,
                               hri_purge_need *ret_need)
{
    uint64_t short_bytes = hri_sub(shortage->asked_bytes, shortage->left_bytes), retained = sight->retained_bytes;
    bool large = hri_budget_is_large(shortage->asked_bytes);
    bool much = retained > hri_share(shortage->limit_bytes, large ? URGENT_SHARE : KEPT_SHARE);
    if (retained < short_bytes / 2)
        *ret_need = HRI_PURGE_ORDINARY;
    else
        *ret_need = much ? HRI_PURGE_NEEDED : HRI_PURGE_URGENT;
    return retained >= short_bytes || (large && kept_bytes >= short_bytes);
}

/* Purges if the rate allows it; then the allocator retains nothing of ours. Gives whether it did, and the bytes that
 * left the resident set. */
static bool purge_for(hri_relief *relief, hri_purge_need need, uint64_t kept_bytes, uint64_t *ret_bytes)
{
    *ret_bytes = 0;
    bool purged = hri_purger_run(&relief->purger, kept_bytes, need, ret_bytes);
    if (purged)
        atomic_store_explicit(&relief->watcher->purged, true, memory_order_relaxed);
    count(&relief->purged_bytes, *ret_bytes);
    tell(relief, true, *ret_bytes);
    return purged;
}

static uint64_t purge(hri_relief *relief)
{
    hri_sight sight;
    hri_watcher_read(relief->watcher, &sight);
    uint64_t bytes, kept = kept_bytes(&sight);
    purge_for(relief, need_to_purge(relief, &sight, kept), kept, &bytes);
    return bytes;
}

/* It is the demand's own thread that waits: nothing but a refusal is the alternative. */
bool hri_relief_purge_for(hri_relief *relief, const hri_shortage *shortage, hri_patience *patience)
{
    hri_sight sight;
    hri_purge_need need;
    uint64_t bytes;
    hri_watcher_read(relief->watcher, &sight);
    uint64_t kept = kept_bytes(&sight);
    bool useless = shortage->ceiling && sight.ledgers.worst == HRI_LEDGER_BUDGET; /* it bound: pages do not count */
    if (useless || patience->purges == PURGES_MAX || !demand_needs_purge(shortage, &sight, kept, &need))
        return false;
    bool done = hri_purger_await(&relief->purger) || purge_for(relief, need, kept, &bytes);
    if (!done)
        return false;
    patience->purges++;
    hri_watcher_look(relief->watcher, HRI_LOOK_FRESH | HRI_LOOK_QUIET);
    return true;
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
    hri_sight sight;
    if (relief->tree->hooks.observes) /* it is not relief that achieves nothing */
        return;
    hri_watcher_read(relief->watcher, &sight);
    hri_stall_input input = {
        .level = hri_level_word_get(&relief->watcher->word),
        .freed_bytes = hri_add(load(&relief->relieved_bytes), load(&relief->purged_bytes)),
        .use_bytes = sight.ledgers.worst_use_bytes,
        .now_ns = hri_clock_now(relief->clock),
    };
    pthread_mutex_lock(&relief->judging);
    hri_stall_look(&relief->stall, &input);
    pthread_mutex_unlock(&relief->judging);
}

void hri_relief_begin(hri_relief *relief, hri_patience *patience)
{
    *patience = (hri_patience){.deadline_ns = hri_clock_now(relief->clock) + DEADLINE_NS};
    if (hri_reclaimers_any(&relief->reclaimers))
        patience->ran_ns = hri_os_thread_ns(); /* a system call, which a refusal without relief need not pay for */
}

/* Is the time over? A thread that had no processor meanwhile, for others had it or a quota was used up, has not used
 * its time but lost it: it goes on. */
static bool is_late(const hri_relief *relief, hri_patience *patience)
{
    int64_t now_ns = hri_clock_now(relief->clock);
    if (now_ns < patience->deadline_ns)
        return false;
    if (hri_os_thread_ns() - patience->ran_ns >= DEADLINE_NS || patience->renewals == RENEWALS_MAX)
        return true;
    patience->renewals++;
    patience->deadline_ns = now_ns + DEADLINE_NS;
    return false;
}

/* Does an attempt that began then and freed nothing prove that there is nothing? Not if a slice's time passed in it:
 * then who was asked may not have begun. */
static bool proves_nothing(const hri_relief *relief, int64_t begin_ns, hri_patience *patience)
{
    return hri_clock_now(relief->clock) - begin_ns >= HRI_RECLAIM_SLICE_NS && patience->lost++ < LOST_MAX;
}

/* What a demand has to get from reclaimers: with what the allocator retains it is enough, once that is returned. */
static uint64_t wanted_for(hri_relief *relief, const hri_shortage *shortage)
{
    uint64_t short_bytes = hri_sub(shortage->asked_bytes, shortage->left_bytes);
    hri_sight sight;
    if (!relief->watcher->purges)
        return short_bytes;
    hri_watcher_read(relief->watcher, &sight);
    /* A purge returns whole pages only: a large demand that asked for no more than it lacks would fall short by
     * pieces, and need another purge for each. */
    if (hri_budget_is_large(shortage->asked_bytes) && !shortage->budget->parent && sight.binding.limit_bytes != HR_NONE)
        short_bytes = hri_add(short_bytes, hri_share(shortage->limit_bytes, URGENT_SHARE));
    if (!shortage->narrowed)
        return short_bytes;
    return sight.retained_bytes < short_bytes ? short_bytes - sight.retained_bytes : short_bytes;
}

/* Is it worth a purge before anybody is asked to let go of something? A large demand may be short by a few pages
 * again and again: for those it asks others. */
static bool comes_first(hri_relief *relief, const hri_shortage *shortage)
{
    hri_sight sight;
    hri_watcher_read(relief->watcher, &sight);
    return !hri_budget_is_large(shortage->asked_bytes) ||
           sight.retained_bytes > hri_share(shortage->limit_bytes, URGENT_SHARE);
}

/* The first step: pages that the heap can give back at once, as much as is lacking. Gives whether there were any. */
static bool give_idle_back(hri_relief *relief, const hri_shortage *shortage)
{
    if (hri_heap_trim(hri_sub(shortage->asked_bytes, shortage->left_bytes)) == 0)
        return false;
    hri_watcher_look(relief->watcher, HRI_LOOK_FRESH | HRI_LOOK_QUIET);
    return true;
}

bool hri_relief_shortage(hri_relief *relief, const hri_shortage *shortage, hri_patience *patience)
{
    if (relief->tree->hooks.observes)
        return !hri_reclaiming() && hri_relief_observe(relief, shortage);
    if (patience->deadline_ns == 0)
        hri_relief_begin(relief, patience);
    if (shortage->narrowed && !is_late(relief, patience) && give_idle_back(relief, shortage))
        return true;
    if (hri_reclaiming())
        return false;
    bool may_purge = shortage->narrowed;
    if (may_purge && comes_first(relief, shortage) && hri_relief_purge_for(relief, shortage, patience))
        return true;
    if (is_late(relief, patience))
        return false;
    hri_reclaim_goal goal = {
        .inside = shortage->budget,
        .want_bytes = wanted_for(relief, shortage),
        .deadline_ns = patience->deadline_ns,
    };
    int64_t begin_ns = hri_clock_now(relief->clock);
    bool go_on = hri_relief_run(relief, &goal) > 0 || (may_purge && hri_relief_purge_for(relief, shortage, patience)) ||
                 proves_nothing(relief, begin_ns, patience);
    if (shortage->narrowed || hri_budget_is_large(shortage->asked_bytes))
        hri_watcher_look(relief->watcher, HRI_LOOK_FRESH | HRI_LOOK_QUIET); /* the allocator may have what was freed */
    if (shortage->narrowed) {
        atomic_store_explicit(&relief->narrowed, true, memory_order_relaxed);
        hri_monitor_wake(relief->monitor); /* the allocator may keep what others seem to take */
    }
    return go_on;
}

/* Freed bytes that the allocator may still keep are not asked for twice. */
uint64_t hri_relief_excess(hri_relief *relief)
{
    hri_sight sight;
    hri_watcher_read(relief->watcher, &sight);
    uint64_t over = over_aim(relief, &sight);
    if (sight.ledgers.worst == HRI_LEDGER_BUDGET)
        return over;
    return hri_sub(over, hri_min(kept_bytes(&sight), sight.retained_bytes));
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
    if ((!first && now_ns - told_ns < SPARED_INTERVAL_NS) || !relief->spared ||
        !atomic_compare_exchange_strong(&relief->spared_ns, &told_ns, now_ns))
        return;
    relief->spared(relief->context, want_bytes);
}

bool hri_relief_observe(hri_relief *relief, const hri_shortage *shortage)
{
    uint64_t want = hri_add(hri_sub(shortage->asked_bytes, shortage->left_bytes), shortage->over_bytes);
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
    hri_sight sight;
    hri_watcher_read(relief->watcher, &sight);
    return sight.ledgers.worst != HRI_LEDGER_BUDGET && sight.retained_bytes > 0;
}

/* One round of the emergency. Gives how the level is to be decided after it. */
static unsigned act_once(hri_relief *relief, hri_actor actor)
{
    bool on_request = actor == HRI_ACTOR_REQUEST;
    bool watched_over = on_request && hri_monitor_wake(relief->monitor);
    int64_t now_ns = hri_clock_now(relief->clock);
    hri_reclaim_goal goal = {
        .want_bytes = hri_relief_excess(relief),
        .deadline_ns = now_ns + (watched_over ? REQUEST_SLICE_NS : DEADLINE_NS),
    };
    uint64_t freed = goal.want_bytes ? hri_relief_run(relief, &goal) : 0;
    hri_heap_trim(UINT64_MAX); /* idle pages are no use, but the kernel counts them, and others take what is left */
    bool out_of_time = freed < goal.want_bytes && hri_clock_now(relief->clock) >= goal.deadline_ns;
    uint64_t purged = watched_over ? 0 : purge(relief);
    if (on_request && !watched_over && freed == 0 && purged == 0)
        return HRI_LOOK_RELIEVED | HRI_LOOK_BLIND; /* nothing has changed that a reading would show */
    if (actor == HRI_ACTOR_CALLER || (on_request && !watched_over))
        return HRI_LOOK_RELIEVED;
    hri_watcher_look(relief->watcher, HRI_LOOK_FRESH | HRI_LOOK_QUIET);
    return out_of_time || hides_what_was_freed(relief) ? 0 : HRI_LOOK_RELIEVED;
}

void hri_relief_act(hri_relief *relief, hri_actor actor)
{
    if (hri_reclaiming() || hri_level_word_get(&relief->watcher->word) < HR_DEGRADED ||
        atomic_flag_test_and_set_explicit(&relief->acting, memory_order_acquire))
        return;
    unsigned how = HRI_LOOK_FRESH;
    if (relief->tree->hooks.observes) {
        uint64_t excess = hri_relief_excess(relief);
        if (excess > 0)
            spare(relief, excess);
    } else if (hri_relief_excess(relief) > 0 || actor != HRI_ACTOR_REQUEST ||
               !hri_monitor_is_running(relief->monitor)) {
        how |= act_once(relief, actor);
    }
    if (actor == HRI_ACTOR_CALLER)
        how |= HRI_LOOK_STRAIGHT;
    atomic_flag_clear_explicit(&relief->acting, memory_order_release);
    hri_watcher_look(relief->watcher, how);
    hri_relief_note_progress(relief);
}

void hri_relief_level_changed(hri_relief *relief, hr_level to)
{
    uint64_t dropped;
    hri_relief_note_progress(relief);
    if (relief->tree->hooks.observes)
        return;
    if (to == HR_CRITICAL)
        dropped = hri_reserve_drop(&relief->reserve);
    else if (to <= HR_WARNING)
        dropped = hri_reserve_restore(&relief->reserve);
    else
        return;
    atomic_store_explicit(&relief->watcher->reserve_bytes, dropped, memory_order_relaxed);
}

void hri_relief_trim(hri_relief *relief)
{
    hri_sight sight;
    hri_accounts accounts;
    bool wanted = atomic_exchange_explicit(&relief->narrowed, false, memory_order_relaxed);
    if (relief->tree->hooks.observes)
        return;
    hri_budget_tree_glance(relief->tree, &accounts);
    if (!wanted && !accounts.waited_for && hri_level_word_get(&relief->watcher->word) == HR_NORMAL)
        return;
    hri_watcher_read(relief->watcher, &sight);
    if (kept_bytes(&sight) > hri_share(accounts.limit_bytes, KEPT_SHARE))
        purge(relief);
}

static uint64_t resident_now(hri_relief *relief)
{
    hri_sight sight;
    hri_watcher_look(relief->watcher, HRI_LOOK_FRESH);
    hri_watcher_read(relief->watcher, &sight);
    return sight.process.rss_bytes;
}

uint64_t hri_relief_clean(hri_relief *relief)
{
    if (hri_reclaiming() || relief->tree->hooks.observes)
        return 0;
    uint64_t before = resident_now(relief);
    hri_reclaim_goal goal = {.deadline_ns = hri_clock_now(relief->clock) + CLEAN_DEADLINE_NS};
    uint64_t freed = hri_reclaimers_run(&relief->reclaimers, &goal); /* no relief: nothing was short */
    uint64_t purged = purge(relief);
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
    uint64_t purged = freed < want_bytes ? purge(relief) : 0;
    hri_watcher_look(relief->watcher, HRI_LOOK_FRESH);
    return hri_max(freed, purged);
}
