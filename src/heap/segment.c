/* SPDX-License-Identifier: Apache-2.0 */
/* The page map has three levels. The first is a table in the library; a table of another level is a page of its own.
 * An entry of the last level is a segment that has the 1 MiB. Entries are written before the segment's first block is
 * handed out, and cleared after its last one came back. So whoever holds a block finds it without a lock.
 *
 * Runs are found first fit, in the order in which the segments were mapped. Segments are never given back, only their
 * pages; new ones get larger with what there is, so that a small program reserves 1 MiB. A run whose pages are idle
 * is preferred to one that has to be committed.
 *
 * Memory that the heap needs for itself comes from these pages and from its blocks. It calls no allocator.
 */
#include "heap/segment.h"

#include "base/assert.h"
#include "base/checked.h"
#include "heap/poison.h"
#include "os/pages.h"

#define LEVEL_BITS 9
#define LEVEL_ENTRIES ((size_t)1 << LEVEL_BITS)
#define CHUNK_BITS 20
#define ADDRESS_BITS 48
#define ROOT_ENTRIES ((size_t)1 << (ADDRESS_BITS - CHUNK_BITS - 2 * LEVEL_BITS))

typedef struct leaf {
    _Atomic(hri_heap_segment *) segments[LEVEL_ENTRIES];
} leaf;

typedef struct branch {
    _Atomic(leaf *) leaves[LEVEL_ENTRIES];
} branch;

_Static_assert(sizeof(leaf) == HRI_HEAP_PAGE && sizeof(branch) == HRI_HEAP_PAGE, "a table is a page");

hri_heap_pages hri_heap_pages_sum;
hri_heap_records hri_heap_records_now = {.allowed_bytes = UINT64_MAX};

static _Atomic(branch *) root[ROOT_ENTRIES];
static hri_heap_segment *first, **last = &first;

/* May another page of records be committed? */
static bool allowed(void)
{
    hri_heap_records *records = &hri_heap_records_now;
    if (records->allowed_bytes < HRI_HEAP_PAGE) {
        records->missing = true;
        return false;
    }
    records->allowed_bytes -= records->allowed_bytes == UINT64_MAX ? 0 : HRI_HEAP_PAGE;
    return true;
}

/* ── the page map
 * ───────────────────────────────────────────────────────────────────────────────────────────────── */

static size_t index_of(uintptr_t address, unsigned level)
{
    return address >> (CHUNK_BITS + level * LEVEL_BITS) & (LEVEL_ENTRIES - 1);
}

hri_heap_segment *hri_heap_segment_find(const void *address)
{
    uintptr_t at = (uintptr_t)address;
    if (at >> ADDRESS_BITS)
        return NULL;
    branch *b = atomic_load_explicit(&root[at >> (CHUNK_BITS + 2 * LEVEL_BITS)], memory_order_acquire);
    leaf *l = b ? atomic_load_explicit(&b->leaves[index_of(at, 1)], memory_order_acquire) : NULL;
    return l ? atomic_load_explicit(&l->segments[index_of(at, 0)], memory_order_acquire) : NULL;
}

uint64_t *hri_heap_page_word(const void *block)
{
    hri_heap_segment *segment = hri_heap_segment_find(block);
    if (!segment || (uintptr_t)block % HRI_HEAP_PAGE)
        return NULL;
    size_t page = ((uintptr_t)block - segment->base) / HRI_HEAP_PAGE;
    if (segment->whole)
        return page == 0 ? &segment->slices[0].words[0] : NULL;
    return &segment->slices[page / HRI_HEAP_SLICE_PAGES].words[page % HRI_HEAP_SLICE_PAGES];
}

static void *new_table(void)
{
    void *pages;
    if (!allowed() || hri_pages_map(HRI_HEAP_PAGE, &pages) != 0)
        return NULL;
    hri_heap_pages_sum.own_bytes += HRI_HEAP_PAGE;
    return pages;
}

static leaf *leaf_of(uintptr_t at)
{
    _Atomic(branch *) *branch_entry = &root[at >> (CHUNK_BITS + 2 * LEVEL_BITS)];
    branch *b = atomic_load_explicit(branch_entry, memory_order_relaxed);
    if (!b) {
        b = new_table();
        if (!b)
            return NULL;
        atomic_store_explicit(branch_entry, b, memory_order_release);
    }
    leaf *l = atomic_load_explicit(&b->leaves[index_of(at, 1)], memory_order_relaxed);
    if (!l) {
        l = new_table();
        if (l)
            atomic_store_explicit(&b->leaves[index_of(at, 1)], l, memory_order_release);
    }
    return l;
}

