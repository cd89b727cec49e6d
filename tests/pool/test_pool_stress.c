/* SPDX-License-Identifier: Apache-2.0 */
/* Pools under threads: no block in two hands, nothing lost, sleeping threads' magazines are found, forks go well. */
#include "pool/magazine.h"
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 256

static hr_guard *guard;
static hr_byte_pool *pool;
static atomic_bool stop;
static atomic_uint_fast64_t clashes;
static atomic_uint_fast64_t gets;

static int set_up(void **state)
{
    (void)state;
    stop = false;
    clashes = 0;
    gets = 0;
    int error = hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard);
    return error ? error : hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = SIZE}, &pool);
}

static int tear_down(void **state)
{
    (void)state;
    hr_pool_figures figures;
    hr_figures guards;
    hr_byte_pool_read(pool, &figures);
    assert_int_equal(figures.in_use, 0);
    assert_int_equal(clashes, 0);
    assert_int_equal(hr_byte_pool_free(pool), 0);
    hr_guard_read(guard, &guards);
    assert_int_equal(guards.live_bytes, 0);
    assert_int_equal(guards.faults, 0);
    hr_guard_free(guard);
    return 0;
}

/* A thread that has a block writes its number into it, and finds it there until it puts the block back. */
static void take_hold(uint64_t *block, uint64_t owner)
{
    block[0] = owner;
    block[SIZE / 8 - 1] = owner;
}

static void let_go(uint64_t *block, uint64_t owner)
{
    if (block[0] != owner || block[SIZE / 8 - 1] != owner)
        clashes++;
    hr_byte_pool_put(pool, block);
}

static void *churn(void *context)
{
    uint64_t owner = (uint64_t)(uintptr_t)context, *held[150], taken = 0;
    unsigned count = 0, random = (unsigned)owner;
    while (!stop) {
        unsigned goal = (unsigned)rand_r(&random) % 150;
        for (; count < goal && (held[count] = hr_byte_pool_get(pool, SIZE)) != NULL; taken++)
            take_hold(held[count++], owner);
        while (count > goal)
            let_go(held[--count], owner);
    }
    while (count > 0)
        let_go(held[--count], owner);
    gets += taken;
    return NULL;
}

static void no_block_is_in_two_hands(void **state)
{
    (void)state;
    static const unsigned counts[] = {2, 8, 64};
    pthread_t threads[64];
    for (int k = 0; k < 3; k++) {
        stop = false;
        for (uintptr_t i = 0; i < counts[k]; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
        for (int i = 0; i < 200; i++) {
            if (i % 3 == 0)
                hr_byte_pool_trim(pool);
            else if (i % 3 == 1)
                hr_cleanup(guard);
            else
                hr_relieve(guard, 100000);
            usleep(500);
        }
        stop = true;
        for (unsigned i = 0; i < counts[k]; i++)
            pthread_join(threads[i], NULL);
        hr_pool_figures figures; /* each block that was had is counted, by whomever */
        hr_byte_pool_read(pool, &figures);
        assert_int_equal(figures.hits + figures.misses, gets);
    }
}

/* Buffers of many sizes that pass from thread to thread: each says how large it is, at both ends, until somebody puts
 * it. */
#define MIXED_MAX 6000u
#define PLACES 512u
static hr_byte_pool *mixed;
static _Atomic(uint32_t *) places[PLACES];

static uint32_t *get_mixed(uint32_t bytes)
{
    uint32_t *buffer = hr_byte_pool_get(mixed, bytes);
    if (!buffer)
        return NULL;
    buffer[0] = bytes;
    buffer[bytes / 4 - 1] = bytes;
    gets++;
    return buffer;
}

static void put_mixed(uint32_t *buffer)
{
    if (!buffer)
        return;
    uint32_t bytes = buffer[0];
    if (bytes < 8 || bytes > MIXED_MAX || buffer[bytes / 4 - 1] != bytes)
        clashes++;
    hr_byte_pool_put(mixed, buffer);
}

static void *pass_on(void *context)
{
    unsigned random = (unsigned)(uintptr_t)context;
    while (!stop) {
        uint32_t *buffer = get_mixed(8 + 4 * ((unsigned)rand_r(&random) % (MIXED_MAX / 4 - 1)));
        put_mixed(atomic_exchange(&places[(unsigned)rand_r(&random) % PLACES], buffer));
    }
    return NULL;
}

static void buffers_of_all_sizes_are_in_one_hand(void **state)
{
    (void)state;
    pthread_t threads[8];
    hr_byte_pool_options options = {.min_bytes = 32, .max_bytes = 4096}; /* and some are larger */
    assert_int_equal(hr_byte_pool_new(guard, &options, &mixed), 0);
    for (uintptr_t i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pass_on, (void *)(i + 1)), 0);
    for (int i = 0; i < 400; i++) {
        if (i % 2 == 0)
            hr_byte_pool_trim(mixed);
        else
            hr_relieve(guard, 50000);
        usleep(500);
    }
    stop = true;
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < PLACES; i++)
        put_mixed(atomic_exchange(&places[i], NULL));
    hr_pool_figures figures;
    hr_byte_pool_read(mixed, &figures);
    assert_int_equal(figures.hits + figures.misses + figures.unpooled, gets);
    assert_int_equal(figures.in_use, 0);
    assert_int_equal(hr_byte_pool_free(mixed), 0);
}

