/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that wait stand in a queue, in the order of arrival, each with its node on its own stack. The thread that
 * makes room serves the queue: it grants on behalf of the threads whose demand fits, and wakes them. So no other thread
 * can take the room before the thread that waits for it.
 *
 * A demand that does not fit does not hold up those behind it, until they have passed it HRI_WAIT_PASSES_MAX times.
 * From then on no demand behind it is granted anything in the budget that is short for it. Charges that do not wait are
 * never refused for the sake of those that do.
 *
 * While anybody waits no stocks are handed out in the tree, so that every byte that comes back is seen.
 *
 * The sleep is a cancellation point, the only one of a charge. A thread that is cancelled in it leaves the queue, and
 * gives back the bytes that it was granted meanwhile (abandon()). Locking: the section's.
 */
#include "budget/wait.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/wait.h"
#include "budget/accounts.h"
#include "budget/section.h"
#include "budget/stock.h"
#include "budget/local.h"
#include "os/clock.h"

#include <errno.h>

#define NAP_NS (100 * HRI_MILLISECOND)

typedef struct hri_waiter {
    struct hri_waiter *next;
    hri_demand *demand; /* with what is in the way, from the first decide() on */
    unsigned passed;    /* by this many */
    bool stands_back;   /* it fits, but the room is another's */
    int64_t since_ns;
    pthread_cond_t decided;
} hri_waiter;

static bool is_waiting(const hri_waiter *waiter)
{
    return !waiter->demand->granted && !waiter->demand->shortage.hopeless;
}

static void count(const hri_waiter *waiter, uint64_t change)
{
    for (hr_budget *at = waiter->demand->budget; at; at = at->parent)
        at->waiting += change;
}

/* Finds an earlier waiter that was passed too often and needs the room that `waiter` would use; NULL: none. */
static const hri_waiter *find_favoured(const hri_waiter *first, const hri_waiter *waiter)
{
    for (const hri_waiter *at = first; at != waiter; at = at->next)
        if (is_waiting(at) && at->passed >= HRI_WAIT_PASSES_MAX &&
            hri_budget_is_inside(waiter->demand->budget, at->demand->shortage.budget))
            return at;
    return NULL;
}

/* Describes why a demand that fits is not granted: all room of the budget that is short for `favoured` is set aside
 * for it. */
static hri_shortage shortage_behind(const hri_waiter *favoured, const hri_demand *demand)
{
    hr_budget *budget = favoured->demand->shortage.budget;
    return (hri_shortage){
        .budget = budget,
        .asked_bytes = demand->bytes,
        .limit_bytes = hri_budget_limit(budget),
    };
}

static void note_passed(hri_waiter *first, const hri_waiter *waiter)
{
    for (hri_waiter *at = first; at != waiter; at = at->next)
        if (is_waiting(at) && hri_budget_is_inside(waiter->demand->budget, at->demand->shortage.budget))
            at->passed++;
}

static void decide(hri_budget_tree *tree, hri_waiter *waiter)
{
    hri_demand *demand = waiter->demand;
    bool fits = hri_demand_fits(demand);
    const hri_waiter *favoured = fits ? find_favoured(tree->first_waiter, waiter) : NULL;
    waiter->stands_back = favoured != NULL;
    if (favoured) {
        demand->shortage = shortage_behind(favoured, demand);
        return;
    }
    demand->granted = fits && hri_demand_take(demand);
    if (demand->granted)
        note_passed(tree->first_waiter, waiter);
    else if (fits)
        tree->renewal_wanted |= demand->shortage.sample;
    if (!is_waiting(waiter))
        pthread_cond_signal(&waiter->decided);
}

void hri_wait_attempt(hri_demand *demand)
{
    hri_waiter *waiter = demand->waiter;
    if (is_waiting(waiter))
        decide(demand->budget->tree, waiter);
    demand->granted = waiter->demand->granted;
    demand->shortage = waiter->demand->shortage;
}

bool hri_wait_serve(hri_budget_tree *tree)
{
    for (hri_waiter *at = tree->first_waiter; at; at = at->next)
        if (is_waiting(at))
            decide(tree, at);
    bool renew = tree->renewal_wanted;
    tree->renewal_wanted = false;
    return renew;
}

static void enqueue(hri_budget_tree *tree, hri_waiter *waiter)
{
    hri_waiter **at = &tree->first_waiter;
    while (*at)
        at = &(*at)->next;
    *at = waiter;
    count(waiter, 1);
    hri_stock_drain(&tree->root);
}

static void leave_queue(hri_budget_tree *tree, const hri_waiter *waiter)
{
    hri_waiter **at = &tree->first_waiter;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    count(waiter, (uint64_t)-1);
    int64_t waited_ns = hri_clock_now(&hri_os_clock) - waiter->since_ns;
    for (hr_budget *budget = waiter->demand->budget; budget; budget = budget->parent) {
        budget->waits++;
        budget->wait_longest_ns = hri_later(budget->wait_longest_ns, waited_ns);
    }
}

/* The wait that abandon() ends. */
struct sleeper {
    const hri_section *section;
    hri_waiter *waiter;
};

