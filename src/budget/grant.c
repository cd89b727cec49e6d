/* SPDX-License-Identifier: Apache-2.0 */
/* The exact answer: granted by the whole path or by nobody.
 *
 * A demand first has to fit: within every limit from its own budget up to the root, within the lease of the tree, and
 * below its ceiling. Before it is refused, the stocks inside the highest budget that is short are taken back from all
 * threads. So the decision is made on what is truly held. Then the demand spends the lease, and is booked. All of that
 * is one section of the tree. A reading of the gauges tries the demand that asked for it in the section that brings the
 * new lease: no other thread can spend it first.
 *
 * A demand that is not granted goes to hooks.obtain() (relief/obtain.c). Whatever may run somebody else's code happens
 * after the section is left.
 */
#include "budget/grant.h"

#include "base/assert.h"
#include "budget/accounts.h"
#include "budget/stock.h"
#include "budget/wait.h"
#include "budget/local.h"

#include <string.h>

/* Static TLS: an access must not allocate, since it happens when memory has run out. */
static __attribute__((tls_model("initial-exec"))) _Thread_local struct {
    hr_refusal refusal;
    bool known;
} last;

/* Gives how many bytes of a demand the budget has room for. A demand that takes nothing from the kernel is held against
 * limits alone. */
static uint64_t left_for(const hr_budget *budget, const hri_demand *demand)
{
    return demand->unleased ? hri_budget_left_of_limit(budget) : hri_budget_left(budget);
}

/* Has a budget no room for a demand that adds `claim` to what is claimed of it, and `bytes` to what is used? A reserve
 * lets a demand claim nothing, but its bytes are used all the same: were the limit lowered below the reserve, they
 * would pass it. */
static bool is_short(const hr_budget *budget, const hri_demand *demand, uint64_t claim, uint64_t bytes)
{
    return claim > left_for(budget, demand) || bytes > hri_sub(hri_budget_limit(budget), budget->used_bytes);
}

/* Can a demand never fit into a budget's limit? Bytes that move within a budget are in its use already. */
static bool is_hopeless(const hr_budget *budget, const hri_demand *demand)
{
    return demand->bytes > hri_budget_limit(budget) && !(demand->from && hri_budget_is_inside(demand->from, budget));
}

/* By how much the claim on `top`, which contains `from`, falls when bytes leave `from`: less than these where a reserve
 * stays set aside. */
static uint64_t released(const hr_budget *from, const hr_budget *top, uint64_t bytes)
{
    for (; from != top; from = from->parent)
        bytes = hri_budget_claim(from, from->claimed_bytes) - hri_budget_claim(from, from->claimed_bytes - bytes);
    return bytes;
}

/* A ceiling, `rank` of the way towards the one of critical. */
static hri_ceiling ceiling_of(const hri_budget_tree *tree, hri_ceiling_kind kind, double rank)
{
    hri_ceiling at = tree->ceilings[kind];
    const hri_ceiling *to = &tree->ceilings[HRI_CEILING_CRITICAL];
    if (rank <= 0)
        return at;
    at.used_bytes = hri_add(at.used_bytes, hri_share(hri_sub(to->used_bytes, at.used_bytes), rank));
    if (to->granted_bytes == INT64_MAX)
        at.granted_bytes = INT64_MAX;
    else
        at.granted_bytes += (int64_t)((double)(to->granted_bytes - at.granted_bytes) * rank);
    return at;
}

/* Gives what a ceiling leaves beside a use of the root and a value of the word. */
static uint64_t left_below(const hri_ceiling *ceiling, uint64_t used_bytes, uint64_t granted_bytes)
{
    uint64_t left = hri_sub(ceiling->used_bytes, used_bytes);
    if (ceiling->granted_bytes == INT64_MAX)
        return left;
    int64_t more = ceiling->granted_bytes - (int64_t)granted_bytes;
    return more > 0 ? hri_min(left, (uint64_t)more) : 0;
}

static uint64_t left_below_now(const hri_budget_tree *tree, const hri_ceiling *ceiling)
{
    return left_below(ceiling, tree->root.used_bytes, hri_lease_granted(&tree->word));
}

/* By how much a budget, or the lease of its tree, is exceeded. */
static uint64_t over(const hr_budget *budget)
{
    const hri_budget_tree *tree = budget->tree;
    uint64_t bytes = hri_sub(budget->claimed_bytes, hri_budget_limit(budget));
    uint64_t spent = hri_lease_spent(&tree->lease, hri_lease_granted(&tree->word));
    return budget->parent ? bytes : hri_max(bytes, hri_sub(spent, tree->lease.free_bytes));
}

