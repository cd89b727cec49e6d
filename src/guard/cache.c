/* SPDX-License-Identifier: Apache-2.0 */
/* The one call of the cache that takes a guard. */
#include "guard/rooms.h"

#include "cache/cache.h"

#include <errno.h>

int hr_cache_new(hr_guard *guard, const hr_cache_options *options, hr_cache **ret_cache)
{
    hr_budget *budget = options ? options->budget : NULL;
    if (guard && !budget)
        budget = &guard->tree.root;
    if (budget && (!guard || budget->tree != &guard->tree))
        return -EINVAL;
    return hri_cache_new(budget, guard ? &guard->yielders : NULL, options, ret_cache);
}
