/* SPDX-License-Identifier: Apache-2.0 */
/* One reading of all gauges: what the kernel says about this process, its cgroups and its host at one moment. */
#ifndef HRI_GAUGE_READING_H
#define HRI_GAUGE_READING_H

#include "base/clock.h"
#include "gauge/declared.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "os/process.h"

/* Texts that live as long as their gauge: one after the other, in pages that are mapped for them. They are kept with a
 * lock held under which nothing of malloc()'s may be called (base/lock.h). */
typedef struct hri_texts {
    struct hri_texts *next;
    size_t used; /* of `bytes` */
    char bytes[];
} hri_texts;

typedef struct hri_gauge {
    const hri_clock *clock;
    uint64_t lag_bytes; /* see hri_reading */
    hri_site site;
    hri_process process;
    hri_cgroup_chain chain;
    hri_file_mark limit_mark; /* of the own group's limit: as long as that file is its own, all of the chain are */
    uint64_t place_hash;      /* where the process was when the chain was opened, */
    int64_t place_time_ns;    /* and when that was last looked up */
    uint64_t splits;          /* of huge pages, when it was made; HR_NONE: not known */
    const char *sources[HRI_CGROUP_DEPTH]; /* the names of the chain's groups, for those who keep them */
    hri_texts *named;                      /* all that there have been */
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
    uint64_t place_hash;  /* where the process was then */
    unsigned group_count;
    hri_cgroup_reading groups[HRI_CGROUP_DEPTH]; /* unlimited ones may have no other figure; the own group is first */
    hri_lasting unmapped[HRI_CGROUP_DEPTH];      /* of the groups' unmapped_bytes */
    uint64_t lag_bytes;                          /* by how much the groups' counters may be off */
    int binding;                                 /* the group with the smallest limit; -1: none is limited */
    hri_declared declared;                       /* set by whoever keeps the reading, and left as it is */
} hri_reading;

/* Finds and opens the gauges of a site. Gives 0, -ENOMEM, -EMFILE or -ENFILE. */
int hri_gauge_open(hri_gauge *gauge, const hri_site *site, const hri_clock *clock);
void hri_gauge_close(hri_gauge *gauge);

/* Closes its files and keeps its texts. */
void hri_gauge_shut(hri_gauge *gauge);

/* Finds everything anew: in the child of a fork, whose open files would show the parent, and where the program has
 * closed them. What cannot be opened now is absent until the next attempt. */
void hri_gauge_reopen(hri_gauge *gauge);

/* How to read. */
enum {
    HRI_READ_ALL = 1, /* the host's figures too, however young they are */
};

/* Reads again what `reading` holds (at first {0}). Where the program has closed the gauge's files, or the process has
 * been moved to another group (looked up every HRI_PLACE_AGE_NS), they are found anew; if that fails, the old chain stays.
 * A limit that cannot be read stays as it was last known. The host's figures are read again only once they are
 * HRI_HOST_AGE_NS old, or use more than half of what the host can give, or HRI_READ_ALL asks for them. Maps memory at the
 * most, and calls nothing of malloc()'s. */
#define HRI_HOST_AGE_NS (100 * HRI_MILLISECOND)
#define HRI_PLACE_AGE_NS (100 * HRI_MILLISECOND)
void hri_gauge_read(hri_gauge *gauge, unsigned how, hri_reading *reading);

/* The limit's file of the first group that is limited, from the own one upwards. Below 0 where none is, or it is not
 * of this machine. */
int hri_gauge_limit_fd(const hri_gauge *gauge, const hri_reading *reading);

/* Reads the figures of the groups that have no limit, too: hri_gauge_read() leaves them out, since they decide nothing. */
void hri_gauge_read_unlimited(const hri_gauge *gauge, hri_reading *reading);

#endif