/* One gets, the other puts: the number of blocks stays bounded. */
#define RING 1024
static _Atomic(uint64_t *) ring[RING];

static void *consume(void *context)
{
    (void)context;
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t *block;
        while ((block = atomic_exchange(&ring[i % RING], NULL)) == NULL)
            sched_yield();
        let_go(block, i);
    }
    return NULL;
}

static void a_producer_and_a_consumer_do_not_grow(void **state)
{
    (void)state;
    pthread_t thread;
    hr_pool_figures figures;
    assert_int_equal(pthread_create(&thread, NULL, consume, NULL), 0);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t *block = hr_byte_pool_get(pool, SIZE), *expected = NULL;
        assert_non_null(block);
        take_hold(block, i);
        while (!atomic_compare_exchange_strong(&ring[i % RING], &expected, block)) {
            expected = NULL;
            sched_yield();
        }
    }
    pthread_join(thread, NULL);
    hr_byte_pool_read(pool, &figures);
    assert_true(figures.misses <= RING + 6 * HRI_MAGAZINE_SLOTS_MAX);
}

static pthread_barrier_t asleep, awake;

static void *fill_magazines_and_sleep(void *context)
{
    (void)context;
    void *blocks[120];
    for (int i = 0; i < 120; i++)
        blocks[i] = hr_byte_pool_get(pool, SIZE);
    for (int i = 0; i < 120; i++)
        hr_byte_pool_put(pool, blocks[i]);
    pthread_barrier_wait(&asleep);
    pthread_barrier_wait(&awake);
    for (int i = 0; i < 120; i++) /* and work on afterwards */
        blocks[i] = hr_byte_pool_get(pool, SIZE);
    for (int i = 0; i < 120; i++)
        hr_byte_pool_put(pool, blocks[i]);
    return NULL;
}

/* Lesson 15: magazines of sleeping threads are reachable when something would be refused. */
static void sleeping_threads_magazines_do_not_cause_a_refusal(void **state)
{
    (void)state;
    pthread_t threads[64];
    hr_budget *root = hr_guard_root(guard);
    pthread_barrier_init(&asleep, NULL, 65);
    pthread_barrier_init(&awake, NULL, 65);
    for (int i = 0; i < 64; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fill_magazines_and_sleep, NULL), 0);
    pthread_barrier_wait(&asleep);
    uint64_t almost_all = 64 * MIB - 65536;
    assert_int_equal(hr_budget_charge(root, almost_all), 0);
    hr_budget_uncharge(root, almost_all);
    hr_guard_check(guard);
    pthread_barrier_wait(&awake);
    for (int i = 0; i < 64; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&asleep);
    pthread_barrier_destroy(&awake);
}

static void *come_and_go(void *context)
{
    (void)context;
    void *blocks[100];
    for (int i = 0; i < 100; i++)
        blocks[i] = hr_byte_pool_get(pool, SIZE);
    for (int i = 0; i < 100; i++)
        hr_byte_pool_put(pool, blocks[i]);
    return NULL;
}

