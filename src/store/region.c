/* SPDX-License-Identifier: Apache-2.0 */
#include "store/region.h"

#include "base/assert.h"
#include "os/pages.h"

#include <pthread.h>
#include <string.h>

#define PIECE_BYTES ((size_t)1 << HRI_PIECE_BITS)

hri_region_root hri_region_roots[HRI_REGION_ROOTS];
uintptr_t hri_region_pieces[HR_PIECES_];
#ifndef HR_POOL_INLINE_
extern HR_API const uintptr_t *const hr_pool_pieces_;
#endif
const uintptr_t *const hr_pool_pieces_ = hri_region_pieces;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over the making of leaves; a leaf itself */

static hri_region_entry *leaf_of(uintptr_t address, bool make)
{
    if (address >> HRI_ADDRESS_BITS)
        return NULL;
    hri_region_root *root = &hri_region_roots[address >> (HRI_PIECE_BITS + HRI_LEAF_BITS)];
    hri_region_entry *leaf = atomic_load_explicit(root, memory_order_acquire);
    if (leaf || !make)
        return leaf;
    pthread_mutex_lock(&lock);
    leaf = atomic_load_explicit(root, memory_order_relaxed);
    void *pages;
    if (!leaf && hri_pages_map(HRI_LEAF_ENTRIES * sizeof *leaf, &pages) == 0) {
        leaf = pages;
        atomic_store_explicit(root, leaf, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return leaf;
}

/* What is where no piece is: a number that no piece with such an end has. */
static uintptr_t no_piece(uintptr_t index)
{
    return index == 0;
}

void hri_region_prepare_pieces(void)
{
    uintptr_t none = 0;
    __atomic_compare_exchange_n(&hri_region_pieces[0], &none, no_piece(0), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* Under no lock: another region's piece may take the entry meanwhile, or lose it, and is not found there then. */
static void enter_piece(uintptr_t piece, bool is_there)
{
    uintptr_t index = piece & (HR_PIECES_ - 1), *entry = &hri_region_pieces[index];
    if (is_there || __atomic_load_n(entry, __ATOMIC_RELAXED) == piece)
        __atomic_store_n(entry, is_there ? piece : no_piece(index), __ATOMIC_RELAXED);
}

static bool enter(hri_region *region, hri_region *value)
{
    uintptr_t from = (uintptr_t)region, to = from + region->map_bytes;
    for (uintptr_t at = from; at < to; at += PIECE_BYTES) {
        hri_region_entry *leaf = leaf_of(at, value != NULL);
        if (!leaf)
            return false;
        atomic_store_explicit(&leaf[at >> HRI_PIECE_BITS & (HRI_LEAF_ENTRIES - 1)], value, memory_order_release);
        enter_piece(at >> HRI_PIECE_BITS, value != NULL);
    }
    return true;
}

static size_t round_up(size_t size, size_t grain)
{
    return (size + grain - 1) / grain * grain;
}

/* ── addresses ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* An inline get reads the mark in front of a block without a lock (pool_inline.h). Where two threads have put one block
 * in the same instant, a stack still has its address after the region is gone: so what was a region of such blocks
 * gives its pages back and keeps its addresses, which read as zeros, no stack's mark, until another region takes
 * them. */
#define SPARES_MAX 512

static pthread_mutex_t spares_lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf */
static struct spare {
    uintptr_t from, to;
} spares[SPARES_MAX]; /* by address; no two of them meet */
static unsigned spare_count;

static void remove_spare(unsigned at)
{
    memmove(&spares[at], &spares[at + 1], (--spare_count - at) * sizeof *spares);
}

/* The beginning of the smallest spare that is large enough; NULL: there is none. */
static void *take_spare(size_t bytes)
{
    unsigned best = SPARES_MAX;
    uintptr_t from = 0;
    pthread_mutex_lock(&spares_lock);
    for (unsigned i = 0; i < spare_count; i++) {
        size_t size = spares[i].to - spares[i].from;
        if (size >= bytes && (best == SPARES_MAX || size < spares[best].to - spares[best].from))
            best = i;
    }
    if (best != SPARES_MAX) {
        from = spares[best].from;
        spares[best].from += bytes;
        if (spares[best].from == spares[best].to)
            remove_spare(best);
    }
    pthread_mutex_unlock(&spares_lock);
    return (void *)from;
}

/* Keeps the addresses of pages that were given back; false: there is no place for them. */
static bool keep_spare(void *pages, size_t bytes)
{
    uintptr_t from = (uintptr_t)pages, to = from + bytes;
    unsigned at = 0;
    pthread_mutex_lock(&spares_lock);
    while (at < spare_count && spares[at].to < from)
        at++;
    bool joins = at < spare_count && spares[at].from <= to, fits = joins || spare_count < SPARES_MAX;
    if (joins) {
        spares[at].from = from < spares[at].from ? from : spares[at].from;
        spares[at].to = to > spares[at].to ? to : spares[at].to;
        if (at + 1 < spare_count && spares[at + 1].from == spares[at].to) {
            spares[at].to = spares[at + 1].to;
            remove_spare(at + 1);
        }
    } else if (fits) {
        memmove(&spares[at + 1], &spares[at], (spare_count++ - at) * sizeof *spares);
        spares[at] = (struct spare){from, to};
    }
    pthread_mutex_unlock(&spares_lock);
    return fits;
}

void hri_regions_fork(hri_fork moment)
{
    hri_fork_lock(&spares_lock, moment);
}

/* Maps at a multiple of PIECE_BYTES. */
static void *map(size_t bytes)
{
    void *pages = take_spare(bytes);
    if (pages)
        return pages;
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
    size_t words = sizeof(hri_region) + count * sizeof(uint32_t);
    size_t head = round_up(words + HRI_MARK_BYTES, align < 64 ? 64 : align);
    size_t bytes = round_up(head + count * block_bytes, PIECE_BYTES);
    hri_region *region = map(bytes);
    if (!region)
        return NULL;
    *region = (hri_region){
        .owner = owner,
        .map_bytes = bytes,
        .head_bytes = head,
        .block_bytes = block_bytes,
        .blocks_bytes = count * block_bytes,
        .inverse = bytes < UINT32_MAX ? ((UINT64_C(1) << 32) + block_bytes - 1) / block_bytes : 0,
        .count = (hri_block_number)count,
        .first_free = HRI_NO_BLOCK,
        .first_new = HRI_NO_BLOCK,
    };
    if (enter(region, region))
        return region;
    hri_region_free(region);
    return NULL;
}

void hri_region_free(hri_region *region)
{
    size_t bytes = region->map_bytes;
    enter(region, NULL);
    if (hri_pages_decommit(region, bytes) != 0 || !keep_spare(region, bytes))
        hri_pages_unmap(region, bytes);
}

/* ── one state to the other ─────────────────────────────────────────────────────────────────────────────────────── */

void hri_region_make_new(hri_region *region, hri_block_number number)
{
    region->words[number] = hri_block_word(HRI_BLOCK_NEW, region->first_new);
    region->first_new = number;
    region->used--;
}

static hri_block_number make_away(hri_region *region, hri_block_number number)
{
    region->words[number] = hri_block_word(HRI_BLOCK_AWAY, 0);
    return number;
}

hri_block_number hri_region_take_free(hri_region *region)
{
    hri_block_number number = region->first_free;
    if (number == HRI_NO_BLOCK)
        return number;
    region->first_free = hri_block_below(region->words[number]);
    region->free--;
    return make_away(region, number);
}

hri_block_number hri_region_take_new(hri_region *region)
{
    hri_block_number number = region->first_new;
    if (number != HRI_NO_BLOCK)
        region->first_new = hri_block_below(region->words[number]);
    else if (region->untouched < region->count)
        number = region->untouched++;
    else
        return HRI_NO_BLOCK;
    region->used++;
    return make_away(region, number);
}

void hri_region_unmake(hri_region *region, void *block)
{
    memset(hri_block_mark(block), 0, region->block_bytes);
    region->settled = false;
    hri_region_make_new(region, hri_region_number(region, block));
}

void hri_region_put(hri_region *region, hri_block_number number)
{
    HRI_ASSERT(hri_region_is_away(region, number));
    *hri_block_mark(hri_region_block(region, number)) = HRI_MARK_NONE;
    region->words[number] = hri_block_word(HRI_BLOCK_FREE, region->first_free);
    region->first_free = number;
    region->free++;
    region->settled = false;
}
