/* SPDX-License-Identifier: Apache-2.0 */
/* Charging and giving back.
 *
 * A charge is tried in this thread's stock first, which takes no lock; then in a section, exactly: granted by the whole
 * path or by nobody. Before anything is refused there, the stocks inside the highest budget that is short are taken
 * back from all threads, and the decision is made on what is truly held. Whatever may run somebody else's code (relief,
 * a change of level) happens after the section is left.
 */
#include "budget/accounts.h"

#include "base/assert.h"
#include "budget/gate.h"
#include "budget/section.h"
#include "budget/stock.h"
#include "budget/wait.h"
#include "budget/young.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

/* Static TLS: an access must not allocate, since it happens when memory has run out. */
static __attribute__((tls_model("initial-exec"))) _Thread_local struct {
    hr_refusal refusal;
    bool known;
} last;

/* ── grants ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Gives how many bytes of a demand the budget has room for. A demand that takes nothing from the kernel is held against
 * limits alone. */
static uint64_t left_for(const hr_budget *budget, const hri_demand *demand)
{
    return demand->unleased ? hri_budget_left_of_limit(budget) : hri_budget_left(budget);
}

/* What is left below a ceiling. In a section. */
static uint64_t left_below(const hri_budget_tree *tree, const hri_ceiling *ceiling)
{
    uint64_t left = hri_sub(ceiling->used_bytes, tree->root.used_bytes);
    int64_t granted = (int64_t)hri_lease_granted(&tree->word);
    if (ceiling->granted_bytes == INT64_MAX)
        return left;
    return ceiling->granted_bytes > granted ? hri_min(left, (uint64_t)(ceiling->granted_bytes - granted)) : 0;
}

/* By how much a budget, or the lease of its tree, is exceeded. In a section. */
static uint64_t over(const hr_budget *budget)
{
    const hri_budget_tree *tree = budget->tree;
    uint64_t bytes = hri_sub(budget->claimed_bytes, hri_budget_limit(budget));
    uint64_t spent = hri_lease_spent(&tree->lease, hri_lease_granted(&tree->word));
    return budget->parent ? bytes : hri_max(bytes, hri_sub(spent, tree->lease.free_bytes));
}

static hri_shortage shortage_at(hr_budget *budget, const hri_demand *demand, uint64_t claim)
{
    uint64_t left = left_for(budget, demand);
    return (hri_shortage){
        .budget = budget,
        .asked_bytes = demand->bytes,
        .left_bytes = left,
        .limit_bytes = hri_budget_limit(budget),
        .over_bytes = over(budget),
        .hopeless = demand->bytes > hri_budget_limit(budget),
        .narrowed = claim > left && claim <= hri_budget_left_of_limit(budget),
    };
}

/* Does the demand fit on the whole path now? The lowest budget that is short is reported, since what is freed there is
 * free above it too; but a limit that can never fit it comes first. `ret_top` is the highest that is short. */
static bool fits(const hri_demand *demand, hri_shortage *ret_shortage, hr_budget **ret_top)
{
    uint64_t claim = demand->bytes;
    hr_budget *budget = demand->budget;
    *ret_top = NULL;
    for (;; budget = budget->parent) {
        bool hopeless = demand->bytes > hri_budget_limit(budget);
        bool short_of = claim > left_for(budget, demand);
        if (hopeless || (short_of && !*ret_top))
            *ret_shortage = shortage_at(budget, demand, claim);
        if (hopeless || short_of)
            *ret_top = budget;
        if (hopeless)
            return false;
        if (!budget->parent)
            break;
        claim = hri_budget_pass_on(budget, claim);
    }
    uint64_t below_ceiling = demand->ceiling ? left_below(budget->tree, demand->ceiling) : HR_NONE;
    if (!*ret_top && demand->bytes > below_ceiling) {
        *ret_shortage = shortage_at(budget, demand, claim);
        ret_shortage->left_bytes = below_ceiling;
        ret_shortage->over_bytes = hri_sub(budget->used_bytes, demand->ceiling->used_bytes);
        ret_shortage->ceiling = true;
        *ret_top = budget;
    }
    return !*ret_top;
}

