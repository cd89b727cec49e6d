/* SPDX-License-Identifier: Apache-2.0 */
/* A block of up to HRI_HEAP_WHOLE_MIN is a run of a segment that begins with a slice. A larger one has a segment to
 * itself, and so has one with a larger alignment than a chunk's.
 *
 * Idle pages must be resident: they are handed out again without asking anybody. So the pages of a block that comes
 * back before all of it was touched are decommitted, not idle.
 */
#include "heap/large.h"

#include "base/assert.h"
#include "base/checked.h"
#include "base/lock.h"
#include "heap/heap.h"
#include "os/pages.h"
#include "os/resident.h"

uint64_t hri_heap_large_sum;

/* ── the list
 * ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static hri_heap_list lazy; /* the next to be asked about */
static hri_heap_list asked;
static _Atomic uint64_t lazy_bytes;

static void set_lazy(hri_heap_slice *slice, uint64_t bytes)
{
    atomic_fetch_add_explicit(&lazy_bytes, bytes - slice->lazy_bytes, memory_order_relaxed);
    slice->lazy_bytes = bytes;
}

uint64_t hri_heap_lazy_bytes(void)
{
    return atomic_load_explicit(&lazy_bytes, memory_order_relaxed);
}

static void enlist(hri_heap_slice *slice, uint64_t bytes)
{
    hri_inner_lock(&lock);
    set_lazy(slice, slice->list ? slice->lazy_bytes + bytes : bytes);
    if (!slice->list)
        hri_heap_list_push(&lazy, slice);
    hri_inner_unlock(&lock);
}

/* Gives whether it was listed. */
static bool delist(hri_heap_slice *slice)
{
    hri_inner_lock(&lock);
    bool listed = slice->list != NULL;
    set_lazy(slice, 0);
    hri_heap_list_remove(slice);
    hri_inner_unlock(&lock);
    return listed;
}

/* Takes a slice off the list, whose bytes go on counting; and puts it back with what counts of it now. */
static void hold_back(hri_heap_slice *slice)
{
    hri_inner_lock(&lock);
    hri_heap_list_remove(slice);
    hri_inner_unlock(&lock);
}

static void release(hri_heap_slice *slice, uint64_t bytes)
{
    hri_inner_lock(&lock);
    set_lazy(slice, bytes);
    if (bytes > 0)
        hri_heap_list_push(&lazy, slice);
    hri_inner_unlock(&lock);
}

/* Under the lock. */
static void ask_about(hri_heap_slice *slice, int map)
{
    uint64_t absent = hri_resident_absent(map, hri_heap_slice_address(slice->segment, slice), slice->bytes);
    set_lazy(slice, hri_min(absent, slice->lazy_bytes));
    hri_heap_list_remove(slice);
    if (absent > 0)
        hri_heap_list_push(&asked, slice);
}

void hri_heap_lazy_measure(unsigned most)
{
    int map = hri_resident_open();
    hri_inner_lock(&lock);
    for (; most > 0 && lazy.first; most--)
        ask_about(lazy.first, map);
    if (!lazy.first) {
        hri_heap_slice *slice;
        while ((slice = asked.first) != NULL) {
            hri_heap_list_remove(slice);
            hri_heap_list_push(&lazy, slice);
        }
    }
    hri_inner_unlock(&lock);
    hri_resident_close(map);
}

void hri_heap_lazy_fork(hri_fork moment)
{
    hri_fork_lock(&lock, moment);
}

/* ── blocks
 * ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static hri_heap_slice *slice_of(const void *block)
{
    return hri_heap_slice_of(hri_heap_segment_find(block), block);
}

static hri_heap_run run_of(const hri_heap_slice *slice)
{
    unsigned at = (unsigned)(slice - slice->segment->slices) * HRI_HEAP_SLICE_PAGES;
    return (hri_heap_run){slice->segment, at, (unsigned)(slice->bytes / HRI_HEAP_PAGE)};
}

uint64_t hri_heap_large_bytes(const void *block)
{
    return slice_of(block)->bytes;
}

/* Under the heap's lock. */
static hri_heap_slice *take_whole(size_t bytes, size_t align, uint64_t *ret_absent)
{
    hri_heap_segment *segment = hri_heap_segment_new_whole(bytes, hri_max(align, HRI_HEAP_CHUNK));
    if (!segment)
        return NULL;
    segment->slices[0].segment = segment;
    *ret_absent = bytes;
    return &segment->slices[0];
}

