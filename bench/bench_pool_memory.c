/* SPDX-License-Identifier: Apache-2.0 */
/* The cost of pools in memory, beside allocators. Each is measured in a process of its own, by its resident set.
 *
 *     pool_idle_per_thread          what a thread that sleeps keeps from the others: sixteen take a MiB and give it
 *                                   back; how much more is resident once the main thread has taken as much as all?
 *     pool_trim_64_mib              the time of giving 64 MiB of idle blocks back to the kernel, and what comes of it
 *     pool_trim_64_mib_1_in_64_kept the same where of each MiB one block is in use
 *
 * Allocators are asked by their own purge: malloc_trim(), arenas' purge, mi_collect(), ReleaseFreeMemory().
 */
#include "bench.h"
#include "heaps.h"

#include <headroom/headroom.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define THREADS 16u
#define SMALL_BYTES ((size_t)1024)
#define LARGE_BYTES ((size_t)16384)
#define KEPT 64u

static const bench_heap *heap; /* NULL: a pool of ours */
static hr_byte_pool *pool;

static void *take(size_t size)
{
    void *block = heap ? heap->allocate(size) : hr_byte_pool_get(pool, size);
    bench_require(block != NULL, "a block");
    memset(block, 1, size);
    bench_keep(block);
    return block;
}

static void give(void *block)
{
    if (heap)
        heap->release(block);
    else
        hr_byte_pool_put(pool, block);
}

static void trim(void)
{
    if (heap)
        heap->purge();
    else
        hr_byte_pool_trim(pool);
}

static size_t resident_bytes(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    bench_require(file && fscanf(file, "%lu %lu", &all, &resident) == 2, "/proc/self/statm");
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Makes the pool, where it is a pool's turn. */
static void open_pool(size_t size)
{
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = UINT64_C(1) << 30, .interval_ns = -1, .purge_interval_ns = -1};
    if (heap)
        return;
    bench_require(hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    bench_require(hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = size}, &pool) == 0, "hr_byte_pool_new");
}

/* ── what is measured: each in a process that is thrown away ────────────────────────────────────────────────────── */

static pthread_barrier_t barrier;

static void *take_a_mib_and_sleep(void *unused)
{
    void *blocks[MIB / SMALL_BYTES];
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < MIB / SMALL_BYTES; i++)
        blocks[i] = take(SMALL_BYTES);
    pthread_barrier_wait(&barrier); /* all at once, so that none uses what another gave */
    for (size_t i = 0; i < MIB / SMALL_BYTES; i++)
        give(blocks[i]);
    pthread_barrier_wait(&barrier);
    pause();
    return unused;
}

static double idle_per_thread(void)
{
    static void *blocks[THREADS * MIB / SMALL_BYTES];
    memset(blocks, 1, sizeof blocks);
    open_pool(SMALL_BYTES);
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_t thread;
        bench_require(pthread_create(&thread, NULL, take_a_mib_and_sleep, NULL) == 0, "a thread");
    }
    for (unsigned i = 0; i < 3; i++)
        pthread_barrier_wait(&barrier);
    size_t before = resident_bytes();
    for (size_t i = 0; i < THREADS * MIB / SMALL_BYTES; i++)
        blocks[i] = take(SMALL_BYTES);
    size_t after = resident_bytes();
    return after > before ? (double)(after - before) / THREADS / 1024 : 0;
}

static void leave_64_mib_idle(unsigned kept_one_in)
{
    static void *blocks[64 * MIB / LARGE_BYTES];
    size_t count = sizeof blocks / sizeof blocks[0];
    open_pool(LARGE_BYTES);
    for (size_t i = 0; i < count; i++)
        blocks[i] = take(LARGE_BYTES);
    for (size_t i = 0; i < count; i++)
        if (kept_one_in == 0 || i % kept_one_in != 0)
            give(blocks[i]);
}

static double trim_ms(unsigned kept_one_in)
{
    leave_64_mib_idle(kept_one_in);
    int64_t from = bench_now_ns();
    trim();
    return (double)(bench_now_ns() - from) / 1e6;
}

static double trimmed_mib(unsigned kept_one_in)
{
    leave_64_mib_idle(kept_one_in);
    size_t before = resident_bytes();
    trim();
    size_t after = resident_bytes();
    return before > after ? (double)(before - after) / (double)MIB : 0;
}

static double trim_all_ms(void)
{
    return trim_ms(0);
}

static double trim_all_mib(void)
{
    return trimmed_mib(0);
}

static double trim_around_kept_ms(void)
{
    return trim_ms(KEPT);
}

static double trim_around_kept_mib(void)
{
    return trimmed_mib(KEPT);
}

/* ── groups ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

struct job {
    double (*measure)(void);
    const bench_heap *heap;
};

static double run_in_a_child(void *context)
{
    const struct job *job = context;
    int ends[2];
    double value = 0;
    bench_require(pipe(ends) == 0, "pipe");
    pid_t child = fork();
    if (child == 0) {
        heap = job->heap;
        value = job->measure();
        _exit(write(ends[1], &value, sizeof value) == sizeof value ? 0 : 1);
    }
    close(ends[1]);
    bench_require(child > 0 && read(ends[0], &value, sizeof value) == sizeof value, "the measuring process");
    close(ends[0]);
    waitpid(child, NULL, 0);
    return value;
}

static bench_case case_of(double (*measure)(void), const bench_heap *whose)
{
    struct job *job = malloc(sizeof *job);
    bench_require(job != NULL, "memory");
    *job = (struct job){measure, whose};
    return (bench_case){whose ? whose->name : NULL, NULL, run_in_a_child, job};
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *metric, *unit;
        double (*measure)(void);
    } figures[] = {
        {"pool_idle_per_thread", "memory", "KiB", idle_per_thread},
        {"pool_trim_64_mib", "time", "ms", trim_all_ms},
        {"pool_trim_64_mib", "returned", "MiB", trim_all_mib},
        {"pool_trim_64_mib_1_in_64_kept", "time", "ms", trim_around_kept_ms},
        {"pool_trim_64_mib_1_in_64_kept", "returned", "MiB", trim_around_kept_mib},
    };
    enum {
        COUNT = sizeof figures / sizeof figures[0]
    };
    bench_group groups[COUNT];
    bench_heap *heaps;
    size_t heap_count = bench_heaps(&heaps);
    for (size_t at = 0; at < COUNT; at++) {
        groups[at] = (bench_group){.name = figures[at].name, .metric = figures[at].metric, .unit = figures[at].unit};
        groups[at].cases[0] = case_of(figures[at].measure, NULL);
        for (size_t i = 0; i < heap_count && i + 1 < BENCH_CASES_MAX; i++)
            groups[at].cases[i + 1] = case_of(figures[at].measure, &heaps[i]);
    }
    return bench_main(argc, argv, groups, COUNT);
}
