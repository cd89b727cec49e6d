/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/reading.h"

#include "base/checked.h"
#include "os/pages.h"

/* A CPU keeps up to 64 pages (MEMCG_CHARGE_BATCH) that it has charged in advance, and as many changes of the statistics
 * to itself; page tables and the like come on top of what is touched. */
#define LAG_PAGES 128
#define LAG_BYTES_MIN (UINT64_C(1) << 20)

int hri_gauge_open(hri_gauge *gauge, const char *root, const hri_clock *clock)
{
    gauge->clock = clock;
    uint64_t lag_bytes = LAG_PAGES * hri_page_size() * hri_cpu_count();
    gauge->lag_bytes = hri_max(lag_bytes, LAG_BYTES_MIN);
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
