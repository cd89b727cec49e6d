/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/pooled.h"

#include "base/assert.h"
#include "base/checked.h"
#include "heap/commit.h"
#include "heap/large.h"
#include "heap/poison.h"
#include "os/pages.h"

#include <string.h>

uint64_t hri_heap_pooled_sum;

/* Runs of idle pages, about which nobody is asked. */
static void *get_idle(unsigned pages)
{
    hri_heap_run run;
    hri_heap_lock();
    bool taken = hri_heap_run_take_idle(pages, 1, &run);
    hri_heap_pooled_sum += taken ? pages * HRI_HEAP_PAGE : 0;
    hri_heap_unlock();
    return taken ? hri_heap_run_address(&run) : NULL;
}

static uint64_t absent_of(const hri_heap_run *run)
{
    return (run->pages - hri_bits_count(run->segment->committed, run->at, run->at + run->pages)) * HRI_HEAP_PAGE;
}

/* Ends the commit of a run; after an error all of its pages are given back. Gives how many bytes were committed, and
 * how many went that had been idle. */
static uint64_t settle(const hri_heap_run *run, uint64_t absent, int error, uint64_t *ret_gone)
{
    *ret_gone = 0;
    if (error)
        hri_pages_decommit(hri_heap_run_address(run), run->pages * HRI_HEAP_PAGE);
    hri_heap_lock();
    if (error) {
        *ret_gone = hri_heap_run_count_out(run, 0, run->pages) * HRI_HEAP_PAGE - absent;
        hri_heap_run_give(run);
        absent = 0;
    } else {
        hri_heap_pooled_sum += run->pages * HRI_HEAP_PAGE;
    }
    hri_heap_busy--;
    hri_heap_unlock();
    return absent;
}

static void *get_run(unsigned pages, bool *ret_zeroed)
{
    hri_heap_run run;
    uint64_t granted = pages * HRI_HEAP_PAGE + HRI_HEAP_RECORDS_BYTES, absent = 0, gone = 0;
    if (!hri_heap_ask(granted, false))
        return NULL;
    hri_heap_lock_to_be_busy();
    uint64_t own = hri_heap_pages_sum.own_bytes;
    bool taken = hri_heap_run_take(pages, 1, &run);
    own = hri_heap_pages_sum.own_bytes - own;
    if (taken) {
        absent = absent_of(&run);
        hri_heap_run_count_in(&run, 0, pages);
        hri_heap_busy++;
    }
    hri_heap_unlock();
    int error = absent > 0 ? hri_pages_populate(hri_heap_run_address(&run), pages * HRI_HEAP_PAGE) : 0;
    uint64_t committed = own + (taken ? settle(&run, absent, error, &gone) : 0);
    hri_heap_lock();
    hri_heap_count_commit(committed);
    hri_heap_count_decommit(gone);
    hri_heap_unlock();
    hri_heap_asked(granted, committed);
    hri_heap_tell(gone);
    *ret_zeroed = absent == pages * HRI_HEAP_PAGE;
    return taken && !error ? hri_heap_run_address(&run) : NULL;
}

static void *get_large(uint64_t bytes, hri_heap_owner owner, bool *ret_zeroed)
{
    hri_heap_large large;
    uint64_t granted = bytes + HRI_HEAP_RECORDS_BYTES;
    if (!hri_heap_ask(granted, false))
        return NULL;
    hri_heap_large_get(bytes, HRI_HEAP_PAGE, owner, &large);
    hri_heap_lock();
    hri_heap_count_commit(large.committed_bytes);
    hri_heap_unlock();
    hri_heap_asked(granted, large.committed_bytes);
    *ret_zeroed = large.zeroed;
    return large.block;
}

void *hri_heap_pooled_get(uint64_t bytes, hri_heap_owner owner, bool *ret_zeroed)
{
    unsigned pages = (unsigned)(bytes / HRI_HEAP_PAGE);
    bool large = bytes >= HRI_HEAP_LARGE_MIN;
    HRI_ASSERT(bytes % HRI_HEAP_PAGE == 0 && owner <= HRI_HEAP_OWNER_MAX);
    hri_heap_begin();
    *ret_zeroed = false;
    void *block = large ? get_large(bytes, owner, ret_zeroed) : get_idle(pages);
    if (!block && !large)
        block = get_run(pages, ret_zeroed);
    if (block)
        *hri_heap_page_word(block) = hri_heap_word(block, owner, HRI_HEAP_POOLED);
    return block;
}

static uint64_t put_large(void *block)
{
    uint64_t gone = hri_heap_large_put(block);
    hri_heap_lock();
    hri_heap_count_decommit(gone);
    hri_heap_unlock();
    return gone;
}

static void put_run(void *block, uint64_t bytes)
{
    hri_heap_segment *segment = hri_heap_segment_find(block);
    unsigned at = (unsigned)(((uintptr_t)block - segment->base) / HRI_HEAP_PAGE);
    const hri_heap_run run = {segment, at, (unsigned)(bytes / HRI_HEAP_PAGE)};
    hri_heap_lock();
    *hri_heap_page_word(block) = 0;
    hri_heap_pooled_sum -= bytes;
    hri_heap_run_give(&run);
    hri_heap_unlock();
}

