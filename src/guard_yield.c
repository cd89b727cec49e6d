/* SPDX-License-Identifier: Apache-2.0 */
/* Connects those who can yield memory (base/yield.h) with relief: behind each stands a reclaimer, so that pools, caches
 * and the program's own reclaimers are asked in one order, by the same rules.
 */
#include "guard_rooms.h"

#include <errno.h>
#include <stdlib.h>

static int connect_yielder(void *context, hri_yielder *yielder)
{
    hr_guard *guard = context;
    hr_reclaimer *reclaimer = calloc(1, sizeof *reclaimer);
    if (!reclaimer)
        return -ENOMEM;
    *reclaimer = (hr_reclaimer){
        .name = yielder->name,
        .priority = yielder->priority,
        .reclaim = yielder->yield,
        .context = yielder->context,
        .budget = yielder->budget,
    };
    yielder->connection = reclaimer;
    return hri_reclaimers_add(&guard->relief.reclaimers, reclaimer);
}

static void disconnect_yielder(void *context, hri_yielder *yielder)
{
    hr_guard *guard = context;
    hri_reclaimers_remove(&guard->relief.reclaimers, yielder->connection);
    free(yielder->connection);
}

int hri_guard_init_yielders(hr_guard *guard)
{
    guard->yielders = (hri_yielders){
        .level = &guard->watcher.word,
        .connect = connect_yielder,
        .disconnect = disconnect_yielder,
        .context = guard,
    };
    int error = hri_yielders_init(&guard->yielders);
    if (!error)
        guard->tree.yielders = &guard->yielders;
    return error;
}
