/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of a path: what a charge does to a budget and all its ancestors. All of it wants the tree's lock, and
 * a local budget's own where that is the one.
 *
 * used is what is charged; claimed is what counts against the limit. They differ by reserves: a child with a reserve
 * claims at least that much in its parent, used or not. So a charge that stays within a reserve adds to what the parent
 * has used, and nothing to what is claimed there.
 */
#ifndef HRI_BUDGET_ACCOUNTS_H
#define HRI_BUDGET_ACCOUNTS_H

#include "base/checked.h"
#include "budget/budget.h"

/* A larger charge never fits. The root's limit knows the kernel's. */
static inline uint64_t hri_budget_limit(const hr_budget *budget)
{
    return budget->parent ? budget->limit_bytes : hri_min(budget->limit_bytes, budget->tree->kernel_limit_bytes);
}

/* The bytes that are left of the limit, the one that people set or the kernel's. */
static inline uint64_t hri_budget_left_of_limit(const hr_budget *budget)
{
    return hri_sub(hri_budget_limit(budget), budget->claimed_bytes);
}

/* The bytes that are left of the tree's lease; HR_NONE: it has no end. */
static inline uint64_t hri_tree_lease_left(const hri_budget_tree *tree)
{
    return hri_lease_left(&tree->lease, hri_lease_granted(&tree->word));
}

/* The bytes that a charge would get now: for the root the lease is asked too. */
static inline uint64_t hri_budget_left(const hr_budget *budget)
{
    uint64_t left = hri_budget_left_of_limit(budget);
    return budget->parent ? left : hri_min(left, hri_tree_lease_left(budget->tree));
}

/* The bytes that a budget claims in its parent, were its own claims `claimed_bytes`. */
static inline uint64_t hri_budget_claim(const hr_budget *budget, uint64_t claimed_bytes)
{
    return hri_max(claimed_bytes, budget->reserve_bytes);
}

/* By how much a claim in `budget` raises that of `budget` in its parent. */
static inline uint64_t hri_budget_pass_on(const hr_budget *budget, uint64_t claim_bytes)
{
    return hri_budget_claim(budget, hri_add(budget->claimed_bytes, claim_bytes)) -
           hri_budget_claim(budget, budget->claimed_bytes);
}

/* Charges a path, which has been found to have room. */
void hri_path_take(hr_budget *budget, uint64_t bytes);

/* Makes true again that a local budget's bytes are in its parent's own: who gave back more to the parent than that
 * itself held has taken them. That is a fault, found here, and the parent is charged for them again. */
void hri_path_cover(hr_budget *local);

/* Gives back what a path was charged. More than the budget itself was charged is a fault of the caller's: then all of
 * that. */
void hri_path_give(hr_budget *budget, uint64_t bytes);

/* Changes what is set aside for a budget, which there is room for. */
void hri_path_set_reserve(hr_budget *budget, uint64_t reserve_bytes);

/* Adds to the counts of a path: of what was ever held, and of what is promised (two's complement). */
void hri_path_count(hr_budget *budget, uint64_t total_bytes, uint64_t promised_bytes);

/* The next budget of a walk over all that is inside `top`, parents first; NULL after the last. */
hr_budget *hri_budget_next(hr_budget *budget, const hr_budget *top);

#endif
