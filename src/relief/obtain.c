/* SPDX-License-Identifier: Apache-2.0 */
/* The one way from a shortage to a grant or a refusal; charges, promises of requests, pages for the heap and threads
 * that wait all come here.
 *
 *     a reading, if the demand lacks the lease or room below a ceiling     it tries the demand by itself
 *     rounds: idle pages of the heap, a purge, reclaimers                  each as much as is lacking
 *     after a round that has given something: a reading, or an attempt     and so on
 *
 * A round that gives nothing ends it, unless not all were asked, or the thread had no processor meanwhile. So a refusal
 * for which nobody has anything to give costs one reading. Each round works on one snapshot, that of the reading before
 * it.
 */
#include "relief/relief.h"

#include "base/checked.h"
#include "budget/grant.h"
#include "heap/heap.h"
#include "os/clock.h"

/* So often a thread that lost its processor gets its time again: half a second, five periods of a usual quota. */
#define RENEWALS_MAX 25
#define LOST_MAX 2 /* rounds that say nothing */

/* Other threads may be granted all that a reading leaves, again and again, and give it back. */
#define SAMPLES_MAX 64

/* How long a demand waits for relief. */
struct patience {
    int64_t deadline_ns;
    int64_t ran_ns;       /* the thread's processor time when that time began */
    uint64_t lacks_bytes; /* the least that was lacking up to then */
    unsigned renewals;    /* in which nothing was gained */
    unsigned lost;        /* rounds that freed nothing, and lost the processor before they could */
};

/* Is the time over? A demand that lacks less than ever goes on: what a cache can spare is there, however long it takes
 * to evict it. One whose relief serves others, or says that it gave and did not, gains nothing. A thread that had no
 * processor meanwhile goes on too, for others had it or a quota was used up: it has not used its time but lost it. */
static bool is_late(int64_t now_ns, struct patience *patience, uint64_t lacks_bytes)
{
    if (now_ns < patience->deadline_ns)
        return false;
    int64_t ran_ns = hri_os_thread_ns();
    if (lacks_bytes < patience->lacks_bytes) {
        patience->lacks_bytes = lacks_bytes;
        patience->ran_ns = ran_ns;
        patience->renewals = 0;
    } else if (ran_ns - patience->ran_ns >= HRI_RELIEF_DEADLINE_NS || patience->renewals++ == RENEWALS_MAX) {
        return true;
    }
    patience->deadline_ns = now_ns + HRI_RELIEF_DEADLINE_NS;
    return false;
}

/* Does a round that began then and freed nothing prove that there is nothing? Not if a slice's time passed in it: then
 * who was asked may not have begun. */
static bool proves_nothing(const hri_relief *relief, int64_t begin_ns, struct patience *patience)
{
    return hri_clock_now(relief->clock) - begin_ns >= HRI_RECLAIM_SLICE_NS && patience->lost++ < LOST_MAX;
}

/* By how much more than it lacks a demand is relieved. A grant that led to degraded would have relief aim under
 * recover_below: so relief aims there at once. */
static uint64_t beyond(const hri_relief *relief, const hri_shortage *shortage)
{
    const hri_level_rules *rules = &relief->watcher->rules;
    return shortage->ceiling ? 1 + hri_sub(hri_share(shortage->limit_bytes, rules->degrade_at),
                                           hri_share(shortage->limit_bytes, rules->recover_below))
                             : 0;
}

