/* SPDX-License-Identifier: Apache-2.0 */
/* Large blocks: whole pages that their user touches. They are committed when they are granted and *lazy*: in a list
 * until the kernel has been seen to have all of their pages. So what is granted and not resident is known, and the
 * kernel is asked about few blocks.
 *
 * Locking: the list has a lock of its own, which is held while the kernel is asked; it may be taken under the heap's.
 */
#ifndef HRI_HEAP_LARGE_H
#define HRI_HEAP_LARGE_H

#include "base/fork.h"
#include "heap/segment.h"

typedef struct hri_heap_large {
    void *block;
    uint64_t committed_bytes; /* for it, records included */
    bool zeroed;              /* its bytes are zeros */
} hri_heap_large;

/* Makes a block of `bytes` (whole pages) whose address is a multiple of `align`, a power of two. The caller was
 * granted bytes + HRI_HEAP_RECORDS_BYTES. Gives false where there is no memory; records may have been committed then
 * too. Takes the heap's lock. */
bool hri_heap_large_get(size_t bytes, size_t align, hri_heap_owner owner, hri_heap_large *ret_large);

/* Takes a block back whose word is idle already. Gives how many bytes were decommitted by that. Takes the heap's
 * lock. */
uint64_t hri_heap_large_put(void *block);

/* The bytes of a large block. */
uint64_t hri_heap_large_bytes(const void *block);

typedef struct hri_heap_change {
    uint64_t committed_bytes, gone_bytes;
} hri_heap_change;

/* Changes the size of a block without copying it, to `bytes` (whole pages). Growing takes pages behind it, if they are
 * free. One that has a segment to itself moves to another address, a multiple of `align`, unless that is 0. The caller
 * was granted the difference. Gives the block; NULL, with nothing changed, where that is not possible. Takes the heap's
 * lock. */
void *hri_heap_large_resize(void *block, size_t bytes, size_t align, hri_heap_change *ret_change);

void hri_heap_lazy_fork(hri_fork moment);

/* All large blocks together. Under the heap's lock. */
extern __attribute__((visibility("hidden"))) uint64_t hri_heap_large_sum;

#endif