static hri_heap_slice *take_run(size_t bytes, size_t align, uint64_t *ret_absent)
{
    hri_heap_run run;
    unsigned pages = (unsigned)(bytes / HRI_HEAP_PAGE), align_pages = (unsigned)(align / HRI_HEAP_PAGE);
    if (!hri_heap_run_take(pages, align_pages > HRI_HEAP_SLICE_PAGES ? align_pages : HRI_HEAP_SLICE_PAGES, &run))
        return NULL;
    *ret_absent = hri_heap_run_count_in(&run, 0, pages) * HRI_HEAP_PAGE;
    hri_heap_slice *slice = hri_heap_slice_of(run.segment, hri_heap_run_address(&run));
    slice->segment = run.segment;
    return slice;
}

bool hri_heap_large_get(size_t bytes, size_t align, hri_heap_owner owner, hri_heap_large *ret_large)
{
    uint64_t absent = 0;
    void *block = NULL;
    bool whole = bytes > HRI_HEAP_WHOLE_MIN || align > HRI_HEAP_CHUNK;
    hri_heap_lock();
    uint64_t own = hri_heap_pages_sum.own_bytes;
    hri_heap_slice *slice = whole ? take_whole(bytes, align, &absent) : take_run(bytes, align, &absent);
    if (slice) {
        slice->bytes = bytes;
        slice->list = NULL;
        slice->lazy_bytes = 0;
        hri_heap_large_sum += bytes;
        block = hri_heap_slice_address(slice->segment, slice);
        slice->words[0] = hri_heap_word(block, owner, HRI_HEAP_LARGE);
        if (absent > 0)
            enlist(slice, absent);
    }
    own = hri_heap_pages_sum.own_bytes - own;
    hri_heap_unlock();
    *ret_large = (hri_heap_large){block, own + absent, absent == bytes};
    return block != NULL;
}

static uint64_t put_whole(hri_heap_segment *segment)
{
    const hri_heap_segment copy = *segment;
    hri_heap_lock();
    hri_heap_segment_leave(segment);
    hri_heap_unlock();
    hri_heap_segment_unmap(&copy);
    hri_heap_lock();
    hri_heap_segment_count_out(&copy);
    hri_heap_large_sum -= copy.bytes;
    hri_heap_unlock();
    return copy.bytes + HRI_HEAP_PAGE;
}

/* Gives back pages of a block, as they are if all are resident, or decommitted. */
static uint64_t give(const hri_heap_run *run, bool resident)
{
    uint64_t gone = 0;
    bool goes = !resident && hri_pages_decommit(hri_heap_run_address(run), run->pages * HRI_HEAP_PAGE) == 0;
    hri_heap_lock();
    if (goes)
        gone = hri_heap_run_count_out(run, 0, run->pages) * HRI_HEAP_PAGE;
    hri_heap_large_sum -= run->pages * HRI_HEAP_PAGE;
    hri_heap_run_give(run);
    hri_heap_unlock();
    return gone;
}

static bool is_resident(const hri_heap_run *run)
{
    return hri_resident_absent(-1, hri_heap_run_address(run), run->pages * HRI_HEAP_PAGE) == 0;
}

uint64_t hri_heap_large_put(void *block)
{
    hri_heap_slice *slice = slice_of(block);
    uint64_t gone;
    hri_heap_busy_begin();
    bool listed = delist(slice);
    if (slice->segment->whole) {
        gone = put_whole(slice->segment);
    } else {
        const hri_heap_run run = run_of(slice);
        slice->words[0] = 0;
        gone = give(&run, !listed || is_resident(&run));
    }
    hri_heap_busy_end();
    return gone;
}