bool hri_demand_fits(const hri_demand *demand, hri_shortage *ret_shortage)
{
    hr_budget *top;
    if (fits(demand, ret_shortage, &top))
        return true;
    if (!hri_stock_is_out(top))
        return false;
    hri_stock_drain(top);                      /* even where no drain can help: what a refusal says is left is exact */
    hri_section_collect(demand->budget->tree); /* after the drain: what was handed in late before it counts */
    return fits(demand, ret_shortage, &top);
}

/* Must the gauges be read before the demand is granted? */
static bool is_due(const hri_demand *demand)
{
    const hri_budget_tree *tree = demand->budget->tree;
    return !demand->looked && !demand->unleased && !tree->lease_is_new && tree->hooks.renew &&
           hri_lease_is_due(&tree->lease, hri_lease_granted(&tree->word), demand->bytes);
}

/* Spends the lease for a demand, or says that it is due or used up. In a section. */
static bool spend_lease(const hri_demand *demand, hri_shortage *ret_shortage)
{
    hri_budget_tree *tree = demand->budget->tree;
    bool due = is_due(demand);
    if (!due && (demand->unleased || hri_lease_spend(&tree->lease, &tree->word, demand->bytes)))
        return true;
    *ret_shortage = shortage_at(&tree->root, demand, demand->bytes);
    ret_shortage->narrowed = true;
    ret_shortage->due = due;
    return false;
}

/* Takes a demand that fits, or whose tree grants it whatever the limits. */
static void book(const hri_demand *demand)
{
    hri_budget_tree *tree = demand->budget->tree;
    uint64_t bytes = demand->promise ? 0 : demand->bytes, promised = demand->promise ? demand->bytes : 0;
    hri_path_take(demand->budget, demand->bytes);
    hri_path_count(demand->budget, bytes, promised);
    if (demand->block)
        atomic_fetch_add_explicit(&tree->block_bytes, bytes, memory_order_relaxed);
}

bool hri_demand_take(const hri_demand *demand, hri_shortage *ret_shortage)
{
    if (!spend_lease(demand, ret_shortage))
        return false;
    book(demand);
    return true;
}

/* Did use pass the watcher's mark? Stocks are taken back before it is told. */
static bool crosses(hri_budget_tree *tree)
{
    uint64_t cross_bytes = atomic_load_explicit(&tree->cross_bytes, memory_order_relaxed);
    if (tree->root.used_bytes <= cross_bytes)
        return false;
    hri_stock_drain(&tree->root);
    return tree->root.used_bytes > cross_bytes;
}

/* Takes a demand on its own path, or says why not. In a section. */
static bool take(const hri_demand *demand, const hri_section *section, hri_shortage *ret_shortage, bool *ret_crossed)
{
    hr_budget *budget = demand->budget;
    if (!hri_demand_fits(demand, ret_shortage) || !hri_demand_take(demand, ret_shortage))
        return false;
    *ret_crossed = crosses(section->tree);
    if (demand->bytes < HRI_STOCK_CHARGE_MAX)
        hri_stock_fill(section->young ? budget->parent : budget, 0);
    return true;
}

/* Granted to the heap, which does not count it yet. */
static _Atomic uint64_t committing_bytes;

uint64_t hri_budget_committing_bytes(void)
{
    return atomic_load_explicit(&committing_bytes, memory_order_acquire);
}

void hri_budget_committed(uint64_t bytes)
{
    atomic_fetch_sub_explicit(&committing_bytes, bytes, memory_order_release);
}

/* Pages for the heap are a matter of the lease alone. They are pending before the lease is spent: so a reading that has
 * sampled the lease's word after that finds them there. A limit that is below them can never fit them. */
static bool grant_pages(const hri_demand *demand, hri_shortage *ret_shortage)
{
    hri_section section = hri_section_enter_tree(demand->budget->tree);
    atomic_fetch_add_explicit(&committing_bytes, demand->bytes, memory_order_relaxed);
    bool granted = spend_lease(demand, ret_shortage);
    if (!granted) {
        hri_budget_committed(demand->bytes);
        ret_shortage->hopeless = demand->bytes > section.tree->kernel_limit_bytes;
    }
    hri_section_leave(&section);
    return granted;
}

