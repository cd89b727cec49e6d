/* SPDX-License-Identifier: Apache-2.0 */
/* The heap alone, not charged, beside glibc and the allocators that are installed: what hr_alloc() stands on. */
#include "bench.h"
#include "heaps.h"
#include "ring.h"

#include "heap/heap.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 64u
#define BATCH 100u
#define PAGES 16384u
#define LARGE (1u << 20)

/* ── calls
 * ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static __attribute__((noinline)) void *get(size_t size)
{
    return hri_heap_get(size, 1);
}

static __attribute__((noinline)) void put(void *block)
{
    hri_heap_block was;
    hri_heap_put(block, &was);
}

static const bench_heap own = {.name = "headroom", .allocate = get, .release = put};

/* 16 sizes in turn, none of which two allocators round alike. */
static const unsigned short sizes[16] = {8, 24, 56, 64, 100, 128, 200, 256, 300, 400, 512, 700, 1000, 1024, 1500, 2048};

/* ── loops
 * ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void pair(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        void *block = heap.allocate(BLOCK);
        bench_keep(block);
        heap.release(block);
    }
}

static void sizes_pair(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        void *block = heap.allocate(sizes[i % 16]);
        bench_keep(block);
        heap.release(block);
    }
}

static void batch(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    void *blocks[BATCH];
    (void)thread;
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            blocks[i] = heap.allocate(BLOCK);
        bench_keep(blocks);
        for (unsigned i = 0; i < BATCH; i++)
            heap.release(blocks[i]);
    }
}

static bench_ring ring;

/* The first thread takes, the second gives back. */
static void hand_off(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    for (uint64_t i = 0; i < count; i++) {
        if (thread == 0)
            bench_ring_put(&ring, heap.allocate(BLOCK));
        else
            heap.release(bench_ring_take(&ring));
    }
    if (thread == 0)
        bench_ring_flush(&ring);
}

static void filled(const bench_heap *heap, size_t size, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        void *block = heap->allocate(size);
        bench_require(block != NULL, heap->name);
        memset(block, (int)i, size);
        bench_keep(block);
        heap->release(block);
    }
}

static void filled_pages(void *context, unsigned thread, uint64_t count)
{
    (void)thread;
    filled(context, PAGES, count);
}

static void filled_large(void *context, unsigned thread, uint64_t count)
{
    (void)thread;
    filled(context, LARGE, count);
}

/* ── groups
 * ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static bench_group group_of(const char *name, unsigned threads, bench_loop *loop)
{
    bench_group group = {.name = name, .threads = threads, .cases = {{NULL, loop, NULL, (void *)(uintptr_t)&own}}};
    bench_heap *heaps;
    size_t count = bench_heaps(&heaps);
    for (size_t i = 0; i < count && i + 1 < BENCH_CASES_MAX; i++)
        group.cases[i + 1] = (bench_case){heaps[i].name, loop, NULL, &heaps[i]};
    return group;
}

int main(int argc, char **argv)
{
    bench_require(get(1) != NULL, "a first block");
    const bench_group groups[] = {
        group_of("heap_pair_64", 1, pair),           group_of("heap_pair_16_sizes", 1, sizes_pair),
        group_of("heap_pair_2_threads", 2, pair),    group_of("heap_batch_100", 1, batch),
        group_of("heap_hand_off", 2, hand_off),      group_of("heap_filled_16k", 1, filled_pages),
        group_of("heap_filled_1m", 1, filled_large),
    };
    return bench_main(argc, argv, groups, sizeof groups / sizeof groups[0]);
}
