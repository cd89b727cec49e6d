/* SPDX-License-Identifier: Apache-2.0 */
/* Charging and giving back: the public calls. A charge is tried in this thread's stock first, which takes no lock; then
 * in a section, exactly (grant.c).
 */
#include "budget/accounts.h"

#include "base/assert.h"
#include "budget/gate.h"
#include "budget/grant.h"
#include "budget/stock.h"
#include "budget/wait.h"
#include "budget/local.h"

#include <errno.h>
#include <sched.h>

/* Charges what a thread's stock has not. Gives -EDQUOT for a refusal that is not counted yet. */
static int charge_uncounted(hri_demand *demand)
{
    hr_budget *budget = demand->budget;
    if (!budget)
        return -EINVAL;
    if (demand->bytes == 0)
        return 0;
    if (hri_section_interrupted())
        return -EAGAIN;
    if (demand->unleased || !demand->quiet) /* no signal handler */
        hri_stock_prepare(budget);
    if (hri_local_charge(budget, demand->bytes, demand->unleased ? HRI_STOCK_BLOCKS : HRI_STOCK_TAKEN))
        return 0;
    hri_demand_try(demand);
    return demand->granted ? 0 : -EDQUOT;
}

static __attribute__((noinline)) int charge_slowly(hri_demand *demand)
{
    int error = charge_uncounted(demand);
    if (error == -EDQUOT)
        hri_demand_refuse(demand);
    return error;
}

/* Apart, with the arguments where they are: so the call itself needs no register for them. */
static __attribute__((noinline)) int charge_by_hand(hr_budget *budget, uint64_t bytes)
{
    return charge_slowly(&(hri_demand){.budget = budget, .bytes = bytes});
}

int hr_budget_charge(hr_budget *budget, uint64_t bytes)
{
    if (!budget || !hri_stock_take(budget, bytes, HRI_STOCK_TAKEN, hri_rseq_offset))
        return charge_by_hand(budget, bytes);
    return 0;
}

/* The demands that a signal handler may make: they pass the gate. */
static __attribute__((noinline)) int try_charge_slowly(hr_budget *budget, uint64_t bytes)
{
    if (hri_section_interrupted() || !hri_gate_enter())
        return -EAGAIN;
    int error = charge_slowly(&(hri_demand){.budget = budget, .bytes = bytes, .quiet = true});
    hri_gate_leave();
    return error;
}

int hr_budget_try_charge(hr_budget *budget, uint64_t bytes)
{
    if (!budget || !hri_stock_take(budget, bytes, HRI_STOCK_TAKEN, hri_rseq_offset))
        return try_charge_slowly(budget, bytes);
    return 0;
}

int hri_budget_charge_block(hr_budget *budget, uint64_t bytes, bool quiet)
{
    if (!bytes || hri_stock_take(budget, bytes, HRI_STOCK_BLOCKS, hri_rseq_offset))
        return 0;
    hri_demand demand = {.budget = budget, .bytes = bytes, .unleased = true, .quiet = quiet};
    int error = charge_slowly(&demand);
    return error ? error : demand.beyond;
}

int hri_budget_commit(hr_budget *budget, uint64_t bytes, bool quiet)
{
    hri_demand demand = {.budget = &budget->tree->root, .bytes = bytes, .pages = true, .quiet = quiet};
    hri_demand_try(&demand);
    if (demand.granted)
        return demand.beyond;
    hri_demand_refuse(&demand);
    return -EDQUOT;
}

bool hri_budget_try_commit(hr_budget *budget, uint64_t bytes)
{
    hri_demand demand = {.budget = &budget->tree->root, .bytes = bytes, .pages = true, .quiet = true};
    hri_demand_try(&demand);
    return demand.granted;
}

bool hri_budget_promise(hri_demand *demand)
{
    hr_budget *budget = demand->budget;
    demand->granted = hri_stock_take(budget, demand->bytes, HRI_STOCK_PROMISED, hri_rseq_offset) ||
                      hri_local_charge(budget, demand->bytes, HRI_STOCK_PROMISED);
    if (!demand->granted) {
        hri_stock_prepare(budget);
        hri_budget_attempt(demand, false);
    }
    return demand->granted;
}

