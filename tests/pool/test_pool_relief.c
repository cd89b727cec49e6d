/* SPDX-License-Identifier: Apache-2.0 */
/* Pools among others that yield: what a cache lets go of waits in a pool, and is free only when the pool has given it
 * back too. And what the janitor leaves. */
#include "support/cmocka.h"

#include "base/assert.h"
#include "budget/budget.h"
#include "heap/heap.h"

#include <headroom/headroom.h>
#include <stdio.h>
#include <unistd.h>

#define SIZE 16384

static hr_guard *guard;
static hr_budget *budget;
static hr_byte_pool *pool;
static hr_cache *cache;

static void put_back(void *context, const void *data)
{
    (void)context;
    hr_byte_pool_put(pool, (void *)(uintptr_t)data);
}

static hr_pool_figures read_pool(void)
{
    hr_pool_figures figures;
    assert_int_equal(hr_byte_pool_read(pool, &figures), 0);
    return figures;
}

/* The bytes that a buffer costs: more in debug builds. */
static uint64_t cost(void)
{
    hr_pool_figures figures = read_pool();
    return figures.in_use_bytes / figures.in_use;
}

/* Keeps a buffer in the cache; false if there is none. */
static bool keep_one(unsigned number)
{
    char key[16];
    int size = snprintf(key, sizeof key, "%u", number);
    hr_cache_held held = {.data = hr_byte_pool_get(pool, SIZE), .drop = put_back};
    if (!held.data)
        return false;
    held.bytes = cost();
    assert_int_equal(hr_cache_put_held(cache, key, (size_t)size, &held), 0);
    return true;
}

static int set_up(void **state)
{
    (void)state;
    hr_guard_options options = {.limit_bytes = 64 * MIB, .interval_ns = -1, .dwell_ns = -1};
    int error = hr_guard_new(&options, &guard);
    if (!error)
        error = hr_budget_new(hr_guard_root(guard), "kept", HR_NONE, &budget);
    if (!error)
        error = hr_byte_pool_new(guard, &(hr_byte_pool_options){.budget = budget, .size_bytes = SIZE}, &pool);
    if (!error)
        error = hr_cache_new(guard, &(hr_cache_options){.budget = budget, .max_bytes = HR_NONE}, &cache);
    return error;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(hr_cache_free(cache), 0);
    assert_int_equal(hr_byte_pool_free(pool), 0);
    assert_int_equal(hr_budget_free(budget), 0); /* so nothing is held any more */
    hr_guard_free(guard);
    return 0;
}

static uint64_t used(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    return figures.used_bytes;
}

/* Before, pools were asked first and once: what the cache gave back lay in one, charged, and the next round of relief
 * had the cache give as much again. */
static void relief_reaches_what_a_cache_let_go_into_a_pool(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1024; i++)
        assert_true(keep_one(i));
    uint64_t before = used();
    assert_true(hr_relieve(guard, 4 * MIB) >= 4 * MIB);
    assert_true(used() <= before - 4 * MIB + 16384);      /* of what moves the blocks something is left */
    assert_true(used() >= before - 4 * MIB - 4 * cost()); /* and not more than was wanted */
    assert_true(read_pool().idle_bytes <= 4 * cost());
}

static void a_pools_charge_evicts_what_the_pool_then_hands_out(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_set_limit(budget, 8 * MIB), 0);
    for (unsigned i = 0; i < 4096; i++)
        assert_true(keep_one(i));
    hr_cache_figures figures;
    hr_cache_read(cache, &figures);
    assert_true(figures.bytes >= 7 * MIB); /* the cache stays as large as the limit lets it be */
    assert_true(used() <= 8 * MIB);
}

static void use_many_and_put_them_back(void)
{
    static void *blocks[1000];
    for (int i = 0; i < 1000; i++)
        assert_non_null(blocks[i] = hr_byte_pool_get(pool, SIZE));
    for (int i = 0; i < 1000; i++)
        hr_byte_pool_put(pool, blocks[i]);
}

/* Blocks that were taken and put since its last visit are the working set, even if figures are read before it, and if
 * there are no magazines. */
static void the_janitor_leaves_what_was_needed(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        use_many_and_put_them_back();
        if (round % 2)
            (void)read_pool();
        hr_cleanup(guard);
    }
    assert_int_equal(read_pool().misses, 1000);
    hr_cleanup(guard);
    hr_cleanup(guard);
    assert_int_equal(read_pool().idle, 0); /* since then it was not */
}

/* Of more than was needed only the rest goes. */
static void the_janitor_takes_the_rest(void **state)
{
    (void)state;
    use_many_and_put_them_back();
    hr_cleanup(guard);
    for (int round = 0; round < 3; round++) {
        void *blocks[100];
        (void)read_pool(); /* all are free in regions */
        for (int i = 0; i < 100; i++)
            assert_non_null(blocks[i] = hr_byte_pool_get(pool, SIZE));
        for (int i = 0; i < 100; i++)
            hr_byte_pool_put(pool, blocks[i]);
        hr_cleanup(guard);
    }
    assert_int_equal(read_pool().misses, 1000);
    assert_in_range(read_pool().idle, 100, 200); /* a thread may have some more in hand */
}

