/* SPDX-License-Identifier: Apache-2.0 */
/* The cache's public calls. cache.h in this folder has the whole; here is what puts an entry in and lends it out. */
#include "cache/cache.h"

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/checked.h"
#include "base/hash.h"
#include "base/wait.h"
#include "os/clock.h"
#include "os/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/auxv.h>

#define LOAD_WAIT_NS (10 * HRI_SECOND)
#define SHARDS_MAX 256
#define SHARDS_OF_PROCESSOR 16
/* A shard of less than this would evict a few large entries for the hash of their keys. */
#define SHARD_LEAST_BYTES (UINT64_C(256) << 10)

int64_t hri_cache_now(void)
{
    return hri_clock_now(&hri_os_clock);
}

hri_cache_item hri_cache_item_of(const hr_cache *cache, const void *key, size_t key_size)
{
    return (hri_cache_item){.key = key, .key_size = key_size, .hash = (uint32_t)hri_hash(key, key_size, cache->seed)};
}

/* ── putting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes out what is under a key, which is on its way to be loaded too. Gives whether there was anything. */
static bool remove_item(hr_cache *cache, const hri_cache_item *item)
{
    hri_cache_shard *shard = hri_cache_shard_of(cache, item->hash);
    hri_cache_shard_lock(shard);
    hri_cache_load_outdate(shard, item);
    hri_cache_entry *old = hri_cache_shard_find(shard, item);
    bool mine = old && hri_cache_shard_take(shard, old);
    hri_cache_shard_unlock(shard);
    hri_cache_retire(cache, mine ? old : NULL);
    return old != NULL;
}

int hri_cache_link(hr_cache *cache, const hri_cache_item *item, hri_cache_entry *entry)
{
    hri_cache_shard *shard = hri_cache_shard_of(cache, item->hash);
    hri_cache_shard_lock(shard);
    hri_cache_load_outdate(shard, item);
    hri_cache_entry *old = hri_cache_shard_find(shard, item);
    bool mine = old && hri_cache_shard_take(shard, old);
    hri_cache_shard_add(shard, entry);
    shard->replaced += old != NULL;
    hri_cache_shard_unlock(shard);
    hri_cache_retire(cache, mine ? old : NULL);
    return old ? 1 : 0;
}

hri_cache_entry *hri_cache_make(hr_cache *cache, const hri_cache_item *item, uint64_t room_bytes, int *ret_error)
{
    uint32_t state = item->kind == HRI_CACHE_RESERVED ? HRI_CACHE_BORROWED : HRI_CACHE_LISTED;
    hri_cache_entry *entry = hri_cache_entry_new(cache, item, state, ret_error);
    if (entry) {
        atomic_fetch_add_explicit(&cache->bytes, hri_cache_entry_bytes(entry) - room_bytes, memory_order_relaxed);
        return entry;
    }
    hri_cache_room_give(cache, room_bytes);
    if (*ret_error != -ENOMEM)
        atomic_fetch_add_explicit(*ret_error == -E2BIG ? &cache->refused_large : &cache->refused_budget, 1,
                                  memory_order_relaxed);
    return NULL;
}

int hri_cache_put(hr_cache *cache, const hri_cache_item *item)
{
    if (item->value_size > UINT32_MAX) {
        remove_item(cache, item);
        atomic_fetch_add_explicit(&cache->refused_large, 1, memory_order_relaxed);
        return -E2BIG;
    }
    const hr_cache_held *held = item->kind == HRI_CACHE_HELD ? item->value : NULL;
    uint64_t bytes = hri_add(hri_cache_entry_cost(item), held ? held->bytes : 0);
    hri_cache_entry *old;
    int result = hri_cache_room_take(cache, item, bytes, &old);
    if (result == 0) {
        hri_cache_entry *entry = hri_cache_make(cache, item, bytes, &result);
        if (entry)
            result = hri_cache_link(cache, item, entry);
        hri_cache_room_settle(cache, old);
    }
    if (result < 0)
        remove_item(cache, item);
    return result;
}

int hr_cache_put(hr_cache *cache, const void *key, size_t key_size, const void *value, size_t value_size,
                 int64_t ttl_ns)
{
    if (!cache || !hri_cache_is_key(key, key_size) || (!value && value_size))
        return -EINVAL;
    hri_cache_item item = hri_cache_item_of(cache, key, key_size);
    item.value = value;
    item.value_size = value_size;
    item.ttl_ns = ttl_ns;
    int result = hri_cache_put(cache, &item);
    return result > 0 ? 0 : result;
}

