/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel memory that descriptors of a group's processes pin, and that counts as reclaimable or looks like it. A
 * process that may not be asked keeps it unseen, such as one of another user. For those there is only the growth of
 * the whole (gauge/reading.h).
 */
#ifndef HRI_OS_DESCRIPTORS_H
#define HRI_OS_DESCRIPTORS_H

#include <stdint.h>

typedef struct hri_descriptors {
    uint64_t queued_bytes; /* written to pipes and local sockets, and not read yet */
    uint64_t watches;      /* of inotify: each keeps an inode */
} hri_descriptors;

/* The most descriptors that one look visits: of this process, and of all other processes together, each of which
 * counts one besides. A pipe of another process takes eight system calls, 15 to 30 us, and a look has a lock. Local
 * sockets and watches come on top: each of them is read. */
#define HRI_DESCRIPTORS_OWN 8192
#define HRI_DESCRIPTORS_OTHER 1024

/* Looks at this process's descriptors, and then at those of the processes that `members_fd` lists (cgroup.procs; -1:
 * none). Of others' local sockets those count that are in this process's network namespace. Allocates nothing. A
 * descriptor that cannot be asked counts as nothing. */
void hri_descriptors_read(int members_fd, hri_descriptors *ret_kept);

#endif
