/* SPDX-License-Identifier: Apache-2.0 */
/* The cost of a charge, beside what could be done instead: nothing, atomics that all threads share, a mutex.
 *
 * Accounts are called through pointers, so that every one of them is called in the same way and none is inlined. The
 * peers keep one account each, in static memory; they take a budget only so as to look like ours.
 */
#include "bench.h"
#include "heaps.h"
#include "ring.h"

#include <headroom/headroom.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MIB (1024u * 1024)
#define PAGE 4096u
#define LARGE (64u * 1024)
#define LIMIT (1024u * MIB)

struct account {
    int (*charge)(hr_budget *budget, uint64_t bytes);
    void (*uncharge)(hr_budget *budget, uint64_t bytes);
    hr_budget *budget;
    uint64_t bytes;
};

/* ── peers ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int empty_charge(hr_budget *budget, uint64_t bytes)
{
    (void)budget;
    (void)bytes;
    return 0;
}

static void empty_uncharge(hr_budget *budget, uint64_t bytes)
{
    (void)budget;
    (void)bytes;
}

/* A cache line and its neighbour, which is fetched with it, for each level. */
static struct {
    _Alignas(128) _Atomic uint64_t used;
} shared[3];

static int atomics_charge(unsigned levels, uint64_t bytes)
{
    for (unsigned i = 0; i < levels; i++) {
        if (atomic_fetch_add_explicit(&shared[i].used, bytes, memory_order_relaxed) + bytes <= LIMIT)
            continue;
        for (unsigned at = 0; at <= i; at++)
            atomic_fetch_sub_explicit(&shared[at].used, bytes, memory_order_relaxed);
        return -EDQUOT;
    }
    return 0;
}

static void atomics_uncharge(unsigned levels, uint64_t bytes)
{
    for (unsigned i = 0; i < levels; i++)
        atomic_fetch_sub_explicit(&shared[i].used, bytes, memory_order_relaxed);
}

static int atomic_charge(hr_budget *budget, uint64_t bytes)
{
    (void)budget;
    return atomics_charge(1, bytes);
}

static void atomic_uncharge(hr_budget *budget, uint64_t bytes)
{
    (void)budget;
    atomics_uncharge(1, bytes);
}

static int atomics_3_charge(hr_budget *budget, uint64_t bytes)
{
    (void)budget;
    return atomics_charge(3, bytes);
}

static void atomics_3_uncharge(hr_budget *budget, uint64_t bytes)
{
    (void)budget;
    atomics_uncharge(3, bytes);
}

static struct {
    _Alignas(128) pthread_mutex_t lock;
    uint64_t used;
} guarded = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int mutex_charge(hr_budget *budget, uint64_t bytes)
{
    (void)budget;
    pthread_mutex_lock(&guarded.lock);
    bool fits = bytes <= LIMIT - guarded.used;
    if (fits)
        guarded.used += bytes;
    pthread_mutex_unlock(&guarded.lock);
    return fits ? 0 : -EDQUOT;
}

static void mutex_uncharge(hr_budget *budget, uint64_t bytes)
{
    (void)budget;
    pthread_mutex_lock(&guarded.lock);
    guarded.used -= bytes;
    pthread_mutex_unlock(&guarded.lock);
}

/* ── loops ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void pair_loop(void *context, unsigned thread, uint64_t count)
{
    const struct account account = *(const struct account *)context;
    int failed = 0;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        failed |= account.charge(account.budget, account.bytes);
        account.uncharge(account.budget, account.bytes);
    }
    bench_require(!failed, "a charge");
}

/* 100 charges, then 100 uncharges; `count` counts pairs. */
static void batch_loop(void *context, unsigned thread, uint64_t count)
{
    const struct account account = *(const struct account *)context;
    int failed = 0;
    (void)thread;
    for (uint64_t done = 0; done < count; done += 100) {
        for (unsigned i = 0; i < 100; i++)
            failed |= account.charge(account.budget, account.bytes);
        for (unsigned i = 0; i < 100; i++)
            account.uncharge(account.budget, account.bytes);
    }
    bench_require(!failed, "a charge");
}

static bench_ring ring;

/* The first thread charges, the second uncharges. */
static void hand_off_loop(void *context, unsigned thread, uint64_t count)
{
    const struct account account = *(const struct account *)context;
    int failed = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (thread == 0) {
            failed |= account.charge(account.budget, account.bytes);
            bench_ring_put(&ring, context);
        } else {
            bench_keep(bench_ring_take(&ring));
            account.uncharge(account.budget, account.bytes);
        }
    }
    if (thread == 0)
        bench_ring_flush(&ring);
    bench_require(!failed, "a charge");
}

