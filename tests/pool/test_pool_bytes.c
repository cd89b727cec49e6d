/* SPDX-License-Identifier: Apache-2.0 */
/* Byte pools (strategy 3), and what all pools share: charging, trimming, misuse. */
#include "support/cmocka.h"

#include "base/assert.h"
#include "os/pages.h"
#include "pool/redzone.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static hr_guard *guard;
static hr_budget *budget;
static hr_byte_pool *pool;

static int set_up(void **state)
{
    (void)state;
    hr_guard_options options = {.limit_bytes = 256 * MIB, .interval_ns = -1, .dwell_ns = -1};
    pool = NULL;
    int error = hr_guard_new(&options, &guard);
    return error ? error : hr_budget_new(hr_guard_root(guard), "pooled", HR_NONE, &budget);
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(hr_byte_pool_free(pool), 0);
    assert_int_equal(hr_budget_free(budget), 0); /* so nothing is held any more */
    hr_guard_free(guard);
    return 0;
}

static void make(size_t size)
{
    hr_byte_pool_options options = {.name = "test", .budget = budget, .size_bytes = size};
    assert_int_equal(hr_byte_pool_new(guard, &options, &pool), 0);
}

static hr_pool_figures read_pool(void)
{
    hr_pool_figures figures;
    assert_int_equal(hr_byte_pool_read(pool, &figures), 0);
    return figures;
}

static uint64_t used(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    return figures.used_bytes;
}

static void a_buffer_is_used_again_and_counted(void **state)
{
    (void)state;
    make(1000);
    void *first = hr_byte_pool_get(pool, 1000);
    assert_non_null(first);
    memset(first, 1, 1000);
    hr_pool_figures figures = read_pool();
    assert_int_equal(figures.in_use, 1);
    assert_int_equal(figures.idle, 0);
    assert_int_equal(figures.misses, 1);
    assert_true(figures.in_use_bytes >= 1000);
    assert_int_equal(hr_byte_pool_free(pool), -EBUSY); /* and nothing is freed */
    hr_byte_pool_put(pool, first);
    hr_byte_pool_put(pool, NULL);
    figures = read_pool();
    assert_int_equal(figures.in_use, 0);
    assert_int_equal(figures.idle, 1);
    assert_ptr_equal(hr_byte_pool_get(pool, 10), first);
    assert_int_equal(read_pool().misses, 1);
    hr_byte_pool_put(pool, first);
}

/* The source drops buffers of another size silently: each goes where its size is. */
static void source_3_buffers_of_many_sizes_come_back_to_their_own(void **state)
{
    (void)state;
    hr_byte_pool_options options = {.budget = budget, .min_bytes = 100, .max_bytes = 100000};
    assert_int_equal(hr_byte_pool_new(guard, &options, &pool), 0);
    void *buffers[300];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 300; i++) {
            size_t size = 1 + i * 333;
            buffers[i] = hr_byte_pool_get(pool, size);
            assert_non_null(buffers[i]);
            assert_int_equal((uintptr_t)buffers[i] % 16, 0);
            memset(buffers[i], (int)i, size);
        }
        for (size_t i = 0; i < 300; i++) {
            unsigned char *bytes = buffers[i];
            assert_int_equal(bytes[0], i & 0xFF);
            assert_int_equal(bytes[i * 333], i & 0xFF);
            hr_byte_pool_put(pool, bytes);
        }
        assert_int_equal(read_pool().misses, 300); /* all of the first round */
        assert_int_equal(read_pool().in_use, 0);
    }
    assert_int_equal(read_pool().unpooled, 0);
}

/* How far two buffers of a size lie apart, which are the first ones of their size. */
static size_t stride_of(size_t size)
{
    char *first = hr_byte_pool_get(pool, size), *second = hr_byte_pool_get(pool, size);
    assert_non_null(first);
    assert_non_null(second);
    size_t stride = (size_t)(second - first);
    hr_byte_pool_put(pool, second);
    hr_byte_pool_put(pool, first);
    return stride;
}