/* Grants a demand or says why not. `ret_crossed` says whether the watcher wants to know. */
static bool grant(const hri_demand *demand, hri_shortage *ret_shortage, bool *ret_crossed)
{
    hr_budget *budget = demand->budget;
    *ret_crossed = false;
    if (demand->pages)
        return grant_pages(demand, ret_shortage);
    hri_section section = hri_section_enter(budget);
    hri_young_note_charge(&section);
    hri_stock_note_charge(budget);
    bool granted = !demand->promise && hri_stock_take_slowly(budget, demand->bytes);
    if (granted)
        hri_stock_count(budget, demand->block ? HRI_STOCK_BLOCKS : HRI_STOCK_TAKEN, demand->bytes);
    else
        granted = take(demand, &section, ret_shortage, ret_crossed);
    hri_section_leave(&section);
    return granted;
}

void hri_budget_commit_anyway(hr_budget *budget, uint64_t bytes)
{
    hri_section section = hri_section_enter_tree(budget->tree);
    atomic_fetch_add_explicit(&committing_bytes, bytes, memory_order_relaxed);
    hri_lease_force(&budget->tree->word, bytes);
    hri_section_leave(&section);
}

/* Grants a demand whatever the limits; not what the accounts cannot count. `ret_crossed` as grant()'s. */
static bool grant_anyway(const hri_demand *demand, bool *ret_crossed)
{
    *ret_crossed = false;
    if (demand->pages) {
        hri_budget_commit_anyway(demand->budget, demand->bytes);
        return true;
    }
    hri_section section = hri_section_enter(demand->budget);
    hri_budget_tree *tree = section.tree;
    bool countable = demand->bytes <= INT64_MAX - hri_min(tree->root.claimed_bytes, INT64_MAX);
    HRI_ASSERT(tree->hooks.observes);
    if (countable && !demand->unleased)
        hri_lease_force(&tree->word, demand->bytes);
    if (countable) {
        book(demand);
        *ret_crossed = crosses(tree);
    }
    hri_section_leave(&section);
    return countable;
}

/* Grants a demand after the gauges were read, where the lease asks for it. */
static bool grant_with_look(hri_demand *demand, bool quiet, hri_shortage *ret_shortage, bool *ret_crossed)
{
    const hri_budget_hooks *hooks = &demand->budget->tree->hooks;
    if (grant(demand, ret_shortage, ret_crossed))
        return true;
    if (!ret_shortage->narrowed || demand->looked || !hooks->renew)
        return false;
    /* Where the lease is used up relief comes next, and tells of a new level. */
    hooks->renew(hooks->context, quiet || !ret_shortage->due);
    demand->looked = true;
    bool granted = grant(demand, ret_shortage, ret_crossed);
    if (granted && atomic_load_explicit(&demand->budget->tree->tells, memory_order_relaxed))
        hooks->renew(hooks->context, true);
    return granted;
}

const char *hri_budget_level_name(hr_level level)
{
    return level == HR_CRITICAL ? "level critical" : "level degraded";
}

/* Counts a refusal and leaves it for hr_budget_refusal(). */
static void refuse(hr_budget *budget, const hri_shortage *shortage, hr_level level)
{
    hr_refusal refusal = {
        .asked_bytes = shortage->asked_bytes,
        .left_bytes = shortage->left_bytes,
        .limit_bytes = shortage->limit_bytes,
        .level = level,
    };
    hri_section section = hri_section_enter(budget);
    *(level ? &budget->refused_by_level : &budget->refused) += 1;
    hri_refusals_count(&section.tree->refusals, budget, budget->name, level);
    const char *name = budget->parent ? budget->name : section.tree->limit_name;
    strncpy(refusal.limit_name, level ? hri_budget_level_name(level) : name, sizeof refusal.limit_name - 1);
    hri_section_leave(&section);
    if (budget->tree->hooks.observes) /* nothing was refused */
        return;
    last.refusal = refusal;
    last.known = true;
}

void hri_budget_refuse(const hri_shortage *shortage)
{
    HRI_ASSERT(shortage->budget);
    refuse(shortage->budget, shortage, HR_NORMAL);
}

void hri_budget_refuse_by_level(hr_budget *budget, const hri_shortage *shortage, hr_level level)
{
    HRI_ASSERT(level >= HR_DEGRADED);
    refuse(budget, shortage, level);
}

