/* SPDX-License-Identifier: Apache-2.0 */
/* The tree: a process and all that descend from it, and their anonymous resident memory.
 *
 * Listing and adding up cost by the number of processes, so a sum serves until it is old. Pages that came since are not
 * in it; whoever asks knows by how much the group around has grown. */
#ifndef RUN_TREE_H
#define RUN_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_TREE_MAX 4096 /* processes; the rest is not seen */
#define RUN_SKIPPED_MAX 16

typedef struct run_tree {
    int root;                     /* its number in /proc, as all of `pids` */
    bool with_root;               /* the root itself belongs to it */
    int skipped[RUN_SKIPPED_MAX]; /* children of the root that do not, with theirs; 0: none */
    int keeper;                   /* another; 0: none */
    int depth; /* our PID namespace below that of /proc; 0: the same one; -1: /proc shows none of us */
    int pids[RUN_TREE_MAX];
    size_t count;
    uint64_t anonymous_bytes; /* of all, when they were added up last */
    uint64_t kernel_bytes;    /* that the kernel has for them at least: page tables, stacks, descriptors */
    int64_t summed_ns;        /* when that was; 0: never */
    int64_t summing_ns;       /* how long it took, with the listing */
} run_tree;

/* How far our PID namespace is below the one that /proc was mounted in: after 'unshare --pid' alone, /proc is still the
 * parent's. There every process has another number, and ours are those of other processes. -1 where /proc does not show
 * this process. */
int run_proc_depth(void);

/* The number of one of our processes in /proc; 0 where /proc does not show it. */
int run_proc_number(int pid);

/* Roots the tree in a process by its own number. */
void run_tree_open(run_tree *tree, int root, bool with_root);

/* The own number of one of its processes; 0 where it has ended. */
int run_tree_own(const run_tree *tree, size_t index);

/* Is it one of the tree? `pid` is its own number. As the tree was listed last. */
bool run_tree_has(const run_tree *tree, int pid);

/* Lists the tree again. */
void run_tree_list(run_tree *tree);

/* Lists it and adds up what its processes have of anonymous resident memory: an upper bound, since pages that a fork
 * shares count for each. That takes at most 1 part in `share` of the time. Gives false where the last sum stays. */
bool run_tree_refresh(run_tree *tree, int64_t now_ns, unsigned share);

/* Sends a signal to all of it, and to those that it forks meanwhile. */
void run_tree_signal(run_tree *tree, int signal);

/* Is the process with this number in /proc on its way out? */
bool run_tree_is_leaving(int shown);

/* Continues the processes of it that somebody has stopped: a signal that asks them to end waits until then. */
void run_tree_wake(run_tree *tree);

#endif
