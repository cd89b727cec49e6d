/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a cache as a whole: figures, and a walk over its entries. One shard is locked at a time, so figures of
 * different shards are of different instants.
 */
#include "cache/cache.h"

#include "base/clock.h"
#include "base/uncancelled.h"

#include <errno.h>

/* How long ago the oldest of a shard came in, by the ends of its queues. */
static int64_t oldest(const hri_cache_shard *shard, int64_t now_ns)
{
    int64_t ticks = (now_ns - shard->cache->born_ns) / HRI_CACHE_TICK_NS, age = 0;
    for (unsigned queue = 0; queue < HRI_CACHE_QUEUES; queue++)
        if (shard->queues[queue].oldest)
            age = hri_later(age, ticks - shard->queues[queue].oldest->born);
    return age * HRI_CACHE_TICK_NS;
}

static void add_shard(hri_cache_shard *shard, int64_t now_ns, hr_cache_figures *figures)
{
    hri_cache_shard_lock(shard);
#ifdef HRI_DEBUG
    hri_cache_shard_check(shard);
#endif
    figures->entries += shard->entries;
    figures->bytes += atomic_load_explicit(&shard->bytes, memory_order_relaxed);
    figures->pinned += atomic_load_explicit(&shard->pinned, memory_order_relaxed);
    figures->hits += shard->hits;
    figures->misses += shard->misses;
    figures->puts += shard->puts;
    figures->replaced += shard->replaced;
    figures->removed += shard->removed;
    figures->evicted_full += shard->evicted[HRI_CACHE_FULL];
    figures->evicted_level += shard->evicted[HRI_CACHE_LEVEL];
    figures->evicted_relief += shard->evicted[HRI_CACHE_RELIEF];
    figures->evicted_bytes += shard->evicted_bytes;
    figures->expired += shard->expired;
    figures->loads += shard->loads;
    figures->load_failures += shard->load_failures;
    figures->load_waits += shard->load_waits;
    figures->load_timeouts += shard->load_timeouts;
    figures->load_longest_ns = hri_later(figures->load_longest_ns, shard->load_longest_ns);
    figures->oldest_ns = hri_later(figures->oldest_ns, oldest(shard, now_ns));
    hri_cache_shard_unlock(shard);
}

int hr_cache_read(hr_cache *cache, hr_cache_figures *ret_figures)
{
    if (!cache || !ret_figures)
        return -EINVAL;
    hri_cache_follow_budget(cache);
    hr_cache_figures figures = {
        .max_bytes = hri_cache_max(cache),
        .table_bytes = atomic_load_explicit(&cache->table_bytes, memory_order_relaxed),
        .growth_bytes = hri_cache_room_growth(cache),
        .refused_large = atomic_load_explicit(&cache->refused_large, memory_order_relaxed),
        .refused_budget = atomic_load_explicit(&cache->refused_budget, memory_order_relaxed),
    };
    int64_t now_ns = hri_cache_now();
    for (unsigned i = 0; i < cache->shard_count; i++)
        add_shard(&cache->shards[i], now_ns, &figures);
    uint64_t hits, lent;
    hri_cache_reader_count(cache, &hits, &lent);
    figures.hits += hits;
    figures.pinned += lent;
    uint64_t gets = figures.hits + figures.misses;
    figures.hit_ratio = gets ? (double)figures.hits / (double)gets : 0;
    *ret_figures = figures;
    return 0;
}

/* Visits a borrowed entry. */
static int visit_entry(hr_cache *cache, hri_cache_entry *entry, hr_cache_walk_fn *visit, void *context)
{
    HRI_UNCANCELLED;
    hr_cache_ref ref;
    if (entry->kind == HRI_CACHE_FAILED) {
        hri_cache_entry_unpin(cache, entry);
        return 0;
    }
    hri_cache_lend(cache, entry, &ref);
    int result = visit(context, entry->key, entry->key_size, &ref);
    hr_cache_release(cache, &ref);
    return result;
}

/* Walks over one shard: the cursor is moved on by whoever takes out the entry that it stands at. */
static int walk_shard(hri_cache_shard *shard, hr_cache_walk_fn *visit, void *context)
{
    hri_cache_cursor cursor = {.thread = pthread_self()};
    int result = 0;
    int64_t now_ns = hri_cache_now();
    hri_cache_shard_lock(shard);
    cursor.next = hri_cache_shard_next(shard, NULL);
    cursor.other = shard->cursors;
    shard->cursors = &cursor;
    while (!result && cursor.next) {
        hri_cache_entry *entry = cursor.next;
        cursor.next = hri_cache_shard_next(shard, entry);
        if (hri_cache_entry_is_expired(entry, now_ns))
            continue;
        hri_cache_entry_pin(shard, entry);
        hri_cache_shard_unlock(shard);
        result = visit_entry(shard->cache, entry, visit, context);
        hri_cache_shard_lock(shard);
    }
    hri_cache_cursor **at = &shard->cursors;
    while (*at != &cursor)
        at = &(*at)->other;
    *at = cursor.other;
    hri_cache_shard_unlock(shard);
    return result;
}

int hr_cache_walk(hr_cache *cache, hr_cache_walk_fn *visit, void *context)
{
    if (!cache || !visit)
        return -EINVAL;
    int result = 0;
    for (unsigned i = 0; i < cache->shard_count && !result; i++)
        result = walk_shard(&cache->shards[i], visit, context);
    return result;
}
