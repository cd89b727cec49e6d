/* SPDX-License-Identifier: Apache-2.0 */
/* Charged blocks of hr_alloc(): of 64 bytes, of 16 sizes in turn, and of 16 KiB that are filled. Beside them the same
 * from glibc and from the allocators that are installed, which charge nobody.
 */
#include "bench.h"
#include "heaps.h"
#include "ring.h"

#include <headroom/headroom.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 64u
#define BATCH 100u
#define PAGES 16384u

/* ── loops ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void our_pair(void *context, unsigned thread, uint64_t count)
{
    hr_budget *budget = context;
    bool failed = false;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        void *block = hr_alloc(budget, BLOCK);
        failed |= !block;
        bench_keep(block);
        hr_free(block);
    }
    bench_require(!failed, "hr_alloc");
}

static void heap_pair(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    bool failed = false;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        void *block = heap.allocate(BLOCK);
        failed |= !block;
        bench_keep(block);
        heap.release(block);
    }
    bench_require(!failed, heap.name);
}

/* 16 sizes in turn, so that no size finds its own block on top each time. */
static const size_t sizes[] = {16, 200, 48, 1000, 96, 24, 512, 72, 320, 160, 40, 800, 64, 128, 250, 32};
#define SIZES (sizeof sizes / sizeof *sizes)

static void our_sizes(void *context, unsigned thread, uint64_t count)
{
    hr_budget *budget = context;
    bool failed = false;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        void *block = hr_alloc(budget, sizes[i % SIZES]);
        failed |= !block;
        bench_keep(block);
        hr_free(block);
    }
    bench_require(!failed, "hr_alloc");
}

static void heap_sizes(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    bool failed = false;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        void *block = heap.allocate(sizes[i % SIZES]);
        failed |= !block;
        bench_keep(block);
        heap.release(block);
    }
    bench_require(!failed, heap.name);
}

/* 100 blocks taken, then given back; `count` counts blocks. */
static void our_batch(void *context, unsigned thread, uint64_t count)
{
    hr_budget *budget = context;
    void *blocks[BATCH];
    bool failed = false;
    (void)thread;
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            failed |= !(blocks[i] = hr_alloc(budget, BLOCK));
        bench_keep(blocks);
        for (unsigned i = 0; i < BATCH; i++)
            hr_free(blocks[i]);
    }
    bench_require(!failed, "hr_alloc");
}

static void heap_batch(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    void *blocks[BATCH];
    bool failed = false;
    (void)thread;
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            failed |= !(blocks[i] = heap.allocate(BLOCK));
        bench_keep(blocks);
        for (unsigned i = 0; i < BATCH; i++)
            heap.release(blocks[i]);
    }
    bench_require(!failed, heap.name);
}

static bench_ring ring;

/* The first thread takes, the second gives back. A NULL is handed on too, or the other side would wait for ever. */
static void our_hand_off(void *context, unsigned thread, uint64_t count)
{
    bool failed = false;
    for (uint64_t i = 0; i < count; i++) {
        if (thread == 0) {
            void *block = hr_alloc(context, BLOCK);
            failed |= !block;
            bench_ring_put(&ring, block);
        } else {
            hr_free(bench_ring_take(&ring));
        }
    }
    if (thread == 0)
        bench_ring_flush(&ring);
    bench_require(!failed, "hr_alloc");
}

static void heap_hand_off(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    bool failed = false;
    for (uint64_t i = 0; i < count; i++) {
        if (thread == 0) {
            void *block = heap.allocate(BLOCK);
            failed |= !block;
            bench_ring_put(&ring, block);
        } else {
            heap.release(bench_ring_take(&ring));
        }
    }
    if (thread == 0)
        bench_ring_flush(&ring);
    bench_require(!failed, heap.name);
}

/* Blocks of whole pages, with all that their user does to them. */
static void our_filled(void *context, unsigned thread, uint64_t count)
{
    bool failed = false;
    (void)thread;
    for (uint64_t i = 0; i < count && !failed; i++) {
        void *block = hr_alloc(context, PAGES);
        failed = !block;
        if (block)
            memset(block, (int)i, PAGES);
        bench_keep(block);
        hr_free(block);
    }
    bench_require(!failed, "hr_alloc");
}

static void heap_filled(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    bool failed = false;
    (void)thread;
    for (uint64_t i = 0; i < count && !failed; i++) {
        void *block = heap.allocate(PAGES);
        failed = !block;
        if (block)
            memset(block, (int)i, PAGES);
        bench_keep(block);
        heap.release(block);
    }
    bench_require(!failed, heap.name);
}

/* ── groups ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static bench_group group_of(const char *name, unsigned threads, bench_loop *ours, bench_loop *theirs, hr_budget *budget)
{
    bench_group group = {.name = name, .threads = threads, .cases = {{NULL, ours, NULL, budget}}};
    bench_heap *heaps;
    size_t count = bench_heaps(&heaps);
    for (size_t i = 0; i < count && i + 1 < BENCH_CASES_MAX; i++)
        group.cases[i + 1] = (bench_case){heaps[i].name, theirs, NULL, &heaps[i]};
    return group;
}

int main(int argc, char **argv)
{
    hr_guard *guard = NULL;
    hr_budget *budget = NULL;
    hr_guard_options options = {.limit_bytes = 1u << 30, .interval_ns = -1, .purge_interval_ns = -1};
    bench_require(hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    bench_require(hr_budget_new(hr_guard_root(guard), "cache", HR_NONE, &budget) == 0, "hr_budget_new");
    const bench_group groups[] = {
        group_of("alloc_pair_64", 1, our_pair, heap_pair, budget),
        group_of("alloc_sizes_pair", 1, our_sizes, heap_sizes, budget),
        group_of("alloc_batch_100", 1, our_batch, heap_batch, budget),
        group_of("alloc_pair_2_threads", 2, our_pair, heap_pair, budget),
        group_of("alloc_sizes_pair_2_threads", 2, our_sizes, heap_sizes, budget),
        group_of("alloc_hand_off", 2, our_hand_off, heap_hand_off, budget),
        group_of("alloc_filled_16k", 1, our_filled, heap_filled, budget),
    };
    int status = bench_main(argc, argv, groups, sizeof groups / sizeof groups[0]);
    bench_require(hr_budget_free(budget) == 0, "giving everything back");
    hr_guard_free(guard);
    return status;
}