/* Enters a segment for addresses, or clears their entries with `value` NULL. */
static bool enter_at(uintptr_t base, size_t bytes, hri_heap_segment *value)
{
    for (uintptr_t at = base; at < base + bytes; at += HRI_HEAP_CHUNK) {
        leaf *l = leaf_of(at);
        if (!l)
            return false;
        atomic_store_explicit(&l->segments[index_of(at, 0)], value, memory_order_release);
    }
    return true;
}

static bool enter(const hri_heap_segment *segment, hri_heap_segment *value)
{
    return enter_at(segment->base, segment->bytes, value);
}

/* ── records
 * ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Commits the pages of a segment's head and records that have [from, to). */
static bool commit_records(hri_heap_segment *segment, const void *from, const void *to)
{
    unsigned page = (unsigned)(((uintptr_t)from - (uintptr_t)segment->map) / HRI_HEAP_PAGE);
    unsigned end = (unsigned)(((uintptr_t)to - 1 - (uintptr_t)segment->map) / HRI_HEAP_PAGE + 1);
    for (; page < end; page++) {
        if (hri_bits_has(segment->records, page))
            continue;
        if (!allowed() || hri_pages_populate((char *)segment->map + page * HRI_HEAP_PAGE, HRI_HEAP_PAGE) != 0)
            return false;
        hri_bits_set(segment->records, page, page + 1);
        hri_heap_pages_sum.own_bytes += HRI_HEAP_PAGE;
    }
    return true;
}

static bool commit_record(hri_heap_segment *segment, unsigned page)
{
    const hri_heap_slice *slice = &segment->slices[page / HRI_HEAP_SLICE_PAGES];
    return commit_records(segment, slice, slice + 1);
}

bool hri_heap_segment_has_record(const hri_heap_segment *segment, unsigned page)
{
    uintptr_t slice = (uintptr_t)&segment->slices[page / HRI_HEAP_SLICE_PAGES], map = (uintptr_t)segment->map;
    return hri_bits_has(segment->records, (unsigned)((slice - map) / HRI_HEAP_PAGE)) &&
           hri_bits_has(segment->records, (unsigned)((slice + sizeof(hri_heap_slice) - 1 - map) / HRI_HEAP_PAGE));
}

/* ── segments
 * ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static size_t round_up(size_t size, size_t grain)
{
    return (size + grain - 1) / grain * grain;
}

/* Maps records of `front` bytes with `bytes` behind them, which begin at a multiple of `align`. Both are whole
 * pages. */
static char *map_behind(size_t front, size_t bytes, size_t align)
{
    void *pages;
    size_t all = front + bytes + align;
    if (all < bytes || hri_pages_map(all, &pages) != 0)
        return NULL;
    uintptr_t start = (uintptr_t)pages, base = round_up(start + front, align), end = base + bytes;
    if (base - front > start)
        hri_pages_unmap(pages, base - front - start);
    if (start + all > end)
        hri_pages_unmap((void *)end, start + all - end);
    return (char *)base;
}

static hri_heap_segment *map_segment(size_t bytes, size_t align, bool whole)
{
    size_t slices = whole ? 1 : bytes / HRI_HEAP_SLICE;
    size_t front =
        round_up(sizeof(hri_heap_segment) + slices * (sizeof(hri_heap_slice) + sizeof(void *)), HRI_HEAP_PAGE);
    char *base = allowed() ? map_behind(front, bytes, align) : NULL;
    if (!base)
        return NULL;
    char *map = base - front;
    if (!whole)
        hri_pages_keep_small(map, front + bytes);
    hri_heap_segment *segment = (void *)map;
    if (hri_pages_populate(map, HRI_HEAP_PAGE) != 0) {
        hri_pages_unmap(map, front + bytes);
        return NULL;
    }
    segment->map = map;
    segment->map_bytes = front + bytes;
    segment->base = (uintptr_t)base;
    segment->bytes = bytes;
    segment->whole = whole;
    segment->pages = whole ? 0 : (unsigned)(bytes / HRI_HEAP_PAGE);
    segment->free_pages = segment->pages;
    segment->no_fit = segment->pages + 1;
    segment->records[0] = 1;
    hri_heap_pages_sum.own_bytes += HRI_HEAP_PAGE;
    if (!enter(segment, segment)) {
        enter(segment, NULL);
        hri_heap_pages_sum.own_bytes -= HRI_HEAP_PAGE;
        hri_pages_unmap(map, front + bytes);
        return NULL;
    }
    hri_heap_pages_sum.reserved_bytes += segment->map_bytes;
    hri_poison_root_begin(base, bytes);
    return segment;
}