static void malloc_loop(void *context, unsigned thread, uint64_t count)
{
    const bench_heap heap = *(const bench_heap *)context;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        void *block = heap.allocate(64);
        bench_keep(block);
        heap.release(block);
    }
}

/* A budget for one request: made, charged once, freed. */
static void request_loop(void *context, unsigned thread, uint64_t count)
{
    int failed = 0;
    hr_budget *parent = ((const struct account *)context)->budget;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        hr_budget *request = NULL;
        failed |= hr_budget_new(parent, "request", HR_NONE, &request);
        failed |= hr_budget_charge(request, PAGE);
        hr_budget_uncharge(request, PAGE);
        failed |= hr_budget_free(request);
    }
    bench_require(!failed, "a budget for a request");
}

/* ── refusals ───────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The budget is full, and stays so. */
static void refusal_loop(void *context, unsigned thread, uint64_t count)
{
    const struct account account = *(const struct account *)context;
    uint64_t refused = 0;
    (void)thread;
    for (uint64_t i = 0; i < count; i++)
        refused += account.charge(account.budget, account.bytes) == -EDQUOT;
    bench_require(refused == count, "a refusal");
}

static void refusal_repeated_loop(void *context, unsigned thread, uint64_t count)
{
    const struct account *account = context;
    bench_require(hr_budget_charge(account->budget, MIB) == 0, "filling a budget");
    refusal_loop(context, thread, count);
    hr_budget_uncharge(account->budget, MIB);
}

struct crowd {
    hr_budget *budget;
    _Atomic bool stop;
};

static void *charge_until_stopped(void *context)
{
    struct crowd *crowd = context;
    while (!atomic_load_explicit(&crowd->stop, memory_order_relaxed))
        if (hr_budget_charge(crowd->budget, PAGE) == 0)
            hr_budget_uncharge(crowd->budget, PAGE);
    return NULL;
}

/* Asks for all of a limit while another thread works under it: whatever that thread has in hand must be found first.
 * Between two refusals it has time to take things in hand again. Microseconds, the median of 200. */
static double first_refusal(void *context)
{
    enum {
        TIMES = 200
    };
    struct crowd crowd = {.budget = ((struct account *)context)->budget};
    double taken_us[TIMES];
    pthread_t thread;
    bench_require(hr_budget_charge(crowd.budget, PAGE) == 0, "a charge");
    bench_require(pthread_create(&thread, NULL, charge_until_stopped, &crowd) == 0, "pthread_create");
    for (unsigned i = 0; i < TIMES; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000}, NULL);
        int64_t begin_ns = bench_now_ns();
        int error = hr_budget_charge(crowd.budget, MIB);
        taken_us[i] = (double)(bench_now_ns() - begin_ns) / 1e3;
        bench_require(error == -EDQUOT, "a refusal");
    }
    atomic_store_explicit(&crowd.stop, true, memory_order_relaxed);
    pthread_join(thread, NULL);
    hr_budget_uncharge(crowd.budget, PAGE);
    return bench_median(taken_us, TIMES);
}

