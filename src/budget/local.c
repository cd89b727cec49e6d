/* SPDX-License-Identifier: Apache-2.0 */
/* A request-local budget is one counter. Its charges come out of the stock that its parent has in the same thread, so
 * all ancestors are charged already. It is charged by one thread only, until it is promoted; any thread may give back.
 *
 * A charge looks first whether the counter has room, which only this thread could take away, then takes from the stock,
 * then counts. So nothing has ever to be undone, and nobody sees half a charge. Another thread that wants the accounts
 * waits for the budget's own lock, which is held for some nanoseconds.
 *
 * Invariant: a local budget has no children, no reserve, no place; its bytes are in its parent's own_bytes.
 */
#include "budget/local.h"

#include "base/assert.h"
#include "budget/accounts.h"
#include "budget/stock.h"

bool hri_local_charge(hr_budget *budget, uint64_t bytes, int count)
{
    if (!atomic_load_explicit(&budget->local, memory_order_relaxed) || hri_section_interrupted() ||
        !hri_section_try_local(budget))
        return false;
    bool granted = budget->first_thread == hri_cells_mine && budget->charges < HRI_STOCK_CHARGES_MIN &&
                   bytes <= hri_sub(budget->limit_bytes, budget->used_bytes) &&
                   hri_stock_take(budget->parent, bytes, count, hri_rseq_offset);
    if (granted) {
        budget->charges++;
        budget->own_bytes += bytes;
        budget->claimed_bytes = budget->used_bytes += bytes;
        budget->peak_bytes = hri_max(budget->peak_bytes, budget->used_bytes);
        *(count == HRI_STOCK_PROMISED ? &budget->promised_bytes : &budget->total_bytes) += bytes;
    }
    hri_section_leave_local(budget);
    return granted;
}

bool hri_local_give(hr_budget *budget, uint64_t bytes)
{
    if (!atomic_load_explicit(&budget->local, memory_order_relaxed) || !hri_section_try_local(budget))
        return false;
    bool given = bytes <= budget->own_bytes && hri_cells_give(hri_stock_place(budget->parent), bytes);
    if (given) {
        budget->own_bytes -= bytes;
        budget->claimed_bytes = budget->used_bytes -= bytes;
    }
    hri_section_leave_local(budget);
    return given;
}

/* In a section, with the budget's own lock. */
static void promote(hr_budget *budget)
{
    hri_path_cover(budget);
    budget->parent->own_bytes -= budget->own_bytes;
    atomic_store_explicit(&budget->local, false, memory_order_relaxed);
}

void hri_local_note_charge(hri_section *section)
{
    hr_budget *budget = section->local;
    if (!budget)
        return;
    hri_stock_note_charge(budget->parent); /* it is what feeds this one */
    if (!budget->first_thread)
        budget->first_thread = hri_cells_mine;
    if (budget->first_thread != hri_cells_mine || budget->charges >= HRI_STOCK_CHARGES_MIN - 1)
        promote(budget);
}

void hri_local_promote(hr_budget *budget)
{
    if (!atomic_load_explicit(&budget->local, memory_order_relaxed))
        return;
    hri_section section = hri_section_enter(budget);
    if (section.local)
        promote(budget);
    hri_section_leave(&section);
}

bool hri_local_promote_children(hr_budget *budget)
{
    bool all = true;
    for (hr_budget *child = budget->first_child; child; child = child->next_sibling) {
        if (!hri_section_lock_local(child, &all))
            continue;
        promote(child);
        hri_section_unlock_local(child);
    }
    return all;
}

void hri_local_cover_children(hr_budget *budget)
{
    bool all;
    for (hr_budget *child = budget->first_child; child; child = child->next_sibling) {
        if (!hri_section_lock_local(child, &all))
            continue;
        hri_path_cover(child);
        hri_section_unlock_local(child);
    }
}

void hri_local_forget(hri_budget_tree *tree)
{
    for (hr_budget *at = &tree->root; at; at = hri_budget_next(at, &tree->root)) {
        if (!atomic_load_explicit(&at->local, memory_order_relaxed))
            continue;
        atomic_store_explicit(&at->busy, false, memory_order_relaxed);
        at->used_bytes = at->claimed_bytes = at->own_bytes; /* it may have been in the midst of a charge */
        at->peak_bytes = hri_max(at->peak_bytes, at->used_bytes);
    }
}
