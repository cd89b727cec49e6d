/* SPDX-License-Identifier: Apache-2.0 */
/* granules.c knows the blocks and the pages of one span; which span serves whom is here.
 *
 * A span is for blocks of one class, which it was taken for, or it is *open*, for those of any class. A class that has
 * less than a span in all is rare, and takes open spans, so that forty classes of few blocks share their pages. A span
 * becomes open too when three quarters of it have come back. Blocks that a program frees of one size serve another size
 * then, although a page seldom gets wholly free. (64-byte blocks of which 90 % are freed at random leave one page in
 * 200 free.) The rest at the end of a span that is full of large blocks is for any class: fifteen blocks of 4112 bytes
 * leave 3.8 KiB.
 *
 * A span is in one list at most. Each class has two: its spans that may have room in committed memory, and those that
 * have room only in pages that are not committed. Open spans and rests are in the list of their level, which says how
 * long a run may fit. A full span is in none, and comes back with the first block. `no_fit` bounds what may fit: a
 * search in vain lowers it, and a block that comes back raises it to the gap that it leaves.
 *
 * A span that no block lies on goes back to its segment, with the pages that it has.
 */
#include "heap/span.h"

#include "base/assert.h"
#include "base/checked.h"
#include "os/pages.h"

#define ANY_CLASS HRI_HEAP_GENERAL_CLASSES /* as the class of a span: it has none */
#define LEVELS 12u

/* The rests of spans whose blocks have less are not for others: they are small, and a block on them keeps a page from
 * going back when the others go. */
#define REST_GRANULES 128u

/* At most this many spans of a list are tried for one demand, where a try does not move the span out of it. */
#define TRIES 8

uint64_t hri_heap_away[HRI_HEAP_CLASSES];

static hri_heap_list roomy[HRI_HEAP_GENERAL_CLASSES], open[LEVELS], holes[HRI_HEAP_GENERAL_CLASSES + 1];

/* ── spans ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void move_to(hri_heap_slice *slice, hri_heap_list *list)
{
    if (slice->list == list)
        return;
    hri_heap_list_remove(slice);
    if (list)
        hri_heap_list_push(list, slice);
}

/* The list of those spans that may have room for as many granules as less than twice 2^level. */
static unsigned level_of(unsigned granules)
{
    return 31 - (unsigned)__builtin_clz(granules);
}

/* Puts a span into the list that it belongs to by what may fit. */
static void place(hri_heap_slice *slice)
{
    bool is_any = slice->class == ANY_CLASS;
    unsigned run = is_any ? 1 : hri_heap_granules_of(slice->class);
    bool has_rest = slice->no_fit > 1 && (is_any || run >= REST_GRANULES);
    if (!is_any && slice->no_fit > run)
        move_to(slice, &roomy[slice->class]);
    else if (slice->committed != HRI_HEAP_ALL_PAGES && !(is_any && has_rest))
        move_to(slice, &holes[slice->class]);
    else
        move_to(slice, has_rest ? &open[level_of(slice->no_fit - 1u)] : NULL);
}

static hri_heap_run run_of(hri_heap_slice *slice)
{
    unsigned at = (unsigned)(slice - slice->segment->slices) * HRI_HEAP_SLICE_PAGES;
    return (hri_heap_run){slice->segment, at, HRI_HEAP_SLICE_PAGES};
}

/* Has a class less than a span? Then its blocks lie beside those of other such classes. */
static bool is_rare(unsigned class)
{
    return hri_heap_away[class] * hri_heap_class_bytes[class] < HRI_HEAP_SLICE;
}

static hri_heap_slice *new_span(unsigned class, const hri_heap_run *run)
{
    hri_heap_slice *slice = hri_heap_slice_of(run->segment, hri_heap_run_address(run));
    slice->segment = run->segment;
    slice->is_span = true;
    slice->busy = false;
    slice->class = (uint8_t)(is_rare(class) ? ANY_CLASS : class);
    slice->list = NULL;
    hri_heap_granules_reset(slice);
    for (unsigned page = 0; page < HRI_HEAP_SLICE_PAGES; page++)
        if (hri_bits_has(run->segment->committed, run->at + page))
            hri_heap_granules_open_page(slice, page);
    place(slice);
    return slice;
}

