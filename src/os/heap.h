/* SPDX-License-Identifier: Apache-2.0 */
/* The door to libc memory: what a block really costs, and which allocator is behind malloc.
 *
 * The footprint of a block is its usable size and what the allocator keeps of it: a word, or two of one that is mapped
 * by itself. Before an allocation it can only be estimated; hri_heap_estimate() is exact for glibc and close for the
 * others, hri_heap_footprint() is the truth after.
 */
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

/* What malloc is in this process: a linked library counts only if malloc is really its own. */
hri_allocator hri_heap_allocator(void);
const char *hri_allocator_text(hri_allocator allocator);

/* By what call it gives pages back; NULL: by none. */
const char *hri_allocator_purge_text(hri_allocator allocator);

/* What malloc most likely is in another process: by the libraries that it has mapped, of which it may not use each.
 * Gives 0, a negative errno where that cannot be read. */
int hri_heap_find(const hri_site *site, hri_allocator *ret_allocator);

/* Fixes glibc's threshold for mapped blocks, which otherwise grows with what is freed and lets the heap fragment
 * (84 MiB live in 119 MiB resident; 88 with the threshold fixed). Leaves it alone where the environment sets it. */
void hri_heap_settle(void);

/* Gives free pages back to the kernel. Can take long; the allocator is locked meanwhile. */
void hri_heap_purge(void);

/* A block whose footprint is this large or larger gets a mapping of its own, where hri_heap_settle() has seen to it. */
#define HRI_HEAP_MAPPED_MIN (UINT64_C(128) << 10)

/* Estimates the footprint of a block of `size` bytes. Never overflows: the result stops at UINT64_MAX. */
uint64_t hri_heap_estimate(size_t size);

/* Gives the largest footprint that a block of `size` bytes can have: glibc leaves no piece that is too small for a
 * block, others round up to their sizes. */
uint64_t hri_heap_most(size_t size);

/* Gives the footprint of a block. */
uint64_t hri_heap_footprint(void *block);

/* Does a block lie in a mapping of its own? */
bool hri_heap_is_mapped(void *block);

/* How much of a block's footprint is a mapping of its own, before the block is there and once it is: all of it, or
 * nothing. Such a block cannot be made of what the allocator retains, and goes back to the kernel when it is freed. */
static inline uint64_t hri_heap_expected_mapping(uint64_t footprint_bytes)
{
    bool maps = footprint_bytes >= HRI_HEAP_MAPPED_MIN && hri_heap_allocator() == HRI_ALLOCATOR_GLIBC;
    return maps ? footprint_bytes : 0;
}

static inline uint64_t hri_heap_mapping(void *block, uint64_t footprint_bytes)
{
    return footprint_bytes >= HRI_HEAP_MAPPED_MIN && hri_heap_is_mapped(block) ? footprint_bytes : 0;
}

/* Gives how many bytes of a block may be used. */
size_t hri_heap_usable(void *block);

#endif
