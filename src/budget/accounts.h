/* SPDX-License-Identifier: Apache-2.0 */
/* What one budget's accounts say. All of these want the tree's lock. */
#ifndef HRI_BUDGET_ACCOUNTS_H
#define HRI_BUDGET_ACCOUNTS_H

#include "base/checked.h"
#include "budget/budget.h"

static inline uint64_t hri_budget_used(const hr_budget *budget)
{
    return budget->held_bytes + budget->promised_bytes;
}

/* The limit by which a charge can be hopeless, and the room that decides now: for the root both know the kernel. */
static inline uint64_t hri_budget_limit(const hr_budget *budget)
{
    return budget->parent ? budget->limit_bytes : hri_min(budget->limit_bytes, budget->tree->kernel_limit_bytes);
}

static inline uint64_t hri_budget_room(const hr_budget *budget)
{
    return budget->parent ? budget->limit_bytes : hri_min(budget->limit_bytes, budget->tree->room_bytes);
}

static inline uint64_t hri_budget_left(const hr_budget *budget)
{
    return hri_sub(hri_budget_room(budget), hri_budget_used(budget));
}

#endif
