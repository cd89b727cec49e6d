/* SPDX-License-Identifier: Apache-2.0 */
/* Regions: mapped memory that blocks of one size are carved from, and the map that leads from a block to its region.
 *
 * A block is *new* (its pages were never used, or are given back), *free* (waits in its region), or *away* (in a
 * magazine, or with a user), or *leaving* (taken out of the free ones to become new). Free blocks are linked through numbers in the region's head, not through the blocks: what
 * is in them stays, and nobody who still writes to a block that he gave back can break the list.
 */
#ifndef HRI_STORE_REGION_H
#define HRI_STORE_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t hri_block_number;

#define HRI_NO_BLOCK UINT32_MAX

typedef struct hri_region {
    void *owner;             /* the engine whose blocks these are */
    struct hri_region *next; /* of the owner's regions */
    struct hri_region **link;
    size_t map_bytes;  /* all of it, from here on */
    size_t head_bytes; /* up to the first block */
    size_t block_bytes;
    uint64_t inverse; /* 2^32 ÷ block_bytes, rounded up; 0: the region is too large for that */
    hri_block_number count;
    hri_block_number used;       /* blocks that are not new */
    hri_block_number free;       /* of those, the ones that wait here */
    hri_block_number first_free; /* linked through next_block */
    hri_block_number first_new;  /* those whose pages were given back, linked in the same way */
    hri_block_number untouched;  /* from this number on all are new */
    hri_block_number leaving;    /* taken out by a call that is running */
    bool settled;                /* no page can go, as far as is known */
    uint64_t seen;               /* the owner's: the last of its passes that was here */
    uint64_t *idle; /* a bit for each block, behind the numbers: set while a magazine of the depot has it */
    hri_block_number next_block[]; /* HRI_BLOCK_AWAY for those that are away */
} hri_region;

#define HRI_BLOCK_AWAY (UINT32_MAX - 1)
#define HRI_BLOCK_LEAVING (UINT32_MAX - 2)

/* What a block takes of the head: its number, and its bit. */
#define HRI_BLOCK_HEAD_BYTES (sizeof(hri_block_number) + 1)

/* Maps a region for blocks of `block_bytes`, a multiple of `align` (a power of two up to a page). Gives NULL where there
 * is no memory. */
hri_region *hri_region_new(void *owner, size_t block_bytes, size_t align, size_t blocks_bytes);

/* Unmaps it. */
void hri_region_free(hri_region *region);

static inline void *hri_region_block(const hri_region *region, hri_block_number number)
{
    return (void *)((uintptr_t)region + region->head_bytes + (size_t)number * region->block_bytes);
}

/* Is the address in the region? */
static inline bool hri_region_contains(const hri_region *region, const void *address)
{
    return (uintptr_t)address - (uintptr_t)region < region->map_bytes;
}

/* Finds the region of any address; NULL: it is in none. Any time, without a lock. */
hri_region *hri_region_find(const void *address);

/* Takes a free block, or a new one; NULL if there is none. */
void *hri_region_take_free(hri_region *region);
void *hri_region_take_new(hri_region *region);

/* Makes a block that is away new again, with its pages and zeros in them. */
void hri_region_unmake(hri_region *region, void *block);

/* Puts back a block that is away and not idle; false if it is none. */
bool hri_region_put(hri_region *region, void *block);

/* Does one of the region's blocks begin here? Without a lock. */
bool hri_region_has(const hri_region *region, const void *address);

/* Is this a block that is away and not idle? */
bool hri_region_is_away(const hri_region *region, const void *block);

/* Marks blocks of `owner`'s that are away as idle, or the other way round, up to the first one that is no such block, or
 * was not so. Gives how many those are. Bits, so that few cache lines go from one processor to the other with the blocks
 * that threads hand on. */
unsigned hri_region_mark(const void *owner, void *const *blocks, unsigned count, bool idle);

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
