/* SPDX-License-Identifier: Apache-2.0 */
/* The word by which leases are counted, shared by the processes of one cgroup.
 *
 * Processes that share a limit and do not know of each other's grants are killed together: each sees room that all of them grant.
 * So `granted` (base/lease.h) lies in a page that all guarded processes of a group map, a file in /dev/shm that is named after
 * the group's device and inode and the user:
 *
 *     [ magic, granted ][ slot 0: pending ][ slot 1: pending ] …      a cache line each
 *
 * A process has a *slot* with the bytes that it was granted and has not touched. It raises its slot before it raises `granted`,
 * and lowers it after a reading. Whoever issues a lease samples `granted` first, then sums the slots, then reads the kernel's
 * files: a grant that is in the sample is in a slot, or its pages are in the figures.
 *
 * A slot belongs to the process that has a record lock on its byte of the file. The kernel drops the lock when the process
 * ends, so a crash leaves nothing to repair: a slot that nobody has locked does not count. Locks work across PID namespaces.
 *
 * Processes of another user cannot open the file (mode 0600). They have one of their own, and its time of change says that
 * they are there: then each user's processes grant their part of what is free.
 */
#ifndef HRI_OS_SHARE_H
#define HRI_OS_SHARE_H

#include "base/fork.h"
#include "base/lease.h"
#include "os/file.h"

#include <stdint.h>

/* The process's own word, where nothing is shared. */
extern __attribute__((visibility("hidden"))) const hri_lease_word hri_word_alone;

/* What others that share the limit say. */
typedef struct hri_share_sum {
    uint64_t pending_bytes; /* of other processes */
    unsigned processes;     /* that share the word, this one included */
    unsigned users;         /* whose processes share the limit, this one's included */
} hri_share_sum;

/* Joins the processes of the group whose limit is in the file with that mark, or stays in it; a mark of zeros: nothing is shared.
 * Gives the word to count by from now on: words that were given before stay valid for ever. Opens files; allocates nothing. */
hri_lease_word hri_share_join(const hri_file_mark *group);

/* Leaves, with the last guard of the process. The last process of a group removes the file. */
void hri_share_leave(void);

/* Sums what others say, after `granted` was sampled. */
hri_share_sum hri_share_read(int64_t now_ns);

/* The child has to join by itself: until then its word is the parent's, and its slot nobody's. */
void hri_share_fork(hri_fork moment);

#endif
