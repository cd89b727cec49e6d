/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for room. */
#ifndef HRI_BUDGET_WAIT_H
#define HRI_BUDGET_WAIT_H

#include "budget/grant.h"

/* Those who came later may pass one that still waits this many times, where they want the same room. */
#define HRI_WAIT_PASSES_MAX 16

/* Does anybody wait in this tree? Then whoever would wait too stands behind them. */
bool hri_wait_is_any(hri_budget_tree *tree);

/* Waits until the demand is granted. Gives 0; -ETIMEDOUT, or -EDQUOT if it can never fit; another errno if it could not
 * begin to wait. Not in a section. */
int hri_wait_for(hri_demand *demand, int64_t timeout_ns);

/* An attempt of one that waits: the queue decides. In a section. */
void hri_wait_attempt(hri_demand *demand);

/* Grants the demands in the queue that fit now; in a section, after room was made. Returns true if a demand would fit
 * with a new lease: then the caller renews the lease once it has left the section, which serves the queue again. */
bool hri_wait_serve(hri_budget_tree *tree);

/* The longest that anybody inside the budget has waited, those included who still do. In a section. */
int64_t hri_wait_longest(const hr_budget *budget);

/* In the child of a fork: those who wait have stayed behind. */
void hri_wait_forget(hri_budget_tree *tree);

#endif
