/* SPDX-License-Identifier: Apache-2.0 */
/* Pages for pools. They are in use for the heap while a pool has them, also those of blocks that wait in it.
 *
 * A block of whole pages has its word in the page map: with class HRI_HEAP_POOLED, and the pool's number as its owner.
 * The pool changes the word (used and idle, as of other blocks), and hr_free() knows it as none of its own.
 *
 * A region is a run of slices for a pool's small blocks. The page map has whose each slice is. Its pages are committed
 * by and by, as the pool says, and read as zeros then.
 */
#ifndef HRI_HEAP_POOLED_H
#define HRI_HEAP_POOLED_H

#include "heap/segment.h"

/* Gives a block of `bytes` (whole pages), whose word is that of a block in use; NULL where there is no memory, or the
 * hook refuses it. From HRI_HEAP_LARGE_MIN on it is lazy, as other large blocks are. `ret_zeroed`: its bytes are
 * zeros. Asks the hook, with no lock held. */
void *hri_heap_pooled_get(uint64_t bytes, hri_heap_owner owner, bool *ret_zeroed);

/* Takes blocks of `bytes` each back, and gives as many bytes back to the kernel, unless others take them first. Gives
 * how many went, of which the caller tells the hook: hri_heap_tell(), once he has no lock. */
uint64_t hri_heap_pooled_put(void *const *blocks, unsigned count, uint64_t bytes);

/* A word that the pool may have for a block, in the records: those of pages have no use for the bits of a span. */
static inline uint64_t *hri_heap_pooled_link(const void *block)
{
    hri_heap_slice *slice = hri_heap_slice_of(hri_heap_segment_find(block), block);
    return &slice->bits[(uintptr_t)block % HRI_HEAP_SLICE / HRI_HEAP_PAGE];
}

/* Takes a region of `bytes` (whole slices), of which the first page is committed. Asks the hook, with no lock held. */
bool hri_heap_region_take(uint64_t bytes, hri_heap_run *ret_run);

/* Lets the addresses of a region lead to its first byte: hri_heap_slice_owner(). */
void hri_heap_region_enter(const hri_heap_run *run);

/* Commits the pages [from, to) of a region that are not committed yet. Asks the hook, with no lock held, or `lightly`.
 * Several threads may commit the same page. */
bool hri_heap_region_commit(const hri_heap_run *run, unsigned from, unsigned to, bool lightly);

/* Gives the pages [from, to) back to the kernel; those that are locked get zeros instead. Gives how many bytes went, as
 * above. */
uint64_t hri_heap_region_decommit(const hri_heap_run *run, unsigned from, unsigned to);

/* Gives a region back, and its pages to the kernel. */
void hri_heap_region_give(const hri_heap_run *run);

/* All of these together, large ones apart. Under the heap's lock. */
extern __attribute__((visibility("hidden"))) uint64_t hri_heap_pooled_sum;

#endif
