/* SPDX-License-Identifier: Apache-2.0 */
/* Regions begin at multiples of 64 KiB, and a table with an entry for each such piece of the address space says which
 * region it belongs to: two levels, of which the second is mapped as it is needed. Entries are written before the region's
 * first block is handed out and cleared after its last one came back; so whoever holds a block finds it there, without a
 * lock. This is the page map of tcmalloc and others, a level shorter.
 */
#include "store/region.h"

#include "base/assert.h"
#include "os/pages.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BITS 16
#define PIECE_BYTES ((size_t)1 << PIECE_BITS)
#define ADDRESS_BITS 48
#define LEAF_BITS 16
#define LEAF_COUNT ((size_t)1 << LEAF_BITS)
#define ROOT_COUNT ((size_t)1 << (ADDRESS_BITS - PIECE_BITS - LEAF_BITS))

typedef _Atomic(hri_region *) entry;

static _Atomic(entry *) roots[ROOT_COUNT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over the making of leaves; a leaf itself */

static entry *leaf_of(uintptr_t address, bool make)
{
    if (address >> ADDRESS_BITS)
        return NULL;
    _Atomic(entry *) *root = &roots[address >> (PIECE_BITS + LEAF_BITS)];
    entry *leaf = atomic_load_explicit(root, memory_order_acquire);
    if (leaf || !make)
        return leaf;
    pthread_mutex_lock(&lock);
    leaf = atomic_load_explicit(root, memory_order_relaxed);
    void *pages;
    if (!leaf && hri_pages_map(LEAF_COUNT * sizeof *leaf, &pages) == 0) {
        leaf = pages;
        atomic_store_explicit(root, leaf, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return leaf;
}

static bool enter(hri_region *region, hri_region *value)
{
    uintptr_t from = (uintptr_t)region, to = from + region->map_bytes;
    for (uintptr_t at = from; at < to; at += PIECE_BYTES) {
        entry *leaf = leaf_of(at, value != NULL);
        if (!leaf)
            return false;
        atomic_store_explicit(&leaf[at >> PIECE_BITS & (LEAF_COUNT - 1)], value, memory_order_release);
    }
    return true;
}

hri_region *hri_region_find(const void *address)
{
    const entry *leaf = leaf_of((uintptr_t)address, false);
    return leaf ? atomic_load_explicit(&leaf[(uintptr_t)address >> PIECE_BITS & (LEAF_COUNT - 1)], memory_order_acquire)
                : NULL;
}

static size_t round_up(size_t size, size_t grain)
{
    return (size + grain - 1) / grain * grain;
}

/* Maps at a multiple of PIECE_BYTES. */
static void *map(size_t bytes)
{
    void *pages;
    if (hri_pages_map(bytes + PIECE_BYTES, &pages) != 0)
        return NULL;
    uintptr_t start = (uintptr_t)pages, first = round_up(start, PIECE_BYTES);
    if (first > start)
        hri_pages_unmap(pages, first - start);
    if (first - start < PIECE_BYTES)
        hri_pages_unmap((void *)(first + bytes), PIECE_BYTES - (first - start));
    hri_pages_keep_small((void *)first, bytes);
    return (void *)first;
}

hri_region *hri_region_new(void *owner, size_t block_bytes, size_t align, size_t blocks_bytes)
{
    size_t count = blocks_bytes / block_bytes;
    size_t numbers = round_up(sizeof(hri_region) + count * sizeof(hri_block_number), sizeof(uint64_t));
    size_t head = round_up(numbers + round_up(count, 64) / 8, align < 64 ? 64 : align);
    size_t bytes = round_up(head + count * block_bytes, PIECE_BYTES);
    hri_region *region = map(bytes);
    if (!region)
        return NULL;
    *region = (hri_region){
        .owner = owner,
        .map_bytes = bytes,
        .head_bytes = head,
        .block_bytes = block_bytes,
        .inverse = bytes < UINT32_MAX ? ((UINT64_C(1) << 32) + block_bytes - 1) / block_bytes : 0,
        .count = (hri_block_number)count,
        .first_free = HRI_NO_BLOCK,
        .first_new = HRI_NO_BLOCK,
        .idle = (uint64_t *)((uintptr_t)region + numbers),
    };
    if (enter(region, region))
        return region;
    hri_region_free(region);
    return NULL;
}

void hri_region_free(hri_region *region)
{
    enter(region, NULL);
    hri_pages_unmap(region, region->map_bytes);
}

/* A multiple of block_bytes below 2^32, times the inverse, has the quotient in its upper half: exactly, since the rounding
 * adds less than one part in 2^32 (Granlund and Montgomery, PLDI 1994). Whether it was a multiple shows the way back. */
static hri_block_number number_of(const hri_region *region, const void *block)
{
    uintptr_t offset = (uintptr_t)block - (uintptr_t)region - region->head_bytes;
    if (offset >= region->map_bytes)
        return HRI_NO_BLOCK;
    uint64_t number = region->inverse ? offset * region->inverse >> 32 : offset / region->block_bytes;
    return number * region->block_bytes == offset ? (hri_block_number)number : HRI_NO_BLOCK;
}

bool hri_region_has(const hri_region *region, const void *address)
{
    return number_of(region, address) < region->count;
}

/* Is the block away, and its bit as said? */
static bool is_away(const hri_region *region, hri_block_number number, bool idle)
{
    return number < region->untouched && region->next_block[number] == HRI_BLOCK_AWAY &&
           (region->idle[number / 64] >> number % 64 & 1) == idle;
}

bool hri_region_is_away(const hri_region *region, const void *block)
{
    return is_away(region, number_of(region, block), false);
}

/* A word of bits is written when the next one begins: each block would wait for the one before it. */
unsigned hri_region_mark(const void *owner, void *const *blocks, unsigned count, bool idle)
{
    hri_region *region = NULL;
    uint64_t nothing, *word = &nothing, bits = 0;
    unsigned marked = 0;
    for (; marked < count; marked++) {
        if (!region || !hri_region_contains(region, blocks[marked]))
            region = hri_region_find(blocks[marked]);
        hri_block_number number = region && region->owner == owner ? number_of(region, blocks[marked]) : HRI_NO_BLOCK;
        if (number == HRI_NO_BLOCK || number >= region->untouched || region->next_block[number] != HRI_BLOCK_AWAY)
            break;
        if (word != &region->idle[number / 64]) {
            *word = bits;
            word = &region->idle[number / 64];
            bits = *word;
        }
        if ((bits >> number % 64 & 1) == idle)
            break;
        bits ^= UINT64_C(1) << number % 64;
    }
    *word = bits;
    return marked;
}

void *hri_region_take_free(hri_region *region)
{
    hri_block_number number = region->first_free;
    if (number == HRI_NO_BLOCK)
        return NULL;
    region->first_free = region->next_block[number];
    region->next_block[number] = HRI_BLOCK_AWAY;
    region->free--;
    return hri_region_block(region, number);
}

void *hri_region_take_new(hri_region *region)
{
    hri_block_number number = region->first_new;
    if (number != HRI_NO_BLOCK)
        region->first_new = region->next_block[number];
    else if (region->untouched < region->count)
        number = region->untouched++;
    else
        return NULL;
    region->next_block[number] = HRI_BLOCK_AWAY;
    region->used++;
    return hri_region_block(region, number);
}

void hri_region_unmake(hri_region *region, void *block)
{
    hri_block_number number = number_of(region, block);
    memset(block, 0, region->block_bytes);
    region->settled = false;
    region->next_block[number] = region->first_new;
    region->first_new = number;
    region->used--;
}

bool hri_region_put(hri_region *region, void *block)
{
    hri_block_number number = number_of(region, block);
    if (!is_away(region, number, false))
        return false;
    region->next_block[number] = region->first_free;
    region->first_free = number;
    region->free++;
    region->settled = false;
    return true;
}

static int compare(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t) * (void *const *)left, b = (uintptr_t) * (void *const *)right;
    return (a > b) - (a < b);
}

void hri_region_renew(void **blocks, unsigned count)
{
    qsort(blocks, count, sizeof *blocks, compare);
    for (unsigned i = 0, next; i < count; i = next) {
        hri_region *region = hri_region_find(blocks[i]);
        uintptr_t first = (uintptr_t)blocks[i], bytes = region->block_bytes;
        for (next = i; next < count && (uintptr_t)blocks[next] == first + (next - i) * bytes; next++) {
            hri_block_number number = number_of(region, blocks[next]);
            region->next_block[number] = region->first_new;
            region->first_new = number;
            region->used--;
        }
        hri_pages_drop(blocks[i], (next - i) * bytes);
    }
}
