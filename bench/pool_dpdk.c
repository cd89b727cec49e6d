/* SPDX-License-Identifier: Apache-2.0 */
/* DPDK's rte_mempool as a peer: pool_dpdk PATTERN prints the nanoseconds for one block. It is a program of its own:
 * DPDK starts its own threads, each tied to a processor, and takes its memory when it starts. It runs here without huge
 * pages, and without any device. Its pools are filled before. Each thread's cache and the ring behind it are measured.
 */
#include "ring.h"

#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIZE 64
#define BATCH 100
#define BLOCKS 8191
#define CACHED 512
#define COUNT 3000000u

static struct rte_mempool *pool;
static bench_ring ring;

static void *take(void)
{
    void *block = NULL;
    if (rte_mempool_get(pool, &block) != 0)
        abort(); /* more are out than a pattern ever takes */
    __asm__ volatile("" : : "r"(block) : "memory");
    return block;
}

static void give(void *block)
{
    rte_mempool_put(pool, block);
}

/* ── patterns: what each of the threads does ────────────────────────────────────────────────────────────────────── */

static void pair(unsigned thread, unsigned count)
{
    (void)thread;
    for (unsigned i = 0; i < count; i++)
        give(take());
}

static void batch(unsigned thread, unsigned count)
{
    void *blocks[BATCH];
    (void)thread;
    for (unsigned done = 0; done < count; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            blocks[i] = take();
        for (unsigned i = 0; i < BATCH; i++)
            give(blocks[i]);
    }
}

static void hand_off(unsigned thread, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (thread == 0)
            bench_ring_put(&ring, take());
        else
            give(bench_ring_take(&ring));
    }
    if (thread == 0)
        bench_ring_flush(&ring);
}

static const struct pattern {
    const char *name;
    void (*run)(unsigned thread, unsigned count);
    unsigned threads;
} patterns[] = {{"pair", pair, 1}, {"batch", batch, 1}, {"threads", pair, 2}, {"handoff", hand_off, 2}};

/* ── running them ───────────────────────────────────────────────────────────────────────────────────────────────── */

struct job {
    const struct pattern *pattern;
    unsigned count;
};

static int run_other(void *context)
{
    const struct job *job = context;
    job->pattern->run(1, job->count);
    return 0;
}

static double run(const struct pattern *pattern, unsigned count)
{
    struct job job = {pattern, count};
    struct timespec from, to;
    unsigned other = rte_get_next_lcore((unsigned)-1, 1, 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    if (pattern->threads == 2 && rte_eal_remote_launch(run_other, &job, other) != 0)
        abort();
    pattern->run(0, count);
    if (pattern->threads == 2)
        rte_eal_wait_lcore(other);
    clock_gettime(CLOCK_MONOTONIC, &to);
    return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / count;
}

/* The first two processors that we may use, as DPDK lists them. */
static void name_processors(char *list, size_t size)
{
    cpu_set_t set;
    unsigned found = 0;
    int used = 0;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    for (unsigned i = 0; i < CPU_SETSIZE && found < 2; i++)
        if (CPU_ISSET(i, &set))
            used += snprintf(list + used, size - (size_t)used, found++ ? ",%u" : "%u", i);
}

int main(int argc, char **argv)
{
    char processors[32] = "";
    const struct pattern *pattern = patterns, *end = patterns + sizeof patterns / sizeof patterns[0];
    while (argc == 2 && pattern < end && strcmp(pattern->name, argv[1]) != 0)
        pattern++;
    if (argc != 2 || pattern == end) {
        fprintf(stderr, "usage: pool_dpdk pair|batch|threads|handoff\n");
        return 2;
    }
    name_processors(processors, sizeof processors);
    char *options[] = {argv[0], "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "-m",
                       "64",    "-l",        processors, "--log-level",    "error"};
    if (rte_eal_init(sizeof options / sizeof options[0], options) < 0 || rte_lcore_count() < pattern->threads)
        return 1;
    pool = rte_mempool_create("bench", BLOCKS, SIZE, CACHED, 0, NULL, NULL, NULL, NULL, SOCKET_ID_ANY, 0);
    if (!pool)
        return 1;
    run(pattern, COUNT / 10);
    printf("%.3f\n", run(pattern, COUNT));
    rte_eal_cleanup();
    return 0;
}
