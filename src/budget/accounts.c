/* SPDX-License-Identifier: Apache-2.0 */
/* Invariants, for every budget: used = own + the used of its promoted children; claimed = own + what those claim; and
 * claimed >= used. A local child's bytes are in its parent's own.
 */
#include "budget/accounts.h"

#include "base/assert.h"

static bool is_local(const hr_budget *budget)
{
    return atomic_load_explicit(&budget->local, memory_order_relaxed);
}

void hri_path_take(hr_budget *budget, uint64_t bytes)
{
    uint64_t claim = bytes;
    if (is_local(budget)) {
        hri_path_cover(budget);
        budget->parent->own_bytes += bytes;
    }
    budget->own_bytes += bytes;
    for (hr_budget *at = budget; at; at = at->parent) {
        uint64_t passed_on = hri_budget_pass_on(at, claim);
        at->used_bytes += bytes;
        at->claimed_bytes += claim;
        at->peak_bytes = hri_max(at->peak_bytes, at->used_bytes);
        claim = passed_on;
    }
}

void hri_path_cover(hr_budget *local)
{
    uint64_t missing = hri_sub(local->own_bytes, local->parent->own_bytes);
    if (missing == 0)
        return;
    hri_fault("%llu bytes were given back to the budget \"%s\", which \"%s\" in it holds", (unsigned long long)missing,
              local->parent->name, local->name);
    hri_path_take(local->parent, missing);
}

/* The bytes that a budget may uncharge. Debug builds, where all accounts are the lock's, leave out the bytes of its
 * local children. */
static uint64_t to_give(const hr_budget *budget)
{
    uint64_t bytes = budget->own_bytes;
#ifdef HRI_DEBUG
    for (const hr_budget *child = budget->first_child; child; child = child->next_sibling)
        bytes -= is_local(child) ? child->own_bytes : 0;
#endif
    return bytes;
}

void hri_path_give(hr_budget *budget, uint64_t bytes)
{
    if (bytes > to_give(budget)) {
        hri_fault("%llu bytes are given back to the budget \"%s\", which holds %llu", (unsigned long long)bytes,
                  budget->name, (unsigned long long)to_give(budget));
        bytes = to_give(budget);
    }
    uint64_t claim = bytes;
    if (is_local(budget)) {
        hri_path_cover(budget);
        budget->parent->own_bytes -= bytes;
    }
    budget->own_bytes -= bytes;
    for (hr_budget *at = budget; at; at = at->parent) {
        uint64_t before = hri_budget_claim(at, at->claimed_bytes);
        at->used_bytes -= bytes;
        at->claimed_bytes -= claim;
        claim = before - hri_budget_claim(at, at->claimed_bytes);
    }
}

void hri_path_set_reserve(hr_budget *budget, uint64_t reserve_bytes)
{
    uint64_t before = hri_budget_claim(budget, budget->claimed_bytes);
    budget->reserve_bytes = reserve_bytes;
    uint64_t change = hri_budget_claim(budget, budget->claimed_bytes) - before; /* may be negative: it wraps */
    for (hr_budget *at = budget->parent; at && change; at = at->parent) {
        before = hri_budget_claim(at, at->claimed_bytes);
        at->claimed_bytes += change;
        change = hri_budget_claim(at, at->claimed_bytes) - before;
    }
}

void hri_path_count(hr_budget *budget, uint64_t total_bytes, uint64_t promised_bytes)
{
    for (hr_budget *at = budget; at; at = at->parent) {
        at->total_bytes += total_bytes;
        at->promised_bytes += promised_bytes;
    }
}

hr_budget *hri_budget_next(hr_budget *budget, const hr_budget *top)
{
    if (budget->first_child)
        return budget->first_child;
    while (budget != top && !budget->next_sibling)
        budget = budget->parent;
    return budget == top ? NULL : budget->next_sibling;
}

static void audit_one(const hr_budget *budget)
{
    uint64_t used = budget->own_bytes, claimed = budget->own_bytes;
    for (const hr_budget *child = budget->first_child; child; child = child->next_sibling) {
        if (is_local(child))
            continue; /* its accounts are not ours to read */
        used += child->used_bytes;
        claimed += hri_budget_claim(child, child->claimed_bytes);
    }
    HRI_ASSERT(used == budget->used_bytes);
    HRI_ASSERT(claimed == budget->claimed_bytes);
    HRI_ASSERT(budget->used_bytes <= budget->claimed_bytes);
    HRI_ASSERT(budget->used_bytes <= budget->peak_bytes);
}

void hri_budget_audit(const hri_budget_tree *tree)
{
    const hr_budget *root = &tree->root;
    for (const hr_budget *at = root; at; at = hri_budget_next((hr_budget *)(uintptr_t)at, root))
        if (!is_local(at))
            audit_one(at);
}
