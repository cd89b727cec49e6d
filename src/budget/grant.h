/* SPDX-License-Identifier: Apache-2.0 */
/* Demands on a path, and the exact answer. */
#ifndef HRI_BUDGET_GRANT_H
#define HRI_BUDGET_GRANT_H

#include "budget/section.h"

typedef struct hri_demand {
    hr_budget *budget;
    uint64_t bytes;
    const hr_budget *from; /* holds the bytes, which move; NULL: they are new */
    hri_ceiling_kind ceiling;
    double rank; /* 0 to 1: how far it may go from its ceiling towards HRI_CEILING_CRITICAL */
    bool promise;
    bool pages;    /* that the heap is to commit: they spend the lease, and nobody is charged */
    bool unleased; /* takes nothing from the kernel: the heap asks for pages of blocks, and what moves is charged */
    bool quiet;    /* no callback and no relief: the gauges may be read for it, no more */
    struct hri_waiter *waiter; /* its place in the queue, where it is decided; NULL: it does not wait */

    /* The answer of the last attempt. */
    bool granted;
    bool beyond;           /* a limit, in a tree that only observes */
    bool crossed;          /* by which use passed the mark that the watcher wants to know of */
    hri_shortage shortage; /* why it was not granted */
} hri_demand;

/* Makes one attempt, in a section of the demand's budget. Before a refusal, what threads have in stock is taken
 * back. */
void hri_demand_attempt(hri_demand *demand, hri_section *section);

/* The same in a section of its own. `sampled`: the gauges were read since the demand was made, by any thread. */
void hri_budget_attempt(hri_demand *demand, bool sampled);

/* The two steps of an attempt for those who wait: is there room on the whole path; and takes what fits, and spends the
 * lease for it. False, with nothing taken, where another process or tree has spent it meanwhile. */
bool hri_demand_fits(hri_demand *demand);
bool hri_demand_take(hri_demand *demand);

/* Grants a demand, by a new reading and by relief where it needs them. A refusal is not counted yet. */
void hri_demand_try(hri_demand *demand);

/* Counts a refusal by a limit, and tells the watcher where it is the root's. */
void hri_demand_refuse(const hri_demand *demand);

/* Tells the watcher of a grant that has passed its mark. */
void hri_demand_tell(const hri_demand *demand);

/* Grants a demand whatever the limits, in a tree that observes; not what the accounts cannot count. */
void hri_demand_force(hri_demand *demand);

/* Makes this the last refusal of this thread, of a room that has a bound of its own. */
void hri_refusal_note(const hr_refusal *refusal);

/* Takes the last refusal of this thread. Gives false where there was none. */
bool hri_refusal_read(hr_refusal *ret_refusal);

#endif