/* Takes free pages behind a block. Under the heap's lock. */
static bool widen(hri_heap_slice *slice, unsigned pages, uint64_t *ret_absent)
{
    hri_heap_run run = run_of(slice), more;
    unsigned end = run.at + run.pages;
    if (end + pages > run.segment->pages || hri_bits_count(run.segment->used, end, end + pages) > 0)
        return false;
    hri_heap_run_take_at(run.segment, end, pages, &more);
    uint64_t absent = hri_heap_run_count_in(&more, 0, pages) * HRI_HEAP_PAGE;
    slice->bytes += pages * HRI_HEAP_PAGE;
    hri_heap_large_sum += pages * HRI_HEAP_PAGE;
    if (absent > 0)
        enlist(slice, absent);
    *ret_absent = absent;
    return true;
}

/* Gives back the pages behind the first `pages`. */
static uint64_t narrow(hri_heap_slice *slice, unsigned pages)
{
    const hri_heap_run run = run_of(slice), end = {run.segment, run.at + pages, run.pages - pages};
    hri_heap_busy_begin();
    hri_inner_lock(&lock);
    bool listed = slice->list != NULL;
    slice->bytes = pages * HRI_HEAP_PAGE;
    set_lazy(slice, hri_min(slice->lazy_bytes, slice->bytes));
    hri_inner_unlock(&lock);
    uint64_t gone = give(&end, !listed || is_resident(&end));
    hri_heap_busy_end();
    return gone;
}

/* Changes a block that has a segment to itself. Its untouched part is not known in between: so all that it had counts
 * as before, and its growth beside it. */
static void *resize_whole(hri_heap_slice *slice, size_t bytes, size_t align, hri_heap_change *change)
{
    uint64_t untouched = slice->lazy_bytes;
    hri_heap_owner owner = hri_heap_word_owner(slice->words[0], hri_heap_slice_address(slice->segment, slice));
    hri_heap_move move;
    hri_heap_lock_to_be_busy();
    bool begun = hri_heap_segment_move_begin(slice->segment, bytes, hri_max(align, HRI_HEAP_CHUNK), &move);
    hri_heap_busy += begun;
    hri_heap_unlock();
    if (!begun)
        return NULL;
    hold_back(slice);
    int error = hri_heap_segment_move_pages(&move);
    hri_heap_lock();
    slice = &hri_heap_segment_move_end(&move, error)->slices[0];
    void *block = hri_heap_slice_address(slice->segment, slice);
    if (!error) {
        slice->bytes = bytes;
        slice->words[0] = hri_heap_word(block, owner, HRI_HEAP_LARGE);
        hri_heap_large_sum += bytes - move.from_bytes;
        change->committed_bytes = hri_sub(bytes, move.from_bytes);
        change->gone_bytes = hri_sub(move.from_bytes, bytes);
    }
    release(slice, hri_min(untouched, slice->bytes) + change->committed_bytes);
    hri_heap_busy--;
    hri_heap_unlock();
    return error ? NULL : block;
}

void *hri_heap_large_resize(void *block, size_t bytes, size_t align, hri_heap_change *ret_change)
{
    hri_heap_slice *slice = slice_of(block);
    unsigned pages = (unsigned)(bytes / HRI_HEAP_PAGE), now = (unsigned)(slice->bytes / HRI_HEAP_PAGE);
    *ret_change = (hri_heap_change){0};
    if (bytes == slice->bytes)
        return block;
    if (slice->segment->whole)
        return align || bytes < slice->bytes ? resize_whole(slice, bytes, align, ret_change) : NULL;
    if (bytes < slice->bytes) {
        ret_change->gone_bytes = narrow(slice, pages);
        return block;
    }
    hri_heap_lock();
    bool done = widen(slice, pages - now, &ret_change->committed_bytes);
    hri_heap_unlock();
    return done ? block : NULL;
}
