/* SPDX-License-Identifier: Apache-2.0 */
/* The offer of a guard to the rooms below it, which know its type by name only. It is the first member of every guard.
 */
#ifndef HRI_BASE_OFFER_H
#define HRI_BASE_OFFER_H

#include "base/duty.h"
#include "base/yield.h"

typedef struct hri_offer {
    hr_budget *root;
    hri_duties *duties;     /* of its monitor */
    hri_yielders *yielders; /* with the level to follow: normal where the guard only observes */
    int (*wait)(hr_guard *guard, hr_level at_most, int64_t timeout_ns); /* hr_guard_wait() */
} hri_offer;

static inline const hri_offer *hri_offer_of(const hr_guard *guard)
{
    return (const hri_offer *)guard;
}

#endif