static void a_thread_that_ends_leaves_nothing_behind(void **state)
{
    (void)state;
    hr_pool_figures figures;
    for (int i = 0; i < 500; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, come_and_go, NULL), 0);
        pthread_join(thread, NULL);
    }
    hr_byte_pool_read(pool, &figures);
    assert_int_equal(figures.misses, 100);
    assert_int_equal(figures.idle, 100);
}

static void a_fork_keeps_parent_and_child_right(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (uintptr_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    for (int i = 0; i < 30; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            alarm(20);
            uint64_t *blocks[1000];
            for (int k = 0; k < 1000; k++)
                if ((blocks[k] = hr_byte_pool_get(pool, SIZE)) != NULL)
                    take_hold(blocks[k], 1000000 + (uint64_t)k);
            for (int k = 0; k < 1000; k++)
                if (blocks[k])
                    let_go(blocks[k], 1000000 + (uint64_t)k);
            hr_byte_pool_trim(pool);
            hr_pool_figures figures;
            hr_byte_pool_read(pool, &figures);
            /* Blocks that dead threads had in use stay so; those in their magazines are idle. */
            _exit(clashes == 0 && figures.in_use <= 3 * 151 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        usleep(1000);
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

#define SIZES 4
#define TIGHT_BYTES MIB
#define TIGHT_ROUNDS 4000

static hr_byte_pool *tight[SIZES];
static const size_t tight_sizes[SIZES] = {17000, 33000, 50000, 70000};
static uint64_t tight_costs[SIZES];
static atomic_uint_fast64_t refusals;

/* Holds no more than 35 % of the limit at any time, of one size and then of another. */
static void *stay_within_a_share(void *context)
{
    unsigned random = (unsigned)(uintptr_t)context;
    for (int round = 0; round < TIGHT_ROUNDS; round++) {
        void *blocks[64];
        unsigned count = 0, size = (unsigned)rand_r(&random) % SIZES;
        while (count < 64 && (count + 1) * tight_costs[size] <= TIGHT_BYTES * 35 / 100 &&
               (blocks[count] = hr_byte_pool_get(tight[size], tight_sizes[size])) != NULL)
            count++;
        refusals += count < 64 && (count + 1) * tight_costs[size] <= TIGHT_BYTES * 35 / 100;
        if (rand_r(&random) % 8 == 0)
            sched_yield();
        while (count > 0)
            hr_byte_pool_put(tight[size], blocks[--count]);
    }
    return NULL;
}

/* Before, a trim that others made blocks beside said that nothing was freed, and bytes that another thread was giving
 * back were nobody's. Charges were refused, hundreds in a second, with a third of the limit to spare. */
static void users_within_their_shares_are_never_refused(void **state)
{
    (void)state;
    pthread_t threads[2];
    hr_budget *budget;
    refusals = 0;
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "tight", TIGHT_BYTES, &budget), 0);
    for (int i = 0; i < SIZES; i++) {
        hr_pool_figures figures;
        hr_byte_pool_options options = {.budget = budget, .size_bytes = tight_sizes[i]};
        assert_int_equal(hr_byte_pool_new(guard, &options, &tight[i]), 0);
        void *block = hr_byte_pool_get(tight[i], tight_sizes[i]);
        hr_byte_pool_read(tight[i], &figures);
        tight_costs[i] = figures.in_use_bytes;
        hr_byte_pool_put(tight[i], block);
    }
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, stay_within_a_share, (void *)(i + 1)), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(refusals, 0);
    for (int i = 0; i < SIZES; i++)
        assert_int_equal(hr_byte_pool_free(tight[i]), 0);
    assert_int_equal(hr_budget_free(budget), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_block_is_in_two_hands),
        TEST(buffers_of_all_sizes_are_in_one_hand),
        TEST(a_producer_and_a_consumer_do_not_grow),
        TEST(sleeping_threads_magazines_do_not_cause_a_refusal),
        TEST(a_thread_that_ends_leaves_nothing_behind),
        TEST(a_fork_keeps_parent_and_child_right),
        TEST(users_within_their_shares_are_never_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
