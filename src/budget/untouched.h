/* SPDX-License-Identifier: Apache-2.0 */
/* What is charged and has no page yet.
 *
 * The kernel charges a page when it is touched; a budget, when it is granted. Who looks in between sees room that is spoken
 * for, and no reading tells: memory of others hides as much of what is ours and untouched. So blocks of several pages
 * stand in a list until all of their pages have been seen there, and the kernel is asked about these alone.
 *
 * Each shard's sum is an upper bound at any time: pages come by themselves, and go only with their block. (A page that is
 * swapped out after it was seen is not missed.)
 * Locking: a shard's lock is a leaf, and held while the kernel is asked about its blocks.
 */
#ifndef HRI_BUDGET_UNTOUCHED_H
#define HRI_BUDGET_UNTOUCHED_H

#include "base/fork.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Below this a block has hardly a page to itself: the allocator touches its ends. */
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

#ifdef __SANITIZE_THREAD__
#define HRI_UNTOUCHED_SHARDS 4 /* it cannot follow more than 64 locks at a time, and a fork takes all that there are */
#else
#define HRI_UNTOUCHED_SHARDS 16
#endif

typedef struct hri_untouched {
    struct hri_untouched_shard {
        pthread_mutex_t lock;
        hri_untouched_node *first; /* to be asked about next */
        hri_untouched_node *asked; /* after all those */
        _Atomic uint64_t bytes;    /* of all in the list */
        _Atomic uint64_t expected; /* charged for blocks that are on their way into some list */
    } shards[HRI_UNTOUCHED_SHARDS];
    unsigned next_shard; /* whoever measures has that to itself */
} hri_untouched;

/* Gives 0 or a negative errno. */
int hri_untouched_init(hri_untouched *untouched);
void hri_untouched_destroy(hri_untouched *untouched);
void hri_untouched_fork(hri_untouched *untouched, hri_fork moment);

/* Says of bytes that were just charged that they are for a block of the list; and that it is in the list, or will not be.
 * Nobody reads in between that they are touched. */
void hri_untouched_expect(hri_untouched *untouched, uint64_t bytes);
void hri_untouched_arrive(hri_untouched *untouched, uint64_t bytes);

/* Adds a block, none of whose pages is known to be there, and takes it out before it is freed. The node lies in it. */
void hri_untouched_add(hri_untouched *untouched, hri_untouched_node *node, const hri_span *span);
void hri_untouched_remove(hri_untouched *untouched, hri_untouched_node *node);

/* For memory whose blocks are charged one by one: it is `span` now, and `more` of it was charged just now. It is listed if
 * there are more. */
void hri_untouched_widen(hri_untouched *untouched, hri_untouched_node *node, const hri_span *span, uint64_t more);

/* How many bytes have no page, at most. Takes no lock. */
uint64_t hri_untouched_bytes(const hri_untouched *untouched);

/* Asks the kernel about what is in the list, those first that were not asked about for longest: HRI_UNTOUCHED_ASKED
 * at the most, so that it takes some milliseconds. Of these the bound is exact then, but for what changes meanwhile. One
 * system call for each (and each 4 MiB), some 5 ns for each page. One thread at a time. */
#define HRI_UNTOUCHED_ASKED 8192u
void hri_untouched_measure(hri_untouched *untouched);

#endif
