/* SPDX-License-Identifier: Apache-2.0 */
/* Which method of eviction? The candidates side by side, on seeded traces; docs/cache.md keeps the tables.
 *
 *     cache_sim           hit ratios in percent: a line a trace, a column a method
 *     cache_sim --time    nanoseconds a request, one thread and no locks: what the method itself costs
 *
 * Objects are numbers and all of one size, so that the method is all that differs. Each method is its paper's
 * description with its paper's parameters:
 *   sieve      Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024
 *   s3-fifo    Yang et al., "FIFO Queues are All You Need for Cache Eviction", SOSP 2023: 10 % small, ghosts as main
 *   w-tinylfu  Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM TOS 2017: window
 *              1 %, main a segmented LRU of which 80 % is protected, sample ten times the cache
 *   s3-sieve   S3-FIFO whose main queue is a SIEVE: survivors stay where they are and a hand passes over them
 */
#include "cache_traces.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NONE UINT32_MAX

/* ── queues of objects, by number ───────────────────────────────────────────────────────────────────────────────── */

struct node {
    uint32_t older, newer;
    uint8_t queue; /* 0: in none */
    uint8_t seen;  /* how often it was asked for, up to what the method counts */
};

struct queue {
    uint32_t oldest, newest, count;
};

enum {
    QUEUE_SMALL = 1, /* window, probation's entrance */
    QUEUE_MAIN,
    QUEUE_PROTECTED,
    QUEUE_GHOST,
    QUEUES,
};

#define SKETCH_ROWS 4

struct cache {
    struct node *nodes;
    struct queue queues[QUEUES];
    uint32_t capacity;
    uint32_t hand;
    uint8_t *sketch; /* W-TinyLFU's counts */
    uint32_t sketch_mask, sketch_adds;
};

static void take_out(struct cache *cache, uint32_t object)
{
    struct node *node = &cache->nodes[object];
    struct queue *queue = &cache->queues[node->queue];
    if (node->older == NONE)
        queue->oldest = node->newer;
    else
        cache->nodes[node->older].newer = node->newer;
    if (node->newer == NONE)
        queue->newest = node->older;
    else
        cache->nodes[node->newer].older = node->older;
    queue->count--;
    node->queue = 0;
}

static void put_in(struct cache *cache, uint32_t object, uint8_t which)
{
    struct node *node = &cache->nodes[object];
    struct queue *queue = &cache->queues[which];
    *node = (struct node){.older = queue->newest, .newer = NONE, .queue = which, .seen = node->seen};
    if (queue->newest == NONE)
        queue->oldest = object;
    else
        cache->nodes[queue->newest].newer = object;
    queue->newest = object;
    queue->count++;
}

static void move_to(struct cache *cache, uint32_t object, uint8_t which)
{
    take_out(cache, object);
    put_in(cache, object, which);
}

/* ── methods: each answers one request, and says whether it was a hit ───────────────────────────────────────────── */

static bool ask_lru(struct cache *cache, uint32_t object)
{
    bool hit = cache->nodes[object].queue;
    if (hit) {
        move_to(cache, object, QUEUE_MAIN);
        return true;
    }
    if (cache->queues[QUEUE_MAIN].count == cache->capacity)
        take_out(cache, cache->queues[QUEUE_MAIN].oldest);
    put_in(cache, object, QUEUE_MAIN);
    return false;
}

static void sieve_evict(struct cache *cache)
{
    struct queue *main = &cache->queues[QUEUE_MAIN];
    uint32_t at = cache->hand == NONE ? main->oldest : cache->hand;
    while (cache->nodes[at].seen) {
        cache->nodes[at].seen--;
        at = cache->nodes[at].newer == NONE ? main->oldest : cache->nodes[at].newer;
    }
    cache->hand = cache->nodes[at].newer;
    take_out(cache, at);
}

