/* SPDX-License-Identifier: Apache-2.0 */
#include "heap/pooled.h"

#include "base/assert.h"
#include "base/checked.h"
#include "heap/commit.h"
#include "heap/large.h"
#include "os/pages.h"

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
    hri_heap_tell(gone);
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
void hri_heap_pooled_put(void *const *blocks, unsigned count, uint64_t bytes)
{
    uint64_t gone = 0;
    for (unsigned i = 0; i < count; i++) {
        if (bytes >= HRI_HEAP_LARGE_MIN)
            gone += put_large(blocks[i]);
        else
            put_run(blocks[i], bytes);
    }
    hri_heap_decommit(hri_sub(count * bytes, gone));
}
