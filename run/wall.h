/* SPDX-License-Identifier: Apache-2.0 */
/* The wall: a cgroup of its own around the tree, which stops it at the limit and does not kill.
 *
 *     v1    memory.limit_in_bytes, with the kernel's killer switched off (memory.oom_control): a process that needs a
 *           page beyond the limit sleeps in the kernel until there is room, or the limit is raised
 *     v2    memory.high: a process that goes beyond it is slowed down more and more. That buys time, and is no end. So
 *           it stands below the limit around it by what a process needs a second for
 *     none  where no group may be made: looking often is all there is
 *
 * The wall stands inside of the group that the command itself is in, so every limit around stays what it is. On v2 a
 * group that has processes cannot hand its memory controller on. If the command is the only process of its group, as in
 * a container, it first moves into a group beside the tree's.
 *
 * The supervisor holds a lock on the tree's group, which the kernel drops when it has ended, however that was. If it
 * was killed together with its keeper, the group stays, and its processes sleep there. The next supervisor in the same
 * place takes the lock of each group that has the name of a tree's. Where it gets one, it ends what is in there. A
 * number in the name could not tell that: after 'unshare --pid' it is another process's, and a container's supervisor
 * is always 1.
 *
 * While a program is being asked to end, the wall is raised so that a handler can run. Each step is half of the way to
 * a ceiling below the limit around it, so the ceiling is never reached. A wall of version 2 that stands as near to that
 * limit as it may is not raised.
 */
#ifndef RUN_WALL_H
#define RUN_WALL_H

#include "files.h"

#include <headroom/survey.h>

typedef enum run_wall_kind {
    RUN_WALL_NONE,
    RUN_WALL_V1,
    RUN_WALL_V2,
} run_wall_kind;

typedef struct run_wall {
    run_wall_kind kind;
    char folder[RUN_PATH_BYTES]; /* of the tree's group */
    char around[RUN_PATH_BYTES]; /* of the group that it is in */
    char own[RUN_PATH_BYTES];    /* v2: where the command has moved itself; "": it has not */
    char why[512];               /* which wall there is, or why there is none: for people */
    int event_fd;                /* poll it for POLLIN (v1) or POLLPRI (v2); below 0: none */
    int lock_fd;                 /* the lock on the tree's group; below 0: none */
    uint64_t now_bytes;          /* where it stands */
    uint64_t ceiling_bytes;      /* how far it may be raised by itself */
    uint64_t highs;              /* v2: the count of memory.events when it was last read */
    bool frozen;                 /* v2 */
} run_wall;

/* Makes a wall at `limit_bytes` inside of the group that `survey` shows, if one can be made; `why` says the outcome.
 * Before that, it ends the trees there whose supervisor and keeper are gone. */
void run_wall_make(run_wall *wall, const hr_survey *survey, uint64_t limit_bytes, uint64_t ceiling_bytes);

/* Version 2: the bytes that memory.high has to be below a limit, so that one process needs a second to grow from there
 * to the limit. */
uint64_t run_wall_distance(uint64_t limit_bytes);

/* Moves the calling process behind the wall. Gives 0 or a negative errno. */
int run_wall_enter(const run_wall *wall);

/* Does the tree stand at the wall now: asleep (v1), or held up since the last call (v2)? */
bool run_wall_is_hit(run_wall *wall);

/* Gives groups of version 1 that the tree has made within its own the kernel's killer back. They inherit that it is
 * off, and nobody would raise their limits. A process that sleeps there is woken. Where there are none it costs one
 * stat(). */
void run_wall_tend(const run_wall *wall);

/* Moves the wall. Gives 0 or a negative errno: -EBUSY where more is used (v1). */
int run_wall_set(run_wall *wall, uint64_t bytes);

/* Raises it half way to its ceiling. */
void run_wall_yield(run_wall *wall);

/* Stops or continues the tree where the wall can do it alone (v2). Gives false where it cannot. */
bool run_wall_freeze(run_wall *wall, bool freeze);

/* Kills what is behind the wall. Gives false where that was not possible. */
bool run_wall_kill(const run_wall *wall);

/* Kills what is behind the wall, all of it, and removes the wall. */
void run_wall_end(run_wall *wall);

/* Asks the kernel to take `bytes` of page cache back. Gives 0 or a negative errno. */
int run_wall_reclaim(const run_wall *wall, uint64_t bytes);

/* How many processes the kernel has killed in a group and below it, since the group was made. */
uint64_t run_group_kills(unsigned version, const char *folder);

/* How many processes the kernel has killed for want of memory, in the tree's group and all below it. */
uint64_t run_wall_kills(const run_wall *wall);

/* The most that the group was charged with, page cache included; HR_NONE where the kernel does not say. */
uint64_t run_wall_peak(const run_wall *wall);

/* Lets what still runs go on without a wall, in the group around, and removes the group. */
void run_wall_remove(run_wall *wall);

#endif
