/* SPDX-License-Identifier: Apache-2.0 */
/* Of a span a bit for each granule of 16 bytes says what is in use. A granule's bit is clear only if nothing lies on it
 * and its memory is committed, so one search finds room. The grid of granules is shifted by 8 bytes, since the word
 * of a block comes before its first byte, and that is aligned to 16:
 *
 *     granule g      [base + 16 g + 8, base + 16 g + 24)
 *     its block      base + 16 g + 16
 *
 * So granule 256 p - 1 lies on pages p - 1 and p, and the last granule of a span is never used. A page is idle if no
 * block lies on it: `on_page` counts them.
 *
 * This file knows one span, and no other: which granules are in use, which pages are there. span.c says which span.
 */
#include "heap/granules.h"

#include "base/assert.h"
#include "base/checked.h"

#include <string.h>

#define GRANULES (HRI_HEAP_SLICE_GRANULES - 1)
#define PAGE_GRANULES 256u

uint64_t hri_heap_span_idle_bytes;

/* ── granules and pages ──────────────────────────────────────────────────────────────────────────────────────────── */

unsigned hri_heap_granules_of(unsigned class)
{
    return (unsigned)(hri_heap_class_bytes[class] / HRI_HEAP_GRANULE);
}

static void *block_at(const hri_heap_slice *slice, unsigned granule)
{
    return (char *)hri_heap_slice_address(slice->segment, slice) + (granule + 1) * HRI_HEAP_GRANULE;
}

static unsigned granule_of(const void *block)
{
    return (unsigned)((uintptr_t)block % HRI_HEAP_SLICE / HRI_HEAP_GRANULE) - 1;
}

/* The page that a granule begins on, and the one that it ends on. */
static unsigned first_page(unsigned granule)
{
    return granule / PAGE_GRANULES;
}

static unsigned last_page(unsigned granule)
{
    return (granule + 1) / PAGE_GRANULES;
}

bool hri_heap_granules_committed(const hri_heap_slice *slice, unsigned page)
{
    return slice->committed >> page & 1;
}

void hri_heap_granules_count_idle(hri_heap_slice *slice, int pages)
{
    slice->idle_pages = (uint8_t)(slice->idle_pages + pages);
    slice->segment->span_idle_pages += (unsigned)pages;
    hri_heap_span_idle_bytes += (uint64_t)((int64_t)pages * (int64_t)HRI_HEAP_PAGE);
}

static void set_used(hri_heap_slice *slice, unsigned granule, unsigned run)
{
    hri_bits_set(slice->bits, granule, granule + run);
    slice->used += run;
    for (unsigned page = first_page(granule); page <= last_page(granule + run - 1); page++)
        if (slice->on_page[page]++ == 0)
            hri_heap_granules_count_idle(slice, -1);
}

static void set_unused(hri_heap_slice *slice, unsigned granule, unsigned run)
{
    hri_bits_clear(slice->bits, granule, granule + run);
    slice->used -= run;
    for (unsigned page = first_page(granule); page <= last_page(granule + run - 1); page++)
        if (--slice->on_page[page] == 0)
            hri_heap_granules_count_idle(slice, 1);
}

void hri_heap_granules_open_page(hri_heap_slice *slice, unsigned page)
{
    unsigned from = page * PAGE_GRANULES, to = from + PAGE_GRANULES - 1;
    slice->committed |= (uint16_t)(1u << page);
    if (page > 0 && hri_heap_granules_committed(slice, page - 1))
        from--;
    if (page + 1 < HRI_HEAP_SLICE_PAGES && hri_heap_granules_committed(slice, page + 1))
        to++;
    hri_bits_clear(slice->bits, from, to);
    slice->no_fit = HRI_HEAP_FITS_ALL;
    hri_heap_granules_count_idle(slice, 1);
}

/* Takes an idle page out of use. */
static void close_page(hri_heap_slice *slice, unsigned page)
{
    HRI_ASSERT(slice->on_page[page] == 0 && hri_heap_granules_committed(slice, page));
    hri_bits_set(slice->bits, page > 0 ? page * PAGE_GRANULES - 1 : 0, (page + 1) * PAGE_GRANULES);
    slice->committed &= (uint16_t) ~(1u << page);
    hri_heap_granules_count_idle(slice, -1);
}

void hri_heap_granules_reset(hri_heap_slice *slice)
{
    slice->committed = 0;
    slice->used = 0;
    slice->no_fit = 0;
    memset(slice->bits, 0xff, sizeof slice->bits);
}

/* ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Where a search of a span for room of `run` granules begins: it wraps. Spans begin with a page. Were the first block
 * of each in front, the blocks that 16 classes hand out again and again would lie in one set of the first cache. That
 * has 8 to 12 places. So each span has a colour, a cache line of its first page. */
#define COLOURS 32u
#define COLOUR_GRANULES 4u

static unsigned colour_of(const hri_heap_slice *slice, unsigned run)
{
    unsigned colour = (unsigned)(slice - slice->segment->slices) % COLOURS * COLOUR_GRANULES;
    return colour + run < PAGE_GRANULES ? colour : 0;
}