/* One round. Gives whether a new attempt makes sense. */
static bool run_round(hri_relief *relief, const hri_shortage *shortage, struct patience *patience)
{
    hri_snapshot snapshot;
    hri_watcher_read(relief->watcher, &snapshot);
    uint64_t lacks = hri_shortage_lacks(shortage);
    bool by_pages = shortage->narrowed || (shortage->ceiling && snapshot.ledgers.worst != HRI_LEDGER_BUDGET);
    uint64_t freed = shortage->narrowed ? hri_heap_trim(lacks) : 0;
    if (patience->ran_ns == 0 && hri_reclaimers_any(&relief->reclaimers))
        patience->ran_ns = hri_os_thread_ns(); /* a system call, which a refusal without relief need not pay for */
    if (freed >= lacks || hri_reclaiming())
        return freed > 0;
    lacks -= freed;
    if (by_pages && hri_relief_purge(relief, &snapshot, lacks, true))
        return true;
    int64_t begin_ns = hri_clock_now(relief->clock); /* one reading: between two the processor may be lost */
    if (is_late(begin_ns, patience, lacks))
        return freed > 0;
    /* With what the allocator keeps of that it is enough, once that is returned. */
    uint64_t retained_bytes = shortage->narrowed ? hri_relief_retained(relief, &snapshot) : 0;
    hri_reclaim_goal goal = {
        .inside = shortage->budget,
        .want_bytes = hri_add(retained_bytes < lacks ? lacks - retained_bytes : lacks, beyond(relief, shortage)),
        .deadline_ns = patience->deadline_ns,
    };
    return hri_relief_run(relief, &goal) > 0 || freed > 0 || goal.unasked || proves_nothing(relief, begin_ns, patience);
}

/* Tries the demand again; with a reading where it lacks what only a reading can show. */
static void try_again(hri_relief *relief, hri_demand *demand, hri_occasion occasion)
{
    if (demand->shortage.narrowed || demand->shortage.ceiling)
        hri_watcher_sample_quietly(relief->watcher, occasion, demand);
    else
        hri_budget_attempt(demand, false);
}

/* In a tree that observes: what would be refused is granted, and counted unless relief could have made room. A block
 * that is asked for quietly serves the library itself, such as a larger table: its refusal is nobody's. */
static void observe(hri_relief *relief, hri_demand *demand)
{
    bool helps = !demand->quiet && !demand->shortage.hopeless && hri_relief_observe(relief, &demand->shortage);
    hri_demand_force(demand);
    if (demand->granted && !helps && !(demand->quiet && demand->unleased))
        hri_demand_refuse(demand);
}

/* Tells of the level that the readings found. One that asks for relief gets some where the demand was granted: else the
 * refusal is told of. */
static void tell(hri_relief *relief, hr_level before, const hri_demand *demand)
{
    if (demand->quiet || hri_reclaiming()) {
        if (hri_level_word_get(&relief->watcher->word) != before)
            hri_monitor_wake(relief->monitor);
        return;
    }
    hri_watcher_tell(relief->watcher);
    if (demand->granted)
        hri_relief_act(relief, HRI_ACTOR_REQUEST);
}

void hri_relief_obtain(hri_relief *relief, hri_demand *demand)
{
    const hri_shortage *shortage = &demand->shortage;
    struct patience patience = {
        .deadline_ns = hri_clock_now(relief->clock) + HRI_RELIEF_DEADLINE_NS,
        .lacks_bytes = UINT64_MAX,
    };
    hr_level before = hri_level_word_get(&relief->watcher->word);
    bool observes = relief->tree->hooks.observes;
    unsigned samples = 0;
    while (!demand->granted && !shortage->hopeless) {
        bool sample = shortage->sample && !(observes && shortage->ceiling);
        if (sample && samples++ < SAMPLES_MAX)
            try_again(relief, demand, HRI_ON_SHORTAGE);
        else if (!demand->quiet && !observes && run_round(relief, shortage, &patience))
            try_again(relief, demand, HRI_ON_RETURN);
        else
            break;
    }
    /* Foreign processes are told of the grant. */
    if (samples && demand->granted && atomic_load_explicit(&relief->watcher->tells, memory_order_relaxed))
        hri_watcher_sample_quietly(relief->watcher, HRI_ON_SHORTAGE, NULL);
    if (!demand->granted && observes && !demand->promise && !demand->waiter)
        observe(relief, demand);
    if (samples)
        tell(relief, before, demand);
}
