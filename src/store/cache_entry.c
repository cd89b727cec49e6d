/* SPDX-License-Identifier: Apache-2.0 */
/* An entry is one block: what the cache knows of it, the value, the key. Its footprint is charged before it is made and
 * uncharged after it is freed, both without a lock, since both may run what belongs to others.
 *
 * Invariant: a shard's `pinned` counts the entries whose state is HRI_CACHE_BORROWED or more. The thread that takes the
 * state to 0 retires the entry; only readers can reach it then.
 */
#include "store/cache.h"

#include "base/assert.h"
#include "base/checked.h"
#include "base/uncancelled.h"
#include "budget/budget.h"
#include "budget/untouched.h"
#include "os/heap.h"

#include <errno.h>
#include <stdlib.h>

static size_t value_end(size_t key_size, size_t value_size)
{
    const size_t align = alignof(max_align_t);
    return (hri_cache_value_offset(key_size) + value_size + align - 1) & ~(align - 1);
}

/* Behind the value of a large reserved entry is its node in the list of blocks that have not all their pages: a client
 * may take minutes to send what is written there. */
static bool has_node(hri_cache_kind kind, size_t key_size, size_t value_size)
{
    return kind == HRI_CACHE_RESERVED && value_end(key_size, value_size) >= HRI_UNTOUCHED_MIN;
}

static size_t block_size(const hri_cache_item *item)
{
    if (has_node(item->kind, item->key_size, item->value_size))
        return value_end(item->key_size, item->value_size) + sizeof(hri_untouched_node);
    return hri_cache_value_offset(item->key_size) + item->value_size;
}

static hri_untouched_node *node_of(hri_cache_entry *entry)
{
    if (!has_node(entry->kind, entry->key_size, entry->value_size))
        return NULL;
    return (hri_untouched_node *)(void *)((char *)entry + value_end(entry->key_size, entry->value_size));
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

/* How much counts as charged and not touched yet while a block is filled. Only a reserved one is listed: the others are
 * filled at once. */
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

/* Copies the value, or sees to it that what is not written yet is known as such; small values are touched at once. */
static void fill(hr_cache *cache, hri_cache_entry *entry, const hri_cache_item *item)
{
    hri_untouched_node *node = node_of(entry);
    if (item->value && item->value_size)
        memcpy(hri_cache_entry_value(entry), item->value, item->value_size);
    else if (!node)
        memset(hri_cache_entry_value(entry), 0, item->value_size);
    else if (cache->budget)
        hri_untouched_add(node, &(hri_span){.raw = entry, .size = hri_heap_usable(entry)});
    end_filling(cache, item);
}

hri_cache_entry *hri_cache_entry_new(hr_cache *cache, const hri_cache_item *item, uint32_t state, int *ret_error)
{
    hri_cache_entry *entry = allocate(cache, item, ret_error);
    if (!entry)
        return NULL;
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
    fill(cache, entry, item);
    if (state >= HRI_CACHE_BORROWED)
        atomic_fetch_add_explicit(&hri_cache_shard_of(cache, item->hash)->pinned, 1, memory_order_relaxed);
    return entry;
}

/* Gives the end of a value's block back to the allocator. A block that is smaller by so much never costs more. */
#define SHRINK_MIN 64

static hri_cache_entry *shrink(hr_cache *cache, hri_cache_entry *entry, size_t value_size)
{
    uint64_t before = hri_heap_footprint(entry), mapped = hri_heap_mapping(entry, before);
    hri_cache_entry *moved = realloc(entry, hri_cache_value_offset(entry->key_size) + value_size);
    if (!moved)
        return entry;
    uint64_t after = hri_heap_footprint(moved);
    HRI_ASSERT(after <= before);
    remap(cache, mapped, hri_heap_mapping(moved, after));
    uncharge(cache, before - after);
    hri_cache_room_give(cache, before - after);
    return moved;
}

hri_cache_entry *hri_cache_entry_finish(hr_cache *cache, hri_cache_entry *entry, size_t value_size)
{
    hri_untouched_node *node = node_of(entry);
    int64_t now_ns = hri_cache_now();
    if (node && cache->budget)
        hri_untouched_remove(node);
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
    hri_untouched_node *node = node_of(entry);
    if (entry->kind == HRI_CACHE_HELD)
        drop(hri_cache_entry_value(entry));
    if (node)
        hri_untouched_remove(node);
    uint64_t bytes = hri_heap_footprint(entry);
    *mapped_bytes += hri_heap_mapping(entry, bytes);
    free(entry);
    return bytes;
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