static bool ask_sieve(struct cache *cache, uint32_t object)
{
    struct node *node = &cache->nodes[object];
    if (node->queue) {
        node->seen = 1;
        return true;
    }
    if (cache->queues[QUEUE_MAIN].count == cache->capacity)
        sieve_evict(cache);
    node->seen = 0;
    put_in(cache, object, QUEUE_MAIN);
    return false;
}

static void fifo_evict(struct cache *cache)
{
    for (;;) {
        uint32_t object = cache->queues[QUEUE_MAIN].oldest;
        if (!cache->nodes[object].seen) {
            take_out(cache, object);
            return;
        }
        cache->nodes[object].seen--;
        move_to(cache, object, QUEUE_MAIN);
    }
}

static void s3_evict(struct cache *cache, void (*evict_main)(struct cache *))
{
    struct queue *small = &cache->queues[QUEUE_SMALL], *ghosts = &cache->queues[QUEUE_GHOST];
    uint32_t small_capacity = cache->capacity / 10;
    while (small->count >= small_capacity && small->count > 0) {
        uint32_t object = small->oldest;
        if (cache->nodes[object].seen > 1) {
            cache->nodes[object].seen = 0;
            move_to(cache, object, QUEUE_MAIN);
            if (cache->queues[QUEUE_MAIN].count > cache->capacity - small_capacity) {
                evict_main(cache);
                return;
            }
            continue;
        }
        cache->nodes[object].seen = 0;
        move_to(cache, object, QUEUE_GHOST);
        if (ghosts->count > cache->capacity - small_capacity)
            take_out(cache, ghosts->oldest);
        return;
    }
    evict_main(cache);
}

static bool ask_s3(struct cache *cache, uint32_t object, void (*evict_main)(struct cache *))
{
    struct node *node = &cache->nodes[object];
    if (node->queue && node->queue != QUEUE_GHOST) {
        if (node->seen < 3)
            node->seen++;
        return true;
    }
    while (cache->queues[QUEUE_SMALL].count + cache->queues[QUEUE_MAIN].count >= cache->capacity)
        s3_evict(cache, evict_main);
    bool ghost = node->queue == QUEUE_GHOST;
    if (ghost)
        take_out(cache, object);
    node->seen = 0;
    put_in(cache, object, ghost ? QUEUE_MAIN : QUEUE_SMALL);
    return false;
}

static bool ask_s3_fifo(struct cache *cache, uint32_t object)
{
    return ask_s3(cache, object, fifo_evict);
}

static bool ask_s3_sieve(struct cache *cache, uint32_t object)
{
    return ask_s3(cache, object, sieve_evict);
}

static uint8_t *sketch_at(struct cache *cache, uint32_t object, unsigned row)
{
    uint64_t hash = (object + row * UINT64_C(0x632be59bd9b4e019) + 1) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    return &cache->sketch[row * (cache->sketch_mask + UINT64_C(1)) + ((hash >> 32) & cache->sketch_mask)];
}

static unsigned estimate(struct cache *cache, uint32_t object)
{
    unsigned least = UINT8_MAX;
    for (unsigned row = 0; row < SKETCH_ROWS; row++) {
        unsigned count = *sketch_at(cache, object, row);
        least = count < least ? count : least;
    }
    return least;
}

static void sketch_add(struct cache *cache, uint32_t object)
{
    unsigned least = estimate(cache, object);
    for (unsigned row = 0; row < SKETCH_ROWS && least < 15; row++) {
        uint8_t *count = sketch_at(cache, object, row);
        if (*count == least)
            ++*count;
    }
    if (++cache->sketch_adds < 10 * cache->capacity)
        return;
    for (size_t i = 0; i < SKETCH_ROWS * (cache->sketch_mask + (size_t)1); i++)
        cache->sketch[i] /= 2;
    cache->sketch_adds /= 2;
}