/* May another reading find room? If the last one is older than this section, or left room that other threads have been
 * granted since: they may have given it back. */
static bool may_sample(const hri_budget_tree *tree, uint64_t bytes, uint64_t left_bytes)
{
    return tree->hooks.obtain && (!tree->lease_is_new || bytes <= left_bytes);
}

static void fall_short(hri_demand *demand, hr_budget *budget, uint64_t claim)
{
    uint64_t left = left_for(budget, demand);
    bool narrowed = claim > left && claim <= hri_budget_left_of_limit(budget);
    demand->shortage = (hri_shortage){
        .budget = budget,
        .asked_bytes = demand->bytes,
        .left_bytes = left,
        .limit_bytes = hri_budget_limit(budget),
        .over_bytes = over(budget),
        .hopeless = is_hopeless(budget, demand),
        .narrowed = narrowed,
        .sample = narrowed && may_sample(budget->tree, demand->bytes, budget->tree->lease.free_bytes),
    };
}

static void fall_short_of_ceiling(hri_demand *demand, const hri_ceiling *ceiling)
{
    hri_budget_tree *tree = demand->budget->tree;
    fall_short(demand, &tree->root, demand->bytes);
    demand->shortage.left_bytes = left_below_now(tree, ceiling);
    demand->shortage.over_bytes = hri_sub(tree->root.used_bytes, ceiling->used_bytes);
    demand->shortage.ceiling = true;
    demand->shortage.sample =
        may_sample(tree, demand->bytes, left_below(ceiling, tree->read_used_bytes, tree->lease.sample_bytes));
}

void hri_budget_fall_short(hri_demand *demand)
{
    hri_section section = hri_section_enter_tree(demand->budget->tree);
    fall_short_of_ceiling(demand, &section.tree->ceilings[demand->ceiling]);
    hri_section_leave(&section);
}

/* Does the demand fit on the whole path now? The lowest budget that is short is reported, since what is freed there is
 * free above it too; but a limit that can never fit it comes first. Gives the highest that is short; NULL: none. */
static hr_budget *find_short(hri_demand *demand)
{
    uint64_t claim = demand->bytes, bytes = demand->bytes;
    hr_budget *budget = demand->budget, *top = NULL;
    for (;; budget = budget->parent) {
        if (bytes && demand->from && hri_budget_is_inside(demand->from, budget)) {
            /* They are in its use already, and stay. If a reserve of `from` keeps their room, they claim it again. */
            claim = hri_sub(claim, released(demand->from, budget, bytes));
            bytes = 0;
        }
        bool hopeless = is_hopeless(budget, demand);
        bool short_of = is_short(budget, demand, claim, bytes);
        if (hopeless || (short_of && !top))
            fall_short(demand, budget, claim);
        if (hopeless || short_of)
            top = budget;
        if (hopeless || !budget->parent)
            break;
        claim = hri_budget_pass_on(budget, claim);
    }
    if (top || demand->ceiling == HRI_CEILING_NONE)
        return top;
    hri_ceiling ceiling = ceiling_of(budget->tree, demand->ceiling, demand->rank);
    if (demand->bytes <= left_below_now(budget->tree, &ceiling))
        return NULL;
    fall_short_of_ceiling(demand, &ceiling);
    return budget;
}

bool hri_demand_fits(hri_demand *demand)
{
    hr_budget *top = find_short(demand);
    if (!top || !hri_stock_is_out(top))
        return !top;
    hri_stock_drain(top);                      /* even where no drain can help: what a refusal says is left is exact */
    hri_section_collect(demand->budget->tree); /* after the drain: what was handed in late before it counts */
    return !find_short(demand);
}

/* Spends the lease for a demand; or says that it is used up, or that the gauges are to be read before. */
static bool spend_lease(hri_demand *demand)
{
    hri_budget_tree *tree = demand->budget->tree;
    bool due = !demand->unleased && !tree->lease_is_new && tree->hooks.obtain &&
               hri_lease_is_due(&tree->lease, hri_lease_granted(&tree->word), demand->bytes);
    if (!due && (demand->unleased || hri_lease_spend(&tree->lease, &tree->word, demand->bytes)))
        return true;
    fall_short(demand, &tree->root, demand->bytes);
    demand->shortage.narrowed = true;
    demand->shortage.sample = due || may_sample(tree, demand->bytes, tree->lease.free_bytes);
    return false;
}

/* Books a demand that fits, or that its tree grants whatever the limits. */
static void book(const hri_demand *demand)
{
    hri_budget_tree *tree = demand->budget->tree;
    uint64_t bytes = demand->promise ? 0 : demand->bytes, promised = demand->promise ? demand->bytes : 0;
    hri_path_take(demand->budget, demand->bytes);
    hri_path_count(demand->budget, bytes, promised);
    if (demand->unleased)
        atomic_fetch_add_explicit(&tree->block_bytes, bytes, memory_order_relaxed);
}

