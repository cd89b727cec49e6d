/* SPDX-License-Identifier: Apache-2.0 */
/* The list of regions of pools whose blocks are charged and have not all their pages yet, of the whole process. The
 * heap has a list of its own (heap/large.c), and this one goes once pools stand on the heap.
 *
 * A budget is charged at the grant, the kernel charges at the first touch. A reading in between shows memory as free
 * that is already granted. So regions of blocks of several pages stand in a list until the kernel has been seen to have
 * all of their pages, and it is asked about these alone. (Smaller blocks are touched when they are granted.)
 *
 * Each shard's sum is an upper bound at any time: pages come by themselves, and go only with their block. (A page
 * that is swapped out after it was seen is not missed.) Locking: a shard's lock is a leaf, held while the kernel is
 * asked about its blocks. A thread that holds it is in a section (section.h), so a signal handler that charges does
 * not wait for it.
 */
#ifndef HRI_BUDGET_UNTOUCHED_H
#define HRI_BUDGET_UNTOUCHED_H

#include "base/fork.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A block that is smaller has at most one page to itself. */
#define HRI_UNTOUCHED_MIN ((size_t)8 << 10)

/* Memory that the kernel is asked about. */
typedef struct hri_span {
    const void *raw;
    size_t size;
    uint64_t spare; /* of these bytes, absent and not charged */
} hri_span;

/* What the list keeps of a block, in the block. */
typedef struct hri_untouched_node {
    alignas(max_align_t) struct hri_untouched_node *next;
    struct hri_untouched_node **_Atomic link; /* what points here; NULL: in no list */
    hri_span span;
    uint64_t bytes; /* that were charged and not there when it was last asked about */
} hri_untouched_node;

void hri_untouched_fork(hri_fork moment);

/* Says of bytes that were just charged that they are for a block of the list; and that it is in the list, or will not be.
 * Nobody reads in between that they are touched. */
void hri_untouched_expect(uint64_t bytes);
void hri_untouched_arrive(uint64_t bytes);

/* The memory of a node is `span` now, and `more` of it was charged just now. It is listed if there are more. */
void hri_untouched_widen(hri_untouched_node *node, const hri_span *span, uint64_t more);
void hri_untouched_remove(hri_untouched_node *node);

/* How many bytes have no page, at most. Takes no lock. */
uint64_t hri_untouched_bytes(void);

/* Asks the kernel about what is in the list, those first that were not asked about for longest: HRI_UNTOUCHED_ASKED
 * at the most, so that it takes some milliseconds. Of these the bound is exact then, but for what changes meanwhile. One
 * system call for each (and each 4 MiB), some 5 ns for each page. One thread at a time. */
#define HRI_UNTOUCHED_ASKED 8192u
void hri_untouched_measure(void);

#endif