static bool ask_w_tinylfu(struct cache *cache, uint32_t object)
{
    struct node *node = &cache->nodes[object];
    uint32_t window = cache->capacity / 100 ? cache->capacity / 100 : 1, main = cache->capacity - window;
    sketch_add(cache, object);
    if (node->queue == QUEUE_MAIN) {
        move_to(cache, object, QUEUE_PROTECTED);
        if (cache->queues[QUEUE_PROTECTED].count > main / 5 * 4)
            move_to(cache, cache->queues[QUEUE_PROTECTED].oldest, QUEUE_MAIN);
        return true;
    }
    if (node->queue) {
        move_to(cache, object, node->queue);
        return true;
    }
    put_in(cache, object, QUEUE_SMALL);
    if (cache->queues[QUEUE_SMALL].count <= window)
        return false;
    uint32_t candidate = cache->queues[QUEUE_SMALL].oldest, victim = cache->queues[QUEUE_MAIN].oldest;
    if (cache->queues[QUEUE_MAIN].count + cache->queues[QUEUE_PROTECTED].count < main) {
        move_to(cache, candidate, QUEUE_MAIN);
    } else if (estimate(cache, candidate) > estimate(cache, victim)) {
        take_out(cache, victim);
        move_to(cache, candidate, QUEUE_MAIN);
    } else {
        take_out(cache, candidate);
    }
    return false;
}

static const struct method {
    const char *name;
    bool (*ask)(struct cache *cache, uint32_t object);
} methods[] = {
    {"lru", ask_lru},           {"sieve", ask_sieve}, {"s3-fifo", ask_s3_fifo}, {"w-tinylfu", ask_w_tinylfu},
    {"s3-sieve", ask_s3_sieve},
};

#define METHODS (sizeof methods / sizeof *methods)

/* ── a run ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void *must(void *block)
{
    if (!block) {
        fputs("cache_sim: no memory\n", stderr);
        exit(1);
    }
    return block;
}

struct outcome {
    double hit_ratio, request_ns;
};

static struct outcome run(const struct method *method, const uint32_t *trace, uint32_t capacity)
{
    struct cache cache = {.capacity = capacity, .hand = NONE, .sketch_mask = 1};
    cache.nodes = must(calloc(TRACE_OBJECTS_MAX, sizeof *cache.nodes));
    for (unsigned i = 0; i < QUEUES; i++)
        cache.queues[i] = (struct queue){.oldest = NONE, .newest = NONE};
    while (cache.sketch_mask < 4 * capacity)
        cache.sketch_mask = cache.sketch_mask * 2 + 1;
    cache.sketch = must(calloc(SKETCH_ROWS, cache.sketch_mask + (size_t)1));
    uint64_t hits = 0;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (uint32_t i = 0; i < TRACE_REQUESTS; i++)
        hits += method->ask(&cache, trace[i]);
    clock_gettime(CLOCK_MONOTONIC, &end);
    free(cache.nodes);
    free(cache.sketch);
    double taken_ns = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
    return (struct outcome){(double)hits / TRACE_REQUESTS, taken_ns / TRACE_REQUESTS};
}

int main(int argc, char **argv)
{
    bool time = argc == 2 && strcmp(argv[1], "--time") == 0;
    static const uint32_t capacities[] = {2000, 20000};
    uint32_t *trace = must(malloc(TRACE_REQUESTS * sizeof *trace));
    printf("| trace | objects kept |");
    for (size_t m = 0; m < METHODS; m++)
        printf(" %s |", methods[m].name);
    printf("\n| --- | ---: |");
    for (size_t m = 0; m < METHODS; m++)
        printf(" ---: |");
    putchar('\n');
    for (size_t t = 0; t < trace_count; t++) {
        trace_make(&traces[t], trace);
        for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
            printf("| %s | %u |", traces[t].name, capacities[c]);
            for (size_t m = 0; m < METHODS; m++) {
                struct outcome outcome = run(&methods[m], trace, capacities[c]);
                printf(" %.1f |", time ? outcome.request_ns : outcome.hit_ratio * 100);
            }
            putchar('\n');
        }
    }
    free(trace);
    return 0;
}