/* Ends the wait of a thread that is cancelled in its sleep; in the section, since who wakes has the lock again. */
static void abandon(void *context)
{
    const struct sleeper *sleeper = context;
    const hri_waiter *waiter = sleeper->waiter;
    leave_queue(sleeper->section->tree, waiter);
    if (waiter->demand->granted)
        hri_path_give(waiter->demand->budget, waiter->demand->bytes);
    hri_wait_serve(sleeper->section->tree);
    hri_section_leave(sleeper->section);
    pthread_cond_destroy(&sleeper->waiter->decided);
}

static void nap(const hri_section *section, hri_waiter *waiter, int64_t length_ns)
{
    struct sleeper sleeper = {section, waiter};
    struct timespec until = hri_deadline_after(length_ns);
    pthread_cleanup_push(abandon, &sleeper);
    pthread_cond_timedwait(&waiter->decided, &section->tree->lock, &until);
    pthread_cleanup_pop(false);
}

/* Leaves the section to renew the lease, if that is all that a waiting demand lacks. The new lease serves the queue. */
static void renew_if_wanted(hri_section *section)
{
    hri_budget_tree *tree = section->tree;
    if (!tree->renewal_wanted)
        return;
    tree->renewal_wanted = false;
    hri_section_leave(section);
    hri_budget_sample(tree, HRI_ON_SHORTAGE, true);
    *section = hri_section_enter_tree(tree);
}

/* Lets others free what they can spare: out of the section, in the queue, with a copy, since other threads decide the
 * demand meanwhile. The bytes go to the first waiter that they are enough for. */
static void ask_others(hri_section *section, hri_waiter *waiter)
{
    const hri_budget_hooks *hooks = &section->tree->hooks;
    hri_demand demand = *waiter->demand;
    demand.waiter = waiter;
    if (!is_waiting(waiter) || waiter->stands_back || !hooks->obtain)
        return;
    hri_section_leave(section);
    hooks->obtain(hooks->context, &demand);
    *section = hri_section_enter_tree(section->tree);
    if (is_waiting(waiter))
        decide(section->tree, waiter); /* by the figures of now */
}

/* Sleeps until the demand is decided, or `until_ns`. Bytes that this thread's own signal handlers uncharge in its sleep
 * come late (section.h) and wake nobody. So it looks for them from time to time, and for what has become idle
 * meanwhile. */
static void sleep_in_queue(hri_section *section, hri_waiter *waiter, int64_t until_ns)
{
    for (int64_t now_ns = waiter->since_ns; is_waiting(waiter) && now_ns < until_ns;) {
        nap(section, waiter, hri_earlier(until_ns - now_ns, NAP_NS));
        hri_section_collect(section->tree);
        ask_others(section, waiter);
        renew_if_wanted(section);
        now_ns = hri_clock_now(&hri_os_clock);
    }
}

bool hri_wait_is_any(hri_budget_tree *tree)
{
    hri_section section = hri_section_enter_tree(tree);
    bool any = tree->first_waiter != NULL;
    hri_section_leave(&section);
    return any;
}

int hri_wait_for(hri_demand *demand, int64_t timeout_ns)
{
    hri_budget_tree *tree = demand->budget->tree;
    hri_waiter waiter = {.demand = demand, .since_ns = hri_clock_now(&hri_os_clock)};
    bool for_ever = timeout_ns < 0 || timeout_ns > INT64_MAX - waiter.since_ns;
    int error = hri_wait_init_condition(&waiter.decided);
    if (error)
        return error;
    hri_local_promote(demand->budget);
    hri_section section = hri_section_enter(demand->budget);
    enqueue(tree, &waiter);
    decide(tree, &waiter);
    renew_if_wanted(&section);
    sleep_in_queue(&section, &waiter, for_ever ? INT64_MAX : waiter.since_ns + timeout_ns);
    leave_queue(tree, &waiter);
    if (!demand->granted) /* whoever stood back for this one need not any more */
        hri_wait_serve(tree);
    demand->crossed = tree->root.used_bytes > atomic_load_explicit(&tree->cross_bytes, memory_order_relaxed);
    HRI_ASSERT(demand->granted || demand->shortage.budget);
    hri_section_leave(&section);
    pthread_cond_destroy(&waiter.decided);
    if (demand->granted)
        return 0;
    return demand->shortage.hopeless ? -EDQUOT : -ETIMEDOUT;
}

int64_t hri_wait_longest(const hr_budget *budget)
{
    int64_t longest_ns = budget->wait_longest_ns, now_ns = hri_clock_now(&hri_os_clock);
    for (const hri_waiter *at = budget->tree->first_waiter; at; at = at->next)
        if (hri_budget_is_inside(at->demand->budget, budget))
            longest_ns = hri_later(longest_ns, now_ns - at->since_ns);
    return longest_ns;
}

void hri_wait_forget(hri_budget_tree *tree)
{
    tree->first_waiter = NULL;
    for (hr_budget *budget = &tree->root; budget; budget = hri_budget_next(budget, &tree->root))
        budget->waiting = 0;
}
