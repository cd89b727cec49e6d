/* SPDX-License-Identifier: Apache-2.0 */
/* Regions: runs of the heap's slices that small blocks of one size are carved from.
 *
 * A block is *new* (its pages were never used, or are given back) or *free* (it waits in its region). It is *away* (in
 * a magazine, or with a user: its mark says which), or *leaving* (taken out of the free ones to become new). Free
 * blocks are linked through words in the region's head, not through the blocks. So their contents stay, and a user who
 * still writes to a block that he gave back cannot break the list.
 */
#ifndef HRI_STORE_REGION_H
#define HRI_STORE_REGION_H

#include "base/fork.h"
#include "heap/pooled.h"

#include <headroom/pool.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t hri_block_number;
typedef hr_pool_mark_ hri_mark;

/* A region's word of a block. Its two uppermost bits are the block's state. Below them, of a block that is new, free
 * or leaving, is the number of the next one that is so as well. */
typedef enum hri_block_state {
    HRI_BLOCK_NEW,
    HRI_BLOCK_FREE,
    HRI_BLOCK_AWAY,
    HRI_BLOCK_LEAVING,
} hri_block_state;

#define HRI_BLOCK_STATE_SHIFT 30
#define HRI_NO_BLOCK ((UINT32_C(1) << HRI_BLOCK_STATE_SHIFT) - 1)

typedef struct hri_region {
    void *owner;             /* the engine whose blocks these are */
    struct hri_region *next; /* of the owner's regions */
    struct hri_region **link;
    hri_heap_run run;  /* all of it, from here on */
    size_t head_bytes; /* up to the first block */
    size_t block_bytes;
    size_t blocks_bytes; /* of all blocks */
    uint64_t inverse;    /* 2^32 ÷ block_bytes, rounded up */
    hri_block_number count;
    hri_block_number used;       /* blocks that are not new */
    hri_block_number free;       /* of those, the ones that wait here */
    hri_block_number first_free; /* linked through next_block */
    hri_block_number first_new;  /* those whose pages were given back, linked in the same way */
    hri_block_number untouched;  /* from this number on all are new */
    hri_block_number worded;     /* the words below this number are committed */
    hri_block_number leaving;    /* taken out by a call that is running */
    bool settled;                /* no page is known that can go */
    uint64_t seen;               /* the owner's: the last of its passes that was here */
    uint32_t words[];            /* of all blocks */
} hri_region;

/* The bytes that a block takes of the head. */
#define HRI_BLOCK_HEAD_BYTES sizeof(uint32_t)

/* Whose a block that is away is: a user's, or a magazine's (pool_inline.h says the values). Elsewhere it is none of
 * both. It is in front of the block. */
#define HRI_MARK_BYTES sizeof(hri_mark)
#define HRI_MARK_NONE ((hri_mark)0)

static inline uint32_t hri_block_word(hri_block_state state, uint32_t below)
{
    return (uint32_t)state << HRI_BLOCK_STATE_SHIFT | below;
}

static inline hri_block_state hri_block_state_of(uint32_t word)
{
    return (hri_block_state)(word >> HRI_BLOCK_STATE_SHIFT);
}

static inline uint32_t hri_block_below(uint32_t word)
{
    return word & HRI_NO_BLOCK;
}

/* Makes a region for blocks of `block_bytes`, a multiple of `align` (a power of two up to a page), in which the mark is
 * counted. NULL where there is no memory.
 *
 * Its head is committed, and the words below `worded`; and the pages of each block that is not new, from when
 * hri_region_commit() was called for it. No other pages are: so what the heap counts is what is there.
 *
 * This and the next two ask the heap's hook: they are called by way of hri_block_pages() (alloc/alloc.h). */
hri_region *hri_region_new(void *owner, size_t block_bytes, size_t align, size_t blocks_bytes);

/* Commits the pages of a block that is away. */
bool hri_region_commit(const hri_region *region, hri_block_number number);

/* Commits a page of words more, under its owner's lock: the hook is asked lightly. */
bool hri_region_commit_words(hri_region *region);

/* Gives it back to the heap, and its pages to the kernel. */
void hri_region_free(hri_region *region);

static inline void *hri_region_block(const hri_region *region, hri_block_number number)
{
    return (void *)((uintptr_t)region + region->head_bytes + (size_t)number * region->block_bytes);
}

/* Where the first block begins, with its mark. */
static inline size_t hri_region_start(const hri_region *region)
{
    return region->head_bytes - HRI_MARK_BYTES;
}

/* The number of the block that begins here; HRI_NO_BLOCK: none does. A multiple of block_bytes below 2^32, times the
 * inverse, has the quotient in its upper half. That is exact, since the rounding adds less than one part in 2^32
 * (Granlund and Montgomery, PLDI 1994). Whether it was a multiple shows the way back. Any time, without a lock. */
static inline hri_block_number hri_region_number(const hri_region *region, const void *block)
{
    uintptr_t offset = (uintptr_t)block - (uintptr_t)region - region->head_bytes;
    if (offset >= region->blocks_bytes)
        return HRI_NO_BLOCK;
    uint64_t number = offset * region->inverse >> 32;
    return number * region->block_bytes == offset ? (hri_block_number)number : HRI_NO_BLOCK;
}

static inline hri_mark *hri_block_mark(const void *block)
{
    return (hri_mark *)(uintptr_t)block - 1;
}

static inline bool hri_region_is_away(const hri_region *region, hri_block_number number)
{
    return number != HRI_NO_BLOCK && hri_block_state_of(region->words[number]) == HRI_BLOCK_AWAY;
}

/* Finds the region of any address, in the heap's page map; NULL: it is in none. Entries are written before the region's
 * first block is handed out and cleared after its last one came back; so whoever holds a block finds it there, without
 * a lock. */
static inline hri_region *hri_region_find(const void *block)
{
    return hri_heap_slice_owner(block);
}

/* For code that is inline in programs, which need not find every region: at the number of a piece of 64 KiB, without
 * its upper bits, the number itself. Of pieces whose numbers end alike, 4 GiB apart, it has the one that came last.
 * A piece that was a region once stays readable, since the heap keeps its addresses. */
extern __attribute__((visibility("hidden"))) uintptr_t hri_region_pieces[HR_PIECES_];

/* Makes sure that piece 0, where nothing ever is, is not found there. Before the first pool can be used. */
void hri_region_prepare_pieces(void);

/* Takes a free block, or a new one; HRI_NO_BLOCK if there is none, or no words. */
hri_block_number hri_region_take_free(hri_region *region);
hri_block_number hri_region_take_new(hri_region *region);

/* Makes a block new that is no longer on a list. */
void hri_region_make_new(hri_region *region, hri_block_number number);

/* Makes a block that is away new again, with its pages and zeros in them. */
void hri_region_unmake(hri_region *region, void *block);

/* Puts back a block that is away. */
void hri_region_put(hri_region *region, hri_block_number number);

/* Takes out free blocks that have pages on which none is away (region_pages.c), until there are `want` of them, and no
 * more than `most`. Gives how many; they are leaving then, and have to be renewed. */
hri_block_number hri_region_leave(hri_region *region, uint64_t want, uint64_t most);

/* Walks those that are leaving, from number `*at` on; NULL at the end. */
void *hri_region_next_leaving(const hri_region *region, hri_block_number *at);

/* Gives back what pages they have alone, and makes them new. Gives how many bytes went, which the caller tells:
 * hri_heap_tell(). */
uint64_t hri_region_renew_leaving(hri_region *region);

#endif