static void release_if_unused(hri_heap_slice *slice)
{
    if (slice->used > 0 || slice->busy)
        return;
    move_to(slice, NULL);
    hri_heap_granules_count_idle(slice, -(int)slice->idle_pages);
    slice->is_span = false;
    hri_heap_run run = run_of(slice);
    hri_heap_run_give(&run);
}

/* Carves from spans of a list; a span without room moves to another. */
static unsigned carve_list(const hri_heap_list *list, unsigned class, void **blocks, unsigned want)
{
    unsigned count = 0;
    hri_heap_slice *slice;
    while (count < want && (slice = list->first) != NULL) {
        count += hri_heap_granules_take(slice, class, blocks + count, want - count);
        if (count < want)
            place(slice);
    }
    return count;
}

/* Of the spans at the lowest level some have less room than is needed: they stay there. */
static unsigned carve_level(unsigned level, unsigned class, void **blocks, unsigned want)
{
    unsigned count = 0, tries = 0;
    hri_heap_slice *slice = open[level].first, *next;
    for (; count < want && slice && tries < TRIES; tries++, slice = next) {
        next = slice->next;
        count += hri_heap_granules_take(slice, class, blocks + count, want - count);
        if (count < want)
            place(slice);
    }
    return count;
}

static unsigned carve_general(unsigned class, void **blocks, unsigned want)
{
    unsigned level = level_of(hri_heap_granules_of(class));
    unsigned count = carve_list(&roomy[class], class, blocks, want);
    if (count < want)
        count += carve_level(level, class, blocks + count, want - count);
    while (count < want && ++level < LEVELS)
        count += carve_list(&open[level], class, blocks + count, want - count);
    return count;
}

/* Carves from idle pages that belong to no span yet. */
static unsigned carve_idle(unsigned class, void **blocks, unsigned want)
{
    hri_heap_run run;
    unsigned pages = (unsigned)(hri_heap_class_bytes[class] / HRI_HEAP_PAGE) + 1;
    if (!hri_heap_run_take_partly_idle(pages, &run))
        return 0;
    return hri_heap_granules_take(new_span(class, &run), class, blocks, want);
}

static unsigned pages_of(unsigned class)
{
    return (unsigned)(hri_heap_class_bytes[class] / HRI_HEAP_PAGE);
}

unsigned hri_heap_carve(unsigned class, void **blocks, unsigned want)
{
    unsigned count = 0;
    if (hri_heap_class_is_general(class)) {
        count = carve_general(class, blocks, want);
        if (count == 0)
            count = carve_idle(class, blocks, want);
    } else {
        hri_heap_run run;
        for (; count < want && hri_heap_run_take_idle(pages_of(class), 1, &run); count++)
            blocks[count] = hri_heap_run_address(&run);
    }
    hri_heap_away[class] += count;
    return count;
}

static void uncarve_general(unsigned class, void *block)
{
    hri_heap_slice *slice = hri_heap_slice_of(hri_heap_segment_find(block), block);
    if (hri_heap_granules_give(slice, class, block))
        slice->class = ANY_CLASS;
    place(slice);
    release_if_unused(slice);
}

void hri_heap_uncarve(unsigned class, void *block)
{
    HRI_ASSERT(hri_heap_away[class] > 0);
    hri_heap_away[class]--;
    if (hri_heap_class_is_general(class)) {
        uncarve_general(class, block);
        return;
    }
    hri_heap_segment *segment = hri_heap_segment_find(block);
    unsigned at = (unsigned)(((uintptr_t)block - segment->base) / HRI_HEAP_PAGE);
    const hri_heap_run run = {segment, at, pages_of(class)};
    *hri_heap_page_word(block) = 0;
    hri_heap_run_give(&run);
}

bool hri_heap_span_has(const void *block)
{
    hri_heap_segment *segment = hri_heap_segment_find(block);
    if (!segment || segment->whole || (uintptr_t)block % HRI_HEAP_GRANULE)
        return false;
    const hri_heap_slice *slice = hri_heap_slice_of(segment, block);
    return slice->is_span && hri_heap_granules_may_begin(slice, block);
}

/* ── growing ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* An eighth of what the class has, so that a class of few blocks commits few pages. */
static unsigned step_of(unsigned class)
{
    uint64_t pages = hri_heap_away[class] * hri_heap_class_bytes[class] / 8 / HRI_HEAP_PAGE + 1;
    return (unsigned)hri_min(pages, HRI_HEAP_STEP_PAGES);
}

