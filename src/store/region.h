/* SPDX-License-Identifier: Apache-2.0 */
/* Regions: mapped memory that blocks of one size are carved from, and the map that leads from a block to its region.
 *
 * A block is *new* (its pages were never used, or are given back), *free* (waits in its region), *away* (in a magazine,
 * or with a user: its mark says which), or *leaving* (taken out of the free ones to become new). Free blocks are linked
 * through words in the region's head, not through the blocks: what is in them stays, and nobody who still writes to a
 * block that he gave back can break the list.
 */
#ifndef HRI_STORE_REGION_H
#define HRI_STORE_REGION_H

#include "base/fork.h"
#include "budget/untouched.h"

#include <headroom/pool.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t hri_block_number;
typedef hr_pool_mark_ hri_mark;

/* What a region knows of a block: its state in the two uppermost bits of a word; below them, of one that is new, free
 * or leaving, the number of the next one that is so as well. */
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
    size_t map_bytes;  /* all of it, from here on */
    size_t head_bytes; /* up to the first block */
    size_t block_bytes;
    size_t blocks_bytes; /* of all blocks */
    uint64_t inverse;    /* 2^32 ÷ block_bytes, rounded up; 0: the region is too large for that */
    hri_block_number count;
    hri_block_number used;       /* blocks that are not new */
    hri_block_number free;       /* of those, the ones that wait here */
    hri_block_number first_free; /* linked through next_block */
    hri_block_number first_new;  /* those whose pages were given back, linked in the same way */
    hri_block_number untouched;  /* from this number on all are new */
    hri_block_number leaving;    /* taken out by a call that is running */
    bool settled;                /* no page is known that can go */
    uint64_t seen;               /* the owner's: the last of its passes that was here */
    hri_untouched_node node;     /* the owner's */
    uint32_t words[];            /* of all blocks */
} hri_region;

/* What a block takes of the head. */
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

/* Maps a region for blocks of `block_bytes`, a multiple of `align` (a power of two up to a page), in which the mark is
 * counted. Gives NULL where there is no memory. */
hri_region *hri_region_new(void *owner, size_t block_bytes, size_t align, size_t blocks_bytes);

void hri_region_free(hri_region *region);

/* Takes the lock of spare addresses through a fork. */
void hri_regions_fork(hri_fork moment);

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
 * inverse, has the quotient in its upper half: exactly, since the rounding adds less than one part in 2^32 (Granlund
 * and Montgomery, PLDI 1994). Whether it was a multiple shows the way back. Any time, without a lock. */
static inline hri_block_number hri_region_number(const hri_region *region, const void *block)
{
    uintptr_t offset = (uintptr_t)block - (uintptr_t)region - region->head_bytes;
    if (offset >= region->blocks_bytes)
        return HRI_NO_BLOCK;
    uint64_t number = region->inverse ? offset * region->inverse >> 32 : offset / region->block_bytes;
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

/* Regions begin at multiples of 64 KiB, and a table with an entry for each such piece of the address space says which
 * region it belongs to: two levels, of which the second is mapped as it is needed. Entries are written before the
 * region's first block is handed out and cleared after its last one came back; so whoever holds a block finds it there,
 * without a lock. This is the page map of tcmalloc and others, a level shorter. */
#define HRI_PIECE_BITS HR_PIECE_SHIFT_
#define HRI_LEAF_BITS 16
#define HRI_ADDRESS_BITS 48
#define HRI_LEAF_ENTRIES ((size_t)1 << HRI_LEAF_BITS)
#define HRI_REGION_ROOTS ((size_t)1 << (HRI_ADDRESS_BITS - HRI_PIECE_BITS - HRI_LEAF_BITS))

typedef _Atomic(hri_region *) hri_region_entry;
typedef _Atomic(hri_region_entry *) hri_region_root;

extern __attribute__((visibility("hidden"))) hri_region_root hri_region_roots[HRI_REGION_ROOTS];

/* The same for code that is inline in programs, which need not find every region: at the number of a piece, without its
 * upper bits, the number itself. Of pieces whose numbers end alike, 4 GiB apart, it has the one that came last. */
extern __attribute__((visibility("hidden"))) uintptr_t hri_region_pieces[HR_PIECES_];

/* Makes sure that piece 0, where nothing ever is, is not found there. Before the first pool can be used. */
void hri_region_prepare_pieces(void);

/* Finds the region of any address; NULL: it is in none. Any time, without a lock. */
static inline hri_region *hri_region_find(const void *block)
{
    uintptr_t address = (uintptr_t)block;
    if (address >> HRI_ADDRESS_BITS)
        return NULL;
    const hri_region_entry *leaf =
        atomic_load_explicit(&hri_region_roots[address >> (HRI_PIECE_BITS + HRI_LEAF_BITS)], memory_order_acquire);
    if (!leaf)
        return NULL;
    return atomic_load_explicit(&leaf[address >> HRI_PIECE_BITS & (HRI_LEAF_ENTRIES - 1)], memory_order_acquire);
}

/* Takes a free block, or a new one; HRI_NO_BLOCK if there is none. */
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

/* Gives back what pages they have alone, and makes them new. */
void hri_region_renew_leaving(hri_region *region);

#endif
