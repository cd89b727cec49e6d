/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a path, and the exact answer. In a section. */
#ifndef HRI_BUDGET_DEMAND_H
#define HRI_BUDGET_DEMAND_H

#include "budget/budget.h"

typedef struct hri_demand {
    hr_budget *budget;
    uint64_t bytes;
    const hri_ceiling *ceiling; /* NULL: none */
    bool promise;
    bool block;    /* for a block that the library hands out: else by hand */
    bool pages;    /* that the heap is to commit: they spend the lease, and nobody is charged */
    bool unleased; /* nothing is taken from the kernel: they are charged elsewhere, or the heap asks for their pages */
    bool beyond;   /* set once it is granted beyond a limit, in a tree that only observes */
    bool looked;   /* the gauges were read for it: the lease is as new as it can be */
} hri_demand;

/* Is there room on the whole path, once what threads have in stock is taken back? */
bool hri_demand_fits(const hri_demand *demand, hri_shortage *ret_shortage);

/* Takes what fits, and spends the lease for it. Gives false, with nothing taken, where another process or tree has
 * spent it meanwhile. */
bool hri_demand_take(const hri_demand *demand, hri_shortage *ret_shortage);

#endif
