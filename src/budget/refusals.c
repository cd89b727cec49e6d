/* SPDX-License-Identifier: Apache-2.0 */
#include "budget/refusals.h"

#include <stdio.h>
#include <string.h>

/* The place of a budget in a tally: its own, a new one, or that of the rest. */
static hri_refuser *place_for(hri_refusers *refusers, const void *budget, const char *name)
{
    size_t at = 0;
    while (at < refusers->count && (refusers->list[at].budget != budget || strcmp(refusers->list[at].name, name) != 0))
        at++;
    if (at < refusers->count)
        return &refusers->list[at];
    if (at > HRI_REFUSERS_MAX)
        return &refusers->list[HRI_REFUSERS_MAX];
    bool rest = at == HRI_REFUSERS_MAX;
    refusers->list[at] = (hri_refuser){.budget = rest ? NULL : budget};
    snprintf(refusers->list[at].name, HRI_REFUSER_NAME_BYTES, "%s", rest ? "" : name);
    refusers->count++;
    return &refusers->list[at];
}

void hri_refusals_count(hri_refusals *refusals, const void *budget, const char *name, hr_level level)
{
    char cut[HRI_REFUSER_NAME_BYTES];
    size_t length = strnlen(name, sizeof cut - 1);
    memcpy(cut, name, length);
    cut[length] = '\0';
    hri_refuser *refuser = place_for(&refusals->refusers, budget, cut);
    refusals->counts.all++;
    refusals->counts.degraded += level == HR_DEGRADED;
    refusals->counts.critical += level == HR_CRITICAL;
    refuser->by_limit += level == HR_NORMAL;
    refuser->by_level += level != HR_NORMAL;
}

void hri_refusers_add(hri_refusers *refusers, const hri_refuser *more)
{
    hri_refuser *refuser = place_for(refusers, more->budget, more->name);
    refuser->by_limit += more->by_limit;
    refuser->by_level += more->by_level;
}
