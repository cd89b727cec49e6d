/* SPDX-License-Identifier: Apache-2.0 */
/* An entry is one block: what the cache knows of it, the value, the key. Its footprint is charged before it is made and
 * uncharged after it is freed, both without a lock, since both may run what belongs to others.
 *
 * Invariant: a shard's `pinned` counts the entries whose state is HRI_CACHE_BORROWED or more. The thread that takes the
 * state to 0 retires the entry; only readers can reach it then.
 */
#include "cache/cache.h"

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/checked.h"
#include "base/uncancelled.h"

#include <errno.h>

static size_t block_size(const hri_cache_item *item)
{
    return hri_cache_value_offset(item->key_size) + item->value_size;
}

uint64_t hri_cache_entry_cost(const hri_cache_item *item)
{
    return hri_heap_cost(block_size(item));
}

/* A value that no relief can make fit is too large, and not short of room. */
static int reason_of(int error)
{
    hr_refusal refusal;
    bool hopeless = error == -EDQUOT && hr_budget_refusal(&refusal) == 0 && refusal.asked_bytes > refusal.limit_bytes;
    return hopeless ? -E2BIG : error;
}

/* When an entry that comes in now ends. */
static int64_t end_of(const hr_cache *cache, int64_t ttl_ns, int64_t now_ns)
{
    if (!ttl_ns)
        ttl_ns = cache->ttl_ns;
    return ttl_ns > 0 && ttl_ns < INT64_MAX - now_ns ? now_ns + ttl_ns : 0;
}

static uint32_t ticks_at(const hr_cache *cache, int64_t now_ns)
{
    return (uint32_t)((now_ns - cache->born_ns) / HRI_CACHE_TICK_NS);
}

hri_cache_entry *hri_cache_entry_new(hr_cache *cache, const hri_cache_item *item, uint32_t state, int *ret_error)
{
    hri_cache_entry *entry = hri_block_get(cache->budget, block_size(item), 0);
    if (!entry) {
        *ret_error = reason_of(-errno);
        return NULL;
    }
    *ret_error = 0;
    int64_t now_ns = hri_cache_now();
    *entry = (hri_cache_entry){
        .hash = item->hash,
        .key_size = (uint32_t)item->key_size,
        .value_size = (uint32_t)item->value_size,
        .expires_ns = item->kind == HRI_CACHE_RESERVED ? item->ttl_ns : end_of(cache, item->ttl_ns, now_ns),
        .born = ticks_at(cache, now_ns),
        .kind = (uint8_t)item->kind,
    };
    atomic_init(&entry->state, state);
    memcpy(entry->key, item->key, item->key_size);
    if (item->value && item->value_size)
        memcpy(hri_cache_entry_value(entry), item->value, item->value_size);
    if (state >= HRI_CACHE_BORROWED)
        atomic_fetch_add_explicit(&hri_cache_shard_of(cache, item->hash)->pinned, 1, memory_order_relaxed);
    return entry;
}

/* Gives the end of a value's block back, in place or by way of a smaller one, if that is worth it. */
#define SHRINK_MIN 64

static hri_cache_entry *shrink(hr_cache *cache, hri_cache_entry *entry, size_t value_size)
{
    uint64_t before = hri_block_cost(entry);
    size_t size = hri_cache_value_offset(entry->key_size) + value_size;
    if (hri_heap_cost(size) == before)
        return entry;
    uint64_t over = hri_block_shrink(entry, size);
    hri_cache_entry *moved = over ? entry : hri_block_get(cache->budget, size, HRI_BLOCK_QUIET);
    if (!moved)
        return entry;
    if (!over) {
        memcpy(moved, entry, size);
        over = hri_block_put(entry);
    }
    if (cache->budget)
        hri_budget_uncharge_block(cache->budget, over);
    hri_cache_room_give(cache, before - hri_block_cost(moved));
    return moved;
}

hri_cache_entry *hri_cache_entry_finish(hr_cache *cache, hri_cache_entry *entry, size_t value_size)
{
    int64_t now_ns = hri_cache_now();
    entry->kind = HRI_CACHE_VALUE;
    if (entry->value_size - value_size >= SHRINK_MIN)
        entry = shrink(cache, entry, value_size);
    entry->value_size = (uint32_t)value_size;
    entry->expires_ns = end_of(cache, entry->expires_ns, now_ns);
    entry->born = ticks_at(cache, now_ns);
    return entry;
}

uint64_t hri_cache_entry_bytes(hri_cache_entry *entry)
{
    const hr_cache_held *held = entry->kind == HRI_CACHE_HELD ? hri_cache_entry_value(entry) : NULL;
    return hri_add(hri_block_cost(entry), held ? held->bytes : 0);
}

static void drop(const hr_cache_held *held)
{
    HRI_UNCANCELLED; /* who disposes of one has more to do */
    if (held->drop)
        held->drop(held->context, held->data);
}

uint64_t hri_cache_entry_dispose(hri_cache_entry *entry)
{
    HRI_ASSERT(atomic_load_explicit(&entry->state, memory_order_relaxed) == 0);
    if (entry->kind == HRI_CACHE_HELD)
        drop(hri_cache_entry_value(entry));
    return hri_block_put(entry);
}

void hri_cache_entry_pin(hri_cache_shard *shard, hri_cache_entry *entry)
{
    if (atomic_fetch_add_explicit(&entry->state, HRI_CACHE_BORROWED, memory_order_relaxed) < HRI_CACHE_BORROWED)
        atomic_fetch_add_explicit(&shard->pinned, 1, memory_order_relaxed);
}

void hri_cache_entry_unpin(hr_cache *cache, hri_cache_entry *entry)
{
    hri_cache_shard *shard = hri_cache_shard_of(cache, entry->hash);
    uint32_t before = atomic_fetch_sub_explicit(&entry->state, HRI_CACHE_BORROWED, memory_order_acq_rel);
    HRI_ASSERT(before >= HRI_CACHE_BORROWED);
    if (before < 2 * HRI_CACHE_BORROWED)
        atomic_fetch_sub_explicit(&shard->pinned, 1, memory_order_release);
    if (before != HRI_CACHE_BORROWED)
        return;
    if (entry->kind == HRI_CACHE_RESERVED) /* what was reserved is counted in, and will not come */
        hri_cache_room_give(cache, hri_cache_entry_bytes(entry));
    hri_cache_retire(cache, entry);
}
