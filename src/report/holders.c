/* SPDX-License-Identifier: Apache-2.0 */
#include "report/holders.h"

#include <string.h>

#define FORGETS_S 10.0

static const hri_growing *find(const hri_holders *holders, const hri_holder *holder)
{
    for (size_t i = 0; i < holders->count; i++) {
        const hri_growing *old = &holders->list[i];
        if (old->holder.budget == holder->budget && strcmp(old->holder.name, holder->name) == 0)
            return old;
    }
    return NULL;
}

void hri_holders_note(hri_holders *holders, const hri_holder *list, size_t count, int64_t now_ns)
{
    int64_t step_ns = now_ns - holders->time_ns;
    bool soon = holders->count && step_ns < HRI_HOLDERS_STEP_NS;
    hri_holders next = {.time_ns = soon ? holders->time_ns : now_ns, .count = count};
    double step_s = (double)step_ns / 1e9;
    for (size_t i = 0; i < count; i++) {
        const hri_growing *old = find(holders, &list[i]);
        hri_growing *growing = &next.list[i];
        *growing = old ? *old : (hri_growing){.base_bytes = list[i].bytes};
        growing->holder = list[i];
        if (!old || soon)
            continue;
        double rate = ((double)list[i].bytes - (double)old->base_bytes) / step_s;
        double weight = old->known ? step_s / (step_s + FORGETS_S) : 1;
        growing->bytes_per_s += weight * (rate - old->bytes_per_s);
        growing->known = true;
        growing->base_bytes = list[i].bytes;
    }
    *holders = next;
}