/* A quarter of what there is; less where that is not granted. */
static hri_heap_segment *new_segment(unsigned pages)
{
    size_t least = round_up(pages * HRI_HEAP_PAGE, HRI_HEAP_CHUNK);
    size_t bytes = round_up(hri_heap_pages_sum.reserved_bytes / 4, HRI_HEAP_CHUNK);
    bytes = hri_max(least, hri_min(hri_max(bytes, HRI_HEAP_CHUNK), HRI_HEAP_SEGMENT_MAX));
    hri_heap_segment *segment;
    while (!(segment = map_segment(bytes, HRI_HEAP_CHUNK, false))) {
        if (bytes == least || hri_heap_records_now.missing)
            return NULL;
        bytes = hri_max(least, bytes / 2 / HRI_HEAP_CHUNK * HRI_HEAP_CHUNK);
    }
    *last = segment;
    last = &segment->next;
    return segment;
}

hri_heap_segment *hri_heap_segment_first(void)
{
    return first;
}

hri_heap_segment *hri_heap_segment_new_whole(size_t bytes, size_t align)
{
    hri_heap_segment *segment = map_segment(bytes, align, true);
    if (segment)
        hri_heap_pages_sum.committed_bytes += bytes;
    return segment;
}

void hri_heap_segment_leave(hri_heap_segment *segment)
{
    enter(segment, NULL);
    hri_poison_root_end((void *)segment->base, segment->bytes);
}

void hri_heap_segment_unmap(const hri_heap_segment *copy)
{
    hri_pages_unmap(copy->map, copy->map_bytes);
}

void hri_heap_segment_count_out(const hri_heap_segment *copy)
{
    hri_heap_pages_sum.reserved_bytes -= copy->map_bytes;
    hri_heap_pages_sum.committed_bytes -= copy->bytes;
    hri_heap_pages_sum.own_bytes -= HRI_HEAP_PAGE;
}

/* A block that shrinks stays where it is. */
bool hri_heap_segment_move_begin(hri_heap_segment *segment, size_t bytes, size_t align, hri_heap_move *ret_move)
{
    char *map = segment->map;
    size_t front = (size_t)((char *)segment->base - map);
    if (bytes > segment->bytes) {
        char *base = map_behind(front, bytes, align);
        if (!base)
            return false;
        map = base - front;
        if (!enter_at((uintptr_t)base, bytes, (void *)map)) {
            enter_at((uintptr_t)base, bytes, NULL);
            hri_pages_unmap(map, front + bytes);
            return false;
        }
        enter(segment, NULL);
    }
    *ret_move = (hri_heap_move){segment, segment->map, map, segment->bytes, bytes, front};
    return true;
}

int hri_heap_segment_move_pages(const hri_heap_move *move)
{
    size_t from = move->front + move->from_bytes, to = move->front + move->to_bytes;
    if (move->from_map != move->to_map)
        return hri_pages_move(move->from_map, from, move->to_map, to);
    hri_pages_unmap(move->from_map + to, from - to);
    return 0;
}

