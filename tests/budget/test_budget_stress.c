/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads at the limit: never one byte over, nothing lost, nothing left. */
#include "support/cmocka.h"

#include <headroom/headroom.h>
#include <stdatomic.h>
#include <pthread.h>
#include <stdlib.h>

#define THREADS 8
#define ROUNDS 20000
#define LIMIT 100000

static hr_guard *guard;
static hr_budget *shared, *leaves[2];
static _Atomic uint64_t truth; /* what is really charged, counted beside each charge */
static _Atomic uint64_t over, granted, refused;

static void *work(void *context)
{
    unsigned seed = (unsigned)(uintptr_t)context;
    hr_budget *budget = leaves[seed % 2];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t bytes = 1 + (uint64_t)rand_r(&seed) % 30000;
        if (i % 3 == 0 ? hr_budget_try_charge(budget, bytes) : hr_budget_charge(budget, bytes)) {
            refused++;
            continue;
        }
        granted++;
        uint64_t now = atomic_fetch_add(&truth, bytes) + bytes;
        if (now > LIMIT)
            over++;
        truth -= bytes;
        hr_budget_uncharge(budget, bytes);
    }
    return NULL;
}

static void threads_at_the_limit_are_exact(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    hr_budget_figures figures;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB}, &guard), 0);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "shared", LIMIT, &shared), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hr_budget_new(shared, "leaf", HR_NONE, &leaves[i]), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(over, 0);
    assert_true(granted > 0);
    assert_int_equal(granted + refused, THREADS * ROUNDS);
    assert_int_equal(hr_budget_read(shared, &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
    assert_true(figures.peak_bytes <= LIMIT);
    assert_int_equal(figures.refused, refused);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hr_budget_free(leaves[i]), 0);
    assert_int_equal(hr_budget_free(shared), 0);
    hr_guard_free(guard);
}

/* The whole guard under threads: levels move, relief runs, tickets come and go, the monitor watches. */
struct cache {
    pthread_mutex_t lock;
    void *blocks[64];
};

static uint64_t evict(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)deadline_ns;
    struct cache *cache = context;
    uint64_t freed = 0;
    for (int i = 0; i < 64 && freed < want_bytes; i++) {
        pthread_mutex_lock(&cache->lock);
        void *block = cache->blocks[i];
        cache->blocks[i] = NULL;
        pthread_mutex_unlock(&cache->lock);
        freed += hr_alloc_size(block);
        hr_free(block);
    }
    return freed;
}

static struct cache cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *serve(void *context)
{
    unsigned seed = (unsigned)(uintptr_t)context;
    for (int i = 0; i < 2000; i++) {
        hr_ticket ticket;
        hr_request request = {.bytes = 1000 + (uint64_t)rand_r(&seed) % (512 * 1024)};
        if (hr_admit(guard, &request, &ticket) != HR_ADMITTED)
            continue;
        void *block = hr_ticket_alloc(&ticket, request.bytes);
        pthread_mutex_lock(&cache.lock);
        void *old = cache.blocks[i % 64];
        cache.blocks[i % 64] = block;
        pthread_mutex_unlock(&cache.lock);
        hr_free(old);
        hr_ticket_release(&ticket);
    }
    return NULL;
}

static void a_whole_guard_under_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 8 * MIB,
                                                      .dwell_ns = 1000000,
                                                      .cleanup_interval_ns = 10000000,
                                                      .reserve_bytes = 65536},
                                  &guard),
                     0);
    hr_reclaimer node = {.name = "cache", .reclaim = evict, .context = &cache};
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, serve, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    hr_reclaimer_remove(guard, &node);
    evict(&cache, UINT64_MAX, 0);
    hr_figures figures;
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.live_bytes + figures.promised_bytes, 0);
    assert_true(figures.peak_bytes <= 8 * MIB);
    assert_int_equal(hr_guard_wait(guard, HR_NORMAL, INT64_C(10000000000)), 0);
    hr_guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_at_the_limit_are_exact),
        cmocka_unit_test(a_whole_guard_under_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
