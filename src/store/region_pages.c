/* SPDX-License-Identifier: Apache-2.0 */
/* Giving back pages of a region that has blocks in use, where blocks are smaller than pages or lie across them.
 *
 * A page can go if no block on it is away, and none is free but those that go with it. Blocks that lose a page lose all that
 * is in them: so they are taken out first (*leaving*), destroyed, and new afterwards. What they have on pages that stay is
 * overwritten with zeros, as new blocks are; less than a page at each end of a run stays resident so, which nobody pays for.
 *
 * Free and new blocks look alike in the head. While a call looks, and the lock is held, the bits of those that are free are
 * set; otherwise only blocks that are away have bits.
 */
#include "store/region.h"

#include "os/pages.h"

#include <string.h>

enum state {
    FREE,
    LEAVING,
    AWAY,
    NEW,
};

static void set_bit(hri_region *region, hri_block_number number, bool value)
{
    uint64_t bit = UINT64_C(1) << number % 64, *word = &region->idle[number / 64];
    *word = value ? *word | bit : *word & ~bit;
}

static bool has_bit(const hri_region *region, hri_block_number number)
{
    return region->idle[number / 64] >> number % 64 & 1;
}

static void mark_free(hri_region *region, bool value)
{
    for (hri_block_number number = region->first_free; number != HRI_NO_BLOCK; number = region->next_block[number])
        set_bit(region, number, value);
}

/* While the free ones are marked. */
static enum state state_of(const hri_region *region, hri_block_number number)
{
    if (number >= region->untouched)
        return NEW;
    if (region->next_block[number] == HRI_BLOCK_AWAY)
        return AWAY;
    if (region->next_block[number] == HRI_BLOCK_LEAVING)
        return LEAVING;
    return has_bit(region, number) ? FREE : NEW;
}

/* A page, by offsets in the region, and the blocks on it. */
struct page {
    size_t from, to;
    hri_block_number first, last;
};

/* The page at an offset that is a multiple of its size. */
static struct page page_at(const hri_region *region, size_t offset, size_t size)
{
    size_t from = offset > region->head_bytes ? offset - region->head_bytes : 0;
    size_t last = (offset + size - 1 - region->head_bytes) / region->block_bytes;
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
    return region->head_bytes / size * size;
}

static size_t end_of_touched(const hri_region *region)
{
    return region->head_bytes + (size_t)region->untouched * region->block_bytes;
}

static hri_block_number count_state(const hri_region *region, const struct page *page, enum state state)
{
    hri_block_number count = 0;
    for (hri_block_number number = page->first; number <= page->last; number++)
        count += state_of(region, number) == state;
    return count;
}

/* ── taking out ─────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Free blocks that are chosen lose their bits, and so look new to the pages beside. */
static void choose_page(hri_region *region, const struct page *page)
{
    for (hri_block_number number = page->first; number <= page->last; number++)
        if (state_of(region, number) == FREE)
            set_bit(region, number, false);
}

/* Takes those that are chosen off the list, and clears the bits of the others. */
static void take_chosen(hri_region *region)
{
    hri_block_number number = region->first_free, next;
    region->first_free = HRI_NO_BLOCK;
    for (; number != HRI_NO_BLOCK; number = next) {
        next = region->next_block[number];
        if (has_bit(region, number)) {
            set_bit(region, number, false);
            region->next_block[number] = region->first_free;
            region->first_free = number;
        } else {
            region->next_block[number] = HRI_BLOCK_LEAVING;
            region->leaving++;
            region->free--;
        }
    }
}

hri_block_number hri_region_leave(hri_region *region, uint64_t want, uint64_t most)
{
    size_t size = hri_page_size();
    uint64_t chosen = 0;
    bool all = true;
    mark_free(region, true);
    for (size_t at = first_page(region, size); all && at < end_of_touched(region); at += size) {
        struct page page = page_at(region, at, size);
        hri_block_number count = count_state(region, &page, FREE);
        if (at < region->head_bytes || count == 0 || count_state(region, &page, AWAY) > 0)
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
    while (*at < region->untouched && region->next_block[*at] != HRI_BLOCK_LEAVING)
        ++*at;
    return *at < region->untouched ? hri_region_block(region, (*at)++) : NULL;
}

/* ── giving back ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Overwrites what leaving blocks have on a page that stays. */
static void clear_page(hri_region *region, const struct page *page)
{
    for (hri_block_number number = page->first; number <= page->last; number++) {
        if (state_of(region, number) != LEAVING)
            continue;
        size_t from = region->head_bytes + (size_t)number * region->block_bytes, to = from + region->block_bytes;
        from = from > page->from ? from : page->from;
        to = to < page->to ? to : page->to;
        memset((char *)region + from, 0, to - from);
    }
}

static bool may_go(const hri_region *region, const struct page *page)
{
    return page->from >= region->head_bytes && count_state(region, page, LEAVING) > 0 &&
           count_state(region, page, AWAY) == 0 && count_state(region, page, FREE) == 0;
}

/* Drops the pages that can go, those side by side in one call. */
static void drop_pages(hri_region *region)
{
    size_t size = hri_page_size(), run = 0; /* bytes of a run that ends at `at` */
    size_t at = first_page(region, size);
    for (; at < end_of_touched(region); at += size) {
        struct page page = page_at(region, at, size);
        if (may_go(region, &page)) {
            run += size;
            continue;
        }
        clear_page(region, &page);
        if (run > 0)
            hri_pages_drop((char *)region + at - run, run);
        run = 0;
    }
    if (run > 0)
        hri_pages_drop((char *)region + at - run, run);
}

void hri_region_renew_leaving(hri_region *region)
{
    mark_free(region, true);
    drop_pages(region);
    mark_free(region, false);
    for (hri_block_number number = region->untouched; number-- > 0;) {
        if (region->next_block[number] != HRI_BLOCK_LEAVING)
            continue;
        region->next_block[number] = region->first_new;
        region->first_new = number;
        region->used--;
    }
    region->leaving = 0;
}
