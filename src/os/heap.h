/* SPDX-License-Identifier: Apache-2.0 */
/* The door to the process's malloc: which allocator it is, and how it gives free pages back. */
#ifndef HRI_OS_HEAP_H
#define HRI_OS_HEAP_H

#include "os/site.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum hri_allocator {
    HRI_ALLOCATOR_OTHER, /* musl and all that cannot be asked to purge */
    HRI_ALLOCATOR_GLIBC,
    HRI_ALLOCATOR_JEMALLOC,
    HRI_ALLOCATOR_MIMALLOC,
    HRI_ALLOCATOR_TCMALLOC,
    HRI_ALLOCATOR_MUSL, /* recognised in other processes only */
    HRI_ALLOCATOR_UNKNOWN,
} hri_allocator;

/* The allocator behind malloc in this process: a linked library counts only if malloc is really its own. */
hri_allocator hri_heap_allocator(void);
const char *hri_allocator_text(hri_allocator allocator);

/* By what call it gives pages back; NULL: by none. */
const char *hri_allocator_purge_text(hri_allocator allocator);

/* The likely allocator of another process: by the libraries that it has mapped, of which it may not use each.
 * Gives 0, a negative errno where that cannot be read. */
int hri_heap_find(const hri_site *site, hri_allocator *ret_allocator);

/* Gives free pages back to the kernel. Can take long; the allocator is locked meanwhile. */
void hri_heap_purge(void);

/* Does a purge serve the calling thread alone? With mimalloc, blocks that other threads freed wait for the thread that
 * allocated them. */
bool hri_heap_purges_by_thread(void);

#endif
