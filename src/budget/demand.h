/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a path, and the exact answer. In a section. */
#ifndef HRI_BUDGET_DEMAND_H
#define HRI_BUDGET_DEMAND_H

#include "budget/budget.h"

typedef struct hri_demand {
    hr_budget *budget;
    uint64_t bytes;
    uint64_t mapped_bytes;      /* what of it is to be a mapping of its own, or with it */
    uint64_t listed_bytes;      /* what is expected in the list of untouched blocks once it is granted */
    const hri_ceiling *ceiling; /* NULL: none */
    bool promise;
    bool block;  /* for a block that the library hands out: else by hand */
    bool moved;  /* the bytes are charged elsewhere in the tree already: nothing is taken from the kernel */
    bool looked; /* the gauges were read for it: the lease is as new as it can be */
} hri_demand;

/* Is there room on the whole path, once what threads have in stock is taken back? */
bool hri_demand_fits(const hri_demand *demand, hri_shortage *ret_shortage);

/* Takes what fits, and spends the lease for it. Gives false, with nothing taken, where another process or tree has
 * spent it meanwhile. */
bool hri_demand_take(const hri_demand *demand, hri_shortage *ret_shortage);

#endif
