/* SPDX-License-Identifier: Apache-2.0 */
/* Request-local budgets: cheap to make, to charge in one thread, and to free; such as one for each request. */
#ifndef HRI_BUDGET_LOCAL_H
#define HRI_BUDGET_LOCAL_H

#include "budget/section.h"

/* Charges (or promises: `count` is one of stock.h's counts) and gives back by the budget's own counter and the
 * parent's stock in this thread. Gives false where that cannot be done, or would not be exact: then nothing has
 * changed. */
bool hri_local_charge(hr_budget *budget, uint64_t bytes, int count);
bool hri_local_give(hr_budget *budget, uint64_t bytes);

/* Notes a charge in a section of the budget, which is promoted by a second thread, or by many charges. */
void hri_local_note_charge(hri_section *section);

/* Promotes a local budget, before it is used for more than charges. Not in a section. */
void hri_local_promote(hr_budget *budget);

/* The same for those right inside a budget, in a section of the tree. Gives false if one was in use: leave, and come
 * again. */
bool hri_local_promote_children(hr_budget *budget);

/* Finds what was given back to a budget and is held by local ones in it; see hri_path_cover(). In a section of the
 * tree. */
void hri_local_cover_children(hr_budget *budget);

/* In the child of a fork: whoever was at a local budget has stayed behind. */
void hri_local_forget(hri_budget_tree *tree);

#endif