/* Tells of a refusal by the root's limit. */
static void tell_met(const hri_shortage *shortage, bool quiet)
{
    const hri_budget_hooks *hooks = &shortage->budget->tree->hooks;
    if (!shortage->budget->parent && !shortage->hopeless && !quiet && hooks->met)
        hooks->met(hooks->context);
}

/* In a tree that observes: grants what would have been refused, and counts it, unless relief could have made room. A
 * block that is asked for quietly serves the library itself, such as a larger table: its refusal is nobody's. */
static bool observe(hri_demand *demand, bool quiet, const hri_shortage *shortage, bool *ret_crossed)
{
    const hri_budget_hooks *hooks = &demand->budget->tree->hooks;
    hri_patience patience = {0};
    bool helps = !quiet && !shortage->hopeless && hooks->shortage, own = quiet && demand->block;
    if (!own && (!helps || !hooks->shortage(hooks->context, shortage, &patience))) {
        hri_budget_refuse(shortage);
        tell_met(shortage, quiet);
    }
    return demand->beyond = grant_anyway(demand, ret_crossed);
}

/* Grants a demand, with all that may be tried first: a new lease, then relief. */
static int obtain(hri_demand *demand, bool quiet)
{
    const hri_budget_hooks *hooks = &demand->budget->tree->hooks;
    hri_shortage shortage = {.budget = demand->budget};
    hri_patience patience = {0};
    bool crossed, granted = grant_with_look(demand, quiet, &shortage, &crossed);
    bool observes = demand->budget->tree->hooks.observes;
    if (!granted && observes)
        granted = observe(demand, quiet, &shortage, &crossed);
    for (bool go_on = !quiet && !observes && hooks->shortage; go_on && !granted && !shortage.hopeless;) {
        go_on = hooks->shortage(hooks->context, &shortage, &patience);
        if (go_on || patience.ran_ns) /* it took time: others may have freed something */
            granted = grant_with_look(demand, true, &shortage, &crossed);
    }
    if (!granted) {
        hri_budget_refuse(&shortage);
        tell_met(&shortage, quiet);
        return -EDQUOT;
    }
    if (crossed && hooks->crossed)
        hooks->crossed(hooks->context, quiet);
    return 0;
}

/* Charges what a thread's stock has not. */
static __attribute__((noinline)) int charge_slowly(hri_demand *demand, bool quiet)
{
    hr_budget *budget = demand->budget;
    if (!budget)
        return -EINVAL;
    if (demand->bytes == 0)
        return 0;
    if (hri_section_interrupted())
        return -EAGAIN;
    if (demand->block || !quiet) /* no signal handler */
        hri_stock_prepare(budget);
    if (!hri_young_charge(budget, demand->bytes, demand->block ? HRI_STOCK_BLOCKS : HRI_STOCK_TAKEN))
        return obtain(demand, quiet);
    return 0;
}

static int charge(hr_budget *budget, uint64_t bytes, bool quiet)
{
    hri_demand demand = {.budget = budget, .bytes = bytes};
    return charge_slowly(&demand, quiet);
}

int hr_budget_charge(hr_budget *budget, uint64_t bytes)
{
    if (!budget || !hri_stock_take(budget, bytes))
        return charge(budget, bytes, false);
    return 0;
}

/* What a signal handler may ask for: it passes the gate. */
static __attribute__((noinline)) int try_charge_slowly(hr_budget *budget, uint64_t bytes)
{
    if (hri_section_interrupted() || !hri_gate_enter())
        return -EAGAIN;
    int error = charge(budget, bytes, true);
    hri_gate_leave();
    return error;
}

int hr_budget_try_charge(hr_budget *budget, uint64_t bytes)
{
    if (!budget || !hri_stock_take(budget, bytes))
        return try_charge_slowly(budget, bytes);
    return 0;
}

int hri_budget_charge_block(hr_budget *budget, uint64_t bytes, bool quiet)
{
    if (!bytes || hri_stock_take_block(budget, bytes))
        return 0;
    hri_demand demand = {.budget = budget, .bytes = bytes, .block = true, .unleased = true};
    int error = charge_slowly(&demand, quiet);
    return error ? error : demand.beyond;
}

int hri_budget_commit(hr_budget *budget, uint64_t bytes, bool quiet)
{
    hri_demand demand = {.budget = &budget->tree->root, .bytes = bytes, .pages = true};
    int error = obtain(&demand, quiet);
    return error ? error : demand.beyond;
}

