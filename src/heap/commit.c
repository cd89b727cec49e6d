/* SPDX-License-Identifier: Apache-2.0 */
/* Committing and decommitting pages, and the hooks that are asked for them.
 *
 * Bytes are *in flight* from the moment the hook has granted them until they are counted as committed, or as lazy, or
 * go back to the hook. So the pending bytes never miss any: where a byte passes from one to the other it counts twice.
 * While the hook is asked they are not in flight: it may read the gauges, and they would stand in their own way.
 *
 * The kernel is called without the heap's lock. Such a time is busy (heap.h), and the pages belong to the thread.
 */
#include "heap/commit.h"

#include "base/assert.h"
#include "base/checked.h"
#include "heap/large.h"
#include "heap/span.h"

/* The bytes that are decommitted by one call of the kernel's at the most. */
#define DECOMMIT_BYTES ((uint64_t)1 << 20)

hri_heap_counts hri_heap_counted;
static _Atomic uint64_t in_flight_bytes; /* granted, and not committed yet or not counted as lazy */
static hri_heap_hooks hooks;

void hri_heap_hook(const hri_heap_hooks *to)
{
    hri_heap_lock();
    hooks = to ? *to : (hri_heap_hooks){0};
    hri_heap_unlock();
}

bool hri_heap_ask(uint64_t bytes, bool lightly)
{
    bool (*may)(void *, uint64_t) = lightly && hooks.try_commit ? hooks.try_commit : hooks.commit;
    if (may && !may(hooks.context, bytes))
        return false;
    atomic_fetch_add_explicit(&in_flight_bytes, bytes, memory_order_relaxed);
    return true;
}

void hri_heap_tell(uint64_t bytes)
{
    if (bytes > 0 && hooks.decommitted)
        hooks.decommitted(hooks.context, bytes);
}

void hri_heap_asked(uint64_t granted_bytes, uint64_t committed_bytes)
{
    HRI_ASSERT(committed_bytes <= granted_bytes);
    atomic_fetch_sub_explicit(&in_flight_bytes, granted_bytes, memory_order_release);
    if (hooks.unneeded && granted_bytes > committed_bytes)
        hooks.unneeded(hooks.context, granted_bytes - committed_bytes);
    else
        hri_heap_tell(granted_bytes - committed_bytes);
}

uint64_t hri_heap_pending_bytes(void)
{
    /* In this order: what moves from the one to the other counts twice, not never. */
    uint64_t bytes = atomic_load_explicit(&in_flight_bytes, memory_order_acquire);
    return bytes + hri_heap_lazy_bytes();
}

void hri_heap_commit_fork(hri_fork moment)
{
    if (moment == HRI_FORK_CHILD) /* other threads, which are not here, had asked for it */
        atomic_store_explicit(&in_flight_bytes, 0, memory_order_relaxed);
}

uint64_t hri_heap_count_commit(uint64_t bytes)
{
    static uint64_t most_bytes;
    uint64_t beyond = hri_sub(hri_heap_pages_sum.committed_bytes, most_bytes);
    most_bytes += beyond;
    hri_heap_counted.commits += bytes > 0;
    hri_heap_counted.commit_bytes += bytes;
    return beyond;
}

void hri_heap_count_decommit(uint64_t bytes)
{
    hri_heap_counted.decommits += bytes > 0;
    hri_heap_counted.decommit_bytes += bytes;
}

/* Decommits a run that belongs to no span and could not be committed: all of its pages are counted out then, those too
 * that were idle before. Gives how many bytes these had. */
static uint64_t decommit_whole(const hri_heap_growth *growth)
{
    if (growth->slice)
        return 0;
    hri_heap_growth_decommit(growth);
    return (growth->pages.to - growth->pages.from) * HRI_HEAP_PAGE - growth->bytes;
}

/* Asks for what a class would like, or for what it needs at least; 0: neither is granted. */
static uint64_t ask_for(unsigned class, bool lightly)
{
    uint64_t least;
    hri_heap_lock();
    uint64_t bytes = hri_heap_growth_bytes(class, &least);
    hri_heap_unlock();
    if (hri_heap_ask(bytes, lightly || bytes > least))
        return bytes;
    return bytes > least && hri_heap_ask(least, lightly) ? least : 0;
}

/* Begins a growth, and counts itself busy where there is something to commit. Gives the records that were committed
 * for it. */
static uint64_t begin(unsigned class, uint64_t most_bytes, uint64_t records_bytes, hri_heap_growth *growth,
                      bool *ret_grown)
{
    hri_heap_lock_to_be_busy();
    uint64_t own = hri_heap_pages_sum.own_bytes;
    *ret_grown = hri_heap_growth_begin(class, most_bytes, records_bytes, growth);
    hri_heap_busy += growth->bytes > 0;
    return hri_heap_pages_sum.own_bytes - own;
}

bool hri_heap_grow(unsigned class, bool lightly)
{
    hri_heap_growth growth = {.bytes = 0};
    bool grown;
    hri_heap_begin();
    uint64_t bytes = ask_for(class, lightly), granted = bytes;
    if (bytes == 0)
        return false;
    uint64_t own = begin(class, bytes, 0, &growth, &grown);
    hri_heap_unlock();
    if (growth.without_records && hri_heap_ask(HRI_HEAP_RECORDS_BYTES, lightly)) {
        granted += HRI_HEAP_RECORDS_BYTES;
        own += begin(class, bytes, HRI_HEAP_RECORDS_BYTES, &growth, &grown);
        hri_heap_unlock();
    }
    int error = growth.bytes > 0 ? hri_heap_growth_commit(&growth) : 0;
    uint64_t gone = error ? decommit_whole(&growth) : 0;
    hri_heap_lock();
    if (growth.bytes > 0) {
        hri_heap_growth_end(&growth, error);
        hri_heap_busy--;
    }
    uint64_t committed = own + (error ? 0 : growth.bytes);
    hri_heap_count_commit(committed);
    hri_heap_count_decommit(gone);
    hri_heap_unlock();
    hri_heap_asked(granted, committed);
    hri_heap_tell(gone);
    return grown && !error;
}

uint64_t hri_heap_decommit_untold(uint64_t want_bytes)
{
    uint64_t gone = 0;
    int error = 0;
    while (gone < want_bytes && !error) {
        hri_heap_growth growth;
        uint64_t most = hri_min((want_bytes - gone - 1) / HRI_HEAP_PAGE + 1, DECOMMIT_BYTES / HRI_HEAP_PAGE);
        hri_heap_lock_to_be_busy();
        bool found = hri_heap_growth_begin_going((unsigned)most, &growth);
        hri_heap_busy += found;
        hri_heap_unlock();
        if (!found)
            break;
        error = hri_heap_growth_decommit(&growth);
        hri_heap_lock();
        hri_heap_growth_end(&growth, error);
        hri_heap_busy--;
        gone += error ? 0 : growth.bytes;
        hri_heap_count_decommit(error ? 0 : growth.bytes);
        hri_heap_unlock();
    }
    return gone;
}

uint64_t hri_heap_decommit(uint64_t want_bytes)
{
    uint64_t gone = hri_heap_decommit_untold(want_bytes);
    hri_heap_tell(gone);
    return gone;
}