/* Before, pools heard of the level only when it rose: what came back later held it up. */
static void what_comes_back_does_not_hold_the_level_up(void **state)
{
    (void)state;
    hr_guard *watched;
    hr_byte_pool *buffers;
    static void *blocks[4096];
    hr_guard_options options = {.limit_bytes = 64 * MIB, .interval_ns = 10000000, .dwell_ns = 10000000};
    options.cleanup_interval_ns = -1;
    assert_int_equal(hr_guard_new(&options, &watched), 0);
    assert_int_equal(hr_byte_pool_new(watched, &(hr_byte_pool_options){.size_bytes = SIZE}, &buffers), 0);
    unsigned count = 0;
    hr_budget_figures figures = {0};
    while (count < 4096 && figures.used_bytes < 53 * MIB) { /* of 64: warning */
        assert_non_null(blocks[count++] = hr_byte_pool_get(buffers, SIZE));
        hr_budget_read(hr_guard_root(watched), &figures);
    }
    assert_int_equal(hr_guard_check(watched), HR_WARNING);
    usleep(50000);
    while (count > 0)
        hr_byte_pool_put(buffers, blocks[--count]);
    for (int i = 0; i < 1000 && hr_guard_level(watched) != HR_NORMAL; i++)
        usleep(10000);
    assert_int_equal(hr_guard_level(watched), HR_NORMAL);
    assert_int_equal(hr_byte_pool_free(buffers), 0);
    hr_guard_free(watched);
}

/* Without a monitor it is told when the level falls. */
static void a_level_that_falls_trims_too(void **state)
{
    (void)state;
    hr_budget *root = hr_guard_root(guard);
    static void *blocks[4096];
    unsigned count = 0;
    for (; used() < 53 * MIB; count++)
        assert_non_null(blocks[count] = hr_byte_pool_get(pool, SIZE));
    assert_int_equal(hr_budget_charge(root, 8 * MIB), 0); /* 61 of 64 */
    assert_true(hr_guard_check(guard) >= HR_DEGRADED);
    while (count > 0)
        hr_byte_pool_put(pool, blocks[--count]);
    hr_budget_uncharge(root, 8 * MIB);
    for (int i = 0; i < 3; i++)
        hr_guard_check(guard);
    assert_int_equal(hr_guard_level(guard), HR_NORMAL);
}

/* A check is a sample where no monitor runs. Before, what waited in pools at warning waited for a fall of the level. */
static void a_check_frees_what_was_not_needed(void **state)
{
    (void)state;
    void *blocks[64];
    for (int i = 0; i < 64; i++)
        assert_non_null(blocks[i] = hr_byte_pool_get(pool, SIZE));
    for (int i = 0; i < 64; i++)
        hr_byte_pool_put(pool, blocks[i]);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 52 * MIB), 0); /* of 64: warning, without the pool too */
    for (int i = 0; i < 3; i++)
        assert_int_equal(hr_guard_check(guard), HR_WARNING);
    assert_true(read_pool().idle < 10); /* not half of them */
    hr_budget_uncharge(hr_guard_root(guard), 52 * MIB);
}

static hri_heap_figures heap(void)
{
    hri_heap_figures figures;
    hri_heap_read(&figures);
    return figures;
}

/* The heap retains nothing of what pools give back: idle pages would count as ours to use again. */
static void what_pools_give_back_is_the_kernels(void **state)
{
    (void)state;
    void *buffers[100];
    hri_heap_figures before = heap(), full, idle;
    for (int i = 0; i < 100; i++)
        assert_non_null(buffers[i] = hr_byte_pool_get(pool, SIZE));
    full = heap();
    assert_true(full.in_use_bytes >= before.in_use_bytes + 100 * SIZE);
    for (int i = 0; i < 100; i++)
        hr_byte_pool_put(pool, buffers[i]);
    idle = heap();
    assert_true(idle.in_use_bytes >= before.in_use_bytes + 100 * SIZE); /* idle is held */
    assert_true(hr_byte_pool_trim(pool) >= 100 * SIZE);
    assert_true(heap().in_use_bytes <= idle.in_use_bytes - 100 * SIZE);
    assert_true(heap().committed_bytes <= idle.committed_bytes - 100 * SIZE);
}

/* Bytes that were charged for a block that could not be made are uncharged. */
static void a_pool_that_is_refused_owes_nothing(void **state)
{
    (void)state;
    hr_budget_figures figures;
    hr_budget *small;
    hr_byte_pool *refused;
    assert_int_equal(hr_budget_new(budget, "small", SIZE / 2, &small), 0);
    hr_byte_pool_options options = {.budget = small, .size_bytes = SIZE};
    assert_int_equal(hr_byte_pool_new(guard, &options, &refused), 0);
    assert_null(hr_byte_pool_get(refused, SIZE));
    assert_int_equal(hr_budget_read(small, &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
    hr_byte_pool_free(refused);
    hr_budget_free(small);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(relief_reaches_what_a_cache_let_go_into_a_pool),
        TEST(a_pools_charge_evicts_what_the_pool_then_hands_out),
        TEST(what_pools_give_back_is_the_kernels),
        TEST(a_pool_that_is_refused_owes_nothing),
        TEST(the_janitor_leaves_what_was_needed),
        TEST(the_janitor_takes_the_rest),
        TEST(what_comes_back_does_not_hold_the_level_up),
        TEST(a_level_that_falls_trims_too),
        TEST(a_check_frees_what_was_not_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
