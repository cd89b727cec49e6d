/* SPDX-License-Identifier: Apache-2.0 */
/* The word by which leases are counted, shared by the processes of one cgroup.
 *
 * Processes that share a limit and do not know of each other's grants are killed together: each sees room that all of
 * them grant. So `granted` (base/lease.h) lies in a page that all guarded processes of a group map. It is a file in
 * /dev/shm that is named after the group's device and inode and the user:
 *
 *     [ magic, granted ][ slot 0: pending ][ slot 1: pending ] …      a cache line each
 *
 * A process has a *slot* with the bytes that it was granted and has not touched. It raises its slot before it raises
 * `granted`, and lowers it after a reading. The issuer of a lease samples `granted` first, then sums the slots, then
 * reads the kernel's files. So a grant that is in the sample is in a slot, or its pages are in the figures.
 *
 * A slot belongs to the process that has a record lock on its byte of the file. The kernel drops the lock when the
 * process ends, so a crash leaves nothing to repair: a slot that nobody has locked does not count. Locks work across
 * PID namespaces.
 *
 * Processes of other users cannot open the file (mode 0600), and a container may have a /dev/shm of its own. But all
 * processes of a group can open the file of its limit. So each guarded process also has a lock in that file, whose
 * length tells what it was granted and has not touched: pages, by its last reading. Such *foreign* processes do not
 * count by our word. A process takes its part of what is free, by the number of processes, and says that part to be
 * pending too.
 */
#ifndef HRI_OS_SHARE_H
#define HRI_OS_SHARE_H

#include "base/fork.h"
#include "base/lease.h"
#include "os/file.h"

#include <stdint.h>

/* The process's own word, where nothing is shared. */
extern __attribute__((visibility("hidden"))) const hri_lease_word hri_word_alone;

/* The figures of the others that share the limit. */
typedef struct hri_share_sum {
    uint64_t pending_bytes; /* of other processes */
    unsigned processes;     /* that share the word, this one included */
    unsigned foreign;       /* processes that share the limit, and not the word */
} hri_share_sum;

/* Joins the processes of the group whose limit is in that open file, or stays with them; below 0: nothing is shared.
 * Gives the word to count by from now on: words that were given before stay valid for ever. Opens files; allocates
 * nothing. */
hri_lease_word hri_share_join(int limit_fd);

/* Leaves, with the last guard of the process. The last process of a group removes the file. */
void hri_share_leave(void);

/* Sums what others say, after `granted` was sampled. */
hri_share_sum hri_share_read(void);

/* Counts the guarded processes that share a limit, by its file: this one too, if it is guarded. Joins nothing. */
unsigned hri_share_count(int limit_fd);

/* Tells foreign processes what is pending here. */
void hri_share_say(uint64_t pending_bytes);

/* The child has to join by itself: until then its word is the parent's, and its slot nobody's. */
void hri_share_fork(hri_fork moment);

#endif
