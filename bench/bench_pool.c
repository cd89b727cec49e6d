/* SPDX-License-Identifier: Apache-2.0 */
/* Pools beside allocators: a block taken and given back, in pairs, in batches, on two threads, from hand to hand; small
 * ones untouched, large ones filled. Ours are charged, may be drained, and are checked as release builds check.
 */
#include "bench.h"
#include "heaps.h"
#include "pool_calls.h"
#include "pool_peers.h"
#include "ring.h"

#include <headroom/headroom.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 100u
#define MIB (1u << 20)
#define SIZES_MIN 64u
#define SIZES_MAX 1087u

/* A case: a size, with the pool or the heap that gives it. */
struct source {
    hr_object_pool *pool;
    hr_byte_pool *sizes; /* for buffers of SIZES_MIN to SIZES_MAX bytes */
    bench_heap heap;
    size_t size;
    bool fill;
};

typedef void *get_fn(const struct source *source);
typedef void put_fn(const struct source *source, void *block);

static inline void *inline_get(const struct source *source)
{
    return hr_object_pool_get(source->pool);
}

static inline void inline_put(const struct source *source, void *block)
{
    hr_object_pool_put(source->pool, block);
}

static inline void *call_get(const struct source *source)
{
    return bench_pool_get(source->pool);
}

static inline void call_put(const struct source *source, void *block)
{
    bench_pool_put(source->pool, block);
}

static inline void *heap_get(const struct source *source)
{
    return source->heap.allocate(source->size);
}

static inline void heap_put(const struct source *source, void *block)
{
    source->heap.release(block);
}

/* Sizes that differ from one to the next. */
static inline size_t next_size(void)
{
    static unsigned at;
    at += 37;
    return SIZES_MIN + at % (SIZES_MAX - SIZES_MIN + 1);
}

static inline void *sizes_get(const struct source *source)
{
    return hr_byte_pool_get(source->sizes, next_size());
}

static inline void sizes_put(const struct source *source, void *block)
{
    hr_byte_pool_put(source->sizes, block);
}

static inline void *heap_sizes_get(const struct source *source)
{
    return source->heap.allocate(next_size());
}

static inline void heap_sizes_put(const struct source *source, void *block)
{
    source->heap.release(block);
}

static inline __attribute__((always_inline)) void touch(const struct source *source, void *block)
{
    if (source->fill && block)
        memset(block, 1, source->size);
    bench_keep(block);
}

/* ── loops, for each way to get and put ─────────────────────────────────────────────────────────────────────────── */

static inline __attribute__((always_inline)) void pair(const struct source *source, uint64_t count, get_fn *get,
                                                       put_fn *put)
{
    const struct source local = *source; /* whose members the loop need not load again */
    void *block = get(&local);
    bench_require(block != NULL, "a block");
    put(&local, block);
    if (local.fill) {
        for (uint64_t i = 0; i < count; i++) {
            block = get(&local);
            touch(&local, block);
            put(&local, block);
        }
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        block = get(&local);
        bench_keep(block);
        put(&local, block);
    }
}

static inline __attribute__((always_inline)) void batch(const struct source *source, uint64_t count, get_fn *get,
                                                        put_fn *put)
{
    void *blocks[BATCH];
    bool failed = false;
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            failed |= !(blocks[i] = get(source));
            touch(source, blocks[i]);
        }
        for (unsigned i = 0; i < BATCH; i++)
            put(source, blocks[i]);
    }
    bench_require(!failed, "a block");
}

static bench_ring ring;

static inline __attribute__((always_inline)) void hand_off(const struct source *source, unsigned thread, uint64_t count,
                                                           get_fn *get, put_fn *put)
{
    bool failed = false;
    for (uint64_t i = 0; i < count; i++) {
        if (thread == 0) {
            void *block = get(source);
            failed |= !block;
            touch(source, block);
            bench_ring_put(&ring, block);
        } else {
            put(source, bench_ring_take(&ring));
        }
    }
    if (thread == 0)
        bench_ring_flush(&ring);
    bench_require(!failed, "a block");
}