hri_heap_segment *hri_heap_segment_move_end(const hri_heap_move *move, int error)
{
    uintptr_t from = (uintptr_t)move->from_map + move->front, to = (uintptr_t)move->to_map + move->front;
    if (error) {
        enter_at(to, move->to_bytes, NULL);
        hri_pages_unmap(move->to_map, move->front + move->to_bytes);
        enter(move->from, move->from);
        return move->from;
    }
    if (from == to) { /* a chunk that is still partly there stays */
        uintptr_t end = round_up(to + move->to_bytes, HRI_HEAP_CHUNK);
        if (end < from + move->from_bytes)
            enter_at(end, from + move->from_bytes - end, NULL);
    }
    hri_heap_segment *segment = (void *)move->to_map;
    hri_poison_root_end((void *)from, move->from_bytes);
    hri_poison_root_begin((void *)to, move->to_bytes);
    segment->map = move->to_map;
    segment->map_bytes = move->front + move->to_bytes;
    segment->base = to;
    segment->bytes = move->to_bytes;
    segment->slices[0].segment = segment;
    hri_heap_pages_sum.reserved_bytes += move->to_bytes - move->from_bytes;
    hri_heap_pages_sum.committed_bytes += move->to_bytes - move->from_bytes;
    return segment;
}

/* ── runs
 * ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

void hri_heap_run_take_at(hri_heap_segment *segment, unsigned at, unsigned pages, hri_heap_run *ret_run)
{
    unsigned idle = hri_bits_count(segment->committed, at, at + pages);
    hri_bits_set(segment->used, at, at + pages);
    segment->free_pages -= pages;
    segment->idle_pages -= idle;
    hri_heap_pages_sum.idle_bytes -= idle * HRI_HEAP_PAGE;
    *ret_run = (hri_heap_run){segment, at, pages};
}

bool hri_heap_run_take_idle(unsigned pages, unsigned align, hri_heap_run *ret_run)
{
    if (hri_heap_pages_sum.idle_bytes < pages * HRI_HEAP_PAGE)
        return false;
    for (hri_heap_segment *segment = first; segment; segment = segment->next) {
        if (segment->idle_pages < pages || pages >= segment->no_fit)
            continue;
        const hri_bits_view view = {segment->used, segment->committed};
        unsigned at = hri_bits_find(&view, 0, segment->pages, pages, align);
        if (at == segment->pages || !hri_heap_segment_has_record(segment, at))
            continue;
        hri_heap_run_take_at(segment, at, pages, ret_run);
        return true;
    }
    return false;
}

bool hri_heap_run_take_partly_idle(unsigned pages, hri_heap_run *ret_run)
{
    if (hri_heap_pages_sum.idle_bytes < pages * HRI_HEAP_PAGE)
        return false;
    for (hri_heap_segment *segment = first; segment; segment = segment->next) {
        const hri_bits_view idle = {segment->used, segment->committed};
        unsigned left = segment->idle_pages;
        for (unsigned at = 0; left >= pages && at < segment->pages; at += HRI_HEAP_SLICE_PAGES) {
            unsigned end = at + HRI_HEAP_SLICE_PAGES, there = hri_bits_count(segment->committed, at, end);
            if (there == 0 || hri_bits_count(segment->used, at, end) > 0)
                continue;
            left -= there;
            if (hri_bits_find(&idle, at, end, pages, 1) == end || !hri_heap_segment_has_record(segment, at))
                continue;
            hri_heap_run_take_at(segment, at, HRI_HEAP_SLICE_PAGES, ret_run);
            return true;
        }
    }
    return false;
}

/* Takes a run of a segment, idle pages first. */
static bool take_in(hri_heap_segment *segment, unsigned pages, unsigned align, hri_heap_run *ret_run)
{
    if (segment->free_pages < pages || pages >= segment->no_fit)
        return false;
    unsigned at = segment->pages;
    if (segment->idle_pages >= pages) {
        const hri_bits_view idle = {segment->used, segment->committed};
        at = hri_bits_find(&idle, 0, segment->pages, pages, align);
    }
    if (at == segment->pages) {
        const hri_bits_view free = {segment->used, NULL};
        at = hri_bits_find(&free, 0, segment->pages, pages, align);
    }
    if (at == segment->pages) {
        if (align == 1)
            segment->no_fit = pages;
        return false;
    }
    if (!commit_record(segment, at))
        return false;
    hri_heap_run_take_at(segment, at, pages, ret_run);
    return true;
}

bool hri_heap_run_take(unsigned pages, unsigned align, hri_heap_run *ret_run)
{
    for (hri_heap_segment *segment = first; segment; segment = segment->next)
        if (take_in(segment, pages, align, ret_run) || hri_heap_records_now.missing)
            return !hri_heap_records_now.missing;
    hri_heap_segment *segment = new_segment(pages);
    return segment && take_in(segment, pages, align, ret_run);
}

