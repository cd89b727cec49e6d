/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/reading.h"

#include "base/checked.h"
#include "os/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A CPU keeps up to 64 pages (MEMCG_CHARGE_BATCH) that it has charged in advance, and as many changes of the statistics
 * to itself; page tables and the like come on top of what is touched. */
#define LAG_PAGES 128
#define LAG_BYTES_MIN (UINT64_C(1) << 20)

/* Gives a copy of a group's name that lives as long as the gauge: whoever was told a limit's source keeps the pointer,
 * also when the groups are found anew. NULL for want of memory. */
static const char *keep(hri_gauge *gauge, const char *name)
{
    for (const hri_source *source = gauge->named; source; source = source->next) {
        if (strcmp(source->text, name) == 0)
            return source->text;
    }
    size_t size = strlen(name) + 1;
    hri_source *source = malloc(sizeof *source + size);
    if (!source)
        return NULL;
    memcpy(source->text, name, size);
    source->next = gauge->named;
    gauge->named = source;
    return source->text;
}

/* Opens the chain with its names. Gives 0 or a shortage; then the gauge's chain is as it was. */
static int open_chain(hri_gauge *gauge)
{
    hri_cgroup_chain chain;
    const char *sources[HRI_CGROUP_DEPTH];
    int error = hri_cgroup_open(&chain, &gauge->site);
    if (error)
        return error;
    for (unsigned i = 0; i < chain.count; i++) {
        sources[i] = keep(gauge, chain.groups[i].name);
        if (!sources[i]) {
            hri_cgroup_close(&chain);
            return -ENOMEM;
        }
    }
    hri_cgroup_close(&gauge->chain);
    gauge->chain = chain;
    memcpy(gauge->sources, sources, chain.count * sizeof *sources);
    return 0;
}

int hri_gauge_open(hri_gauge *gauge, const hri_site *site, const hri_clock *clock)
{
    *gauge = (hri_gauge){.clock = clock, .site = *site, .lag_bytes = LAG_BYTES_MIN};
    if (!site->only_place) /* the processors are this machine's */
        gauge->lag_bytes = hri_max(LAG_PAGES * hri_page_size() * hri_cpu_count(), LAG_BYTES_MIN);
    int error = hri_process_open(&gauge->process, site);
    if (error)
        return error;
    error = open_chain(gauge);
    if (error)
        hri_gauge_close(gauge);
    return error;
}

void hri_gauge_shut(hri_gauge *gauge)
{
    hri_process_close(&gauge->process);
    hri_cgroup_close(&gauge->chain);
}

void hri_gauge_close(hri_gauge *gauge)
{
    hri_gauge_shut(gauge);
    while (gauge->named) {
        hri_source *source = gauge->named;
        gauge->named = source->next;
        free(source);
    }
}

void hri_gauge_reopen(hri_gauge *gauge)
{
    hri_gauge_shut(gauge);
    hri_process_open(&gauge->process, &gauge->site);
    open_chain(gauge);
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

uint64_t hri_lasting_look(hri_lasting *lasting, uint64_t bytes, int64_t now_ns)
{
    if (now_ns - lasting->since_ns >= HRI_LASTING_NS) {
        lasting->before_bytes = lasting->least_bytes;
        lasting->least_bytes = bytes;
        lasting->since_ns = now_ns;
    }
    lasting->least_bytes = hri_min(lasting->least_bytes, bytes);
    return hri_min(lasting->before_bytes, lasting->least_bytes);
}

static bool is_limited(const hri_cgroup_reading *group)
{
    return group->limit_bytes != HR_NONE;
}

/* Reads the limits of all groups, from the own one upwards. Gives how many have to be read whole: all up to the last that is
 * limited, since an ancestor's memory.stat was seen 99 of 100 MiB behind until the group below it was read. */
static unsigned read_limits(const hri_gauge *gauge, hri_reading *reading, bool *ret_whole)
{
    unsigned count = 0;
    for (unsigned i = 0; i < reading->group_count; i++) {
        hri_cgroup_reading *group = &reading->groups[i];
        *group = hri_cgroup_unknown;
        int error = hri_cgroup_read_limit(&gauge->chain, i, &group->limit_bytes);
        *ret_whole &= !hri_cgroup_is_gone(error);
        count = !error && is_limited(group) ? i + 1 : count;
    }
    return count;
}

/* Gives false if a group has been removed, which none is that the process is in. */
static bool read_groups(const hri_gauge *gauge, hri_reading *reading)
{
    bool whole = true;
    reading->group_count = gauge->chain.count;
    reading->binding = -1;
    unsigned count = read_limits(gauge, reading, &whole);
    for (unsigned i = 0; i < count; i++) {
        hri_cgroup_reading *group = &reading->groups[i];
        bool limited = is_limited(group);
        int error = hri_cgroup_read(&gauge->chain, i, group);
        group->leaving_bytes =
            group->unmapped_bytes - hri_lasting_look(&reading->unmapped[i], group->unmapped_bytes, reading->time_ns);
        whole &= !hri_cgroup_is_gone(error);
        if (error || !limited)
            group->limit_bytes = HR_NONE;
        else if (is_limited(group) &&
                 (reading->binding < 0 || group->limit_bytes < reading->groups[reading->binding].limit_bytes))
            reading->binding = (int)i;
    }
    return whole;
}

void hri_gauge_read(hri_gauge *gauge, bool all, hri_reading *reading)
{
    reading->time_ns = hri_clock_now(gauge->clock);
    reading->lag_bytes = gauge->lag_bytes;
    hri_process_read(&gauge->process, &reading->process);
    read_host(gauge, all, reading);
    /* By a number that was given to another process it would find that one's groups. */
    if (!read_groups(gauge, reading) && !hri_process_is_gone(&gauge->process) && open_chain(gauge) == 0)
        read_groups(gauge, reading);
}

void hri_gauge_read_unlimited(const hri_gauge *gauge, hri_reading *reading)
{
    for (unsigned i = 0; i < reading->group_count; i++) {
        hri_cgroup_reading *group = &reading->groups[i];
        if (group->limit_bytes == HR_NONE && hri_cgroup_read(&gauge->chain, i, group) != 0)
            *group = (hri_cgroup_reading){
                .limit_bytes = HR_NONE,
                .use_bytes = HR_NONE,
                .cache_bytes = HR_NONE,
                .anonymous_bytes = HR_NONE,
            };
    }
}