/* The pages that a block may lie on. */
static unsigned least_pages(unsigned class)
{
    return (unsigned)((hri_heap_class_bytes[class] + HRI_HEAP_PAGE - 1) / HRI_HEAP_PAGE) + 1;
}

uint64_t hri_heap_growth_bytes(unsigned class, uint64_t *ret_least)
{
    if (!hri_heap_class_is_general(class)) {
        *ret_least = hri_heap_class_bytes[class];
        return *ret_least;
    }
    *ret_least = least_pages(class) * HRI_HEAP_PAGE;
    return hri_max(*ret_least, step_of(class) * HRI_HEAP_PAGE);
}

static bool begin_in(hri_heap_slice *slice, unsigned class, uint64_t most_bytes, hri_heap_growth *growth)
{
    *growth = (hri_heap_growth){.run = run_of(slice), .slice = slice};
    const hri_heap_step step = {step_of(class), most_bytes};
    if (slice->busy || !hri_heap_granules_choose(slice, class, &step, &growth->pages))
        return false;
    growth->bytes = hri_heap_run_count_in(&growth->run, growth->pages.from, growth->pages.to) * HRI_HEAP_PAGE;
    slice->busy = growth->bytes > 0;
    return true;
}

static bool begin_in_holes(unsigned list, unsigned class, uint64_t most_bytes, hri_heap_growth *growth)
{
    hri_heap_slice *slice = holes[list].first, *next;
    for (unsigned tries = 0; slice && tries < TRIES; tries++, slice = next) {
        next = slice->next;
        if (begin_in(slice, class, most_bytes, growth))
            return true;
        if (!slice->busy)
            move_to(slice, NULL); /* its holes are too small; it comes back with a block */
    }
    return false;
}

static bool begin_in_level(unsigned level, unsigned class, uint64_t most_bytes, hri_heap_growth *growth)
{
    hri_heap_slice *slice = open[level].first;
    for (unsigned tries = 0; slice && tries < TRIES; tries++, slice = slice->next)
        if (slice->committed != HRI_HEAP_ALL_PAGES && begin_in(slice, class, most_bytes, growth))
            return true;
    return false;
}

/* In the spans that there are. */
static bool begin_in_some(unsigned class, uint64_t most_bytes, hri_heap_growth *growth)
{
    if (begin_in_holes(class, class, most_bytes, growth))
        return true;
    if (!is_rare(class))
        return false;
    for (unsigned level = LEVELS; level-- > 0;)
        if (begin_in_level(level, class, most_bytes, growth))
            return true;
    return begin_in_holes(ANY_CLASS, class, most_bytes, growth);
}

static bool begin_general(unsigned class, uint64_t most_bytes, hri_heap_growth *growth)
{
    if (begin_in_some(class, most_bytes, growth))
        return true;
    hri_heap_run run;
    if (!hri_heap_run_take(HRI_HEAP_SLICE_PAGES, HRI_HEAP_SLICE_PAGES, &run))
        return false;
    hri_heap_slice *slice = new_span(class, &run);
    if (begin_in(slice, class, most_bytes, growth))
        return true;
    release_if_unused(slice);
    return false;
}

static bool begin_pages(unsigned class, hri_heap_growth *ret_growth)
{
    hri_heap_growth growth = {.pages.to = pages_of(class)};
    if (!hri_heap_run_take(pages_of(class), 1, &growth.run))
        return false;
    growth.bytes = hri_heap_run_count_in(&growth.run, 0, growth.pages.to) * HRI_HEAP_PAGE;
    if (growth.bytes == 0)
        hri_heap_run_give(&growth.run);
    *ret_growth = growth;
    return true;
}

bool hri_heap_growth_begin(unsigned class, uint64_t most_bytes, uint64_t records_bytes, hri_heap_growth *ret_growth)
{
    hri_heap_records_now = (hri_heap_records){.allowed_bytes = records_bytes};
    bool begun = hri_heap_class_is_general(class) ? begin_general(class, most_bytes, ret_growth)
                                                  : begin_pages(class, ret_growth);
    ret_growth->without_records = hri_heap_records_now.missing;
    hri_heap_records_now = (hri_heap_records){.allowed_bytes = UINT64_MAX};
    return begun;
}

