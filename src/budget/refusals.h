/* SPDX-License-Identifier: Apache-2.0 */
/* Refusals, counted where they are made: by what refused, and by budget. All of it is guarded by the tree's lock, which
 * a refusal takes anyway: no charge that is granted pays for it.
 *
 * Beside the totals there is a tally of those who were refused since it was last taken. It has a fixed room: of more
 * than HRI_REFUSERS_MAX budgets the rest is counted together, without a name. A name is copied, since a budget may be
 * freed before the tally is taken. */
#ifndef HRI_BUDGET_REFUSALS_H
#define HRI_BUDGET_REFUSALS_H

#include <headroom/base.h>

#define HRI_REFUSER_NAME_BYTES 48
#define HRI_REFUSERS_MAX 4

typedef struct hri_refuser {
    const void *budget;                /* to tell it from others of its name; NULL: the rest */
    char name[HRI_REFUSER_NAME_BYTES]; /* cut if longer */
    uint64_t by_limit;                 /* its limit refused */
    uint64_t by_level;                 /* its requests were refused by a level */
} hri_refuser;

typedef struct hri_refusers {
    size_t count;
    hri_refuser list[HRI_REFUSERS_MAX + 1]; /* the last place is for the rest */
} hri_refusers;

typedef struct hri_refusal_counts {
    uint64_t all;
    uint64_t degraded; /* of them: a grant would have led beyond degrade_at */
    uint64_t critical; /* of them: the level was critical */
} hri_refusal_counts;

typedef struct hri_refusals {
    hri_refusal_counts counts;
    hri_refusers refusers;
} hri_refusals;

/* Counts a refusal of a budget; `level` HR_NORMAL: by its limit. */
void hri_refusals_count(hri_refusals *refusals, const void *budget, const char *name, hr_level level);

/* Adds a refuser to a tally. */
void hri_refusers_add(hri_refusers *refusers, const hri_refuser *more);

#endif
