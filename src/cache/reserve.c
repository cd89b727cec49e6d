/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are written in place: an entry is made in no shard, borrowed by its writer, and put into its shard when
 * it is whole. It is charged, and counted among the cache's bytes, from the first of the two steps on.
 *
 * Nobody else has a pointer to a reserved entry, so its state, its size and its address may change without a lock.
 */
#include "cache/cache.h"

#include "base/assert.h"

#include <errno.h>

int hr_cache_reserve(hr_cache *cache, const void *key, size_t key_size, size_t value_size, int64_t ttl_ns,
                     hr_cache_ref *ret_ref)
{
    if (!cache || !hri_cache_is_key(key, key_size) || !ret_ref)
        return -EINVAL;
    hri_cache_item item = hri_cache_item_of(cache, key, key_size);
    item.value_size = value_size;
    item.ttl_ns = ttl_ns;
    item.kind = HRI_CACHE_RESERVED;
    if (value_size > UINT32_MAX) {
        atomic_fetch_add_explicit(&cache->refused_large, 1, memory_order_relaxed);
        return -E2BIG;
    }
    uint64_t bytes = hri_cache_entry_cost(&item);
    hri_cache_entry *old, *entry = NULL;
    int error = hri_cache_room_take(cache, &item, bytes, &old);
    if (!error)
        entry = hri_cache_make(cache, &item, bytes, &error);
    if (!entry)
        return error;
    *ret_ref = (hr_cache_ref){.data = hri_cache_entry_value(entry), .size = value_size, .entry_ = entry};
    return 0;
}

int hr_cache_commit(hr_cache *cache, hr_cache_ref *ref)
{
    if (!cache || !ref || !ref->entry_)
        return -EINVAL;
    hri_cache_entry *entry = ref->entry_;
    if (hri_cache_reader_lent(entry) || entry->kind != HRI_CACHE_RESERVED)
        return -EALREADY;
    if (ref->size > entry->value_size)
        return -EINVAL;
    entry = hri_cache_entry_finish(cache, entry, ref->size);
    uint32_t before = atomic_fetch_add_explicit(&entry->state, HRI_CACHE_LISTED, memory_order_relaxed);
    HRI_ASSERT(before == HRI_CACHE_BORROWED);
    (void)before;
    ref->data = hri_cache_entry_value(entry);
    ref->entry_ = entry;
    hri_cache_item item = {.key = entry->key, .key_size = entry->key_size, .hash = entry->hash};
    hri_cache_link(cache, &item, entry);
    return 0;
}