int hr_cache_put_held(hr_cache *cache, const void *key, size_t key_size, const hr_cache_held *held)
{
    if (!cache || !hri_cache_is_key(key, key_size) || !held)
        return -EINVAL;
    hri_cache_item item = hri_cache_item_of(cache, key, key_size);
    item.value = held;
    item.value_size = sizeof *held;
    item.ttl_ns = held->ttl_ns;
    item.kind = HRI_CACHE_HELD;
    return hri_cache_put(cache, &item);
}

/* ── lending ────────────────────────────────────────────────────────────────────────────────────────────────────── */

int hri_cache_lend(hr_cache *cache, hri_cache_entry *entry, hr_cache_ref *ret_ref)
{
    int error = 0;
    if (entry->kind == HRI_CACHE_FAILED) {
        memcpy(&error, hri_cache_entry_value(entry), sizeof error);
        hri_cache_entry_unpin(cache, entry);
    } else if (entry->kind == HRI_CACHE_HELD) {
        const hr_cache_held *held = hri_cache_entry_value(entry);
        void *data = (void *)(uintptr_t)held->data;
        *ret_ref = (hr_cache_ref){.data = data, .size = held->size, .entry_ = entry};
    } else {
        *ret_ref = (hr_cache_ref){.data = hri_cache_entry_value(entry), .size = entry->value_size, .entry_ = entry};
    }
    return error;
}

/* Gets an entry under the lock: it may be there although the reader did not find it. */
static int get_locked(hr_cache *cache, const hri_cache_item *item, hr_cache_ref *ret_ref)
{
    hri_cache_shard *shard = hri_cache_shard_of(cache, item->hash);
    hri_cache_shard_lock(shard);
    hri_cache_entry *entry = hri_cache_shard_find(shard, item), *gone = NULL;
    if (entry && entry->expires_ns && hri_cache_entry_is_expired(entry, hri_cache_now())) {
        shard->expired++;
        gone = hri_cache_shard_take(shard, entry) ? entry : NULL;
        entry = NULL;
    }
    if (entry) {
        shard->hits++;
        hri_cache_entry_see(entry, 0);
        hri_cache_entry_pin(shard, entry);
        hri_cache_shard_unlock(shard);
        return hri_cache_lend(cache, entry, ret_ref);
    }
    shard->misses++;
    int error = -ENOENT;
    if (cache->load)
        error = hri_cache_load(cache, shard, item, ret_ref);
    else
        hri_cache_shard_unlock(shard);
    hri_cache_retire(cache, gone);
    return error;
}

int hr_cache_get(hr_cache *cache, const void *key, size_t key_size, hr_cache_ref *ret_ref)
{
    if (!cache || !hri_cache_is_key(key, key_size) || !ret_ref)
        return -EINVAL;
    hri_cache_item item = hri_cache_item_of(cache, key, key_size);
    return hri_cache_reader_get(cache, &item, ret_ref) ? 0 : get_locked(cache, &item, ret_ref);
}

void hr_cache_release(hr_cache *cache, hr_cache_ref *ref)
{
    if (!cache || !ref || !ref->entry_)
        return;
    void *entry = ref->entry_;
    *ref = (hr_cache_ref){0};
    if (hri_cache_reader_lent(entry))
        hri_cache_reader_release(cache, entry);
    else
        hri_cache_entry_unpin(cache, entry);
}

/* ── taking out ─────────────────────────────────────────────────────────────────────────────────────────────────── */

int hr_cache_remove(hr_cache *cache, const void *key, size_t key_size)
{
    if (!cache || !hri_cache_is_key(key, key_size))
        return -EINVAL;
    hri_cache_item item = hri_cache_item_of(cache, key, key_size);
    bool removed = remove_item(cache, &item);
    if (!removed)
        return -ENOENT;
    hri_cache_shard *shard = hri_cache_shard_of(cache, item.hash);
    hri_cache_shard_lock(shard);
    shard->removed++;
    hri_cache_shard_unlock(shard);
    return 0;
}

