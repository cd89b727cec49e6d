/* SPDX-License-Identifier: Apache-2.0 */
/* How tests make a guard that lives elsewhere: under another root directory, in another time. */
#ifndef HRI_GUARD_ENVIRONMENT_H
#define HRI_GUARD_ENVIRONMENT_H

#include "base/clock.h"

#include <headroom/guard.h>

typedef struct hri_environment {
    const char *root; /* where /proc and /sys are: "" for the machine itself */
    const hri_clock *clock;
} hri_environment;

/* hr_guard_new() in an environment that outlives the guard. */
int hri_guard_new_in(const hri_environment *environment, const hr_guard_options *options, hr_guard **ret_guard);

#endif
