/* SPDX-License-Identifier: Apache-2.0 */
/* The way from a mount point down to the process's group. cgroup_chain.c goes it, and cgroup_tell.c says what is worth
 * knowing of the groups on it. */
#ifndef HRI_OS_CGROUP_WAY_H
#define HRI_OS_CGROUP_WAY_H

#include "os/cgroup.h"
#include "os/parse.h"

typedef struct hri_cgroup_way {
    hri_cgroup_chain *chain;
    const hri_site *site;
    const hri_cgroup_place *place;
    int folder;                        /* where the way has come to */
    int length;                        /* of place->below up to there */
    bool own;                          /* the process's own group */
    bool met;                          /* a group has been found on the way */
    uint64_t limits[HRI_CGROUP_DEPTH]; /* of the groups in the table */
} hri_cgroup_way;

/* The path that people know a group by. */
const char *hri_cgroup_way_path(const hri_cgroup_way *way, char path[HRI_MOUNT_BYTES]);

/* Copies a file of the group, where the site wants copies: of one that is not open its folder. */
void hri_cgroup_copy(const hri_cgroup_way *way, const char *name, int fd);

/* Says that a file of the group could not be read. One that is not there is no news, unless it has to be. */
void hri_cgroup_tell_unreadable(const hri_cgroup_way *way, const char *file, int error, bool needed);

/* Says what a group keeps to itself, and what there is beside its limits. `alone` has it in a chain of its own. */
void hri_cgroup_tell_of(const hri_cgroup_way *way, const hri_cgroup_chain *alone, int limit_error,
                        const hri_cgroup_limits *limits);

/* Says what limits on huge pages the group of this folder has. */
void hri_cgroup_tell_huge_pages(const hri_cgroup_way *way);

/* Says what may be above the topmost group that can be seen. */
void hri_cgroup_tell_above(const hri_cgroup_way *way, const hri_cgroup *top, uint64_t limit_bytes);

#endif