void hr_cache_clear(hr_cache *cache)
{
    for (unsigned i = 0; cache && i < cache->shard_count; i++) {
        hri_cache_shard *shard = &cache->shards[i];
        hri_cache_entry *entry;
        do {
            hri_cache_shard_lock(shard);
            hri_cache_load_outdate(shard, NULL);
            entry = hri_cache_shard_next(shard, NULL);
            bool mine = entry && hri_cache_shard_take(shard, entry);
            shard->removed += entry != NULL;
            hri_cache_shard_unlock(shard);
            hri_cache_retire(cache, mine ? entry : NULL);
        } while (entry);
    }
    if (cache)
        hri_cache_retired_flush(cache);
}

/* ── making and freeing ─────────────────────────────────────────────────────────────────────────────────────────── */

static const hri_figure published[] = {
    {"bytes", NULL, HRI_BYTES, "what its entries cost"},
    {"table_bytes", NULL, HRI_BYTES, "what it costs besides: itself, and its tables"},
    {"entries", NULL, HRI_COUNT, "entries"},
    {"pinned", NULL, HRI_COUNT, "entries that are borrowed"},
    {"hits", NULL, HRI_COUNTER, "gets that found an entry"},
    {"misses", NULL, HRI_COUNTER, "gets that found none"},
    {"evicted_bytes", NULL, HRI_COUNTER_BYTES, "what was evicted"},
    {"evicted_relief", "evictions_for_relief", HRI_COUNTER, "entries evicted because the guard asked"},
    {"expired", NULL, HRI_COUNTER, "entries found too old"},
    {"refused_budget", "refusals", HRI_COUNTER, "puts and results of loads for which there was no room"},
    {"loads", NULL, HRI_COUNTER, "values that were loaded"},
    {"load_longest_ns", "load_longest_seconds", HRI_NANOSECONDS, "the longest that a load took"},
};

static void publish(void *context, uint64_t *values)
{
    hr_cache_figures figures;
    hr_cache_read(context, &figures);
    const uint64_t all[] = {figures.bytes,          figures.table_bytes,    figures.entries,
                            figures.pinned,         figures.hits,           figures.misses,
                            figures.evicted_bytes,  figures.evicted_relief, figures.expired,
                            figures.refused_budget, figures.loads,          (uint64_t)figures.load_longest_ns};
    memcpy(values, all, sizeof all);
}

static const hri_yielder_kind kind = {"cache", published, sizeof published / sizeof *published, publish};

static void fork_locks(void *context, hri_fork moment)
{
    hr_cache *cache = context;
    hri_cache_reader_fork(cache, moment);
    for (unsigned i = 0; i < cache->shard_count; i++) {
        hri_fork_wait(&cache->shards[i].lock, &cache->shards[i].landed, moment);
        if (moment == HRI_FORK_CHILD)
            hri_cache_load_fork(&cache->shards[i]);
    }
}

/* The kernel gives each process some random bytes at its start. */
static uint64_t make_seed(const hr_cache *cache)
{
    const void *random = (const void *)getauxval(AT_RANDOM); // NOLINT(performance-no-int-to-ptr)
    uint64_t words[2] = {(uint64_t)(uintptr_t)cache, (uint64_t)hri_cache_now()};
    return hri_hash(words, sizeof words, random ? hri_hash(random, 16, 1) : 1);
}

static unsigned choose_shards(uint64_t max_bytes)
{
    uint64_t most = hri_min(hri_cpu_count() * SHARDS_OF_PROCESSOR, SHARDS_MAX);
    most = hri_min(most, max_bytes / SHARD_LEAST_BYTES);
    unsigned count = 1;
    while (count * UINT64_C(2) <= most)
        count *= 2;
    return count;
}

static size_t cache_size(unsigned shards)
{
    size_t size = sizeof(hr_cache) + shards * sizeof(hri_cache_shard);
    return (size + 63) & ~(size_t)63;
}

static void destroy(hr_cache *cache, unsigned made_shards)
{
    hr_budget *budget = cache->budget;
    for (unsigned i = 0; i < made_shards; i++) {
        hri_cache_shard *shard = &cache->shards[i];
        hri_cache_shard_lock(shard);
        hri_cache_shard_destroy(shard);
        hri_cache_shard_unlock(shard);
        hri_wait_destroy(&shard->lock, &shard->landed);
    }
    hri_cache_reader_close(cache);
    pthread_mutex_destroy(&cache->retired.lock);
    free(cache->name);
    uint64_t bytes = hri_block_put(cache);
    if (budget)
        hri_budget_uncharge_block(budget, bytes);
}

