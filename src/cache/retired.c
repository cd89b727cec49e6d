/* SPDX-License-Identifier: Apache-2.0 */
/* Entries that have left their shards, and which a reader may still look at (reader.c).
 *
 * While one thread alone reads, an entry is freed at once. Else it waits in a list until the fence was called: for
 * NEW_MAX entries together, since the fence interrupts other processors. Nothing large waits. The list is looked
 * through as soon as the new entries have NEW_BYTES, or hold a value of the caller's. A thread that was asked to give
 * memory back looks through it too. Waiting entries are still charged.
 *
 * A thread that looks through the list takes it out, so that the others need not wait for its fences, and puts back
 * what cannot be freed yet. An entry that is lent waits until it is given back; its reader is noted for that. The
 * thread that gives it back clears the place first, and looks for the note then. The thread that looks through notes
 * first, and looks at the place again after another fence: so one of the two sees the other. One that has seen the note
 * takes the lock. If that comes before the entry is put back, the last look sees the cleared place; else the entry is
 * in the list.
 */
#include "cache/cache.h"

#include "base/checked.h"
#include "budget/budget.h"
#include "os/rseq.h"

#include <sched.h>

#define NEW_MAX 64
#define NEW_BYTES (16 * 1024)

static void add(hri_cache_retired *retired, hri_cache_entry *entry)
{
    uint64_t bytes = entry->kind == HRI_CACHE_HELD ? NEW_BYTES : hri_cache_entry_bytes(entry);
    entry->newer = retired->first;
    retired->first = entry;
    retired->new_bytes = hri_add(retired->new_bytes, bytes);
    retired->new_count++;
}

/* Takes those out of a list at which nobody looks, and puts them into another. */
static void sort_out(hr_cache *cache, hri_cache_entry **list, bool note, hri_cache_entry **ret_free)
{
    while (*list) {
        hri_cache_entry *entry = *list;
        if (hri_cache_reader_looks_at(cache, entry, note)) {
            list = &entry->newer;
        } else {
            *list = entry->newer;
            entry->newer = *ret_free;
            *ret_free = entry;
        }
    }
}

/* Puts back what is still looked at, and looks once more. Under the lock. */
static void put_back(hr_cache *cache, hri_cache_entry *list, hri_cache_entry **ret_free)
{
    hri_cache_retired *retired = &cache->retired;
    hri_cache_entry **end = &list;
    while (*end)
        end = &(*end)->newer;
    *end = retired->first;
    retired->first = list;
    sort_out(cache, &retired->first, false, ret_free);
    if (--retired->lookers == 0 && !retired->first)
        hri_cache_reader_unnote(cache);
}

/* The lock is held, and given back. Gives those that can be freed. */
static hri_cache_entry *look_through(hr_cache *cache)
{
    hri_cache_retired *retired = &cache->retired;
    hri_cache_entry *list = retired->first, *unused = NULL;
    retired->first = NULL;
    retired->new_bytes = 0;
    retired->new_count = 0;
    retired->lookers += list != NULL;
    pthread_mutex_unlock(&retired->lock);
    if (!list)
        return NULL;
    bool alone = hri_cache_reader_is_alone(cache);
    if (!alone)
        hri_rseq_fence();
    sort_out(cache, &list, true, &unused);
    if (list && !alone)
        hri_rseq_fence();
    sort_out(cache, &list, false, &unused);
    pthread_mutex_lock(&retired->lock);
    put_back(cache, list, &unused);
    pthread_mutex_unlock(&retired->lock);
    return unused;
}

static uint64_t free_list(hr_cache *cache, hri_cache_entry *entry)
{
    uint64_t bytes = 0;
    for (hri_cache_entry *next; entry; entry = next) {
        next = entry->newer;
        bytes += hri_cache_entry_dispose(entry);
    }
    if (cache->budget && bytes)
        hri_budget_uncharge_block(cache->budget, bytes);
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
    else
        pthread_mutex_unlock(&retired->lock);
    free_list(cache, unused);
}

void hri_cache_retire(hr_cache *cache, hri_cache_entry *entry)
{
    hri_cache_retire_all(cache, &entry, entry ? 1 : 0, false);
}

void hri_cache_retired_lock(hr_cache *cache)
{
    pthread_mutex_lock(&cache->retired.lock);
    while (cache->retired.lookers) {
        pthread_mutex_unlock(&cache->retired.lock);
        sched_yield();
        pthread_mutex_lock(&cache->retired.lock);
    }
}

uint64_t hri_cache_retired_flush(hr_cache *cache)
{
    pthread_mutex_lock(&cache->retired.lock);
    return free_list(cache, look_through(cache));
}

void hri_cache_retired_return(hr_cache *cache, const hri_cache_entry *entry)
{
    pthread_mutex_lock(&cache->retired.lock);
    const hri_cache_entry *found = cache->retired.first;
    while (found && found != entry)
        found = found->newer;
    pthread_mutex_unlock(&cache->retired.lock);
    if (found)
        hri_cache_retired_flush(cache);
}
