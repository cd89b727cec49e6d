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
    hri_holders next = {.time_ns = now_ns, .count = count};
    double step_s = (double)(now_ns - holders->time_ns) / 1e9;
    if (holders->count && now_ns - holders->time_ns < HRI_HOLDERS_STEP_NS)
        return;
    for (size_t i = 0; i < count; i++) {
        const hri_growing *old = find(holders, &list[i]);
        next.list[i].holder = list[i];
        if (!old)
            continue;
        double rate = ((double)list[i].bytes - (double)old->holder.bytes) / step_s;
        double weight = old->known ? step_s / (step_s + FORGETS_S) : 1;
        next.list[i].bytes_per_s = old->bytes_per_s + weight * (rate - old->bytes_per_s);
        next.list[i].known = true;
    }
    *holders = next;
}