/* Fills in a zeroed cache of `shard_count` shards. On failure nothing is left. */
static int init(hr_cache *cache, const hr_cache_options *options)
{
    cache->name = strdup(options->name ? options->name : "cache");
    int error = cache->name ? -pthread_mutex_init(&cache->retired.lock, NULL) : -ENOMEM;
    unsigned made = 0;
    for (; made < cache->shard_count && !error; made += !error) {
        hri_cache_shard *shard = &cache->shards[made];
        shard->cache = cache;
        shard->cursors = &shard->sweep;
        hri_cache_table_init(shard);
        error = hri_wait_init(&shard->lock, &shard->landed);
    }
    hri_cache_reader_open(cache);
    cache->yielder = (hri_yielder){
        .name = cache->name,
        .kind = &kind,
        .priority = options->priority,
        .budget = cache->budget,
        .yield = hri_cache_yield,
        .spare = hri_cache_spare,
        .fork = fork_locks,
        .context = cache,
    };
    if (!error && cache->yielders)
        error = hri_yielders_add(cache->yielders, &cache->yielder);
    if (error)
        destroy(cache, made);
    return error;
}

/* Allocates and charges a cache of zeros. */
static hr_cache *allocate(hr_budget *budget, unsigned shards, int *ret_error)
{
    size_t size = cache_size(shards);
    hr_cache *cache = hri_block_get_aligned(budget, alignof(hr_cache), size);
    if (!cache) {
        *ret_error = -errno;
        return NULL;
    }
    *ret_error = 0;
    memset(cache, 0, size);
    cache->budget = budget;
    cache->shard_count = shards;
    atomic_init(&cache->table_bytes, hri_block_cost(cache));
    return cache;
}

int hri_cache_new(hr_budget *budget, hri_yielders *yielders, const hr_cache_options *options, hr_cache **ret_cache)
{
    static const hr_cache_options defaults;
    if (!options)
        options = &defaults;
    if (!ret_cache || options->shards > SHARDS_MAX || (options->shards & (options->shards - 1)))
        return -EINVAL;
    hr_budget_figures figures = {.limit_bytes = HR_NONE};
    if (budget)
        hr_budget_read(budget, &figures);
    uint64_t max_bytes = options->max_bytes ? options->max_bytes : figures.limit_bytes;
    int error;
    hr_cache *cache = allocate(budget, options->shards ? options->shards : choose_shards(max_bytes), &error);
    if (!cache)
        return error;
    cache->yielders = yielders;
    cache->seed = make_seed(cache);
    cache->ttl_ns = options->ttl_ns;
    cache->born_ns = hri_cache_now();
    cache->load = options->load;
    cache->load_wait_ns = options->load_wait_ns ? options->load_wait_ns : LOAD_WAIT_NS;
    cache->failed_ttl_ns = options->failed_ttl_ns;
    cache->context = options->context;
    bool by_budget = budget && !options->max_bytes, observes = budget && budget->tree->hooks.observes;
    cache->follows_budget = by_budget && !observes;
    atomic_init(&cache->limit_bytes, by_budget && observes ? HR_NONE : max_bytes); /* the limit is only observed */
    atomic_init(&cache->growth_bytes, HR_NONE);
    error = init(cache, options);
    if (!error)
        *ret_cache = cache;
    return error;
}

int hr_cache_free(hr_cache *cache)
{
    if (!cache)
        return 0;
    for (unsigned i = 0; i < cache->shard_count; i++) {
        hri_cache_shard *shard = &cache->shards[i];
        hri_cache_shard_lock(shard);
        bool busy = shard->flights || atomic_load_explicit(&shard->pinned, memory_order_acquire);
        hri_cache_shard_unlock(shard);
        if (busy)
            return -EBUSY;
    }
    uint64_t hits, lent; /* last: what is pinned and lent counts as pinned */
    hri_cache_reader_count(cache, &hits, &lent);
    if (lent)
        return -EBUSY;
    if (cache->yielders)
        hri_yielders_remove(cache->yielders, &cache->yielder);
    hr_cache_clear(cache);
    destroy(cache, cache->shard_count);
    return 0;
}
