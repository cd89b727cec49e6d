/* SPDX-License-Identifier: Apache-2.0 */
/* A section: the time in which a thread has a budget's accounts to itself.
 *
 * That is the tree's lock, and before it the budget's own while it is local. A thread that is in a section, or on its
 * way in or out, says so to its own signal handlers: one that interrupted it there could never get in. Bytes that a
 * handler uncharges then are left in the budget's `late_bytes`, for the next section of the tree.
 */
#ifndef HRI_BUDGET_SECTION_H
#define HRI_BUDGET_SECTION_H

#include "base/lock.h"
#include "budget/budget.h"

typedef struct hri_section {
    hri_budget_tree *tree;
    hr_budget *local; /* the one whose own lock is held too; NULL: none */
} hri_section;

/* Is this a signal handler that has interrupted a section? Then hri_section_enter() must not be called. Not to be
 * asked by a thread that is in a section itself. */
static inline bool hri_section_interrupted(void)
{
    return hri_inner_depth > 0;
}

/* Enters for a budget, and collects what is late. */
hri_section hri_section_enter(hr_budget *budget);

/* Enters for a tree as a whole: for what no local budget's own accounts matter. */
hri_section hri_section_enter_tree(hri_budget_tree *tree);

void hri_section_leave(const hri_section *section);

/* Collects what is late; in a section. */
void hri_section_collect(hri_budget_tree *tree);

/* A local budget's own lock without the tree's, if it is free. */
bool hri_section_try_local(hr_budget *budget);
void hri_section_leave_local(hr_budget *budget);

/* The same in a section of the tree. Gives false where the budget is not local; and where its lock is taken, which
 * clears `*all`: who has it may wait for the tree's. */
bool hri_section_lock_local(hr_budget *budget, bool *all);
void hri_section_unlock_local(hr_budget *budget);

/* Around a fork, and inside of the gate's (gate.h): as a section of the tree that lasts as long as it. */
void hri_section_fork(hri_budget_tree *tree, hri_fork moment);

/* Leaves bytes for the next section of the budget's tree. Any thread, signal handlers too. */
void hri_section_leave_late(hr_budget *budget, uint64_t bytes);

#endif