static void each_size_gets_the_smallest_buffers_that_fit(void **state)
{
    (void)state;
    static const size_t ranges[][2] = {{1, 2000},  {16, 64},    {63, 65},    {64, 1024},
                                       {100, 100}, {100, 5000}, {4096, 9000}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        size_t min = ranges[i][0], max = ranges[i][1];
        hr_byte_pool_options options = {.budget = budget, .min_bytes = min, .max_bytes = max};
        assert_int_equal(hr_byte_pool_new(guard, &options, &pool), 0);
        for (size_t size = 1; size <= max; size++) {
            size_t least = size < min ? min : size, step = least / 4 > 16 ? least / 4 : 16;
            size_t most = least + step - 1 + HRI_REDZONE_BYTES + 16; /* the mark, and alignment */
            hr_byte_pool_trim(pool);
            assert_in_range(stride_of(size), least, most < 8192 ? most : most + 4096 /* whole pages */);
        }
        assert_int_equal(read_pool().unpooled, 0);
        assert_int_equal(hr_byte_pool_free(pool), 0);
    }
    pool = NULL;
}

static void more_than_the_largest_is_served_unpooled(void **state)
{
    (void)state;
    make(4096);
    void *small = hr_byte_pool_get(pool, 4096), *large = hr_byte_pool_get(pool, 5000);
    assert_non_null(large);
    memset(large, 1, 5000);
    assert_int_equal(read_pool().unpooled, 1);
    hr_byte_pool_put(pool, large);
    hr_byte_pool_put(pool, small);
    assert_int_equal(read_pool().in_use, 0);
    assert_int_equal(read_pool().idle, 1);
}

static void idle_is_charged_until_it_is_trimmed(void **state)
{
    (void)state;
    static const size_t sizes[] = {64, 1024, 65536, 1 << 20};
    for (unsigned k = 0; k < 4; k++) {
        void *buffers[40];
        make(sizes[k]);
        for (int i = 0; i < 40; i++) {
            buffers[i] = hr_byte_pool_get(pool, sizes[k]);
            memset(buffers[i], 1, sizes[k]);
        }
        assert_true(used() >= 40 * sizes[k]);
        assert_true(used() <= 40 * sizes[k] * 11 / 10 + 2000);
        for (int i = 0; i < 40; i++)
            hr_byte_pool_put(pool, buffers[i]);
        assert_true(used() >= 40 * sizes[k]);
        assert_int_equal(read_pool().idle, 40);
        assert_true(hr_byte_pool_trim(pool) >= 40 * sizes[k]);
        assert_int_equal(used(), 0);
        assert_int_equal(read_pool().trimmed, 40);
        assert_int_equal(hr_byte_pool_free(pool), 0);
        pool = NULL;
    }
}

/* A buffer with pages of its own is given back although its neighbours are in use, and is not one mapping each. */
static void large_idle_buffers_give_their_pages_back(void **state)
{
    (void)state;
    void *buffers[16];
    make(1 << 20);
    for (int i = 0; i < 16; i++)
        buffers[i] = memset(hr_byte_pool_get(pool, 1 << 20), 1, 1 << 20);
    for (int i = 0; i < 16; i += 2)
        hr_byte_pool_put(pool, buffers[i]);
    assert_true(hr_byte_pool_trim(pool) >= 8 * MIB);
    assert_true(used() < 9 * MIB);
    for (int i = 0; i < 16; i += 2) {
        buffers[i] = hr_byte_pool_get(pool, 1 << 20);
        assert_int_equal(((char *)buffers[i])[4096], 0); /* the kernel's zeros */
    }
    for (int i = 0; i < 16; i++)
        hr_byte_pool_put(pool, buffers[i]);
}

