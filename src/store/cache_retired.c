/* SPDX-License-Identifier: Apache-2.0 */
/* Entries that have left their shards, and which a reader may still look at (cache_reader.c).
 *
 * While one thread alone reads, an entry is freed at once. Else it waits in a list until the fence was called: for
 * NEW_MAX entries together, since the fence interrupts other processors. Nothing large waits: as soon as the entries that
 * came since have NEW_BYTES, or hold what is the caller's, the list is looked through; so does whoever was asked
 * to give memory back. Waiting entries are still charged.
 *
 * An entry that is lent waits until it is given back. Its reader is noted for that. A thread that gives one back clears its
 * place first and looks for the note then; this one notes first, and looks at the place once more after another fence.
 * So at least one of the two sees the other.
 */
#include "store/cache.h"

#include "base/checked.h"
#include "budget/budget.h"
#include "os/rseq.h"

#define NEW_MAX 32
#define NEW_BYTES (16 * 1024)

static void add(hri_cache_retired *retired, hri_cache_entry *entry)
{
    uint64_t bytes = entry->kind == HRI_CACHE_HELD ? NEW_BYTES : hri_cache_entry_bytes(entry);
    entry->newer = retired->first;
    retired->first = entry;
    retired->new_bytes = hri_add(retired->new_bytes, bytes);
    retired->new_count++;
}

/* Takes those out of the list at which nobody looks, and puts them into another. Gives whether some are left. */
static bool sort_out(hr_cache *cache, bool note, hri_cache_entry **ret_free)
{
    hri_cache_entry **at = &cache->retired.first;
    while (*at) {
        hri_cache_entry *entry = *at;
        if (hri_cache_reader_looks_at(cache, entry, note)) {
            at = &entry->newer;
        } else {
            *at = entry->newer;
            entry->newer = *ret_free;
            *ret_free = entry;
        }
    }
    return cache->retired.first != NULL;
}

/* Under the list's lock. Gives those that can be freed. */
static hri_cache_entry *look_through(hr_cache *cache)
{
    hri_cache_retired *retired = &cache->retired;
    hri_cache_entry *unused = NULL;
    retired->new_bytes = 0;
    retired->new_count = 0;
    if (!retired->first)
        return NULL;
    bool alone = hri_cache_reader_is_alone(cache);
    if (!alone)
        hri_rseq_fence();
    hri_cache_reader_unnote(cache);
    if (sort_out(cache, true, &unused)) {
        if (!alone)
            hri_rseq_fence();
        sort_out(cache, false, &unused);
    }
    return unused;
}

static uint64_t free_list(hr_cache *cache, hri_cache_entry *entry)
{
    uint64_t bytes = 0, mapped_bytes = 0;
    for (hri_cache_entry *next; entry; entry = next) {
        next = entry->newer;
        bytes += hri_cache_entry_dispose(entry, &mapped_bytes);
    }
    if (cache->budget && bytes)
        hri_budget_uncharge_block(cache->budget, bytes, mapped_bytes);
    return bytes;
}

void hri_cache_retire_all(hr_cache *cache, hri_cache_entry *const *entries, unsigned count, bool now)
{
    hri_cache_retired *retired = &cache->retired;
    hri_cache_entry *unused = NULL;
    if (!count)
        return;
    pthread_mutex_lock(&retired->lock);
    for (unsigned i = 0; i < count; i++)
        add(retired, entries[i]);
    if (now || retired->new_count >= NEW_MAX || retired->new_bytes >= NEW_BYTES || hri_cache_reader_is_alone(cache))
        unused = look_through(cache);
    pthread_mutex_unlock(&retired->lock);
    free_list(cache, unused);
}

void hri_cache_retire(hr_cache *cache, hri_cache_entry *entry)
{
    hri_cache_retire_all(cache, &entry, entry ? 1 : 0, false);
}

uint64_t hri_cache_retired_flush(hr_cache *cache)
{
    pthread_mutex_lock(&cache->retired.lock);
    hri_cache_entry *unused = look_through(cache);
    pthread_mutex_unlock(&cache->retired.lock);
    return free_list(cache, unused);
}
