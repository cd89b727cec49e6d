/* SPDX-License-Identifier: Apache-2.0 */
/* The host's memory, by /proc/meminfo and ZFS's arcstats. Pure: texts in, numbers out.
 *
 * In a container the text may come from lxcfs. One kind shows a total of 0 and what is available wrapped around; those
 * figures are not known then, and no limit. Another leaves reclaimable slab out of MemAvailable, which equals MemFree.
 */
#ifndef HRI_OS_HOST_H
#define HRI_OS_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes; HR_NONE: not known. */
typedef struct hri_host_reading {
    uint64_t total_bytes;
    uint64_t available_bytes;
    uint64_t reclaimable_bytes; /* SReclaimable: no cgroup on it can have more */
    bool absurd;                /* figures were there, and cannot be true */
} hri_host_reading;

/* `arcstats` may be NULL: there is no ZFS. */
void hri_host_parse(const char *meminfo, const char *arcstats, hri_host_reading *ret_reading);

#endif
