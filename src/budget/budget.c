/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of budgets: exact accounts under one mutex.
 *
 * Invariant: in every budget held + promised counts its own charges and all of its descendants', so a parent's is never
 * less than the sum of its children's. A demand is granted by the whole path or by nobody, under the lock. Whatever
 * may run somebody else's code (relief, a change of level) happens after the lock is given back.
 *
 * Locking: `lock` guards every field but the two atomics. It is a leaf: nothing else is taken under it.
 */
#include "budget/accounts.h"

#include "base/assert.h"
#include "base/wait.h"

#include <errno.h>
#include <string.h>

/* Static TLS: an access must not allocate, since it happens when memory has run out. */
static __attribute__((tls_model("initial-exec"))) _Thread_local struct {
    hr_refusal refusal;
    bool known;
} last;

void hri_budget_check(const hr_budget *budget)
{
    HRI_ASSERT(hri_budget_used(budget) >= budget->held_bytes);
    HRI_ASSERT(hri_budget_used(budget) <= budget->peak_bytes);
    HRI_ASSERT(!budget->parent || hri_budget_used(budget) <= hri_budget_used(budget->parent));
}

static void check_path(const hr_budget *budget)
{
#ifdef HRI_DEBUG
    for (; budget; budget = budget->parent)
        hri_budget_check(budget);
#else
    (void)budget;
#endif
}

/* ── grants ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

struct demand {
    hr_budget *budget;
    uint64_t bytes;
    uint64_t ceiling_bytes; /* of the root's use; HR_NONE: none */
    bool promise;
};

static hri_shortage shortage_at(hr_budget *budget, uint64_t bytes)
{
    return (hri_shortage){
        .budget = budget,
        .asked_bytes = bytes,
        .left_bytes = hri_budget_left(budget),
        .limit_bytes = hri_budget_limit(budget),
        .hopeless = bytes > hri_budget_limit(budget),
        .narrowed =
            bytes > hri_budget_left(budget) && bytes <= hri_sub(hri_budget_limit(budget), hri_budget_used(budget)),
    };
}

/* Does the demand fit on the whole path? The lowest budget that is short is reported, since what is freed there is
 * free above it too; but a limit that can never fit it comes first. */
static bool fits(const struct demand *demand, hri_shortage *ret_shortage)
{
    bool short_of = false;
    hr_budget *budget = demand->budget;
    for (;; budget = budget->parent) {
        bool hopeless = demand->bytes > hri_budget_limit(budget);
        if (hopeless || (!short_of && demand->bytes > hri_budget_left(budget)))
            *ret_shortage = shortage_at(budget, demand->bytes);
        if (hopeless)
            return false;
        short_of |= demand->bytes > hri_budget_left(budget);
        if (!budget->parent)
            break;
    }
    if (!short_of && demand->bytes > hri_sub(demand->ceiling_bytes, hri_budget_used(budget))) {
        *ret_shortage = shortage_at(budget, demand->bytes);
        ret_shortage->left_bytes = hri_sub(demand->ceiling_bytes, hri_budget_used(budget));
        ret_shortage->ceiling = true;
        short_of = true;
    }
    return !short_of;
}

static void take(const struct demand *demand)
{
    for (hr_budget *budget = demand->budget; budget; budget = budget->parent) {
        if (demand->promise) {
            budget->promised_bytes += demand->bytes;
        } else {
            budget->held_bytes += demand->bytes;
            budget->total_bytes += demand->bytes;
        }
        budget->peak_bytes = hri_max(budget->peak_bytes, hri_budget_used(budget));
    }
    check_path(demand->budget);
}

/* Grants a demand or says why not. `ret_crossed` says whether the watcher wants to know. */
static bool grant(const struct demand *demand, hri_shortage *ret_shortage, bool *ret_crossed)
{
    hri_budget_tree *tree = demand->budget->tree;
    pthread_mutex_lock(&tree->lock);
    bool granted = fits(demand, ret_shortage);
    if (granted)
        take(demand);
    uint64_t root_used = hri_budget_used(&tree->root);
    pthread_mutex_unlock(&tree->lock);
    *ret_crossed = granted && root_used > atomic_load_explicit(&tree->cross_bytes, memory_order_relaxed);
    return granted;
}

void hri_budget_refuse(const hri_shortage *shortage)
{
    hr_budget *budget = shortage->budget;
    pthread_mutex_lock(&budget->tree->lock);
    budget->refused++;
    budget->tree->refusals++;
    pthread_mutex_unlock(&budget->tree->lock);
    hr_refusal refusal = {
        .asked_bytes = shortage->asked_bytes,
        .left_bytes = shortage->left_bytes,
        .limit_bytes = shortage->limit_bytes,
    };
    strncpy(refusal.limit_name, hri_budget_limit_name(budget), sizeof refusal.limit_name - 1);
    last.refusal = refusal;
    last.known = true;
}

void hri_budget_count_refusal(hri_budget_tree *tree)
{
    pthread_mutex_lock(&tree->lock);
    tree->refusals++;
    pthread_mutex_unlock(&tree->lock);
}

