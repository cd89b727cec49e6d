/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/reading.h"

#include "base/checked.h"
#include "os/pages.h"

/* A CPU keeps up to 64 pages (MEMCG_CHARGE_BATCH) that it has charged in advance, and as many changes of the statistics
 * to itself; page tables and the like come on top of what is touched. */
#define LAG_PAGES 128
#define LAG_BYTES_MIN (UINT64_C(1) << 20)

int hri_gauge_open(hri_gauge *gauge, const hri_site *site, const hri_clock *clock)
{
    gauge->clock = clock;
    gauge->site = *site;
    uint64_t lag_bytes = LAG_PAGES * hri_page_size() * hri_cpu_count();
    gauge->lag_bytes = hri_max(lag_bytes, LAG_BYTES_MIN);
    int error = hri_process_open(&gauge->process, site);
    if (error)
        return error;
    error = hri_cgroup_open(&gauge->chain, site);
    if (error)
        hri_process_close(&gauge->process);
    return error;
}

void hri_gauge_close(hri_gauge *gauge)
{
    hri_process_close(&gauge->process);
    hri_cgroup_close(&gauge->chain);
}

void hri_gauge_reopen(hri_gauge *gauge)
{
    hri_gauge_close(gauge);
    hri_process_open(&gauge->process, &gauge->site);
    hri_cgroup_open(&gauge->chain, &gauge->site);
}

static void read_host(const hri_gauge *gauge, bool all, hri_reading *reading)
{
    int64_t age_ns = reading->time_ns - reading->host_time_ns;
    bool known = reading->host_time_ns != 0 && age_ns < HRI_HOST_AGE_NS;
    if (!all && known && reading->process.rss_bytes < reading->host.available_bytes)
        return;
    hri_process_read_host(&gauge->process, &reading->host);
    reading->host_time_ns = reading->time_ns;
}

static void read_groups(const hri_gauge *gauge, hri_reading *reading)
{
    reading->group_count = gauge->chain.count;
    reading->binding = -1;
    for (unsigned i = 0; i < reading->group_count; i++) {
        hri_cgroup_reading *group = &reading->groups[i];
        *group = (hri_cgroup_reading){.limit_bytes = HR_NONE};
        if (hri_cgroup_read_limit(&gauge->chain, i, &group->limit_bytes) != 0 || group->limit_bytes == HR_NONE)
            continue;
        if (hri_cgroup_read(&gauge->chain, i, group) != 0)
            group->use_bytes = group->cache_bytes = HR_NONE; /* the limit holds all the same */
        if (reading->binding < 0 || group->limit_bytes < reading->groups[reading->binding].limit_bytes)
            reading->binding = (int)i;
    }
}

void hri_gauge_read(const hri_gauge *gauge, bool all, hri_reading *reading)
{
    reading->time_ns = hri_clock_now(gauge->clock);
    reading->lag_bytes = gauge->lag_bytes;
    hri_process_read(&gauge->process, &reading->process);
    read_host(gauge, all, reading);
    read_groups(gauge, reading);
}
