/* SPDX-License-Identifier: Apache-2.0 */
#include "relief/stall.h"

#define PROGRESS_SHARE 64

void hri_stall_sample(hri_stall *stall, const hri_stall_input *input)
{
    if (input->level < HR_DEGRADED) {
        *stall = (hri_stall){0};
        return;
    }
    uint64_t step = stall->use_bytes / PROGRESS_SHARE;
    bool freed = input->freed_bytes - stall->freed_bytes > step;
    bool fell = input->use_bytes < stall->use_bytes - step;
    if (stall->since_ns == 0 || freed || fell)
        *stall = (hri_stall){input->now_ns, input->freed_bytes, input->use_bytes, stall->next_probe_ns};
}

int64_t hri_stall_age(const hri_stall *stall, int64_t now_ns, int64_t patience_ns)
{
    int64_t age_ns = now_ns - stall->since_ns;
    return stall->since_ns != 0 && age_ns >= patience_ns ? age_ns : 0;
}

bool hri_stall_probe(hri_stall *stall, int64_t now_ns, int64_t interval_ns)
{
    if (now_ns < stall->next_probe_ns)
        return false;
    stall->next_probe_ns = now_ns + interval_ns;
    return true;
}
