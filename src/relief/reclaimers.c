/* SPDX-License-Identifier: Apache-2.0 */
/* The list may change while a run is on its way, and a node may be removed, even freed, from inside its own call. So a
 * run keeps no pointer into the list. It finds the next node by the place (priority, order) of the one before. After a
 * call it looks at its own record of the call, which says whether the node is still there.
 *
 * One call of a node runs at a time. Another thread that wants the same node waits for it, but only until its deadline:
 * the call may be waiting for something that this thread holds.
 */
#include "relief/reclaimers.h"

#include "base/uncancelled.h"
#include "base/wait.h"
#include "base/yield.h"
#include "budget/budget.h"

#include <errno.h>
#include <limits.h>

/* So often pools are asked again where nothing was found. */
#define POOLS_AGAIN 2

/* No process has more to give: what says so has not counted. */
#define FREED_MAX ((uint64_t)256 << 40)

static __attribute__((tls_model("initial-exec"))) _Thread_local bool reclaiming;

bool hri_reclaiming(void)
{
    return reclaiming;
}

int hri_reclaimers_init(hri_reclaimers *reclaimers, const hri_clock *clock)
{
    *reclaimers = (hri_reclaimers){.clock = clock};
    return hri_wait_init(&reclaimers->lock, &reclaimers->returned);
}

/* Says in a node that it is in a list, of whichever guard: with its own address, so that a copy of the node is in
 * none. */
static uintptr_t seal_of(const hr_reclaimer *node)
{
    return ~(uintptr_t)node;
}

static void unseal(hr_reclaimer *node)
{
    __atomic_store_n(&node->seal_, 0, __ATOMIC_RELEASE);
}

/* Nodes that are left may be added to another guard. */
void hri_reclaimers_destroy(hri_reclaimers *reclaimers)
{
    for (hr_reclaimer *node = reclaimers->first; node; node = node->next_)
        unseal(node);
    hri_wait_destroy(&reclaimers->lock, &reclaimers->returned);
}

void hri_reclaimers_fork(hri_reclaimers *reclaimers, hri_fork moment)
{
    hri_fork_wait(&reclaimers->lock, &reclaimers->returned, moment);
    if (moment != HRI_FORK_CHILD)
        return;
    for (hri_reclaim_call **at = &reclaimers->calls; *at;) { /* those of other threads will never return */
        if (pthread_equal((*at)->thread, pthread_self()))
            at = &(*at)->next;
        else
            *at = (*at)->next;
    }
}

int hri_reclaimers_add(hri_reclaimers *reclaimers, hr_reclaimer *node)
{
    if (__atomic_exchange_n(&node->seal_, seal_of(node), __ATOMIC_ACQ_REL) == seal_of(node))
        return -EEXIST;
    pthread_mutex_lock(&reclaimers->lock);
    hr_reclaimer **at = &reclaimers->first;
    while (*at && (*at)->priority <= node->priority)
        at = &(*at)->next_;
    node->order_ = ++reclaimers->last_order;
    node->calls_ = node->freed_bytes_ = 0;
    node->next_ = *at;
    *at = node;
    hri_budget_use(node->budget);
    pthread_mutex_unlock(&reclaimers->lock);
    return 0;
}

bool hri_reclaimers_any(hri_reclaimers *reclaimers)
{
    pthread_mutex_lock(&reclaimers->lock);
    bool any = reclaimers->first != NULL;
    pthread_mutex_unlock(&reclaimers->lock);
    return any;
}

/* Finds another thread's running call of a node, or this thread's own. */
static hri_reclaim_call *find_call(const hri_reclaimers *reclaimers, const hr_reclaimer *node, bool own)
{
    hri_reclaim_call *call = reclaimers->calls;
    while (call && (call->node != node || !!pthread_equal(call->thread, pthread_self()) != own))
        call = call->next;
    return call;
}

void hri_reclaimers_remove(hri_reclaimers *reclaimers, hr_reclaimer *node)
{
    pthread_mutex_lock(&reclaimers->lock);
    for (hr_reclaimer **at = &reclaimers->first; *at; at = &(*at)->next_) {
        if (*at == node) {
            *at = node->next_;
            unseal(node);
            hri_budget_leave(node->budget);
            break;
        }
    }
    hri_reclaim_call *own = find_call(reclaimers, node, true);
    if (own)
        own->removed = true;
    while (find_call(reclaimers, node, false))
        hri_wait_on(&reclaimers->returned, &reclaimers->lock);
    pthread_mutex_unlock(&reclaimers->lock);
}

/* A place in the list, which stays meaningful when the list changes. Orders begin with 1: {INT_MIN, 0} is before the
 * first. */
struct place {
    int priority;
    uint64_t order;
};

static hr_reclaimer *next_after(const hri_reclaimers *reclaimers, const struct place *place, const hr_budget *inside)
{
    for (hr_reclaimer *node = reclaimers->first; node; node = node->next_) {
        bool after =
            node->priority > place->priority || (node->priority == place->priority && node->order_ > place->order);
        bool eligible = !inside || !inside->parent || (node->budget && hri_budget_is_inside(node->budget, inside));
        if (after && eligible)
            return node;
    }
    return NULL;
}

/* Waits until no other thread runs this node; false at the deadline, or where the node has left meanwhile.
 * `ret_unasked` is set if that thread has freed something, which others may have had before this one asks, or if it has
 * not come back. */
