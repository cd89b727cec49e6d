/* SPDX-License-Identifier: Apache-2.0 */
/* One reading of all gauges: what the kernel says about this process, its cgroups and its host at one moment. */
#ifndef HRI_GAUGE_READING_H
#define HRI_GAUGE_READING_H

#include "base/clock.h"
#include "os/cgroup.h"
#include "os/process.h"

typedef struct hri_gauge {
    const hri_clock *clock;
    uint64_t lag_bytes; /* see hri_reading */
    hri_process process;
    hri_cgroup_chain chain;
} hri_gauge;

typedef struct hri_reading {
    int64_t time_ns;
    hri_process_reading process;
    unsigned group_count;
    hri_cgroup_reading groups[HRI_CGROUP_DEPTH]; /* unlimited ones have no other figure; the own group is first */
    uint64_t lag_bytes;                          /* by how much the groups' counters may be off */
    int binding;                                 /* the group with the smallest limit; -1: none is limited */
} hri_reading;

/* Finds and opens the gauges below `root` ("" for the machine itself). Gives 0, -ENOMEM, -EMFILE or -ENFILE. */
int hri_gauge_open(hri_gauge *gauge, const char *root, const hri_clock *clock);
void hri_gauge_close(hri_gauge *gauge);

/* Reads them all: 8 microseconds with one limited cgroup. Allocates nothing. */
void hri_gauge_read(const hri_gauge *gauge, hri_reading *ret_reading);

#endif
