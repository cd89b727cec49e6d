/* SPDX-License-Identifier: Apache-2.0 */
/* The cache beside what people write themselves: a mutex and an LRU map, both on uthash. Reads alone, reads and writes
 * at the same number of bytes, hit ratios at the same number of bytes, and how fast it gives back.
 */
#include "bench.h"
#include "cache_traces.h"
#include "lru_map.h"

#include <headroom/headroom.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_BYTES 64
#define READ_OBJECTS 100000u
#define KEPT_BYTES (4u << 20) /* some 20,000 entries */
#define RELIEF_BYTES (UINT64_C(64) << 20)
#define LARGE_BYTES 4096

struct key {
    uint64_t number, padding;
};

static uint32_t *requests; /* of the trace at hand */
static hr_guard *guard;
static hr_cache *read_cache, *mixed_cache;
static lru_map *read_map, *mixed_map;

static hr_cache *make_cache(uint64_t max_bytes)
{
    hr_cache *cache;
    hr_cache_options options = {.max_bytes = max_bytes};
    bench_require(hr_cache_new(guard, &options, &cache) == 0, "hr_cache_new");
    return cache;
}

static void put(hr_cache *cache, struct key key)
{
    unsigned char value[VALUE_BYTES] = {0};
    memcpy(value, &key, sizeof key);
    bench_require(hr_cache_put(cache, &key, sizeof key, value, sizeof value, 0) == 0, "hr_cache_put");
}

static void put_map(lru_map *map, struct key key)
{
    unsigned char value[VALUE_BYTES] = {0};
    memcpy(value, &key, sizeof key);
    lru_map_put(map, &key, sizeof key, value, sizeof value);
}

static bool get(hr_cache *cache, struct key key)
{
    hr_cache_ref ref;
    unsigned char value[VALUE_BYTES];
    if (hr_cache_get(cache, &key, sizeof key, &ref) != 0)
        return false;
    memcpy(value, ref.data, sizeof value);
    bench_keep(value);
    hr_cache_release(cache, &ref);
    return true;
}

static bool get_map(lru_map *map, struct key key)
{
    unsigned char value[VALUE_BYTES];
    bool found = lru_map_get(map, &key, sizeof key, value, sizeof value);
    bench_keep(value);
    return found;
}

/* ── reads, and reads with writes ───────────────────────────────────────────────────────────────────────────────── */

static struct key key_at(unsigned thread, uint64_t i)
{
    return (struct key){.number = requests[(thread * (TRACE_REQUESTS / 2) + i) % TRACE_REQUESTS]};
}

static void read_ours(void *context, unsigned thread, uint64_t count)
{
    (void)context;
    bool found = true;
    for (uint64_t i = 0; i < count; i++)
        found &= get(read_cache, key_at(thread, i));
    bench_require(found, "hr_cache_get");
}

static void read_theirs(void *context, unsigned thread, uint64_t count)
{
    (void)context;
    bool found = true;
    for (uint64_t i = 0; i < count; i++)
        found &= get_map(read_map, key_at(thread, i));
    bench_require(found, "lru_map_get");
}

/* The same few keys on all threads, or others on each: if a hit writes no memory that another thread reads, both take
 * the same time. `apart` is how far their keys are apart. */
#define HOT_KEYS 16

static void read_hot(void *apart, unsigned thread, uint64_t count)
{
    bool found = true;
    uint64_t first = *(const uint64_t *)apart * thread;
    for (uint64_t i = 0; i < count; i++)
        found &= get(read_cache, (struct key){.number = first + i % HOT_KEYS});
    bench_require(found, "hr_cache_get");
}

static void read_hot_theirs(void *apart, unsigned thread, uint64_t count)
{
    bool found = true;
    uint64_t first = *(const uint64_t *)apart * thread;
    for (uint64_t i = 0; i < count; i++)
        found &= get_map(read_map, (struct key){.number = first + i % HOT_KEYS});
    bench_require(found, "lru_map_get");
}

static void mix_ours(void *context, unsigned thread, uint64_t count)
{
    (void)context;
    for (uint64_t i = 0; i < count; i++)
        if (!get(mixed_cache, key_at(thread, i)))
            put(mixed_cache, key_at(thread, i));
}

static void mix_theirs(void *context, unsigned thread, uint64_t count)
{
    (void)context;
    for (uint64_t i = 0; i < count; i++)
        if (!get_map(mixed_map, key_at(thread, i)))
            put_map(mixed_map, key_at(thread, i));
}

static void fill(void)
{
    read_cache = make_cache(HR_NONE);
    mixed_cache = make_cache(KEPT_BYTES);
    read_map = lru_map_new(UINT64_MAX);
    mixed_map = lru_map_new(KEPT_BYTES);
    for (uint32_t i = 0; i < READ_OBJECTS; i++) {
        put(read_cache, (struct key){.number = i});
        put_map(read_map, (struct key){.number = i});
    }
}

/* ── hit ratios, in percent ─────────────────────────────────────────────────────────────────────────────────────── */

static double ratio_ours(void *trace)
{
    trace_make(trace, requests);
    hr_cache *cache = make_cache(KEPT_BYTES);
    uint64_t hits = 0;
    for (uint32_t i = 0; i < TRACE_REQUESTS; i++) {
        bool hit = get(cache, (struct key){.number = requests[i]});
        hits += hit;
        if (!hit)
            put(cache, (struct key){.number = requests[i]});
    }
    bench_require(hr_cache_free(cache) == 0, "hr_cache_free");
    return (double)hits * 100 / TRACE_REQUESTS;
}

