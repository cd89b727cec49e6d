/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/reading.h"

#include "os/pages.h"

int hri_gauge_open(hri_gauge *gauge, const char *root, const hri_clock *clock)
{
    gauge->clock = clock;
    gauge->lag_bytes = 64 * hri_page_size() * hri_cpu_count();
    int error = hri_process_open(&gauge->process, root);
    if (error)
        return error;
    error = hri_cgroup_open(&gauge->chain, root);
    if (error)
        hri_process_close(&gauge->process);
    return error;
}

void hri_gauge_close(hri_gauge *gauge)
{
    hri_process_close(&gauge->process);
    hri_cgroup_close(&gauge->chain);
}

void hri_gauge_read(const hri_gauge *gauge, hri_reading *ret_reading)
{
    hri_reading reading = {.time_ns = hri_clock_now(gauge->clock), .group_count = gauge->chain.count, .binding = -1};
    reading.lag_bytes = gauge->lag_bytes;
    hri_process_read(&gauge->process, &reading.process);
    for (unsigned i = 0; i < reading.group_count; i++) {
        hri_cgroup_reading *group = &reading.groups[i];
        group->limit_bytes = HR_NONE;
        if (hri_cgroup_read_limit(&gauge->chain, i, &group->limit_bytes) != 0 || group->limit_bytes == HR_NONE)
            continue;
        if (hri_cgroup_read(&gauge->chain, i, group) != 0)
            group->limit_bytes = HR_NONE;
        else if (reading.binding < 0 || group->limit_bytes < reading.groups[reading.binding].limit_bytes)
            reading.binding = (int)i;
    }
    *ret_reading = reading;
}
