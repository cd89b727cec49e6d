/* SPDX-License-Identifier: Apache-2.0 */
#include "pool/region.h"

#include "base/assert.h"
#include "base/checked.h"

#include <string.h>

#define PIECE_BYTES HRI_HEAP_SLICE
_Static_assert(PIECE_BYTES == (size_t)1 << HR_PIECE_SHIFT_, "a region is a run of whole pieces");

uintptr_t hri_region_pieces[HR_PIECES_];
#ifndef HR_POOL_INLINE_
extern HR_API const uintptr_t *const hr_pool_pieces_;
#endif
const uintptr_t *const hr_pool_pieces_ = hri_region_pieces;

/* The entry of a place without a piece: a number that no piece with such an end has. */
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
static void enter_pieces(const hri_heap_run *run, bool are_there)
{
    uintptr_t from = (uintptr_t)hri_heap_run_address(run), to = from + run->pages * HRI_HEAP_PAGE;
    for (uintptr_t at = from; at < to; at += PIECE_BYTES) {
        uintptr_t piece = at / PIECE_BYTES, index = piece & (HR_PIECES_ - 1), *entry = &hri_region_pieces[index];
        if (are_there || __atomic_load_n(entry, __ATOMIC_RELAXED) == piece)
            __atomic_store_n(entry, are_there ? piece : no_piece(index), __ATOMIC_RELAXED);
    }
}

static size_t round_up(size_t size, size_t grain)
{
    return (size + grain - 1) / grain * grain;
}

/* How many words lie on the first `bytes` of a region. */
static hri_block_number words_within(size_t bytes, size_t count)
{
    return (hri_block_number)hri_min((bytes - sizeof(hri_region)) / sizeof(uint32_t), count);
}

hri_region *hri_region_new(void *owner, size_t block_bytes, size_t align, size_t blocks_bytes)
{
    size_t count = blocks_bytes / block_bytes;
    size_t words = sizeof(hri_region) + count * sizeof(uint32_t);
    size_t head = round_up(words + HRI_MARK_BYTES, align < 64 ? 64 : align);
    size_t bytes = round_up(head + count * block_bytes, PIECE_BYTES);
    hri_heap_run run;
    _Static_assert(sizeof(hri_region) < HRI_HEAP_PAGE, "the first page has it");
    if (!hri_heap_region_take(bytes, &run))
        return NULL;
    hri_region *region = hri_heap_run_address(&run);
    *region = (hri_region){
        .owner = owner,
        .run = run,
        .head_bytes = head,
        .block_bytes = block_bytes,
        .blocks_bytes = count * block_bytes,
        .inverse = ((UINT64_C(1) << 32) + block_bytes - 1) / block_bytes,
        .count = (hri_block_number)count,
        .first_free = HRI_NO_BLOCK,
        .first_new = HRI_NO_BLOCK,
        .worded = words_within(HRI_HEAP_PAGE, count),
    };
    hri_heap_region_enter(&run);
    enter_pieces(&run, true);
    return region;
}

bool hri_region_commit_words(hri_region *region)
{
    unsigned page = (unsigned)((sizeof *region + region->worded * sizeof region->words[0]) / HRI_HEAP_PAGE);
    if (!hri_heap_region_commit(&region->run, page, page + 1, true))
        return false;
    region->worded = words_within((page + 1) * HRI_HEAP_PAGE, region->count);
    return true;
}

bool hri_region_commit(const hri_region *region, hri_block_number number)
{
    size_t from = hri_region_start(region) + (size_t)number * region->block_bytes, to = from + region->block_bytes;
    unsigned first = (unsigned)(from / HRI_HEAP_PAGE), end = (unsigned)((to - 1) / HRI_HEAP_PAGE + 1);
    return hri_heap_region_commit(&region->run, first, end, false);
}

void hri_region_free(hri_region *region)
{
    const hri_heap_run run = region->run;
    enter_pieces(&run, false);
    hri_heap_region_give(&run);
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
    else if (region->untouched < region->worded)
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
