/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that do not come from the heap: for a request that comes while this very thread is inside the heap. That is
 * a signal handler that allocates, or libc that needs a block for what the heap asked of it.
 *
 * Any thread, signal handlers too; no lock. Such blocks are never given back, and are few.
 */
#ifndef HRI_MALLOC_EARLY_H
#define HRI_MALLOC_EARLY_H

#include <stdbool.h>
#include <stddef.h>

#define HRI_EARLY_BYTES ((size_t)256 << 10)

/* Gives zeroed bytes, aligned to a power of two; NULL: none are left. */
void *hri_early_get(size_t align, size_t size);

bool hri_early_has(const void *block);

/* The bytes that the block was asked for. */
size_t hri_early_size(const void *block);

#endif
