/* SPDX-License-Identifier: Apache-2.0 */
/* Charged blocks: blocks of the heap whose owner is the budget that pays for them. hr_alloc() and its kin for programs,
 * and for the rooms above. README.md in this folder has the idea.
 *
 * A block's charge is what it takes of the heap: hri_heap_cost(size), to the byte. So hr_free() needs the block alone.
 */
#ifndef HRI_ALLOC_ALLOC_H
#define HRI_ALLOC_ALLOC_H

#include "budget/budget.h"
#include "heap/heap.h"

/* How a block is made. */
enum {
    HRI_BLOCK_ZEROED = 1, /* filled with zeros */
    HRI_BLOCK_QUIET = 2,  /* without relief, which runs what belongs to others: for a caller that holds locks */
};

/* As hr_alloc(); without a budget (NULL) nobody pays for the block, and the gauges alone know of it. */
void *hri_block_get(hr_budget *budget, size_t size, unsigned how);

void *hri_block_get_aligned(hr_budget *budget, size_t align, size_t size);

/* Frees a block, as hr_free(), and gives what it cost; uncharging that is left to the caller, who has more of them. */
uint64_t hri_block_put(void *block);

/* Calls `take`, which takes pages from the heap for a caller who has charged the budget for them, or has NULL. The
 * heap's hook spends the lease of its tree meanwhile, with relief unless it is to be `quiet`. Gives 0; -EDQUOT, which
 * is counted as a refusal; or -ENOMEM. */
int hri_block_pages(hr_budget *budget, bool quiet, bool (*take)(void *context), void *context);

/* The bytes that a block is charged. */
static inline uint64_t hri_block_cost(const void *block)
{
    return hri_heap_bytes(block);
}

/* Gives the end of a block back where that can be done in place; gives by how much it costs less then, which is left to
 * the caller to uncharge. */
uint64_t hri_block_shrink(void *block, size_t size);

/* As hr_alloc(), paid first from a promise of `*promise_bytes`, which is lessened by what was used of it. */
void *hri_alloc_promised(hr_budget *budget, size_t size, uint64_t *promise_bytes);

#endif
