/* SPDX-License-Identifier: Apache-2.0 */
/* The memory cgroup that this process is in, and all that contain it, v1 or v2.
 *
 * Found and opened once (cgroup_chain.c); then read again and again through the open files (cgroup.c). A chain holds
 * the groups that can be seen, the process's own first. Of more than HRI_CGROUP_DEPTH it holds the own one, those with
 * the smallest limits, and then the nearest: every one is looked at when the chain is opened.
 */
#ifndef HRI_OS_CGROUP_H
#define HRI_OS_CGROUP_H

#include "os/site.h"

#include <headroom/survey.h>

#define HRI_CGROUP_DEPTH 16
#define HRI_CGROUP_NAME_BYTES 256

/* A group's files, which stay open. */
typedef enum hri_cgroup_file {
    HRI_FILE_LIMIT,
    HRI_FILE_STAT,
    HRI_FILE_USAGE,
    HRI_FILE_SECOND,  /* the second limit: memory.high; on v1 the limit on memory and swap together */
    HRI_FILE_SWAP,    /* memory.swap.current; on v1 memory and swap together */
    HRI_FILE_KERNEL,  /* v1 only: v2 has it in memory.stat */
    HRI_FILE_SLABS,   /* v1 only, and empty since Linux 5.9 */
    HRI_FILE_SOCKETS, /* v1 only */
    HRI_FILE_EVENTS,  /* v2 only */
    HRI_CGROUP_FILES,
} hri_cgroup_file;

extern const char *const hri_cgroup_file_names[2][HRI_CGROUP_FILES]; /* by version - 1; NULL: it has no such file */

typedef struct hri_cgroup {
    int fds[HRI_CGROUP_FILES]; /* -1 where there is none */
    bool hidden;               /* v1 only: a group above the mount point, which cannot be seen, has a smaller limit */
    char name[HRI_CGROUP_NAME_BYTES]; /* for people: version, path below the mount point, file; a long path is cut */
} hri_cgroup;

typedef struct hri_cgroup_chain {
    int version; /* 1, 2, or 0: no memory cgroup was found */
    unsigned count;
    unsigned left_out; /* groups that contain the process and found no room here */
    int pressure_fd;   /* memory.pressure of the own group; -1: none, or it is the host's */
    int members_fd;    /* cgroup.procs of the own group; -1: it cannot be read */
    hri_cgroup groups[HRI_CGROUP_DEPTH];
} hri_cgroup_chain;

extern const hri_cgroup_chain hri_cgroup_none; /* no group, and no file is open */

/* v1 writes "unlimited" as the largest multiple of a page; anything from here up means that. */
#define HRI_CGROUP_V1_UNLIMITED (UINT64_C(1) << 62)

/* A group's limits. The smaller one binds. */
typedef struct hri_cgroup_limits {
    uint64_t max_bytes;    /* memory.max, memory.limit_in_bytes; HR_NONE: none */
    uint64_t second_bytes; /* memory.high: above it the group is throttled. On v1 what the limit on memory and swap
                              together leaves for memory. HR_NONE: none */
} hri_cgroup_limits;

/* One group's figures in bytes. */
typedef struct hri_cgroup_reading {
    uint64_t limit_bytes; /* the smaller of its two; HR_NONE: none */
    uint64_t use_bytes;   /* anonymous, shared and unevictable memory, kernel memory, sockets; no page cache; HR_NONE
                             where memory.stat does not say */
    uint64_t cache_bytes; /* page cache; HR_NONE likewise */

    /* The bytes that the kernel holds against the limit, less what it could reclaim: use_bytes without the lag of
     * memory.stat, and with what CPUs have charged in advance; 0: unknown. */
    uint64_t charged_bytes;
    uint64_t current_bytes; /* what the kernel holds against the limit, page cache included: exact; HR_NONE: unknown */

    /* Anonymous memory that nobody maps, which is not in use_bytes: rests of huge pages. Or pages that are just being
     * given back: the kernel unmaps many before it frees the first. */
    uint64_t unmapped_bytes;
    uint64_t leaving_bytes;   /* of that, what has not been there for long: set by who reads again and again */
    uint64_t huge_bytes;      /* huge pages of anonymous memory that are mapped as such; HR_NONE: not known */
    uint64_t anonymous_bytes; /* the part of use_bytes that is neither kernel memory nor sockets; HR_NONE likewise */

    hri_cgroup_limits limits;
    uint64_t swap_bytes;     /* swapped out; HR_NONE: not known */
    uint64_t written_bytes;  /* the part of dirty_bytes that is under writeback */
    uint64_t dirty_bytes;    /* page cache that is dirty or under writeback, which cannot be dropped at once */
    uint64_t doubtful_bytes; /* kernel memory that counts as reclaimable and need not be: not in use_bytes */
    uint64_t refault_bytes;  /* pages that were read back soon after they were dropped, ever */

    /* Set by a reader that reads again and again. The first counts beside use_bytes in the level (it lasts, or is
     * sure), the second in the lease (it does not come back at this moment). */
    uint64_t lasting_bytes;
    uint64_t stuck_bytes;
} hri_cgroup_reading;

/* A group of which nothing is known, not even a limit. */
extern const hri_cgroup_reading hri_cgroup_unknown;

/* Finds and opens the chain of a site. Without a cgroup the chain is empty: no error.
 * Gives -ENOMEM, -EMFILE or -ENFILE where it could not look: a guard must not take that for "no limit". */
int hri_cgroup_open(hri_cgroup_chain *chain, const hri_site *site);
void hri_cgroup_close(hri_cgroup_chain *chain);

/* Forgets the files of a chain, which are not its own any more: its groups stay, and cannot be read. */
void hri_cgroup_abandon(hri_cgroup_chain *chain);

/* Reads the limits of the chain's `index`th group. Gives 0 or a negative errno: hri_cgroup_is_gone() tells whether the
 * group has been removed, which no group is that the process is in. */
int hri_cgroup_read_limits(const hri_cgroup_chain *chain, unsigned index, hri_cgroup_limits *ret_limits);

static inline uint64_t hri_cgroup_limit(const hri_cgroup_limits *limits)
{
    return limits->second_bytes < limits->max_bytes ? limits->second_bytes : limits->max_bytes;
}

bool hri_cgroup_is_gone(int error);

/* Reads all figures of the chain's `index`th group. Gives 0 or a negative errno; without its statistics a group still
 * has a limit. */
int hri_cgroup_read(const hri_cgroup_chain *chain, unsigned index, hri_cgroup_reading *ret_reading);

/* memory.events, of v2. Gives 0, or a negative errno where nothing can be read. */
int hri_cgroup_read_events(const hri_cgroup_chain *chain, unsigned index, hr_events *ret_events);

/* The formulas, pure: use and page cache by the text of memory.stat. v1's kernel memory and sockets come from files of
 * their own and are added by the reader. Gives 0, or -ENODATA where the text says nothing of anonymous memory,
 * or was cut before the last figure that counts. */
int hri_cgroup_parse_stat(const char *text, int version, hri_cgroup_reading *reading);

#endif