/* ── giving back ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Gives back in a section. A waiter whose demand fits once the lease is renewed is served by a reading. */
static void give(hr_budget *budget, uint64_t bytes)
{
    if (hri_local_give(budget, bytes))
        return;
    hri_section section = hri_section_enter(budget);
    if (bytes < HRI_STOCK_CHARGE_MAX)
        hri_stock_fill(budget, bytes);
    else
        hri_path_give(budget, bytes);
    bool renew = hri_wait_serve(section.tree);
    hri_section_leave(&section);
    if (renew)
        hri_budget_sample(section.tree, HRI_ON_SHORTAGE, true);
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
    if (atomic_load_explicit(&tree->watched, memory_order_relaxed))
        hri_budget_sample(tree, HRI_ON_RECEDING, false);
}

void hr_budget_uncharge(hr_budget *budget, uint64_t bytes)
{
    HRI_NOTE_CALLER();
    if (budget && !hri_cells_give(hri_stock_place(budget), bytes))
        give_slowly(budget, bytes);
}

void hri_budget_uncharge_block(hr_budget *budget, uint64_t bytes)
{
    if (hri_stock_give_block(budget, bytes, hri_rseq_offset))
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

/* The bytes of its own that a budget holds, without what it has promised. In a section, with its stocks drained: a new
 * promise waits for that. A promise that another thread spends or drops meanwhile is seen or not, as if that came
 * before or after. Counts of children are left out: they change while they are read, and would be taken from its own.
 */
static uint64_t held(const hr_budget *budget)
{
    uint64_t promised = budget->promised_bytes + hri_stock_counted_here(budget, HRI_STOCK_PROMISED);
    for (const hr_budget *child = budget->first_child; child; child = child->next_sibling)
        promised -= child->promised_bytes;
    return hri_sub(budget->own_bytes, promised);
}

/* Moves what is demanded from another budget, in a section of the tree. */
static int move(hr_budget *from, hri_demand *demand)
{
    hr_budget *to = demand->budget;
    uint64_t bytes = demand->bytes;
    if (from->open_cells > 0)
        hri_stock_drain(from);
    if (bytes > held(from))
        return -EINVAL;
    bool fits = hri_demand_fits(demand);
    if (!fits && !to->tree->hooks.observes)
        return -EDQUOT;
    hri_path_give(from, bytes);
    hri_path_take(to, bytes);
    for (hr_budget *at = to; at && !hri_budget_is_inside(from, at); at = at->parent)
        at->total_bytes += bytes;
    return fits ? 0 : -EDQUOT;
}

int hr_budget_transfer(hr_budget *from, hr_budget *to, uint64_t bytes)
{
    if (!from || !to || from->tree != to->tree)
        return -EINVAL;
    hri_local_promote(from);
    hri_local_promote(to);
    hri_demand demand = {.budget = to, .bytes = bytes, .from = from, .unleased = true};
    hri_section section = hri_section_enter_tree(from->tree);
    while (!hri_local_promote_children(from)) { /* what they hold is not for `from` to move */
        hri_section_leave(&section);
        sched_yield();
        section = hri_section_enter_tree(from->tree);
    }
    int error = move(from, &demand);
    bool renew = hri_wait_serve(section.tree);
    hri_section_leave(&section);
    if (renew)
        hri_budget_sample(section.tree, HRI_ON_SHORTAGE, true);
    if (error == -EDQUOT)
        hri_budget_refuse(&demand.shortage);
    return error == -EDQUOT && to->tree->hooks.observes ? 0 : error;
}

/* ── waiting, and explaining ────────────────────────────────────────────────────────────────────────────────────── */

int hr_budget_charge_wait(hr_budget *budget, uint64_t bytes, int64_t timeout_ns)
{
    if (!budget)
        return -EINVAL;
    if (hri_stock_take(budget, bytes, HRI_STOCK_TAKEN, hri_rseq_offset)) /* there are none while anybody waits */
        return 0;
    int error = -EDQUOT;
    if (!bytes || hri_section_interrupted() || !hri_wait_is_any(budget->tree))
        error = charge_uncounted(&(hri_demand){.budget = budget, .bytes = bytes});
    if (error != -EDQUOT)
        return error;
    hri_demand demand = {.budget = budget, .bytes = bytes};
    error = hri_wait_for(&demand, timeout_ns);
    if (error == -EDQUOT || error == -ETIMEDOUT)
        hri_budget_refuse(&demand.shortage);
    hri_demand_tell(&demand);
    return error;
}

int hr_budget_refusal(hr_refusal *ret_refusal)
{
    if (!ret_refusal)
        return -EINVAL;
    return hri_refusal_read(ret_refusal) ? 0 : -ENODATA;
}