bool hri_budget_try_commit(hr_budget *budget, uint64_t bytes)
{
    hri_demand demand = {.budget = &budget->tree->root, .bytes = bytes, .pages = true};
    hri_shortage shortage;
    bool crossed;
    return grant_with_look(&demand, true, &shortage, &crossed);
}

int hri_budget_promise(hr_budget *budget, uint64_t bytes, const hri_ceiling *ceiling, hri_shortage *ret_shortage)
{
    hri_demand demand = {.budget = budget, .bytes = bytes, .ceiling = ceiling, .promise = true};
    const hri_budget_hooks *hooks = &budget->tree->hooks;
    bool crossed;
    if (hri_stock_promise(budget, bytes) || hri_young_charge(budget, bytes, HRI_STOCK_PROMISED))
        return 0;
    hri_stock_prepare(budget);
    if (!grant_with_look(&demand, false, ret_shortage, &crossed))
        return -EDQUOT;
    if (crossed && hooks->crossed)
        hooks->crossed(hooks->context, false);
    return 0;
}

int hri_budget_promise_anyway(hr_budget *budget, uint64_t bytes)
{
    hri_demand demand = {.budget = budget, .bytes = bytes, .promise = true};
    const hri_budget_hooks *hooks = &budget->tree->hooks;
    bool crossed;
    hri_stock_prepare(budget);
    if (!grant_anyway(&demand, &crossed))
        return -EDQUOT;
    if (crossed && hooks->crossed)
        hooks->crossed(hooks->context, false);
    return 0;
}

uint64_t hri_budget_left_below(hri_budget_tree *tree, const hri_ceiling *ceiling)
{
    hri_section section = hri_section_enter_tree(tree);
    uint64_t left = left_below(tree, ceiling);
    hri_section_leave(&section);
    return left;
}

/* ── giving back ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Gives back in a section. A waiter whose demand fits once the lease is renewed is served by a reading. */
static void give(hr_budget *budget, uint64_t bytes)
{
    if (hri_young_give(budget, bytes))
        return;
    hri_section section = hri_section_enter(budget);
    if (bytes < HRI_STOCK_CHARGE_MAX)
        hri_stock_fill(budget, bytes);
    else
        hri_path_give(budget, bytes);
    bool renew = hri_wait_serve(section.tree);
    hri_section_leave(&section);
    if (renew)
        section.tree->hooks.renew(section.tree->hooks.context, true);
}

/* Gives back what a thread's stock has no place for. A signal handler may have called: it passes the gate, and leaves
 * the bytes for the next section where it cannot get in. Above normal the watcher is told, outside of the gate, since
 * that may run callbacks. */
static __attribute__((noinline)) void give_slowly(hr_budget *budget, uint64_t bytes)
{
    const hri_budget_tree *tree = budget->tree;
    if (bytes == 0)
        return;
    if (hri_section_interrupted() || !hri_gate_try_enter()) {
        hri_section_leave_late(budget, bytes);
        return;
    }
    give(budget, bytes);
    hri_gate_leave();
    if (tree->hooks.receded && atomic_load_explicit(&tree->watched, memory_order_relaxed))
        tree->hooks.receded(tree->hooks.context);
}

void hr_budget_uncharge(hr_budget *budget, uint64_t bytes)
{
    HRI_NOTE_CALLER();
    if (budget && !hri_cells_give(hri_stock_place(budget), bytes))
        give_slowly(budget, bytes);
}

void hri_budget_uncharge_block(hr_budget *budget, uint64_t bytes)
{
    if (hri_stock_give_block(budget, bytes))
        return;
    /* First, so that a reading in between takes the bytes for some that are charged by hand, and perhaps pending. */
    if (!hri_stock_count(budget, HRI_STOCK_FREED, bytes))
        atomic_fetch_add_explicit(&budget->tree->freed_bytes, bytes, memory_order_relaxed);
    if (!hri_section_interrupted())
        hri_stock_prepare(budget);
    give_slowly(budget, bytes);
}

/* Adds to what is promised (two's complement) and to one of the counts of what was ever held, of bytes that stay
 * charged. */