static void the_budget_refuses_and_says_so(void **state)
{
    (void)state;
    void *buffers[20];
    unsigned count = 0;
    assert_int_equal(hr_budget_set_limit(budget, 150000), 0);
    make(10000);
    while (count < 20 && (buffers[count] = hr_byte_pool_get(pool, 10000)) != NULL)
        count++;
    assert_int_equal(errno, EDQUOT);
    assert_in_range(count, 13, 14);
    assert_true(used() <= 150000);
    assert_int_equal(read_pool().refused, 1);
    while (count > 0)
        hr_byte_pool_put(pool, buffers[--count]);
    assert_int_equal(hr_budget_set_limit(budget, HR_NONE), 0);
}

/* When any charge of the guard is short, what is idle in a pool goes before anything is refused. */
static void idle_buffers_make_room_for_any_charge(void **state)
{
    (void)state;
    void *buffers[100];
    make(1 << 20);
    for (int i = 0; i < 100; i++)
        buffers[i] = hr_byte_pool_get(pool, 1 << 20);
    for (int i = 0; i < 100; i++)
        hr_byte_pool_put(pool, buffers[i]);
    assert_true(used() >= 100 * MIB);
    hr_budget *root = hr_guard_root(guard);
    assert_int_equal(hr_budget_charge(root, 250 * MIB), 0);
    assert_true(used() < 10 * MIB);
    hr_budget_uncharge(root, 250 * MIB);
    hr_guard_check(guard);
}

static void levels_trim_half_and_then_all(void **state)
{
    (void)state;
    void *buffers[40];
    hr_budget *root = hr_guard_root(guard);
    make(1 << 20);
    for (int i = 0; i < 40; i++)
        buffers[i] = hr_byte_pool_get(pool, 1 << 20);
    for (int i = 0; i < 40; i++)
        hr_byte_pool_put(pool, buffers[i]);
    assert_int_equal(hr_budget_charge(root, 170 * MIB), 0); /* 210 of 256: warning */
    hr_guard_check(guard);
    assert_in_range(read_pool().idle, 15, 21);
    assert_int_equal(hr_budget_charge(root, 62 * MIB), 0); /* degraded by itself: 232 */
    hr_guard_check(guard);
    assert_int_equal(read_pool().idle, 0);
    hr_budget_uncharge(root, 232 * MIB);
    hr_guard_check(guard);
}

/* The janitor takes what nobody needed since its last visit, and nothing else. */
static void the_janitor_takes_what_was_not_needed(void **state)
{
    (void)state;
    void *buffers[64];
    make(4096);
    for (int i = 0; i < 64; i++)
        buffers[i] = hr_byte_pool_get(pool, 4096);
    for (int i = 0; i < 64; i++)
        hr_byte_pool_put(pool, buffers[i]);
    uint64_t before = used();
    hr_cleanup(guard);
    hr_cleanup(guard);
    hr_cleanup(guard);
    assert_true(used() < before / 2);
    void *one = hr_byte_pool_get(pool, 4096); /* and it works on */
    assert_non_null(one);
    hr_byte_pool_put(pool, one);
}

static void wiped_buffers_show_nothing(void **state)
{
    (void)state;
    hr_byte_pool_options options = {.budget = budget, .size_bytes = 256, .wipe = true};
    assert_int_equal(hr_byte_pool_new(guard, &options, &pool), 0);
    char *buffer = hr_byte_pool_get(pool, 256);
    memset(buffer, 'x', 256);
    hr_byte_pool_put(pool, buffer);
    char *again = hr_byte_pool_get(pool, 256);
    assert_ptr_equal(again, buffer);
    for (int i = 0; i < 256; i++)
        assert_int_equal(again[i], 0);
    hr_byte_pool_put(pool, again);
}

static void strange_options_are_refused(void **state)
{
    (void)state;
    hr_guard *other;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.interval_ns = -1}, &other), 0);
    const hr_byte_pool_options strange[] = {
        {.size_bytes = 0},
        {.size_bytes = 10, .max_bytes = 20},
        {.min_bytes = 20, .max_bytes = 10},
        {.max_bytes = 10},
        {.size_bytes = SIZE_MAX},
        {.size_bytes = 10, .budget = hr_guard_root(other)},
    };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        assert_int_equal(hr_byte_pool_new(guard, &strange[i], &pool), -EINVAL);
    assert_null(pool);
    hr_guard_free(other);
}