bool hri_demand_take(hri_demand *demand)
{
    if (!spend_lease(demand))
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
static bool take_pages(hri_demand *demand)
{
    atomic_fetch_add_explicit(&committing_bytes, demand->bytes, memory_order_relaxed);
    bool granted = spend_lease(demand);
    if (!granted) {
        hri_budget_committed(demand->bytes);
        demand->shortage.hopeless = demand->bytes > demand->budget->tree->kernel_limit_bytes;
    }
    return granted;
}

/* Takes a demand from this thread's stock or on its own path. */
static bool take(hri_demand *demand, hri_section *section)
{
    hr_budget *budget = demand->budget;
    hri_local_note_charge(section);
    hri_stock_note_charge(budget);
    if (!demand->promise && hri_stock_take_slowly(budget, demand->bytes)) {
        hri_stock_count(budget, demand->unleased ? HRI_STOCK_BLOCKS : HRI_STOCK_TAKEN, demand->bytes);
        return true;
    }
    if (!hri_demand_fits(demand) || !hri_demand_take(demand))
        return false;
    demand->crossed = crosses(section->tree);
    if (demand->bytes < HRI_STOCK_CHARGE_MAX)
        hri_stock_fill(section->local ? budget->parent : budget, 0);
    return true;
}

void hri_demand_attempt(hri_demand *demand, hri_section *section)
{
    demand->crossed = false;
    if (demand->waiter)
        hri_wait_attempt(demand);
    else
        demand->granted = demand->pages ? take_pages(demand) : take(demand, section);
}

void hri_budget_attempt(hri_demand *demand, bool sampled)
{
    hri_section section = hri_section_enter(demand->budget);
    section.tree->lease_is_new = sampled;
    hri_demand_attempt(demand, &section);
    section.tree->lease_is_new = false;
    hri_section_leave(&section);
}

void hri_budget_commit_anyway(hr_budget *budget, uint64_t bytes)
{
    hri_section section = hri_section_enter_tree(budget->tree);
    atomic_fetch_add_explicit(&committing_bytes, bytes, memory_order_relaxed);
    hri_lease_force(&budget->tree->word, bytes);
    hri_section_leave(&section);
}

void hri_demand_force(hri_demand *demand)
{
    HRI_ASSERT(demand->budget->tree->hooks.observes);
    demand->crossed = false;
    demand->granted = demand->beyond = demand->pages;
    if (demand->pages) {
        hri_budget_commit_anyway(demand->budget, demand->bytes);
        return;
    }
    hri_section section = hri_section_enter(demand->budget);
    hri_budget_tree *tree = section.tree;
    demand->granted = demand->beyond = demand->bytes <= INT64_MAX - hri_min(tree->root.claimed_bytes, INT64_MAX);
    if (demand->granted) {
        if (!demand->unleased)
            hri_lease_force(&tree->word, demand->bytes);
        book(demand);
        demand->crossed = crosses(tree);
    }
    hri_section_leave(&section);
}

/* ── refusals ───────────────────────────────────────────────────────────────────────────────────────────────────── */

const char *hri_budget_level_name(hr_level level)
{
    return level == HR_CRITICAL ? "level critical" : "level degraded";
}

void hri_refusal_note(const hr_refusal *refusal)
{
    last.refusal = *refusal;
    last.known = true;
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
    hri_refusal_note(&refusal);
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

bool hri_refusal_read(hr_refusal *ret_refusal)
{
    if (last.known)
        *ret_refusal = last.refusal;
    return last.known;
}

void hri_demand_refuse(const hri_demand *demand)
{
    const hri_shortage *shortage = &demand->shortage;
    hri_budget_refuse(shortage);
    if (!shortage->budget->parent && !shortage->hopeless && !demand->quiet)
        hri_budget_sample(demand->budget->tree, HRI_ON_REFUSAL, false);
}

/* ── all that may be tried ──────────────────────────────────────────────────────────────────────────────────────── */

void hri_demand_tell(const hri_demand *demand)
{
    if (demand->granted && demand->crossed)
        hri_budget_sample(demand->budget->tree, HRI_ON_CROSSING, demand->quiet);
}

void hri_demand_try(hri_demand *demand)
{
    const hri_budget_hooks *hooks = &demand->budget->tree->hooks;
    hri_budget_attempt(demand, false);
    if (!demand->granted && hooks->obtain)
        hooks->obtain(hooks->context, demand);
    hri_demand_tell(demand);
}
