/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel memory that this process's own descriptors keep, and that counts as reclaimable or looks like it. Other
 * processes of the group may keep as much, unseen. For those there is only the growth of the whole (gauge/reading.h).
 */
#ifndef HRI_OS_DESCRIPTORS_H
#define HRI_OS_DESCRIPTORS_H

#include <stdint.h>

typedef struct hri_descriptors {
    uint64_t queued_bytes; /* written to pipes and local sockets, and not read yet */
    uint64_t watches;      /* of inotify: each keeps an inode */
} hri_descriptors;

/* Looks at each descriptor, at the cost of one to three system calls. Allocates nothing. A descriptor that cannot be
 * asked counts as nothing. */
void hri_descriptors_read(hri_descriptors *ret_kept);

#endif
