/* SPDX-License-Identifier: Apache-2.0 */
/* A shard's table: chains of entries in buckets, found by the lower bits of the hash.
 *
 * A table is an array: two words of its own, then a power of two of buckets. The first one lies in the shard, so an
 * entry can always be added: an upload that is whole is never lost for want of a table. A table grows when it has as
 * many entries as buckets. Where no memory is granted for a larger one, chains get longer, and it is asked for again
 * after DENIED_ADDS entries. A table that becomes empty is given back.
 *
 * All changes are made under the shard's lock. Readers follow the chains without it, so each step leaves chains that
 * end, and a table that is no longer used is freed when no reader looks into it. Tables are charged without relief,
 * which would come back here.
 */
#include "cache/cache.h"

#include "alloc/alloc.h"
#include "base/assert.h"
#include "os/rseq.h"

#include <stdlib.h>

#define DENIED_ADDS 1024

/* ── memory ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Under a shard's lock, so without relief. */
void *hri_cache_table_alloc(hri_cache_shard *shard, size_t size)
{
    void *block = hri_block_get(shard->cache->budget, size, HRI_BLOCK_ZEROED | HRI_BLOCK_QUIET);
    hr_cache *cache = shard->cache;
    if (block)
        atomic_fetch_add_explicit(&cache->table_bytes, hri_block_cost(block), memory_order_relaxed);
    atomic_store_explicit(&cache->wanted_bytes, block ? 0 : hri_heap_cost(size), memory_order_relaxed);
    return block;
}

void hri_cache_table_free(hri_cache_shard *shard, void *block)
{
    if (!block)
        return;
    uint64_t bytes = hri_block_put(block);
    atomic_fetch_sub_explicit(&shard->cache->table_bytes, bytes, memory_order_relaxed);
    shard->owed_bytes += bytes;
}

/* ── chains ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static hri_cache_entry *follow(const _Atomic(hri_cache_entry *) *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}

static void lead(_Atomic(hri_cache_entry *) *link, hri_cache_entry *entry)
{
    atomic_store_explicit(link, entry, memory_order_release);
}

static size_t bucket_count(const hri_cache_bucket *table)
{
    return (size_t)1 << table->bits;
}

static _Atomic(hri_cache_entry *) *bucket_of(hri_cache_bucket *table, uint32_t hash)
{
    return &table[HRI_CACHE_TABLE_WORDS + (hash & (bucket_count(table) - 1))].first;
}

static size_t table_size(unsigned bits)
{
    return (HRI_CACHE_TABLE_WORDS + ((size_t)1 << bits)) * sizeof(hri_cache_bucket);
}

static hri_cache_bucket *table_of(hri_cache_shard *shard)
{
    return atomic_load_explicit(&shard->table, memory_order_relaxed);
}

static void link_into(hri_cache_bucket *table, hri_cache_entry *entry)
{
    _Atomic(hri_cache_entry *) *bucket = bucket_of(table, entry->hash);
    lead(&entry->chain, follow(bucket));
    lead(bucket, entry);
}

static void set_table(hri_cache_shard *shard, hri_cache_bucket *table)
{
    atomic_store_explicit(&shard->table, table, memory_order_release);
    atomic_store_explicit(&shard->bits, table->bits, memory_order_relaxed);
}

/* Goes on in another table, if there is memory for it. */
static void resize(hri_cache_shard *shard, unsigned bits)
{
    hri_cache_bucket *old = table_of(shard), *table = shard->first;
    if (bits > HRI_CACHE_FIRST_BITS)
        table = hri_cache_table_alloc(shard, table_size(bits));
    shard->denied = !table;
    if (!table)
        return;
    table->bits = bits;
    for (size_t i = 0; i < bucket_count(old); i++) {
        _Atomic(hri_cache_entry *) *bucket = &old[HRI_CACHE_TABLE_WORDS + i].first;
        for (hri_cache_entry *entry = follow(bucket), *next; entry; entry = next) {
            next = follow(&entry->chain);
            link_into(table, entry);
        }
        lead(bucket, NULL);
    }
    set_table(shard, table);
    if (old != shard->first) {
        old[1].retired = shard->retired_tables;
        shard->retired_tables = old;
    }
    hri_cache_table_settle(shard);
}

void hri_cache_table_settle(hri_cache_shard *shard)
{
    if (!shard->retired_tables)
        return;
    if (!hri_cache_reader_is_alone(shard->cache)) {
        hri_rseq_fence();
        if (hri_cache_reader_looks_into(shard->cache, shard))
            return;
    }
    while (shard->retired_tables) {
        hri_cache_bucket *table = shard->retired_tables;
        shard->retired_tables = table[1].retired;
        hri_cache_table_free(shard, table);
    }
}

/* ── what the shard calls ───────────────────────────────────────────────────────────────────────────────────────── */

void hri_cache_table_init(hri_cache_shard *shard)
{
    shard->first->bits = HRI_CACHE_FIRST_BITS;
    set_table(shard, shard->first);
}

static bool is_of(const hri_cache_entry *entry, const hri_cache_item *item)
{
    return entry->hash == item->hash && entry->key_size == item->key_size &&
           memcmp(entry->key, item->key, item->key_size) == 0;
}

hri_cache_entry *hri_cache_table_find(hri_cache_bucket *table, const hri_cache_item *item)
{
    hri_cache_entry *entry = follow(bucket_of(table, item->hash));
    if (entry) /* most chains have one entry; its value is a cache line that is waited for beside the key's */
        __builtin_prefetch((const char *)entry + hri_cache_value_offset(item->key_size));
    while (entry && !is_of(entry, item))
        entry = follow(&entry->chain);
    return entry;
}

hri_cache_entry *hri_cache_shard_find(hri_cache_shard *shard, const hri_cache_item *item)
{
    return hri_cache_table_find(table_of(shard), item);
}

void hri_cache_table_add(hri_cache_shard *shard, hri_cache_entry *entry)
{
    if (shard->denied && ++shard->denied > DENIED_ADDS)
        shard->denied = 0;
    if (!shard->denied && shard->entries >= bucket_count(table_of(shard)))
        resize(shard, table_of(shard)->bits + 1);
    link_into(table_of(shard), entry);
}

void hri_cache_table_take(hri_cache_shard *shard, hri_cache_entry *entry)
{
    _Atomic(hri_cache_entry *) *link = bucket_of(table_of(shard), entry->hash);
    while (follow(link) != entry) {
        HRI_ASSERT(follow(link));
        link = &follow(link)->chain;
    }
    lead(link, follow(&entry->chain));
    if (shard->entries == 0 && table_of(shard) != shard->first)
        resize(shard, HRI_CACHE_FIRST_BITS);
}
