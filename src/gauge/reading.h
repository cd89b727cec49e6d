/* SPDX-License-Identifier: Apache-2.0 */
/* One reading of all gauges: what the kernel says about this process, its cgroups and its host at one moment. */
#ifndef HRI_GAUGE_READING_H
#define HRI_GAUGE_READING_H

#include "base/clock.h"
#include "gauge/declared.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "os/pins.h"
#include "os/process.h"
#include "os/readahead.h"
#include "os/stalls.h"

/* Texts that live as long as their gauge: one after the other, in pages that are mapped for them. They are kept with a
 * lock held under which nothing of malloc()'s may be called (base/lock.h). */
typedef struct hri_texts {
    struct hri_texts *next;
    size_t used; /* of `bytes` */
    char bytes[];
} hri_texts;

/* A group's limits by name. */
typedef struct hri_group_names {
    const char *max;    /* "cgroup v2 /app memory.max" */
    const char *second; /* "cgroup v2 /app memory.high" */
} hri_group_names;

typedef struct hri_gauge {
    const hri_clock *clock;
    uint64_t lag_bytes;       /* see hri_reading */
    uint64_t readahead_bytes; /* what one reader may have under way */
    hri_site site;
    hri_process process;
    hri_cgroup_chain chain;
    hri_file_mark limit_mark; /* of the own group's limit: as long as that file is its own, all of the chain are */
    uint64_t place_hash;      /* where the process was when the chain was opened, */
    int64_t place_time_ns;    /* and when that was last looked up */
    hri_group_names sources[HRI_CGROUP_DEPTH]; /* the names of the chain's limits, for those who keep them */
    hri_texts *named;                          /* all that there have been */
    hri_pins pins;                             /* what pins kernel memory, */
    int64_t pins_time_ns;                      /* when that was looked up, */
    int64_t pins_cost_ns;                      /* and how long it took */
} hri_gauge;

/* The least that a figure was, for at least `window_ns` and less than twice that. */
typedef struct hri_lasting {
    int64_t since_ns;
    uint64_t least_bytes;  /* since then */
    uint64_t before_bytes; /* and in the time before */
} hri_lasting;

uint64_t hri_lasting_sample(hri_lasting *lasting, uint64_t bytes, int64_t window_ns, int64_t now_ns);

/* Times of lasting figures. Unmapped pages that are younger than LEAVING are taken for pages that are just being given
 * back. Pages count in the level once they have been under writeback for WRITTEN, or dirty for DIRTY; the kernel begins
 * to write dirty ones after 30 to 35 seconds. Bytes that went into swap are use for SWAPPED: they went there for want
 * of memory, which is no relief. */
#define HRI_LEAVING_NS (100 * HRI_MILLISECOND)
#define HRI_WRITTEN_NS (1 * HRI_SECOND)
#define HRI_DIRTY_NS (40 * HRI_SECOND)
#define HRI_SWAPPED_NS (10 * HRI_SECOND)

/* Of a group, over many readings. */
typedef struct hri_group_memory {
    hri_lasting leaving;
    uint64_t huge_bytes, unmapped_bytes, rests_bytes; /* see hri_rests_sample() */
    hri_lasting dirty, written;
    hri_lasting swap;
    uint64_t doubtful_bytes; /* when the pins were looked up */
    uint64_t held_bytes;     /* v1: of these, what grew while the machine's idle names did not */
} hri_group_memory;

/* Pages that nobody maps are rests of huge pages, which the kernel gives back when it is short. Or they are in use all
 * the same, such as those that a pipe holds after vmsplice(). A rest comes into being where a huge page ceases to be
 * mapped as one. Gives the most that may be rests: as many bytes as ceased to be that in this group. The machine's
 * count of pages that were split was no bound: while neighbours split theirs, 4 of 200 processes were killed for pages
 * in pipes. `huge_bytes` HR_NONE: not known, then all may be. */
uint64_t hri_rests_sample(hri_group_memory *memory, uint64_t huge_bytes, uint64_t unmapped_bytes);

/* v1 does not tell names of files from what pipes and sockets hold. But the machine tells how many names are idle, to
 * one. So kernel memory that grows while they do not is held, and what leaves while they stay was held. Where the group
 * is at its limit (`full`), names that leave may have made room for what is held. A neighbour's names are taken for the
 * group's own where both grow between the same two looks. Gives how much is held now. */
uint64_t hri_held_sample(const hri_group_memory *memory, uint64_t doubtful_bytes, uint64_t idle_before,
                         uint64_t idle_now, bool full);

typedef struct hri_reading {
    int64_t time_ns;
    hri_process_reading process;
    hri_host_reading host;
    int64_t host_time_ns; /* when that was read: it may be older than the rest */
    uint64_t place_hash;  /* where the process was then */
    unsigned group_count;
    hri_cgroup_reading groups[HRI_CGROUP_DEPTH]; /* unlimited ones may have no other figure; the own group is first */
    hri_group_memory memory[HRI_CGROUP_DEPTH];
    hri_stalls stalls;      /* of the own group */
    hr_events events;       /* of the group that binds, or the own one */
    int64_t stalls_time_ns; /* when these two were read: they may be older than the rest */
    uint64_t lag_bytes;     /* by how much the groups' counters may be off */
    int binding;            /* the group with the smallest limit; -1: none is limited */
    hri_declared declared;  /* set by whoever keeps the reading, and left as it is */
} hri_reading;

/* Finds and opens the gauges of a site. Gives 0, -ENOMEM, -EMFILE or -ENFILE. */
int hri_gauge_open(hri_gauge *gauge, const hri_site *site, const hri_clock *clock);
void hri_gauge_close(hri_gauge *gauge);

/* Closes its files and keeps its texts. */
void hri_gauge_shut(hri_gauge *gauge);

/* Finds everything anew: in the child of a fork, whose open files would show the parent, and where the program has
 * closed them. A file that cannot be opened now is absent until the next attempt. */
void hri_gauge_reopen(hri_gauge *gauge);

/* How to read. */
enum {
    HRI_READ_ALL = 1,  /* the host's figures too, however young they are */
    HRI_READ_ONCE = 2, /* there is no other reading: what is there now is taken for lasting */
};

/* Reads again what `reading` holds (at first {0}). The files are found anew where the program has closed them, or the
 * process has been moved to another group (looked up every HRI_PLACE_AGE_NS). If that fails, the old chain
 * stays. A limit that cannot be read stays as it was last known. The host's figures are read again only once they are
 * HRI_HOST_AGE_NS old, or use more than half of what the host can give, or HRI_READ_ALL asks for them. Maps memory at
 * the most, and calls nothing of malloc()'s. */
#define HRI_HOST_AGE_NS (100 * HRI_MILLISECOND)
#define HRI_STALLS_AGE_NS (100 * HRI_MILLISECOND)
#define HRI_PLACE_AGE_NS (100 * HRI_MILLISECOND)
void hri_gauge_read(hri_gauge *gauge, unsigned how, hri_reading *reading);

/* The limit's file of the first group that is limited, from the own one upwards. Below 0 where none is, or it is not
 * of this machine. */
int hri_gauge_limit_fd(const hri_gauge *gauge, const hri_reading *reading);

/* Reads the figures of the groups that have no limit, too: hri_gauge_read() leaves them out, since they decide
 * nothing. */
void hri_gauge_read_unlimited(const hri_gauge *gauge, hri_reading *reading);

#endif