/* ── groups ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static struct account root = {hr_budget_charge, hr_budget_uncharge, NULL, PAGE};
static struct account service = {hr_budget_charge, hr_budget_uncharge, NULL, PAGE};
static struct account leaf = {hr_budget_charge, hr_budget_uncharge, NULL, PAGE};
static struct account leaf_large = {hr_budget_charge, hr_budget_uncharge, NULL, LARGE};
static struct account near_limit = {hr_budget_charge, hr_budget_uncharge, NULL, PAGE};
static struct account small = {hr_budget_charge, hr_budget_uncharge, NULL, PAGE};
static struct account empty = {empty_charge, empty_uncharge, NULL, PAGE};
static struct account atomic = {atomic_charge, atomic_uncharge, NULL, PAGE};
static struct account atomics_3 = {atomics_3_charge, atomics_3_uncharge, NULL, PAGE};
static struct account atomics_3_large = {atomics_3_charge, atomics_3_uncharge, NULL, LARGE};
static struct account atomics_3_too_large = {atomics_3_charge, atomics_3_uncharge, NULL, LIMIT + 1ull};
static struct account mutex = {mutex_charge, mutex_uncharge, NULL, PAGE};
static bench_heap heap = {.name = "glibc", .allocate = malloc, .release = free};

#define EMPTY(loop)                                                                                                    \
    {                                                                                                                  \
        "empty_calls", loop, NULL, &empty                                                                              \
    }
#define ATOMIC(loop)                                                                                                   \
    {                                                                                                                  \
        "atomic", loop, NULL, &atomic                                                                                  \
    }
#define ATOMICS_3(loop)                                                                                                \
    {                                                                                                                  \
        "atomics_3_levels", loop, NULL, &atomics_3                                                                     \
    }
#define MUTEX(loop)                                                                                                    \
    {                                                                                                                  \
        "mutex_counter", loop, NULL, &mutex                                                                            \
    }
#define MALLOC                                                                                                         \
    {                                                                                                                  \
        "malloc_free_64", malloc_loop, NULL, &heap                                                                     \
    }
#define PEERS(loop) EMPTY(loop), ATOMIC(loop), ATOMICS_3(loop), MUTEX(loop)

static const bench_group groups[] = {
    {.name = "budget_pair_1_level", .cases = {{NULL, pair_loop, NULL, &root}, PEERS(pair_loop), MALLOC}},
    {.name = "budget_pair", .cases = {{NULL, pair_loop, NULL, &leaf}, PEERS(pair_loop), MALLOC}},
    {.name = "budget_pair_1_level_2_threads",
     .threads = 2,
     .cases = {{NULL, pair_loop, NULL, &root}, PEERS(pair_loop), MALLOC}},
    {.name = "budget_pair_2_threads",
     .threads = 2,
     .cases = {{NULL, pair_loop, NULL, &leaf}, PEERS(pair_loop), MALLOC}},
    {.name = "budget_pair_near_limit", .cases = {{NULL, pair_loop, NULL, &near_limit}, PEERS(pair_loop)}},
    {.name = "budget_pair_near_limit_2_threads",
     .threads = 2,
     .cases = {{NULL, pair_loop, NULL, &near_limit}, PEERS(pair_loop)}},
    {.name = "budget_batch_100", .cases = {{NULL, batch_loop, NULL, &leaf}, PEERS(batch_loop)}},
    {.name = "budget_hand_off", .threads = 2, .cases = {{NULL, hand_off_loop, NULL, &leaf}, PEERS(hand_off_loop)}},
    {.name = "budget_large_64_kib",
     .cases = {{NULL, pair_loop, NULL, &leaf_large}, {"atomics_3_levels", pair_loop, NULL, &atomics_3_large}}},
    {.name = "budget_per_request", .cases = {{NULL, request_loop, NULL, &service}, MALLOC}},
    {.name = "budget_refusal_first", .unit = "us", .cases = {{NULL, NULL, first_refusal, &small}}},
    {.name = "budget_refusal_repeated",
     .cases = {{NULL, refusal_repeated_loop, NULL, &small},
               {"atomics_3_levels", refusal_loop, NULL, &atomics_3_too_large}}},
};
#define GROUPS (sizeof groups / sizeof groups[0])

int main(int argc, char **argv)
{
    hr_guard *guard = NULL;
    /* No monitor: its wake-ups are measured elsewhere. */
    hr_guard_options options = {.limit_bytes = LIMIT, .interval_ns = -1, .purge_interval_ns = -1};
    bench_require(hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    root.budget = hr_guard_root(guard);
    bench_require(hr_budget_new(root.budget, "service", LIMIT, &service.budget) == 0 &&
                      hr_budget_new(service.budget, "cache", LIMIT, &leaf.budget) == 0 &&
                      hr_budget_new(service.budget, "near", 4 * PAGE, &near_limit.budget) == 0 &&
                      hr_budget_new(service.budget, "small", MIB, &small.budget) == 0,
                  "hr_budget_new");
    leaf_large.budget = leaf.budget;
    if (hr_guard_level(guard) != HR_NORMAL)
        fprintf(stderr, "bench_budget: memory is short here (%s), and charges cost more then\n",
                hr_level_text(hr_guard_level(guard)));
    int status = bench_main(argc, argv, groups, GROUPS);
    bench_require(hr_budget_free(near_limit.budget) == 0 && hr_budget_free(small.budget) == 0 &&
                      hr_budget_free(leaf.budget) == 0 && hr_budget_free(service.budget) == 0,
                  "giving everything back");
    hr_guard_free(guard);
    return status;
}