static double ratio_theirs(void *trace)
{
    trace_make(trace, requests);
    lru_map *map = lru_map_new(KEPT_BYTES);
    uint64_t hits = 0;
    for (uint32_t i = 0; i < TRACE_REQUESTS; i++) {
        bool hit = get_map(map, (struct key){.number = requests[i]});
        hits += hit;
        if (!hit)
            put_map(map, (struct key){.number = requests[i]});
    }
    lru_map_free(map);
    return (double)hits * 100 / TRACE_REQUESTS;
}

/* ── giving back ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* A guard of its own, with a cache of 4 KiB values that has twice as much as is wanted. */
static hr_cache *make_full(uint64_t limit_bytes, int64_t interval_ns, hr_guard **ret_guard)
{
    hr_guard_options options = {.limit_bytes = limit_bytes, .interval_ns = interval_ns, .purge_interval_ns = -1};
    hr_cache *cache;
    static unsigned char value[LARGE_BYTES];
    bench_require(hr_guard_new(&options, ret_guard) == 0, "hr_guard_new");
    bench_require(hr_cache_new(*ret_guard, NULL, &cache) == 0, "hr_cache_new");
    for (uint64_t i = 0; i < 2 * RELIEF_BYTES / LARGE_BYTES; i++)
        bench_require(hr_cache_put(cache, &i, sizeof i, value, sizeof value, 0) == 0, "hr_cache_put");
    return cache;
}

static double relieve_ms(void *context)
{
    (void)context;
    hr_guard *full;
    hr_cache *cache = make_full(UINT64_C(1) << 30, -1, &full);
    int64_t begin_ns = bench_now_ns();
    uint64_t freed = hr_relieve(full, RELIEF_BYTES);
    double taken_ms = (double)(bench_now_ns() - begin_ns) / 1e6;
    bench_require(freed >= RELIEF_BYTES, "hr_relieve");
    hr_cache_free(cache);
    hr_guard_free(full);
    return taken_ms;
}

/* The most that a caller pays whose charge passes degrade_at, while the monitor does the rest. */
static double slice_us(void *context)
{
    (void)context;
    hr_guard *full;
    uint64_t limit = RELIEF_BYTES * 3;
    hr_cache *cache = make_full(limit, INT64_C(1000000000), &full);
    hr_budget_figures figures;
    hr_budget_read(hr_guard_root(full), &figures);
    uint64_t bytes = limit / 100 * 93 - figures.used_bytes;
    int64_t begin_ns = bench_now_ns();
    bench_require(hr_budget_charge(hr_guard_root(full), bytes) == 0, "hr_budget_charge");
    double taken_us = (double)(bench_now_ns() - begin_ns) / 1e3;
    hr_budget_uncharge(hr_guard_root(full), bytes);
    hr_guard_stop(full);
    hr_cache_free(cache);
    hr_guard_free(full);
    return taken_us;
}

#define RATIOS_MAX 16

int main(int argc, char **argv)
{
    static uint64_t together = 0, apart = READ_OBJECTS / 2;
    static bench_group groups[RATIOS_MAX + 8] = {
        {"cache_read", NULL, NULL, 0, 0, {{NULL, read_ours, NULL, NULL}, {"mutex_lru", read_theirs, NULL, NULL}}},
        {"cache_read_2_threads",
         NULL,
         NULL,
         2,
         0,
         {{NULL, read_ours, NULL, NULL}, {"mutex_lru", read_theirs, NULL, NULL}}},
        {"cache_read_hot_2_threads",
         NULL,
         NULL,
         2,
         0,
         {{NULL, read_hot, NULL, &together},
          {"keys_of_their_own", read_hot, NULL, &apart},
          {"mutex_lru", read_hot_theirs, NULL, &together}}},
        {"cache_read_write", NULL, NULL, 0, 0, {{NULL, mix_ours, NULL, NULL}, {"mutex_lru", mix_theirs, NULL, NULL}}},
        {"cache_read_write_2_threads",
         NULL,
         NULL,
         2,
         0,
         {{NULL, mix_ours, NULL, NULL}, {"mutex_lru", mix_theirs, NULL, NULL}}},
        {"cache_relief_64_mib", NULL, "ms", 0, 0, {{NULL, NULL, relieve_ms, NULL}}},
        {"cache_relief_on_a_caller", NULL, "us", 0, 0, {{NULL, NULL, slice_us, NULL}}},
    };
    static char names[RATIOS_MAX][48];
    size_t count = 7;
    for (size_t i = 0; i < trace_count && i < RATIOS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "cache_hits_%s", traces[i].key);
        void *trace = (void *)(uintptr_t)&traces[i];
        groups[count++] = (bench_group){
            names[i], "hit ratio", "%", 0, 1, {{NULL, NULL, ratio_ours, trace}, {"lru", NULL, ratio_theirs, trace}}};
    }
    hr_guard_options options = {.limit_bytes = UINT64_C(4) << 30, .interval_ns = -1};
    requests = malloc(TRACE_REQUESTS * sizeof *requests);
    bench_require(requests && hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    trace_make(&traces[1], requests);
    fill();
    int status = bench_main(argc, argv, groups, count);
    free(requests);
    hr_cache_free(read_cache);
    hr_cache_free(mixed_cache);
    lru_map_free(read_map);
    lru_map_free(mixed_map);
    hr_guard_free(guard);
    return status;
}
