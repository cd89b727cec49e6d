/* SPDX-License-Identifier: Apache-2.0 */
/* A shard's table: chains of entries in buckets, found by the lower bits of the hash.
 *
 * A table is an array: the mask, then a power of two of buckets. The first one lies in the shard, so an entry can always
 * be added: an upload that is whole is never lost for want of a table. A table grows when it has as many entries as
 * buckets. Where no memory is granted for a larger one, chains get longer, and it is asked for again after DENIED_ADDS
 * entries. A table that becomes empty is given back.
 *
 * All of it runs under the shard's lock. Tables are charged without relief, which would come back here.
 */
#include "store/cache.h"

#include "base/assert.h"
#include "budget/budget.h"
#include "os/heap.h"

#include <stdlib.h>

#define DENIED_ADDS 1024

/* ── memory ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

void *hri_cache_table_alloc(hri_cache_shard *shard, size_t size)
{
    hr_budget *budget = shard->cache->budget;
    uint64_t bytes = hri_heap_estimate(size);
    if (budget && hri_budget_charge_block(budget, &(hri_block_charge){.bytes = bytes, .quiet = true}) != 0)
        return NULL;
    void *block = malloc(size);
    if (block) {
        memset(block, 0, size);
        shard->table_bytes += bytes;
    } else if (budget) {
        shard->owed_bytes += bytes;
    }
    return block;
}

void hri_cache_table_free(hri_cache_shard *shard, void *block, size_t size)
{
    uint64_t bytes = hri_heap_estimate(size);
    free(block);
    shard->table_bytes -= bytes;
    shard->owed_bytes += bytes;
}

/* ── chains ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static hri_cache_bucket *bucket_of(hri_cache_bucket *table, uint32_t hash)
{
    return &table[1 + (hash & table->mask)];
}

static size_t table_size(const hri_cache_bucket *table)
{
    return (table->mask + 2) * sizeof *table;
}

static void link_into(hri_cache_bucket *table, hri_cache_entry *entry)
{
    hri_cache_bucket *bucket = bucket_of(table, entry->hash);
    entry->chain = bucket->first;
    bucket->first = entry;
}

/* Goes on in a table of `buckets`, if there is memory for it. */
static void resize(hri_cache_shard *shard, size_t buckets)
{
    hri_cache_bucket *old = shard->table, *table = shard->first;
    if (buckets > HRI_CACHE_FIRST_BUCKETS)
        table = hri_cache_table_alloc(shard, (buckets + 1) * sizeof *table);
    shard->denied = !table;
    if (!table)
        return;
    table->mask = buckets - 1;
    for (size_t i = 1; i < old->mask + 2; i++) {
        for (hri_cache_entry *entry = old[i].first, *next; entry; entry = next) {
            next = entry->chain;
            link_into(table, entry);
        }
        old[i].first = NULL;
    }
    shard->table = table;
    if (old != shard->first)
        hri_cache_table_free(shard, old, table_size(old));
}

/* ── what the shard calls ───────────────────────────────────────────────────────────────────────────────────────── */

void hri_cache_table_init(hri_cache_shard *shard)
{
    shard->table = shard->first;
    shard->table->mask = HRI_CACHE_FIRST_BUCKETS - 1;
}

static bool is_of(const hri_cache_entry *entry, const hri_cache_item *item)
{
    return entry->hash == item->hash && entry->key_size == item->key_size &&
           memcmp(entry->key, item->key, item->key_size) == 0;
}

hri_cache_entry *hri_cache_shard_find(hri_cache_shard *shard, const hri_cache_item *item)
{
    hri_cache_entry *entry = bucket_of(shard->table, item->hash)->first;
    while (entry && !is_of(entry, item))
        entry = entry->chain;
    return entry;
}

void hri_cache_table_add(hri_cache_shard *shard, hri_cache_entry *entry)
{
    if (shard->denied && ++shard->denied > DENIED_ADDS)
        shard->denied = 0;
    if (!shard->denied && shard->entries > shard->table->mask)
        resize(shard, 2 * (shard->table->mask + 1));
    link_into(shard->table, entry);
}

void hri_cache_table_take(hri_cache_shard *shard, hri_cache_entry *entry)
{
    hri_cache_entry **at = &bucket_of(shard->table, entry->hash)->first;
    while (*at != entry) {
        HRI_ASSERT(*at);
        at = &(*at)->chain;
    }
    *at = entry->chain;
    if (shard->entries == 0 && shard->table != shard->first)
        resize(shard, HRI_CACHE_FIRST_BUCKETS);
}