unsigned hri_heap_granules_take(hri_heap_slice *slice, unsigned class, void **blocks, unsigned want)
{
    const hri_bits_view view = {slice->bits, NULL};
    unsigned run = hri_heap_granules_of(class), begin = colour_of(slice, run), count = 0, at = begin;
    if (run >= slice->no_fit)
        return 0;
    while (count < want) {
        at = hri_bits_find(&view, at, GRANULES, run, 1);
        if (at == GRANULES && begin == 0) {
            slice->no_fit = (uint16_t)run;
            break;
        }
        if (at == GRANULES) {
            at = begin = 0;
            continue;
        }
        set_used(slice, at, run);
        blocks[count++] = block_at(slice, at);
        at += run;
    }
    return count;
}

/* How many granules are free around a run that came back. */
static unsigned gap_at(const hri_heap_slice *slice, unsigned granule, unsigned run)
{
    const hri_bits_view view = {slice->bits, NULL};
    unsigned end = hri_bits_next(&view, granule + run, GRANULES, 0);
    return end - hri_bits_begin(slice->bits, granule);
}

bool hri_heap_granules_give(hri_heap_slice *slice, unsigned class, const void *block)
{
    unsigned granule = granule_of(block), run = hri_heap_granules_of(class);
    HRI_ASSERT(slice->is_span && hri_bits_has(slice->bits, granule));
    set_unused(slice, granule, run);
    slice->no_fit = (uint16_t)hri_max(slice->no_fit, gap_at(slice, granule, run) + 1);
    return 4 * slice->used <= (unsigned)__builtin_popcount(slice->committed) * PAGE_GRANULES;
}

bool hri_heap_granules_may_begin(const hri_heap_slice *slice, const void *block)
{
    if ((uintptr_t)block % HRI_HEAP_SLICE == 0)
        return false;
    unsigned page = (unsigned)((uintptr_t)block % HRI_HEAP_SLICE / HRI_HEAP_PAGE);
    return hri_heap_granules_committed(slice, first_page(granule_of(block))) &&
           hri_heap_granules_committed(slice, page);
}

/* ── pages that come and go ──────────────────────────────────────────────────────────────────────────────────────── */

bool hri_heap_granules_choose(const hri_heap_slice *slice, unsigned class, const hri_heap_step *step,
                              hri_heap_page_range *ret_pages)
{
    uint64_t bits[HRI_HEAP_SLICE_GRANULES / HRI_BITS_WORD];
    const hri_bits_view view = {bits, NULL};
    memcpy(bits, slice->bits, sizeof bits);
    for (unsigned page = 0; page < HRI_HEAP_SLICE_PAGES; page++)
        if (!hri_heap_granules_committed(slice, page))
            hri_bits_clear(bits, page > 0 ? page * PAGE_GRANULES - 1 : 0, (page + 1) * PAGE_GRANULES);
    unsigned run = hri_heap_granules_of(class), at = hri_bits_find(&view, 0, GRANULES, run, 1);
    if (at == GRANULES)
        return false;
    unsigned from = first_page(at), least = last_page(at + run - 1) + 1, to = from, count = 0;
    for (; to < HRI_HEAP_SLICE_PAGES; to++) {
        bool committed = hri_heap_granules_committed(slice, to);
        if (to >= least && (committed || count == step->pages))
            break;
        if (!committed && (count + 1) * HRI_HEAP_PAGE > step->most_bytes)
            break;
        count += !committed;
    }
    ret_pages->from = from;
    ret_pages->to = to;
    return to >= least;
}

bool hri_heap_granules_close(hri_heap_slice *slice, unsigned most_pages, hri_heap_page_range *ret_pages)
{
    unsigned from = 0, to;
    while (from < HRI_HEAP_SLICE_PAGES && (!hri_heap_granules_committed(slice, from) || slice->on_page[from] > 0))
        from++;
    for (to = from; to < HRI_HEAP_SLICE_PAGES && to - from < most_pages; to++) {
        if (!hri_heap_granules_committed(slice, to) || slice->on_page[to] > 0)
            break;
        close_page(slice, to);
    }
    *ret_pages = (hri_heap_page_range){from, to};
    return to > from;
}

/* ── checking ────────────────────────────────────────────────────────────────────────────────────────────────────── */

void hri_heap_granules_check(const hri_heap_slice *slice)
{
    unsigned idle = 0, unavailable = 0;
    for (unsigned page = 0; page < HRI_HEAP_SLICE_PAGES; page++) {
        unsigned from = page > 0 ? page * PAGE_GRANULES - 1 : 0, to = (page + 1) * PAGE_GRANULES;
        if (hri_heap_granules_committed(slice, page)) {
            idle += slice->on_page[page] == 0;
            continue;
        }
        HRI_ASSERT(slice->on_page[page] == 0);
        HRI_ASSERT(hri_bits_count(slice->bits, from, to) == to - from);
        unavailable += to - from - (page > 0 && !hri_heap_granules_committed(slice, page - 1));
    }
    if (hri_heap_granules_committed(slice, HRI_HEAP_SLICE_PAGES - 1)) /* the last granule is unavailable in any case */
        unavailable += hri_bits_has(slice->bits, GRANULES);
    HRI_ASSERT(slice->idle_pages == idle);
    HRI_ASSERT(slice->used + unavailable == hri_bits_count(slice->bits, 0, HRI_HEAP_SLICE_GRANULES));
    (void)idle, (void)unavailable;
}