#define LOOPS(way)                                                                                                     \
    static void way##_pair(void *context, unsigned thread, uint64_t count)                                             \
    {                                                                                                                  \
        (void)thread;                                                                                                  \
        pair(context, count, way##_get, way##_put);                                                                    \
    }                                                                                                                  \
    static void way##_batch(void *context, unsigned thread, uint64_t count)                                            \
    {                                                                                                                  \
        (void)thread;                                                                                                  \
        batch(context, count, way##_get, way##_put);                                                                   \
    }                                                                                                                  \
    static void way##_hand_off(void *context, unsigned thread, uint64_t count)                                         \
    {                                                                                                                  \
        hand_off(context, thread, count, way##_get, way##_put);                                                        \
    }

/* The rest of the time if getting and putting cost nothing: the ring, the fills. */
static char *floor_blocks;
static unsigned floor_next;

static inline void *floor_get(const struct source *source)
{
    unsigned at = floor_next;
    floor_next = at + 1 == BATCH ? 0 : at + 1;
    return floor_blocks + at * source->size;
}

static inline void floor_put(const struct source *source, void *block)
{
    (void)source;
    bench_keep(block);
}

LOOPS(inline)
LOOPS(call)
LOOPS(heap)
LOOPS(sizes)
LOOPS(heap_sizes)

static void floor_batch(void *context, unsigned thread, uint64_t count)
{
    (void)thread;
    batch(context, count, floor_get, floor_put);
}

static void floor_hand_off(void *context, unsigned thread, uint64_t count)
{
    hand_off(context, thread, count, floor_get, floor_put);
}

/* ── groups ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static hr_guard *guard;

/* A source of this size from a pool, or from the `at`th heap. */
static struct source *source_of(size_t size, const bench_heap *heap)
{
    struct source *source = calloc(1, sizeof *source);
    bench_require(source != NULL, "memory");
    source->size = size;
    source->fill = size >= 65536;
    if (heap)
        source->heap = *heap;
    else
        bench_require(hr_object_pool_new(guard, &(hr_object_pool_options){.size = size}, &source->pool) == 0,
                      "hr_object_pool_new");
    hr_byte_pool_options sizes = {.min_bytes = SIZES_MIN, .max_bytes = SIZES_MAX};
    bench_require(heap || hr_byte_pool_new(guard, &sizes, &source->sizes) == 0, "hr_byte_pool_new");
    return source;
}

static bench_group group_of(const char *name, unsigned threads, bench_loop *ours, bench_loop *theirs, size_t size)
{
    bench_group group = {.name = name, .threads = threads};
    bench_heap *heaps;
    size_t count = bench_heaps(&heaps);
    group.unit = size >= 65536 ? "us" : "ns";
    group.cases[0] = (bench_case){NULL, ours, NULL, source_of(size, NULL)};
    for (size_t i = 0; i < count && i + 1 < BENCH_CASES_MAX; i++)
        group.cases[i + 1] = (bench_case){heaps[i].name, theirs, NULL, source_of(size, &heaps[i])};
    return group;
}

static void add_case(bench_group *group, bench_case peer)
{
    unsigned i = 1;
    while (i < BENCH_CASES_MAX && group->cases[i].name)
        i++;
    bench_require(i < BENCH_CASES_MAX, "room for a peer");
    group->cases[i] = peer;
}

static void add_floor(bench_group *group, bench_loop *loop, size_t size)
{
    struct source *source = calloc(1, sizeof *source);
    bench_require(source != NULL, "memory");
    *source = (struct source){.size = size, .fill = size >= 65536};
    add_case(group, (bench_case){"floor", loop, NULL, source});
}

/* GLib's slices as a heap: they want the size back. */
static void *(*slice_alloc)(size_t size);
static void (*slice_free)(size_t size, void *block);

static void *take_slice(size_t size)
{
    return slice_alloc(size);
}

static void give_slice(void *block)
{
    slice_free(64, block);
}

static void add_slices(bench_group *group, bench_loop *theirs)
{
    static bench_heap slices = {.name = "GSlice", .allocate = take_slice, .release = give_slice};
    void *glib = dlopen("libglib-2.0.so.0", RTLD_NOW | RTLD_LOCAL);
    slice_alloc = glib ? (void *(*)(size_t))dlsym(glib, "g_slice_alloc") : NULL;
    slice_free = glib ? (void (*)(size_t, void *))dlsym(glib, "g_slice_free1") : NULL;
    if (!slice_alloc || !slice_free) {
        bench_missing("GSlice", "libglib2.0-0", "libglib-2.0.so.0 does not load");
        return;
    }
    add_case(group, (bench_case){"GSlice", theirs, NULL, source_of(64, &slices)});
}

/* The peers that are programs of their own, beside the first four groups. */
static void add_programs(bench_group *groups)
{
    static char *const patterns[] = {"pair", "batch", "threads", "handoff"};
    bool go = bench_pool_go(), dpdk = bench_pool_dpdk();
    for (unsigned i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        if (go)
            add_case(&groups[i], (bench_case){"sync.Pool", NULL, bench_pool_go_ns, patterns[i]});
        if (dpdk)
            add_case(&groups[i], (bench_case){"rte_mempool", NULL, bench_pool_dpdk_ns, patterns[i]});
    }
}

int main(int argc, char **argv)
{
    hr_guard_options options = {.limit_bytes = UINT64_C(2) << 30, .interval_ns = -1, .purge_interval_ns = -1};
    bench_require(hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    bench_group groups[] = {
        group_of("pool_inline_pair_64", 1, inline_pair, heap_pair, 64),
        group_of("pool_inline_batch_100_64", 1, inline_batch, heap_batch, 64),
        group_of("pool_inline_pair_64_2_threads", 2, inline_pair, heap_pair, 64),
        group_of("pool_inline_hand_off_64", 2, inline_hand_off, heap_hand_off, 64),
        group_of("pool_call_pair_64", 1, call_pair, heap_pair, 64),
        group_of("pool_call_batch_100_64", 1, call_batch, heap_batch, 64),
        group_of("pool_call_hand_off_64", 2, call_hand_off, heap_hand_off, 64),
        group_of("pool_inline_pair_1024", 1, inline_pair, heap_pair, 1024),
        group_of("pool_filled_64_kib", 1, inline_batch, heap_batch, 65536),
        group_of("pool_filled_1_mib", 1, inline_batch, heap_batch, MIB),
        group_of("pool_sizes_pair", 1, sizes_pair, heap_sizes_pair, 64),
        group_of("pool_sizes_batch_100", 1, sizes_batch, heap_sizes_batch, 64),
        group_of("pool_sizes_hand_off", 2, sizes_hand_off, heap_sizes_hand_off, 64),
        group_of("pool_hand_off_1_mib", 2, inline_hand_off, heap_hand_off, MIB),
    };
    add_slices(&groups[0], heap_pair);
    add_slices(&groups[1], heap_batch);
    static bench_heap empty_calls = {.allocate = bench_empty_allocate, .release = bench_empty_release};
    add_case(&groups[4], (bench_case){"empty_calls", heap_pair, NULL, source_of(64, &empty_calls)});
    floor_blocks = malloc((size_t)BATCH * MIB);
    bench_require(floor_blocks != NULL, "memory");
    add_floor(&groups[3], floor_hand_off, 64);
    add_floor(&groups[8], floor_batch, 65536);
    add_floor(&groups[9], floor_batch, MIB);
    bool counting = argc > 1 && strcmp(argv[1], "--loop") == 0;
    if (!counting)
        add_programs(groups);
    return bench_main(argc, argv, groups, sizeof groups / sizeof groups[0]);
}
