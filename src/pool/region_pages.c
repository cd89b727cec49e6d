/* SPDX-License-Identifier: Apache-2.0 */
/* Giving back pages of a region that has blocks in use, where blocks are smaller than pages or lie across them.
 *
 * A page can go if no block on it is away, and none is free but those that go with it. Blocks that lose a page lose all
 * that is in them: so they are taken out first (*leaving*), destroyed, and new afterwards. Their bytes on pages that
 * stay are overwritten with zeros, as new blocks are. So less than a page at each end of a run stays resident, which
 * nobody pays for.
 */
#include "pool/region.h"

#include <string.h>

static hri_block_state state_of(const hri_region *region, hri_block_number number)
{
    return hri_block_state_of(region->words[number]);
}

/* A page, by offsets in the region, and the blocks on it. */
struct page {
    size_t from, to;
    hri_block_number first, last;
};

/* The page at an offset that is a multiple of its size. */
static struct page page_at(const hri_region *region, size_t offset, size_t size)
{
    size_t start = hri_region_start(region), from = offset > start ? offset - start : 0;
    size_t last = (offset + size - 1 - start) / region->block_bytes;
    return (struct page){
        .from = offset,
        .to = offset + size,
        .first = (hri_block_number)(from / region->block_bytes),
        .last = last < region->count ? (hri_block_number)last : region->count - 1,
    };
}

/* Where the pages with touched blocks begin and end. */
static size_t first_page(const hri_region *region, size_t size)
{
    return hri_region_start(region) / size * size;
}

static size_t end_of_touched(const hri_region *region)
{
    return hri_region_start(region) + (size_t)region->untouched * region->block_bytes;
}

static hri_block_number count_state(const hri_region *region, const struct page *page, hri_block_state state)
{
    hri_block_number count = 0;
    for (hri_block_number number = page->first; number <= page->last; number++)
        count += state_of(region, number) == state;
    return count;
}

/* ── taking out ─────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Its free blocks are leaving; take_chosen() takes them off the list of free ones. */
static void choose_page(hri_region *region, const struct page *page)
{
    for (hri_block_number number = page->first; number <= page->last; number++)
        if (state_of(region, number) == HRI_BLOCK_FREE)
            region->words[number] = hri_block_word(HRI_BLOCK_LEAVING, hri_block_below(region->words[number]));
}

/* Takes those that are chosen off the list. */
static void take_chosen(hri_region *region)
{
    hri_block_number number = region->first_free, next;
    region->first_free = HRI_NO_BLOCK;
    for (; number != HRI_NO_BLOCK; number = next) {
        next = hri_block_below(region->words[number]);
        if (state_of(region, number) == HRI_BLOCK_LEAVING) {
            region->leaving++;
            region->free--;
        } else {
            region->words[number] = hri_block_word(HRI_BLOCK_FREE, region->first_free);
            region->first_free = number;
        }
    }
}

hri_block_number hri_region_leave(hri_region *region, uint64_t want, uint64_t most)
{
    size_t size = HRI_HEAP_PAGE;
    uint64_t chosen = 0;
    bool all = true;
    for (size_t at = first_page(region, size); all && at < end_of_touched(region); at += size) {
        struct page page = page_at(region, at, size);
        hri_block_number count = count_state(region, &page, HRI_BLOCK_FREE);
        if (at < hri_region_start(region) || count == 0 || count_state(region, &page, HRI_BLOCK_AWAY) > 0)
            continue;
        all = chosen < want && chosen + count <= most;
        if (all) {
            choose_page(region, &page);
            chosen += count;
        }
    }
    take_chosen(region);
    region->settled = all;
    return region->leaving;
}

void *hri_region_next_leaving(const hri_region *region, hri_block_number *at)
{
    while (*at < region->untouched && state_of(region, *at) != HRI_BLOCK_LEAVING)
        ++*at;
    return *at < region->untouched ? hri_region_block(region, (*at)++) : NULL;
}

/* ── giving back ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Overwrites what leaving blocks have on a page that stays. */
static void clear_page(hri_region *region, const struct page *page)
{
    for (hri_block_number number = page->first; number <= page->last; number++) {
        if (state_of(region, number) != HRI_BLOCK_LEAVING)
            continue;
        size_t from = hri_region_start(region) + (size_t)number * region->block_bytes, to = from + region->block_bytes;
        from = from > page->from ? from : page->from;
        to = to < page->to ? to : page->to;
        memset((char *)region + from, 0, to - from);
    }
}

static bool may_go(const hri_region *region, const struct page *page)
{
    return page->from >= hri_region_start(region) && count_state(region, page, HRI_BLOCK_LEAVING) > 0 &&
           count_state(region, page, HRI_BLOCK_AWAY) == 0 && count_state(region, page, HRI_BLOCK_FREE) == 0;
}

static uint64_t decommit(const hri_region *region, size_t from, size_t to)
{
    return hri_heap_region_decommit(&region->run, (unsigned)(from / HRI_HEAP_PAGE), (unsigned)(to / HRI_HEAP_PAGE));
}

/* Drops the pages that can go, those side by side in one call. Gives how many bytes went. */
static uint64_t drop_pages(hri_region *region)
{
    size_t size = HRI_HEAP_PAGE, run = 0; /* bytes of a run that ends at `at` */
    size_t at = first_page(region, size);
    uint64_t gone = 0;
    for (; at < end_of_touched(region); at += size) {
        struct page page = page_at(region, at, size);
        if (may_go(region, &page)) {
            run += size;
            continue;
        }
        clear_page(region, &page);
        if (run > 0)
            gone += decommit(region, at - run, at);
        run = 0;
    }
    if (run > 0)
        gone += decommit(region, at - run, at);
    return gone;
}

uint64_t hri_region_renew_leaving(hri_region *region)
{
    uint64_t gone = drop_pages(region);
    for (hri_block_number number = region->untouched; number-- > 0;)
        if (state_of(region, number) == HRI_BLOCK_LEAVING)
            hri_region_make_new(region, number);
    region->leaving = 0;
    return gone;
}