static bool wait_for_turn(hri_reclaimers *reclaimers, const hr_reclaimer *node, int64_t deadline_ns, bool *ret_unasked)
{
    uint64_t order = node->order_, freed_bytes = node->freed_bytes_;
    struct timespec until = hri_deadline_after(deadline_ns - hri_clock_now(reclaimers->clock));
    int error = 0;
    while (find_call(reclaimers, node, false) && !error)
        error = hri_wait_until(&reclaimers->returned, &reclaimers->lock, &until);
    const hr_reclaimer *still = reclaimers->first;
    while (still && (still != node || still->order_ != order))
        still = still->next_;
    *ret_unasked |= error || (still && still->freed_bytes_ != freed_bytes);
    return !error && still;
}

/* Calls a node with the lock given back meanwhile. Gives the bytes freed; `ret_gone` says that the node has left. */
static uint64_t call_node(hri_reclaimers *reclaimers, hr_reclaimer *node, uint64_t want_bytes, int64_t deadline_ns,
                          bool *ret_gone)
{
    HRI_UNCANCELLED;
    hri_reclaim_call call = {.node = node, .thread = pthread_self(), .next = reclaimers->calls};
    reclaimers->calls = &call;
    pthread_mutex_unlock(&reclaimers->lock);
    reclaiming = true;
    uint64_t freed = node->reclaim(node->context, want_bytes, deadline_ns);
    if (freed > FREED_MAX)
        freed = 0;
    reclaiming = false;
    pthread_mutex_lock(&reclaimers->lock);
    hri_reclaim_call **at = &reclaimers->calls;
    while (*at != &call)
        at = &(*at)->next;
    *at = call.next;
    *ret_gone = call.removed;
    if (!call.removed) {
        node->calls_++;
        node->freed_bytes_ += freed;
    }
    pthread_cond_broadcast(&reclaimers->returned);
    return freed;
}

/* Asks one node until it has given what is wanted, gives nothing more, or time is up. */
static uint64_t drain_node(hri_reclaimers *reclaimers, hr_reclaimer *node, hri_reclaim_goal *goal, uint64_t freed_bytes)
{
    uint64_t order = node->order_, sum = 0, got = 0;
    bool gone = false;
    do {
        if (!wait_for_turn(reclaimers, node, goal->deadline_ns, &goal->unasked) || node->order_ != order)
            break;
        int64_t now_ns = hri_clock_now(reclaimers->clock);
        goal->unasked |= now_ns >= goal->deadline_ns;
        if (now_ns >= goal->deadline_ns)
            break;
        uint64_t want = goal->want_bytes ? goal->want_bytes - freed_bytes - sum : 0;
        int64_t end_ns = hri_earlier(now_ns + HRI_RECLAIM_SLICE_NS, goal->deadline_ns);
        got = call_node(reclaimers, node, want, end_ns, &gone);
        goal->unasked |= got == 0 && end_ns == goal->deadline_ns; /* for less than a slice */
        sum += got;
    } while (got > 0 && !gone && freed_bytes + sum < goal->want_bytes);
    return sum;
}

/* Asks one after the other, up to a priority, until there is what is wanted. `ret_let_go` is what others than pools
 * gave of it. */
static uint64_t ask(hri_reclaimers *reclaimers, hri_reclaim_goal *goal, int priority_max, uint64_t *ret_let_go)
{
    uint64_t freed = 0;
    struct place place = {.priority = INT_MIN};
    hr_reclaimer *node;
    while ((goal->want_bytes == 0 || freed < goal->want_bytes) &&
           (node = next_after(reclaimers, &place, goal->inside)) != NULL && node->priority <= priority_max) {
        place = (struct place){.priority = node->priority, .order = node->order_};
        uint64_t got = drain_node(reclaimers, node, goal, freed);
        freed += got;
        *ret_let_go += place.priority > HRI_YIELD_IDLE ? got : 0;
    }
    return freed;
}

/* Asks pools once more, whatever the time is. */
static uint64_t ask_pools(hri_reclaimers *reclaimers, hri_reclaim_goal *goal)
{
    hri_reclaim_goal again = *goal;
    again.deadline_ns = hri_later(goal->deadline_ns, hri_clock_now(reclaimers->clock) + HRI_RECLAIM_SLICE_NS);
    uint64_t freed = ask(reclaimers, &again, HRI_YIELD_IDLE, &(uint64_t){0});
    goal->unasked |= again.unasked;
    return freed;
}

uint64_t hri_reclaimers_run(hri_reclaimers *reclaimers, hri_reclaim_goal *goal)
{
    if (reclaiming)
        return 0;
    uint64_t let_go = 0;
    pthread_mutex_lock(&reclaimers->lock);
    uint64_t freed = ask(reclaimers, goal, INT_MAX, &let_go);
    /* Memory that others let go may wait in pools, which were asked before them: until pools have given it back too,
     * nothing of it is free. The bytes that come of it are counted already. */
    if (let_go > 0 && goal->want_bytes > 0)
        ask_pools(reclaimers, goal);
    /* A thread may have put its blocks into a pool that had been asked, and taken the idle ones of a pool that had
     * not. */
    for (int i = 0; freed == 0 && goal->want_bytes > 0 && i < POOLS_AGAIN; i++)
        freed = ask_pools(reclaimers, goal);
    pthread_mutex_unlock(&reclaimers->lock);
    return freed;
}
