/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "relief/purger.h"

static hrt_world world;
static hri_purger purger;

static bool run(uint64_t kept_bytes)
{
    uint64_t bytes;
    return hri_purger_run(&purger, kept_bytes, HRI_PURGE_ORDINARY, &bytes);
}

static void start(int64_t interval_ns)
{
    hrt_world_new(&world);
    assert_int_equal(hri_purger_init(&purger, &world.clock, interval_ns, 0), 0);
}

static void stop(void)
{
    hri_purger_destroy(&purger);
    hrt_world_free(&world);
}

static void a_purge_waits_for_its_interval(void **state)
{
    (void)state;
    start(HRI_SECOND);
    assert_true(run(0));
    assert_false(run(0));
    world.now_ns += HRI_SECOND - 1;
    assert_false(run(0));
    world.now_ns += 1;
    assert_true(run(0));
    stop();
}

static void fruitless_purges_come_less_and_less(void **state)
{
    (void)state;
    start(HRI_SECOND);
    int purges = 0;
    for (int second = 0; second < 1000; second++) {
        purges += run(HR_NONE); /* nothing that it returns is much of that */
        world.now_ns += HRI_SECOND;
    }
    assert_true(purges >= 15 && purges <= 25); /* 1, 2, 4 … 64 seconds apart */
    stop();
}

/* Prevents: hr_cleanup() left 20 MB that had just been freed for a minute, since purges before had found nothing. */
static void what_was_freed_since_waits_for_the_interval_alone(void **state)
{
    (void)state;
    start(HRI_SECOND);
    for (int second = 0; second < 200; second++) {
        run(100 * MIB);
        world.now_ns += HRI_SECOND;
    }
    assert_false(run(100 * MIB));
    assert_false(run(104 * MIB));
    assert_true(run(110 * MIB));
    assert_false(run(110 * MIB)); /* that was all */
    stop();
}

/* The first came when there was nothing to return yet; then relief gave much back, and the limit is near. */
static void an_urgent_one_waits_for_neither(void **state)
{
    (void)state;
    uint64_t bytes;
    start(HRI_SECOND);
    assert_true(run(HR_NONE));
    assert_false(run(HR_NONE));
    assert_true(hri_purger_run(&purger, HR_NONE, HRI_PURGE_URGENT, &bytes));
    assert_false(run(HR_NONE));
    for (int i = 0; i < 10; i++)
        assert_true(hri_purger_run(&purger, HR_NONE, HRI_PURGE_URGENT, &bytes));
    world.now_ns += HRI_SECOND;
    assert_true(run(HR_NONE));              /* as soon as ever, though all those returned next to nothing */
    purger.urgent_interval_ns = HRI_SECOND; /* one that was asked for is kept */
    assert_true(hri_purger_run(&purger, HR_NONE, HRI_PURGE_URGENT, &bytes));
    assert_false(hri_purger_run(&purger, HR_NONE, HRI_PURGE_URGENT, &bytes));
    world.now_ns += HRI_SECOND;
    assert_true(hri_purger_run(&purger, HR_NONE, HRI_PURGE_URGENT, &bytes));
    stop();
}

/* Regression: after a minute at warning, with much that nobody charged, a guard whose relief had given enough stayed
 * degraded for another. */
static void one_that_the_level_waits_for_waits_for_its_interval_alone(void **state)
{
    (void)state;
    uint64_t bytes;
    start(HRI_SECOND);
    for (int second = 0; second < 200; second++) {
        run(HR_NONE);
        world.now_ns += HRI_SECOND;
    }
    assert_int_equal(purger.fruitless, HRI_PURGE_FRUITLESS_MAX);
    assert_false(run(HR_NONE));
    assert_true(hri_purger_run(&purger, HR_NONE, HRI_PURGE_WANTED, &bytes));
    world.now_ns += HRI_SECOND - 1;
    assert_false(hri_purger_run(&purger, HR_NONE, HRI_PURGE_WANTED, &bytes));
    world.now_ns += 1;
    assert_true(hri_purger_run(&purger, HR_NONE, HRI_PURGE_WANTED, &bytes));
    world.now_ns += HRI_SECOND;
    assert_true(run(HR_NONE)); /* as after one that was not fruitless */
    stop();
}

/* Regression: a large block was refused, though the allocator kept what it lacked, since a purge had just run. */
static void one_that_a_demand_needs_waits_for_no_cost(void **state)
{
    (void)state;
    uint64_t bytes;
    start(HRI_SECOND);
    purger.next_ns[HRI_PURGE_URGENT] = world.now_ns + HRI_SECOND; /* as after a purge of 50 ms */
    purger.next_ns[HRI_PURGE_ORDINARY] = purger.next_ns[HRI_PURGE_WANTED] = purger.next_ns[HRI_PURGE_URGENT];
    purger.next_ns[HRI_PURGE_NEEDED] = world.now_ns;
    assert_false(hri_purger_run(&purger, HR_NONE, HRI_PURGE_URGENT, &bytes));
    assert_true(hri_purger_run(&purger, HR_NONE, HRI_PURGE_NEEDED, &bytes));
    assert_true(hri_purger_run(&purger, HR_NONE, HRI_PURGE_NEEDED, &bytes));
    assert_false(hri_purger_await(&purger)); /* nobody is at it */
    stop();
}

/* Regression: a large block was refused, since a purge had found little while others were still taking; what they gave
 * back after it was not asked for. */
static void nor_for_one_that_came_before_there_was_much(void **state)
{
    (void)state;
    uint64_t bytes;
    start(HRI_SECOND);
    assert_true(run(2 * MIB));
    assert_true(purger.left_bytes <= 2 * MIB && purger.left_bytes >= MIB);
    purger.next_ns[HRI_PURGE_NEEDED] = purger.next_ns[HRI_PURGE_ORDINARY] =
        world.now_ns + HRI_SECOND; /* it took 50 ms */
    assert_false(hri_purger_run(&purger, 2 * MIB, HRI_PURGE_NEEDED, &bytes));
    assert_false(hri_purger_run(&purger, 50 * MIB, HRI_PURGE_ORDINARY, &bytes));
    assert_true(hri_purger_run(&purger, 50 * MIB, HRI_PURGE_NEEDED, &bytes));
    purger.next_ns[HRI_PURGE_NEEDED] = world.now_ns + HRI_SECOND;
    assert_false(hri_purger_run(&purger, 60 * MIB, HRI_PURGE_NEEDED, &bytes)); /* most of it was there, and stayed */
    purger.urgent_interval_ns = HRI_SECOND;
    assert_false(hri_purger_run(&purger, 500 * MIB, HRI_PURGE_NEEDED, &bytes)); /* one that was asked for is kept */
    stop();
}

static void never_is_never(void **state)
{
    (void)state;
    start(-1);
    assert_false(run(HR_NONE));
    assert_false(hri_purger_run(&purger, HR_NONE, HRI_PURGE_URGENT, &(uint64_t){0}));
    uint64_t count;
    int64_t longest_ns;
    hri_purger_read(&purger, &count, &longest_ns);
    assert_int_equal(count, 0);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purge_waits_for_its_interval),
        cmocka_unit_test(fruitless_purges_come_less_and_less),
        cmocka_unit_test(what_was_freed_since_waits_for_the_interval_alone),
        cmocka_unit_test(an_urgent_one_waits_for_neither),
        cmocka_unit_test(one_that_the_level_waits_for_waits_for_its_interval_alone),
        cmocka_unit_test(one_that_a_demand_needs_waits_for_no_cost),
        cmocka_unit_test(nor_for_one_that_came_before_there_was_much),
        cmocka_unit_test(never_is_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
