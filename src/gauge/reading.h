/* SPDX-License-Identifier: Apache-2.0 */
/* One reading of all gauges: what the kernel says about this process, its cgroups and its host at one moment. */
#ifndef HRI_GAUGE_READING_H
#define HRI_GAUGE_READING_H

#include "base/clock.h"
#include "os/cgroup.h"
#include "os/process.h"

/* A text that lives as long as its gauge. */
typedef struct hri_source {
    struct hri_source *next;
    char text[];
} hri_source;

typedef struct hri_gauge {
    const hri_clock *clock;
    uint64_t lag_bytes; /* see hri_reading */
    hri_site site;
    hri_process process;
    hri_cgroup_chain chain;
    const char *sources[HRI_CGROUP_DEPTH]; /* the names of the chain's groups, for those who keep them */
    hri_source *named;                     /* all that there have been */
} hri_gauge;

/* What a figure never fell below, for at least HRI_LASTING_NS and less than twice that. */
#define HRI_LASTING_NS (100 * HRI_MILLISECOND)
typedef struct hri_lasting {
    int64_t since_ns;
    uint64_t least_bytes;  /* since then */
    uint64_t before_bytes; /* and in the time before */
} hri_lasting;

uint64_t hri_lasting_look(hri_lasting *lasting, uint64_t bytes, int64_t now_ns);

typedef struct hri_reading {
    int64_t time_ns;
    hri_process_reading process;
    hri_host_reading host;
    int64_t host_time_ns; /* when that was read: it may be older than the rest */
    unsigned group_count;
    hri_cgroup_reading groups[HRI_CGROUP_DEPTH]; /* unlimited ones may have no other figure; the own group is first */
    hri_lasting unmapped[HRI_CGROUP_DEPTH];      /* of the groups' unmapped_bytes */
    uint64_t lag_bytes;                          /* by how much the groups' counters may be off */
    int binding;                                 /* the group with the smallest limit; -1: none is limited */
} hri_reading;

/* Finds and opens the gauges of a site. Gives 0, -ENOMEM, -EMFILE or -ENFILE. */
int hri_gauge_open(hri_gauge *gauge, const hri_site *site, const hri_clock *clock);
void hri_gauge_close(hri_gauge *gauge);

/* Closes its files and keeps its texts. */
void hri_gauge_shut(hri_gauge *gauge);

/* Finds everything anew: in the child of a fork, whose open files would show the parent. What cannot be opened now is
 * absent from then on. */
void hri_gauge_reopen(hri_gauge *gauge);

/* Reads again what `reading` holds (at first {0}). Allocates nothing, but where a group of the chain has been removed:
 * then the process has been moved, and its groups are found anew; if that fails for want of memory, the old chain stays
 * until the next reading. The host's figures are read again only once they
 * are HRI_HOST_AGE_NS old, or use more than half of what the host can give, or `all` is asked for. */
#define HRI_HOST_AGE_NS (100 * HRI_MILLISECOND)
void hri_gauge_read(hri_gauge *gauge, bool all, hri_reading *reading);

/* Reads the figures of the groups that have no limit, too: hri_gauge_read() leaves them out, since they decide nothing. */
void hri_gauge_read_unlimited(const hri_gauge *gauge, hri_reading *reading);

#endif