/* Grants a charge, with all that may be tried first: fresh figures where others are in the way, then relief. */
static int charge(hr_budget *budget, uint64_t bytes, bool quiet)
{
    if (!budget)
        return -EINVAL;
    const hri_budget_hooks *hooks = &budget->tree->hooks;
    const struct demand demand = {.budget = budget, .bytes = bytes, .ceiling_bytes = HR_NONE};
    hri_shortage shortage = {.budget = budget};
    bool crossed;
    bool granted = grant(&demand, &shortage, &crossed);
    if (!granted && shortage.narrowed && hooks->reread) {
        hooks->reread(hooks->context);
        granted = grant(&demand, &shortage, &crossed);
    }
    int64_t deadline_ns = 0;
    while (!granted && !quiet && !shortage.hopeless && hooks->shortage &&
           hooks->shortage(hooks->context, &shortage, &deadline_ns))
        granted = grant(&demand, &shortage, &crossed);
    if (!granted) {
        hri_budget_refuse(&shortage);
        bool met = !shortage.budget->parent && !shortage.hopeless;
        if (met && !quiet && hooks->met)
            hooks->met(hooks->context);
        return -EDQUOT;
    }
    if (crossed && hooks->crossed)
        hooks->crossed(hooks->context, bytes, quiet);
    return 0;
}

int hr_budget_charge(hr_budget *budget, uint64_t bytes)
{
    return charge(budget, bytes, false);
}

int hr_budget_try_charge(hr_budget *budget, uint64_t bytes)
{
    return charge(budget, bytes, true);
}

int hri_budget_promise(hr_budget *budget, uint64_t bytes, uint64_t ceiling_bytes, hri_shortage *ret_shortage)
{
    const struct demand demand = {.budget = budget, .bytes = bytes, .ceiling_bytes = ceiling_bytes, .promise = true};
    const hri_budget_hooks *hooks = &budget->tree->hooks;
    bool crossed;
    if (!grant(&demand, ret_shortage, &crossed))
        return -EDQUOT;
    if (crossed && hooks->crossed)
        hooks->crossed(hooks->context, 0, false); /* a promise is not held yet */
    return 0;
}

/* ── giving back ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* What a path gives up and gets, in one step. */
struct change {
    uint64_t unheld_bytes;
    uint64_t unpromised_bytes;
    uint64_t held_bytes;
    uint64_t promised_bytes;
};

/* Applies a change to a whole path. Giving up more than is there stops at 0 and is a fault of the caller's. */
static void apply(hr_budget *budget, struct change change)
{
    hri_budget_tree *tree = budget->tree;
    pthread_mutex_lock(&tree->lock);
    bool fault = change.unheld_bytes > budget->held_bytes || change.unpromised_bytes > budget->promised_bytes;
    uint64_t unheld = hri_min(change.unheld_bytes, budget->held_bytes);
    uint64_t unpromised = hri_min(change.unpromised_bytes, budget->promised_bytes);
    for (hr_budget *at = budget; at; at = at->parent) {
        at->held_bytes += change.held_bytes - unheld;
        at->promised_bytes += change.promised_bytes - unpromised;
        at->total_bytes += change.held_bytes;
    }
    check_path(budget);
    bool receded = unheld + unpromised > change.held_bytes + change.promised_bytes;
    if (receded && tree->waiters)
        pthread_cond_broadcast(&tree->room_made);
    pthread_mutex_unlock(&tree->lock);
    if (fault)
        hri_fault();
    if (receded && tree->hooks.receded && atomic_load_explicit(&tree->watched, memory_order_relaxed))
        tree->hooks.receded(tree->hooks.context);
}

void hr_budget_uncharge(hr_budget *budget, uint64_t bytes)
{
    if (budget && bytes)
        apply(budget, (struct change){.unheld_bytes = bytes});
}

void hri_budget_spend(hr_budget *budget, uint64_t bytes)
{
    apply(budget, (struct change){.unpromised_bytes = bytes, .held_bytes = bytes});
}

void hri_budget_unspend(hr_budget *budget, uint64_t bytes)
{
    apply(budget, (struct change){.unheld_bytes = bytes, .promised_bytes = bytes});
}

void hri_budget_unpromise(hr_budget *budget, uint64_t bytes)
{
    apply(budget, (struct change){.unpromised_bytes = bytes});
}

/* ── waiting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void count_waiter(hr_budget *budget, uint64_t change)
{
    budget->tree->waiters += change;
    for (hr_budget *at = budget; at; at = at->parent)
        at->waiting += change;
}

/* Waits until the demand fits, and takes it. Gives 0, -ETIMEDOUT or -EDQUOT. */
static int wait_for_grant(const struct demand *demand, int64_t timeout_ns)
{
    hri_budget_tree *tree = demand->budget->tree;
    struct timespec until = hri_deadline_after(timeout_ns < 0 ? INT64_MAX : timeout_ns);
    hri_shortage shortage = {.budget = demand->budget};
    int error = 0;
    pthread_mutex_lock(&tree->lock);
    count_waiter(demand->budget, 1);
    bool granted;
    while (!(granted = fits(demand, &shortage)) && !shortage.hopeless && !error)
        error = pthread_cond_timedwait(&tree->room_made, &tree->lock, &until);
    count_waiter(demand->budget, (uint64_t)-1);
    if (granted)
        take(demand);
    pthread_mutex_unlock(&tree->lock);
    if (granted)
        return 0;
    hri_budget_refuse(&shortage);
    return shortage.hopeless ? -EDQUOT : -ETIMEDOUT;
}

int hr_budget_charge_wait(hr_budget *budget, uint64_t bytes, int64_t timeout_ns)
{
    int error = charge(budget, bytes, false);
    if (error != -EDQUOT)
        return error;
    const struct demand demand = {.budget = budget, .bytes = bytes, .ceiling_bytes = HR_NONE};
    error = wait_for_grant(&demand, timeout_ns);
    const hri_budget_hooks *hooks = &budget->tree->hooks;
    if (!error && hooks->crossed)
        hooks->crossed(hooks->context, bytes, false);
    return error;
}

int hr_budget_refusal(hr_refusal *ret_refusal)
{
    if (!ret_refusal)
        return -EINVAL;
    if (!last.known)
        return -ENODATA;
    *ret_refusal = last.refusal;
    return 0;
}