/* ── shrinking ───────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Idle pages in a row of one span. */
static bool begin_going_in(hri_heap_slice *slice, unsigned most_pages, hri_heap_growth *growth)
{
    hri_heap_page_range pages;
    if (!hri_heap_granules_close(slice, most_pages, &pages))
        return false;
    slice->busy = true;
    *growth = (hri_heap_growth){.run = run_of(slice),
                                .slice = slice,
                                .pages = pages,
                                .bytes = (pages.to - pages.from) * HRI_HEAP_PAGE,
                                .going = true};
    return true;
}

static bool begin_going_in_spans(hri_heap_segment *segment, unsigned most_pages, hri_heap_growth *growth)
{
    unsigned left = segment->span_idle_pages;
    for (unsigned page = 0; left > 0 && page < segment->pages; page += HRI_HEAP_SLICE_PAGES) {
        if (!hri_bits_has(segment->used, page) || !hri_heap_segment_has_record(segment, page))
            continue;
        hri_heap_slice *slice = &segment->slices[page / HRI_HEAP_SLICE_PAGES];
        if (!slice->is_span || slice->idle_pages == 0)
            continue;
        if (!slice->busy && begin_going_in(slice, most_pages, growth))
            return true;
        left -= slice->idle_pages;
    }
    return false;
}

bool hri_heap_growth_begin_going(unsigned most_pages, hri_heap_growth *ret_growth)
{
    hri_heap_growth growth = {.going = true};
    if (hri_heap_run_take_excess(most_pages, &growth.run)) {
        growth.pages.to = growth.run.pages;
        growth.bytes = growth.pages.to * HRI_HEAP_PAGE;
        *ret_growth = growth;
        return true;
    }
    for (hri_heap_segment *segment = hri_heap_segment_first(); segment; segment = segment->next)
        if (begin_going_in_spans(segment, most_pages, ret_growth))
            return true;
    return false;
}

/* ── the steps of both ───────────────────────────────────────────────────────────────────────────────────────────── */

static void *address_of(const hri_heap_growth *growth)
{
    return (char *)hri_heap_run_address(&growth->run) + growth->pages.from * HRI_HEAP_PAGE;
}

int hri_heap_growth_commit(const hri_heap_growth *growth)
{
    return hri_pages_populate(address_of(growth), (growth->pages.to - growth->pages.from) * HRI_HEAP_PAGE);
}

int hri_heap_growth_decommit(const hri_heap_growth *growth)
{
    return hri_pages_decommit(address_of(growth), (growth->pages.to - growth->pages.from) * HRI_HEAP_PAGE);
}

/* Which of a span's pages a growth has changed shows in that they are not available. */
static void open_pages(const hri_heap_growth *growth)
{
    for (unsigned page = growth->pages.from; page < growth->pages.to; page++)
        if (!hri_heap_granules_committed(growth->slice, page))
            hri_heap_granules_open_page(growth->slice, page);
}

/* Those that could not be committed: the pages that were counted and are not available. */
static void uncount(const hri_heap_growth *growth)
{
    for (unsigned page = growth->pages.from; page < growth->pages.to; page++)
        if (!growth->slice || !hri_heap_granules_committed(growth->slice, page))
            hri_heap_run_count_out(&growth->run, page, page + 1);
}

void hri_heap_growth_end(const hri_heap_growth *growth, int error)
{
    bool stay = growth->going ? error != 0 : error == 0;
    hri_heap_slice *slice = growth->slice;
    if (!stay)
        uncount(growth);
    if (!slice) {
        hri_heap_run_give(&growth->run);
        return;
    }
    if (stay)
        open_pages(growth);
    slice->busy = false;
    place(slice);
    if (!stay || growth->going) /* a span that has grown is for its class, though no block lies on it yet */
        release_if_unused(slice);
}

/* ── checking ────────────────────────────────────────────────────────────────────────────────────────────────────── */

void hri_heap_spans_check(void)
{
    uint64_t idle_pages = 0;
    for (const hri_heap_segment *segment = hri_heap_segment_first(); segment; segment = segment->next) {
        for (unsigned page = 0; page < segment->pages; page += HRI_HEAP_SLICE_PAGES) {
            const hri_heap_slice *slice = &segment->slices[page / HRI_HEAP_SLICE_PAGES];
            if (!hri_heap_segment_has_record(segment, page) || !slice->is_span || slice->busy)
                continue;
            hri_heap_granules_check(slice);
            idle_pages += slice->idle_pages;
        }
    }
    HRI_ASSERT(idle_pages * HRI_HEAP_PAGE == hri_heap_span_idle_bytes);
    (void)idle_pages;
}