/* ── misuse ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Runs a misuse in a child: debug builds abort, release builds go on, with a fault and no block in two hands. */
static void expect_a_fault(void (*misuse)(void))
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        uint64_t before = hri_fault_count();
        misuse();
        void *all[200];
        for (int i = 0; i < 200; i++)
            all[i] = hr_byte_pool_get(pool, 100);
        for (int i = 0; i < 200; i++)
            for (int k = 0; k < i; k++)
                if (all[i] == all[k])
                    _exit(3);
        _exit(hri_fault_count() > before ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
#ifdef HRI_DEBUG
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#else
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
#endif
}

static void put_twice(void)
{
    void *buffer = hr_byte_pool_get(pool, 100);
    hr_byte_pool_put(pool, buffer);
    hr_byte_pool_put(pool, buffer);
}

static void put_into_another_pool(void)
{
    hr_byte_pool *other;
    hr_byte_pool_options options = {.budget = budget, .size_bytes = 100};
    if (hr_byte_pool_new(guard, &options, &other) != 0)
        _exit(2);
    void *buffer = hr_byte_pool_get(other, 100);
    hr_byte_pool_put(pool, buffer);
}

static void put_twice_and_pass_on(void)
{
    void *buffers[400];
    for (int i = 0; i < 400; i++)
        buffers[i] = hr_byte_pool_get(pool, 100);
    for (int i = 0; i < 200; i++)
        hr_byte_pool_put(pool, buffers[i]);
    hr_byte_pool_put(pool, buffers[3]); /* it is in the depot by now */
    for (int i = 200; i < 400; i++)
        hr_byte_pool_put(pool, buffers[i]);
}

#if defined(HRI_DEBUG) && !defined(__SANITIZE_ADDRESS__)
static void write_beyond_the_end(void)
{
    char *buffer = hr_byte_pool_get(pool, 100);
    buffer[100] = 1;
    hr_byte_pool_put(pool, buffer);
}

static void write_after_the_put(void)
{
    char *volatile buffer = hr_byte_pool_get(pool, 100);
    hr_byte_pool_put(pool, buffer);
    buffer[50] = 1;
    hr_byte_pool_put(pool, hr_byte_pool_get(pool, 100));
}
#endif

static void debug_builds_see_writes_where_none_belong(void **state)
{
    (void)state;
#if defined(HRI_DEBUG) && !defined(__SANITIZE_ADDRESS__)
    make(100);
    expect_a_fault(write_beyond_the_end);
    expect_a_fault(write_after_the_put);
#else
    print_message("skipped: release builds do not look, and a sanitizer does it itself\n");
    skip();
#endif
}

/* The source hands a buffer that was put twice to two users at once. */
static void source_3_a_buffer_put_twice_is_handed_to_one_user(void **state)
{
    (void)state;
    make(100);
    expect_a_fault(put_twice);
    expect_a_fault(put_into_another_pool);
    expect_a_fault(put_twice_and_pass_on);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_buffer_is_used_again_and_counted),
        TEST(source_3_buffers_of_many_sizes_come_back_to_their_own),
        TEST(each_size_gets_the_smallest_buffers_that_fit),
        TEST(more_than_the_largest_is_served_unpooled),
        TEST(idle_is_charged_until_it_is_trimmed),
        TEST(large_idle_buffers_give_their_pages_back),
        TEST(the_budget_refuses_and_says_so),
        TEST(idle_buffers_make_room_for_any_charge),
        TEST(levels_trim_half_and_then_all),
        TEST(the_janitor_takes_what_was_not_needed),
        TEST(wiped_buffers_show_nothing),
        TEST(strange_options_are_refused),
        TEST(debug_builds_see_writes_where_none_belong),
        TEST(source_3_a_buffer_put_twice_is_handed_to_one_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
