/* SPDX-License-Identifier: Apache-2.0 */
/* The memory cgroup that this process is in, and all that contain it, v1 or v2.
 *
 * Found and opened once (cgroup_chain.c); then read again and again through the open files (cgroup.c). A chain holds the
 * groups that can be seen, the process's own first. Of more than HRI_CGROUP_DEPTH it holds the own one, those with the
 * smallest limits, and then the nearest: every one is looked at when the chain is opened.
 */
#ifndef HRI_OS_CGROUP_H
#define HRI_OS_CGROUP_H

#include "os/site.h"

#include <headroom/base.h>

#define HRI_CGROUP_DEPTH 16
#define HRI_CGROUP_NAME_BYTES 256

/* One group's open files; -1 where there is none. */
typedef struct hri_cgroup {
    int limit_fd;
    int stat_fd;
    int charged_fd;
    int kernel_fd;  /* v1 only: v2 has it in memory.stat */
    int sockets_fd; /* v1 only */
    bool hidden;    /* v1 only: a group above the mount point, which cannot be seen, has a smaller limit */
    char name[HRI_CGROUP_NAME_BYTES]; /* for people: version, path below the mount point, file; a long path is cut */
} hri_cgroup;

typedef struct hri_cgroup_chain {
    int version; /* 1, 2, or 0: no memory cgroup was found */
    unsigned count;
    unsigned left_out; /* groups that contain the process and found no room here */
    hri_cgroup groups[HRI_CGROUP_DEPTH];
} hri_cgroup_chain;

/* v1 writes "unlimited" as the largest multiple of a page; anything from here up means that. */
#define HRI_CGROUP_V1_UNLIMITED (UINT64_C(1) << 62)

/* One group's figures in bytes. */
typedef struct hri_cgroup_reading {
    uint64_t limit_bytes; /* HR_NONE: none */
    uint64_t use_bytes;   /* anonymous, shared and unevictable memory, kernel memory, sockets; no page cache; HR_NONE
                             where memory.stat does not say */
    uint64_t cache_bytes; /* page cache; HR_NONE likewise */

    /* What the kernel holds against the limit, less what it could reclaim: use_bytes without the lag of memory.stat, and
     * with what CPUs have charged in advance; 0: unknown. */
    uint64_t charged_bytes;
    uint64_t current_bytes; /* what the kernel holds against the limit, page cache included: exact; HR_NONE: unknown */

    /* Anonymous memory that nobody maps, which is not in use_bytes: rests of huge pages. Or pages that are just being given
     * back: the kernel unmaps many before it frees the first. */
    uint64_t unmapped_bytes;
    uint64_t leaving_bytes;   /* of that, what has not been there for long: set by who reads again and again */
    uint64_t anonymous_bytes; /* the part of use_bytes that is neither kernel memory nor sockets; HR_NONE likewise */
} hri_cgroup_reading;

/* A group of which nothing is known, not even a limit. */
extern const hri_cgroup_reading hri_cgroup_unknown;

/* Finds and opens the chain of a site. Without a cgroup the chain is empty: no error.
 * Gives -ENOMEM, -EMFILE or -ENFILE where it could not look: a guard must not take that for "no limit". */
int hri_cgroup_open(hri_cgroup_chain *chain, const hri_site *site);
void hri_cgroup_close(hri_cgroup_chain *chain);

/* Forgets the files of a chain, which are not its own any more: its groups stay, and cannot be read. */
void hri_cgroup_abandon(hri_cgroup_chain *chain);

/* Reads the limit of the chain's `index`th group. Gives 0 or a negative errno: hri_cgroup_is_gone() tells whether the
 * group has been removed, which no group is that the process is in. */
int hri_cgroup_read_limit(const hri_cgroup_chain *chain, unsigned index, uint64_t *ret_limit_bytes);

bool hri_cgroup_is_gone(int error);

/* Reads all figures of the chain's `index`th group. Gives 0 or a negative errno; without its statistics a group still
 * has a limit. */
int hri_cgroup_read(const hri_cgroup_chain *chain, unsigned index, hri_cgroup_reading *ret_reading);

/* The formulas, pure: use and page cache by the text of memory.stat. v1's kernel memory and sockets come from files of
 * their own and are added by the reader. Gives 0, or -ENODATA where the text says nothing of anonymous memory,
 * or was cut before the last figure that counts. */
int hri_cgroup_parse_stat(const char *text, int version, hri_cgroup_reading *reading);

#endif
