/* SPDX-License-Identifier: Apache-2.0 */
/* An entry is one block: what the cache knows of it, the value, the key. Its footprint is charged before it is made and
 * uncharged after it is freed, both without a lock, since both may run what belongs to others.
 *
 * Invariant: a shard's `pinned` counts the entries whose state is HRI_CACHE_BORROWED or more. Who takes the state to 0
 * frees the entry, and nobody else can reach it then.
 */
#include "store/cache.h"

#include "base/assert.h"
#include "base/checked.h"
#include "base/uncancelled.h"
#include "budget/budget.h"
#include "os/heap.h"

#include <errno.h>
#include <stdlib.h>

static size_t block_size(const hri_cache_item *item)
{
    return hri_cache_value_offset(item->key_size) + item->value_size;
}

uint64_t hri_cache_entry_estimate(const hri_cache_item *item)
{
    return hri_heap_estimate(block_size(item));
}

/* What no relief can make fit is too large, and not short of room. */
static int charge(hr_cache *cache, uint64_t bytes, uint64_t mapped_bytes, uint64_t listed_bytes)
{
    hri_block_charge charge = {.bytes = bytes, .mapped_bytes = mapped_bytes, .listed_bytes = listed_bytes};
    int error = cache->budget ? hri_budget_charge_block(cache->budget, &charge) : 0;
    hr_refusal refusal;
    if (error == -EDQUOT && hr_budget_refusal(&refusal) == 0 && refusal.asked_bytes > refusal.limit_bytes)
        return -E2BIG;
    return error;
}

static void uncharge(hr_cache *cache, uint64_t bytes)
{
    if (cache->budget && bytes)
        hri_budget_uncharge_block(cache->budget, bytes, 0);
}

static void remap(hr_cache *cache, uint64_t from_bytes, uint64_t to_bytes)
{
    if (cache->budget)
        hri_budget_remap(cache->budget, from_bytes, to_bytes);
}

/* What counts as charged and not touched yet while a block is filled: it is not listed, since it is filled at once. */
static uint64_t filling(const hri_cache_item *item)
{
    return block_size(item) >= HRI_UNTOUCHED_MIN ? block_size(item) : 0;
}

static void end_filling(hr_cache *cache, const hri_cache_item *item)
{
    if (cache->budget && filling(item))
        hri_untouched_arrive(filling(item));
}

/* Makes a charged block, which is to be filled. */
static hri_cache_entry *allocate(hr_cache *cache, const hri_cache_item *item, int *ret_error)
{
    uint64_t charged_bytes = hri_cache_entry_estimate(item), expected_bytes = hri_heap_expected_mapping(charged_bytes);
    int error = charge(cache, charged_bytes, expected_bytes, filling(item));
    hri_cache_entry *entry = error ? NULL : malloc(block_size(item));
    if (!error && !entry) {
        end_filling(cache, item);
        error = -ENOMEM;
        uncharge(cache, charged_bytes);
        remap(cache, expected_bytes, 0);
    } else if (!error) {
        uint64_t bytes = hri_heap_footprint(entry);
        if (bytes > charged_bytes)
            error = charge(cache, bytes - charged_bytes, 0, 0);
        else
            uncharge(cache, charged_bytes - bytes);
        remap(cache, expected_bytes, error ? 0 : hri_heap_mapping(entry, bytes));
        if (error) {
            end_filling(cache, item);
            uncharge(cache, charged_bytes);
            free(entry);
            entry = NULL;
        }
    }
    *ret_error = error;
    return entry;
}

hri_cache_entry *hri_cache_entry_new(hr_cache *cache, const hri_cache_item *item, uint32_t state, int *ret_error)
{
    hri_cache_entry *entry = allocate(cache, item, ret_error);
    if (!entry)
        return NULL;
    int64_t now_ns = hri_cache_now(), ttl_ns = item->ttl_ns ? item->ttl_ns : cache->ttl_ns;
    bool ends = ttl_ns > 0 && ttl_ns < INT64_MAX - now_ns;
    *entry = (hri_cache_entry){
        .hash = item->hash,
        .key_size = (uint32_t)item->key_size,
        .value_size = (uint32_t)item->value_size,
        .expires_ns = ends ? now_ns + ttl_ns : 0,
        .born = (uint32_t)((now_ns - cache->born_ns) / HRI_CACHE_TICK_NS),
        .kind = (uint8_t)item->kind,
    };
    atomic_init(&entry->state, state);
    memcpy(entry->key, item->key, item->key_size);
    if (item->value_size)
        memcpy(hri_cache_entry_value(entry), item->value, item->value_size);
    end_filling(cache, item);
    if (state >= HRI_CACHE_BORROWED)
        atomic_fetch_add_explicit(&hri_cache_shard_of(cache, item->hash)->pinned, 1, memory_order_relaxed);
    return entry;
}

uint64_t hri_cache_entry_bytes(hri_cache_entry *entry)
{
    const hr_cache_held *held = entry->kind == HRI_CACHE_HELD ? hri_cache_entry_value(entry) : NULL;
    return hri_add(hri_heap_footprint(entry), held ? held->bytes : 0);
}

static void drop(const hr_cache_held *held)
{
    HRI_UNCANCELLED; /* who disposes of one has more to do */
    if (held->drop)
        held->drop(held->context, held->data);
}

uint64_t hri_cache_entry_dispose(hri_cache_entry *entry, uint64_t *mapped_bytes)
{
    HRI_ASSERT(atomic_load_explicit(&entry->state, memory_order_relaxed) == 0);
    if (entry->kind == HRI_CACHE_HELD)
        drop(hri_cache_entry_value(entry));
    uint64_t bytes = hri_heap_footprint(entry);
    *mapped_bytes += hri_heap_mapping(entry, bytes);
    free(entry);
    return bytes;
}

void hri_cache_entry_free(hr_cache *cache, hri_cache_entry *entry)
{
    uint64_t mapped_bytes = 0, bytes = entry ? hri_cache_entry_dispose(entry, &mapped_bytes) : 0;
    if (cache->budget && bytes)
        hri_budget_uncharge_block(cache->budget, bytes, mapped_bytes);
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
    if (before == HRI_CACHE_BORROWED)
        hri_cache_entry_free(cache, entry);
}
