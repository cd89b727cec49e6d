/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the programs of tests/kills: random numbers, memory that no budget knows, and how a run ends.
 *
 * Each program runs in a memory cgroup of its own that tools/cage.c makes. Its exit status says how the run ended. A
 * run that the kernel killed has no exit status: cage reads that from the cgroup.
 */
#ifndef HRT_KILLS_KILLS_H
#define HRT_KILLS_KILLS_H

#include "support/cgroup.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define KIB ((size_t)1 << 10)
#define SECOND INT64_C(1000000000)
#define THREADS_MAX 64

/* The exit status of a program; run.py has the same numbers. */
enum {
    HRT_RIGHT = 0,
    HRT_NO_SET_UP = 3,  /* a call failed that has nothing to do with the test */
    HRT_REFUSED = 10,   /* refused although the bytes were there, or too little was granted */
    HRT_LOCKED_IN = 11, /* the level did not come back, although nothing is held */
    HRT_DEADLOCK = 12,
    HRT_KILLED = 13, /* by the kernel, in a cgroup that the program made itself */
    HRT_WRONG = 14,  /* another answer than the documented one, or corrupt contents */
    HRT_SKIPPED = 77
};

/* Ends the program with `status` and says why. */
static inline void hrt_end(int status, const char *text)
{
    fflush(stdout);
    fprintf(stderr, "%s (errno %d)\n", text, errno);
    _exit(status);
}

#define HRT_MUST(condition)                                                                                            \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            hrt_end(HRT_NO_SET_UP, #condition);                                                                        \
    } while (0)

/* xorshift64*: `state` must not be 0. */
static inline uint64_t hrt_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

/* A number in 0 … n - 1; 0 if n is 0. */
static inline size_t hrt_below(uint64_t *state, uint64_t n)
{
    return n ? (size_t)((hrt_random(state) >> 11) % n) : 0;
}

/* The state of a thread's generator: another sequence for each seed and each number. */
static inline uint64_t hrt_seeded(uint64_t seed, uint64_t number)
{
    uint64_t state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + number * 7919 + 12345;
    for (int i = 0; i < 9; i++)
        hrt_random(&state);
    return state;
}

static inline int64_t hrt_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

/* An argument as a number; `otherwise` if there are not that many arguments. */
static inline long hrt_number(int argc, char **argv, int index, long otherwise)
{
    return index < argc ? atol(argv[index]) : otherwise;
}

/* Maps memory that no budget knows, and touches all of it. NULL for 0 bytes. */
static inline void *hrt_own(size_t bytes)
{
    if (bytes == 0)
        return NULL;
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    HRT_MUST(pages != MAP_FAILED);
    return memset(pages, 1, bytes);
}

/* The group that the program runs in, as cage made it. */
static inline hrt_cgroup hrt_own_group(void)
{
    hrt_cgroup group = {.version = 0};
    const char *path = getenv("HEADROOM_CAGE_PATH");
    const char *version = getenv("HEADROOM_CAGE_VERSION");
    if (!path || !version)
        hrt_end(HRT_NO_SET_UP, "run it by tests/kills/run.py");
    group.version = atoi(version);
    snprintf(group.path, sizeof group.path, "%s", path);
    return group;
}

static inline double hrt_mib(uint64_t bytes)
{
    return (double)bytes / (double)MIB;
}

/* One line of what a guard sees. */
static inline void hrt_show(hr_guard *guard, const char *when)
{
    hr_figures now;
    if (hr_guard_read(guard, &now) != 0)
        return;
    printf("%s: %s, use %.3f of %s, live %.2f, promised %.2f, limit %.1f, rss %.2f, cgroup %.2f, others %.2f, "
           "refusals %" PRIu64 ", purges %" PRIu64 ", faults %" PRIu64 "\n",
           when, hr_level_text(now.level), now.use, now.use_source, hrt_mib(now.live_bytes),
           hrt_mib(now.promised_bytes), hrt_mib(now.limit_bytes), hrt_mib(now.rss_bytes), hrt_mib(now.cgroup_bytes),
           hrt_mib(now.others_bytes), now.refusals, now.purges, now.faults);
    fflush(stdout);
}

/* Makes a guard with default options and a budget "b" below its root. */
static inline hr_guard *hrt_guard(hr_budget **ret_budget)
{
    hr_guard *guard;
    HRT_MUST(hr_guard_new(NULL, &guard) == 0);
    HRT_MUST(hr_budget_new(hr_guard_root(guard), "b", HR_NONE, ret_budget) == 0);
    return guard;
}

/* Starts `count` threads with stacks of 128 KiB; thread i gets the number i. */
static inline void hrt_start(pthread_t *threads, long count, void *(*run)(void *number))
{
    pthread_attr_t attributes;
    HRT_MUST(count <= THREADS_MAX && pthread_attr_init(&attributes) == 0);
    pthread_attr_setstacksize(&attributes, 128 * KIB);
    for (long i = 0; i < count; i++)
        HRT_MUST(pthread_create(&threads[i], &attributes, run, (void *)i) == 0);
    pthread_attr_destroy(&attributes);
}

static inline void hrt_join(const pthread_t *threads, long count)
{
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* Takes touched blocks of `size` until one is refused; gives what was granted. The blocks are never freed. */
static inline size_t hrt_fill(hr_budget *budget, size_t size)
{
    size_t granted = 0;
    char *block;
    while (granted < 64 * KIB * MIB && (block = hr_alloc(budget, size)) != NULL) {
        memset(block, 1, size);
        granted += size;
    }
    return granted;
}

/* The end of a program that granted `granted` bytes where at least `least` were there. */
static inline int hrt_granted(size_t granted, size_t least)
{
    printf("granted %.1f MiB, at least %.1f are right\n", hrt_mib(granted), hrt_mib(least));
    return granted >= least ? HRT_RIGHT : HRT_REFUSED;
}

/* Frees random blocks until `keep` are left. */
static inline void hrt_keep_only(char **slots, size_t *count, size_t keep, uint64_t *state)
{
    while (*count > keep) {
        size_t i = hrt_below(state, *count);
        hr_free(slots[i]);
        slots[i] = slots[--*count];
    }
}

#endif
