/* SPDX-License-Identifier: Apache-2.0 */
/* Regions: mapped memory that blocks of one size are carved from, and the map that leads from a block to its region.
 *
 * A block is *new* (its pages were never used, or are given back), *free* (waits in its region), *away* (in a magazine, or
 * with a user), or *leaving* (taken out of the free ones to become new). Free blocks are linked through words in the region's
 * head, not through the blocks: what is in them stays, and nobody who still writes to a block that he gave back can break the
 * list.
 */
#ifndef HRI_STORE_REGION_H
#define HRI_STORE_REGION_H

#include "budget/untouched.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t hri_block_number;

/* What a region knows of a block: its state in the two uppermost bits of a word; below them the number of the next one that
 * is new, free or leaving as well; or, of one that is away, a mark of its owner's, which is 0 when it comes out. */
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
    bool settled;                /* no page can go, as far as is known */
    uint64_t seen;               /* the owner's: the last of its passes that was here */
    hri_untouched_node node;     /* the owner's */
    uint32_t words[];            /* of all blocks */
} hri_region;

/* What a block takes of the head. */
#define HRI_BLOCK_HEAD_BYTES sizeof(uint32_t)

static inline uint32_t hri_block_word(hri_block_state state, uint32_t below)
{
    return (uint32_t)state << HRI_BLOCK_STATE_SHIFT | below;
}

static inline hri_block_state hri_block_state_of(uint32_t word)
{
    return (hri_block_state)(word >> HRI_BLOCK_STATE_SHIFT);
}

/* The number or the mark. */
static inline uint32_t hri_block_below(uint32_t word)
{
    return word & HRI_NO_BLOCK;
}

/* Maps a region for blocks of `block_bytes`, a multiple of `align` (a power of two up to a page). Gives NULL where there
 * is no memory. */
hri_region *hri_region_new(void *owner, size_t block_bytes, size_t align, size_t blocks_bytes);

/* Unmaps it. */
void hri_region_free(hri_region *region);

static inline void *hri_region_block(const hri_region *region, hri_block_number number)
{
    return (void *)((uintptr_t)region + region->head_bytes + (size_t)number * region->block_bytes);
}

/* What is needed to find the number of a block, for who looks at many. */
typedef struct hri_region_view {
    uintptr_t blocks;
    size_t blocks_bytes, block_bytes;
    uint64_t inverse;
    uint32_t *words;
} hri_region_view;

static inline hri_region_view hri_region_view_of(hri_region *region)
{
    return (hri_region_view){
        .blocks = (uintptr_t)region + region->head_bytes,
        .blocks_bytes = region->blocks_bytes,
        .block_bytes = region->block_bytes,
        .inverse = region->inverse,
        .words = region->words,
    };
}

/* The number of the block that begins here; HRI_NO_BLOCK: none does. A multiple of block_bytes below 2^32, times the
 * inverse, has the quotient in its upper half: exactly, since the rounding adds less than one part in 2^32 (Granlund and
 * Montgomery, PLDI 1994). Whether it was a multiple shows the way back. */
static inline hri_block_number hri_region_view_number(const hri_region_view *view, const void *block)
{
    uintptr_t offset = (uintptr_t)block - view->blocks;
    if (offset >= view->blocks_bytes)
        return HRI_NO_BLOCK;
    uint64_t number = view->inverse ? offset * view->inverse >> 32 : offset / view->block_bytes;
    return number * view->block_bytes == offset ? (hri_block_number)number : HRI_NO_BLOCK;
}

static inline hri_block_number hri_region_number(const hri_region *region, const void *block)
{
    const hri_region_view view = hri_region_view_of((hri_region *)(uintptr_t)region);
    return hri_region_view_number(&view, block);
}

/* The word of a block that is away; NULL: the address is none. */
static inline uint32_t *hri_region_away(hri_region *region, const void *block)
{
    hri_block_number number = hri_region_number(region, block);
    if (number == HRI_NO_BLOCK || hri_block_state_of(region->words[number]) != HRI_BLOCK_AWAY)
        return NULL;
    return &region->words[number];
}

/* Regions begin at multiples of 64 KiB, and a table with an entry for each such piece of the address space says which
 * region it belongs to: two levels, of which the second is mapped as it is needed. Entries are written before the region's
 * first block is handed out and cleared after its last one came back; so whoever holds a block finds it there, without a
 * lock. This is the page map of tcmalloc and others, a level shorter. */
#define HRI_PIECE_BITS 16
#define HRI_LEAF_BITS 16
#define HRI_ADDRESS_BITS 48
#define HRI_LEAF_ENTRIES ((size_t)1 << HRI_LEAF_BITS)
#define HRI_REGION_ROOTS ((size_t)1 << (HRI_ADDRESS_BITS - HRI_PIECE_BITS - HRI_LEAF_BITS))

typedef _Atomic(hri_region *) hri_region_entry;
typedef _Atomic(hri_region_entry *) hri_region_root;

extern __attribute__((visibility("hidden"))) hri_region_root hri_region_roots[HRI_REGION_ROOTS];

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

/* Takes a free block, or a new one; NULL if there is none. */
void *hri_region_take_free(hri_region *region);
void *hri_region_take_new(hri_region *region);

/* Makes a block new that is no longer on a list. */
void hri_region_make_new(hri_region *region, hri_block_number number);

/* Makes a block that is away new again, with its pages and zeros in them. */
void hri_region_unmake(hri_region *region, void *block);

/* Puts back a block that is away; false if it is none. */
bool hri_region_put(hri_region *region, void *block);

/* Does one of the region's blocks begin here? Without a lock. */
static inline bool hri_region_has(const hri_region *region, const void *address)
{
    return hri_region_number(region, address) != HRI_NO_BLOCK;
}

/* Takes out free blocks that have pages on which none is away (region_pages.c), until there are `want` of them, and no more
 * than `most`. Gives how many; they are leaving then, and have to be renewed. */
hri_block_number hri_region_leave(hri_region *region, uint64_t want, uint64_t most);

/* Walks those that are leaving, from number `*at` on; NULL at the end. */
void *hri_region_next_leaving(const hri_region *region, hri_block_number *at);

/* Gives back what pages they have alone, and makes them new. */
void hri_region_renew_leaving(hri_region *region);

/* Gives the pages of blocks that are away back to the kernel, which makes them new; the size of these blocks is one of whole
 * pages. Those that lie side by side go in one call. Sorts them. */
void hri_region_renew(void **blocks, unsigned count);

#endif
