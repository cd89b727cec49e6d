/* SPDX-License-Identifier: Apache-2.0 */
/* How much of the kernel's "reclaimable" memory comes back. Names and inodes of files on a tmpfs stay as long as the
 * file, and other inodes as long as somebody watches them.
 *
 * Neither v1 nor v2 says that of a group. So bounds are taken of the machine and of the group's processes.
 * `tmpfs_files` are those on every tmpfs that this process can see. `idle_bytes` are of the names and inodes that the
 * kernel says nobody uses.
 */
#ifndef HRI_OS_PINS_H
#define HRI_OS_PINS_H

#include "os/descriptors.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct hri_pins {
    uint64_t tmpfs_files; /* on all that are mounted here */
    uint64_t tmpfs_nodes; /* of the trees in which the kernel keeps their pages, at the most */
    uint64_t idle_bytes;  /* names and inodes that nobody uses, of the whole machine */
    hri_descriptors kept; /* what descriptors of the group keep */
} hri_pins;

/* The most that a name pins in slab that counts as reclaimable: 192 bytes, and 512 for a name of 240 characters and
 * more, with what the slabs add. v1 counts the inode too. With 448 bytes a name, 5 of 5
 * processes in 64 MiB were killed beside 25,000 long names: idle names elsewhere on the machine passed for these. */
#define HRI_PIN_NAME_BYTES 736
#define HRI_PIN_FILE_BYTES 1536

/* The most that an inode takes; on some file systems it is less. The kernel counts an inode as idle though somebody
 * watches it. In a group of 64 MiB, 9 MiB of those led to a kill. */
#define HRI_PIN_INODE_BYTES 1152

/* A file of more than a page has a node for each 64 of them, which counts as reclaimable too. */
#define HRI_PIN_NODE_BYTES 600

/* Reads anew; all but the idle bytes only if `whole`: a machine may have thousands of mounts. `members_fd`:
 * see hri_descriptors_read(). Opens files, and allocates nothing. A file that cannot be read counts as nothing. */
void hri_pins_read(bool whole, int members_fd, hri_pins *ret_pins);

#endif