static void convert(hr_budget *budget, int count, uint64_t total_bytes, uint64_t promised_bytes)
{
    if (hri_stock_count(budget, HRI_STOCK_PROMISED, promised_bytes)) {
        hri_stock_count(budget, count, total_bytes);
        return;
    }
    hri_section section = hri_section_enter(budget);
    hri_path_count(budget, count == HRI_STOCK_FREED ? 0 : total_bytes, promised_bytes);
    if (count == HRI_STOCK_BLOCKS)
        atomic_fetch_add_explicit(&section.tree->block_bytes, total_bytes, memory_order_relaxed);
    else if (count == HRI_STOCK_FREED)
        atomic_fetch_add_explicit(&section.tree->freed_bytes, total_bytes, memory_order_relaxed);
    hri_section_leave(&section);
}

void hri_budget_spend(hr_budget *budget, uint64_t bytes)
{
    convert(budget, HRI_STOCK_TAKEN, bytes, -bytes);
}

void hri_budget_spend_block(hr_budget *budget, uint64_t bytes)
{
    convert(budget, HRI_STOCK_BLOCKS, bytes, -bytes);
}

void hri_budget_unspend_block(hr_budget *budget, uint64_t bytes)
{
    convert(budget, HRI_STOCK_FREED, bytes, bytes);
}

void hri_budget_unpromise(hr_budget *budget, uint64_t bytes)
{
    if (!bytes)
        return;
    convert(budget, HRI_STOCK_TAKEN, 0, -bytes);
    hr_budget_uncharge(budget, bytes);
}

/* ── moving ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Moves bytes in a section of the tree. */
static int move(hr_budget *from, hr_budget *to, uint64_t bytes, hri_shortage *ret_shortage)
{
    const hri_demand demand = {.budget = to, .bytes = bytes, .unleased = true};
    if (from->open_cells > 0)
        hri_stock_drain(from);
    if (bytes > from->own_bytes)
        return -EINVAL;
    hri_path_give(from, bytes);
    bool fits = hri_demand_fits(&demand, ret_shortage), granted = fits || to->tree->hooks.observes;
    hri_path_take(granted ? to : from, bytes);
    for (hr_budget *at = to; granted && at && !hri_budget_is_inside(from, at); at = at->parent)
        at->total_bytes += bytes;
    return fits ? 0 : -EDQUOT;
}

int hr_budget_transfer(hr_budget *from, hr_budget *to, uint64_t bytes)
{
    if (!from || !to || from->tree != to->tree)
        return -EINVAL;
    hri_young_grow(from);
    hri_young_grow(to);
    hri_shortage shortage = {.budget = to};
    hri_section section = hri_section_enter_tree(from->tree);
    while (!hri_young_grow_children(from)) { /* what they hold is not for `from` to move */
        hri_section_leave(&section);
        sched_yield();
        section = hri_section_enter_tree(from->tree);
    }
    int error = move(from, to, bytes, &shortage);
    bool renew = hri_wait_serve(section.tree);
    hri_section_leave(&section);
    if (renew)
        section.tree->hooks.renew(section.tree->hooks.context, true);
    if (error == -EDQUOT)
        hri_budget_refuse(&shortage);
    return error == -EDQUOT && to->tree->hooks.observes ? 0 : error;
}

/* ── waiting, and explaining ────────────────────────────────────────────────────────────────────────────────────── */

int hr_budget_charge_wait(hr_budget *budget, uint64_t bytes, int64_t timeout_ns)
{
    if (!budget)
        return -EINVAL;
    if (hri_stock_take(budget, bytes)) /* there are none while anybody waits */
        return 0;
    int error = bytes && !hri_section_interrupted() && hri_wait_is_any(budget->tree) ? -EDQUOT
                                                                                     : hr_budget_charge(budget, bytes);
    if (error != -EDQUOT)
        return error;
    const hri_demand demand = {.budget = budget, .bytes = bytes};
    hri_shortage shortage;
    bool crossed;
    error = hri_wait_for(&demand, timeout_ns, &shortage, &crossed);
    if (error == -EDQUOT || error == -ETIMEDOUT)
        hri_budget_refuse(&shortage);
    else if (!error && crossed && budget->tree->hooks.crossed)
        budget->tree->hooks.crossed(budget->tree->hooks.context, false);
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