/* All become idle first, so that those side by side go in one call. */
uint64_t hri_heap_pooled_put(void *const *blocks, unsigned count, uint64_t bytes)
{
    uint64_t gone = 0;
    for (unsigned i = 0; i < count; i++) {
        if (bytes >= HRI_HEAP_LARGE_MIN)
            gone += put_large(blocks[i]);
        else
            put_run(blocks[i], bytes);
    }
    return gone + hri_heap_decommit_untold(hri_sub(count * bytes, gone));
}

/* ── regions ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void *page_at(const hri_heap_run *run, unsigned page)
{
    return (char *)hri_heap_run_address(run) + page * HRI_HEAP_PAGE;
}

/* Decommits pages, or overwrites those that are locked. In a busy time. Gives 0, or the error. */
static int clear(const hri_heap_run *run, unsigned from, unsigned to)
{
    int error = hri_pages_decommit(page_at(run, from), (to - from) * HRI_HEAP_PAGE);
    for (unsigned page = from; error && page < to; page++)
        memset(page_at(run, page), 0, HRI_HEAP_PAGE);
    return error;
}

/* Under the lock. */
static uint64_t committed_in(const hri_heap_run *run, unsigned from, unsigned to)
{
    return hri_bits_count(run->segment->committed, run->at + from, run->at + to) * HRI_HEAP_PAGE;
}

/* The pages are in nobody's figures while the kernel has them, and in the pool's as long as they are committed. */
uint64_t hri_heap_region_decommit(const hri_heap_run *run, unsigned from, unsigned to)
{
    hri_heap_busy_begin();
    int error = clear(run, from, to);
    hri_heap_lock();
    uint64_t gone = error ? 0 : hri_heap_run_count_out(run, from, to) * HRI_HEAP_PAGE;
    hri_heap_pooled_sum -= gone;
    hri_heap_count_decommit(gone);
    hri_heap_busy--;
    hri_heap_unlock();
    return gone;
}

static void set_owner(const hri_heap_run *run, void *owner)
{
    hri_heap_lock();
    hri_heap_run_own(run, owner);
    hri_heap_unlock();
}

void hri_heap_region_enter(const hri_heap_run *run)
{
    set_owner(run, hri_heap_run_address(run));
}

void hri_heap_region_give(const hri_heap_run *run)
{
    set_owner(run, NULL);
    uint64_t gone = hri_heap_region_decommit(run, 0, run->pages);
    hri_heap_lock();
    hri_heap_pooled_sum -= committed_in(run, 0, run->pages);
    hri_heap_run_give(run);
    hri_heap_unlock();
    hri_heap_tell(gone);
}

bool hri_heap_region_commit(const hri_heap_run *run, unsigned from, unsigned to, bool lightly)
{
    hri_heap_lock();
    uint64_t absent = (to - from) * HRI_HEAP_PAGE - committed_in(run, from, to);
    hri_heap_unlock();
    if (absent == 0)
        return true;
    if (!hri_heap_ask(absent, lightly))
        return false;
    hri_heap_lock_to_be_busy();
    uint64_t committed = hri_heap_run_count_in(run, from, to) * HRI_HEAP_PAGE;
    hri_heap_pooled_sum += committed;
    hri_heap_count_commit(committed);
    hri_heap_busy++;
    hri_heap_unlock();
    int error = hri_pages_populate(page_at(run, from), (to - from) * HRI_HEAP_PAGE);
    hri_heap_busy_end();
    hri_heap_asked(absent, committed); /* after an error they count until the region gives them back */
    return error == 0;
}

/* A run, with the place for whose it is. */
static bool take_run(uint64_t bytes, hri_heap_run *ret_run)
{
    if (!hri_heap_run_take((unsigned)(bytes / HRI_HEAP_PAGE), HRI_HEAP_SLICE_PAGES, ret_run))
        return false;
    if (hri_heap_run_own(ret_run, NULL))
        return true;
    hri_heap_run_give(ret_run);
    return false;
}

/* Idle pages of a run have somebody's bytes: they go. */
bool hri_heap_region_take(uint64_t bytes, hri_heap_run *ret_run)
{
    hri_heap_run run;
    hri_heap_begin();
    if (!hri_heap_ask(HRI_HEAP_RECORDS_BYTES, false))
        return false;
    hri_heap_lock();
    uint64_t own = hri_heap_pages_sum.own_bytes;
    bool taken = take_run(bytes, &run);
    own = hri_heap_pages_sum.own_bytes - own;
    hri_heap_count_commit(own);
    uint64_t idle = taken ? committed_in(&run, 0, run.pages) : 0;
    hri_heap_pooled_sum += idle;
    hri_heap_unlock();
    hri_heap_asked(HRI_HEAP_RECORDS_BYTES, own);
    if (!taken)
        return false;
    hri_poison_block_lift(hri_heap_run_address(&run), bytes); /* blocks lay there */
    if (idle > 0)
        hri_heap_tell(hri_heap_region_decommit(&run, 0, run.pages));
    if (!hri_heap_region_commit(&run, 0, 1, false)) {
        hri_heap_region_give(&run);
        return false;
    }
    *ret_run = run;
    return true;
}