/* Behind the records. */
static _Atomic(void *) *owners_of(const hri_heap_segment *segment)
{
    return (_Atomic(void *) *)(uintptr_t)&segment->slices[segment->pages / HRI_HEAP_SLICE_PAGES];
}

bool hri_heap_run_own(const hri_heap_run *run, void *owner)
{
    _Atomic(void *) *from = owners_of(run->segment) + run->at / HRI_HEAP_SLICE_PAGES;
    _Atomic(void *) *to = from + (run->pages + HRI_HEAP_SLICE_PAGES - 1) / HRI_HEAP_SLICE_PAGES;
    if (!commit_records(run->segment, from, to))
        return false;
    for (; from < to; from++)
        atomic_store_explicit(from, owner, memory_order_release);
    return true;
}

void *hri_heap_slice_owner(const void *address)
{
    const hri_heap_segment *segment = hri_heap_segment_find(address);
    if (!segment || segment->whole)
        return NULL;
    size_t slice = ((uintptr_t)address - segment->base) / HRI_HEAP_SLICE;
    return atomic_load_explicit(owners_of(segment) + slice, memory_order_acquire);
}

void hri_heap_run_give(const hri_heap_run *run)
{
    hri_heap_segment *segment = run->segment;
    unsigned idle = hri_bits_count(segment->committed, run->at, run->at + run->pages);
    HRI_ASSERT(hri_bits_count(segment->used, run->at, run->at + run->pages) == run->pages);
    hri_bits_clear(segment->used, run->at, run->at + run->pages);
    segment->free_pages += run->pages;
    segment->idle_pages += idle;
    segment->no_fit = segment->pages + 1;
    hri_heap_pages_sum.idle_bytes += idle * HRI_HEAP_PAGE;
}

unsigned hri_heap_run_count_in(const hri_heap_run *run, unsigned from, unsigned to)
{
    unsigned before = hri_bits_count(run->segment->committed, run->at + from, run->at + to);
    hri_bits_set(run->segment->committed, run->at + from, run->at + to);
    hri_heap_pages_sum.committed_bytes += (to - from - before) * HRI_HEAP_PAGE;
    return to - from - before;
}

unsigned hri_heap_run_count_out(const hri_heap_run *run, unsigned from, unsigned to)
{
    unsigned before = hri_bits_count(run->segment->committed, run->at + from, run->at + to);
    hri_bits_clear(run->segment->committed, run->at + from, run->at + to);
    hri_heap_pages_sum.committed_bytes -= before * HRI_HEAP_PAGE;
    return before;
}

bool hri_heap_run_take_excess(unsigned most, hri_heap_run *ret_run)
{
    for (hri_heap_segment *segment = first; segment; segment = segment->next) {
        if (segment->idle_pages == 0)
            continue;
        const hri_bits_view view = {segment->used, segment->committed};
        unsigned at = hri_bits_next(&view, 0, segment->pages, UINT64_MAX);
        unsigned end = hri_bits_next(&view, at, (unsigned)hri_min(at + most, segment->pages), 0);
        hri_heap_run_take_at(segment, at, end - at, ret_run);
        return true;
    }
    return false;
}

/* ── checking
 * ───────────────────────────────────────────────────────────────────────────────────────────────────── */

uint64_t hri_heap_segments_check(void)
{
    uint64_t committed = 0, idle = 0;
    for (const hri_heap_segment *segment = first; segment; segment = segment->next) {
        const hri_bits_view view = {segment->used, segment->committed};
        unsigned idle_pages = 0, used = hri_bits_count(segment->used, 0, segment->pages);
        for (unsigned page = 0; page < segment->pages; page++)
            idle_pages += !(hri_bits_word(&view, page / HRI_BITS_WORD) >> page % HRI_BITS_WORD & 1);
        HRI_ASSERT(segment->free_pages == segment->pages - used);
        HRI_ASSERT(segment->idle_pages == idle_pages);
        committed += hri_bits_count(segment->committed, 0, segment->pages) * HRI_HEAP_PAGE;
        idle += idle_pages * HRI_HEAP_PAGE;
    }
    HRI_ASSERT(idle == hri_heap_pages_sum.idle_bytes);
    return committed;
}
