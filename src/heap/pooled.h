/* SPDX-License-Identifier: Apache-2.0 */
/* Pages for pools. They are in use for the heap while a pool has them, also those of blocks that wait in it.
 *
 * A block of whole pages has its word in the page map: with class HRI_HEAP_POOLED, and the pool's number as its owner.
 * The pool changes the word (used and idle, as of other blocks), and hr_free() knows it as none of its own.
 */
#ifndef HRI_HEAP_POOLED_H
#define HRI_HEAP_POOLED_H

#include "heap/segment.h"

/* Gives a block of `bytes` (whole pages), whose word is that of a block in use; NULL where there is no memory, or the
 * hook refuses it. From HRI_HEAP_LARGE_MIN on it is lazy, as other large blocks are. `ret_zeroed`: its bytes are
 * zeros. Asks the hook, with no lock held. */
void *hri_heap_pooled_get(uint64_t bytes, hri_heap_owner owner, bool *ret_zeroed);

/* Takes blocks of `bytes` each back, and gives as many bytes back to the kernel, unless others take them first. */
void hri_heap_pooled_put(void *const *blocks, unsigned count, uint64_t bytes);

/* All of these together, large ones apart. Under the heap's lock. */
extern __attribute__((visibility("hidden"))) uint64_t hri_heap_pooled_sum;

#endif
