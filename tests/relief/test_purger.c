/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "os/clock.h"
#include "relief/purger.h"

#include <pthread.h>

/* This program's malloc passes for mimalloc, whose purge serves the calling thread alone. */
static unsigned collected;
bool mi_is_in_heap_region(const void *block);
void mi_collect(bool force);

bool mi_is_in_heap_region(const void *block)
{
    return block != NULL;
}

static void work(int64_t ns)
{
    for (int64_t end_ns = hri_os_thread_ns() + ns; hri_os_thread_ns() < end_ns;)
        continue;
}

void mi_collect(bool force)
{
    (void)force;
    collected++;
    work(HRI_MILLISECOND);
}

static hrt_world world;
static hri_purger purger;

static bool run(uint64_t retained_bytes)
{
    uint64_t bytes;
    return hri_purger_run(&purger, &(hri_purge_wish){.retained_bytes = retained_bytes}, &bytes);
}

static bool run_urgently(uint64_t retained_bytes, uint64_t need_bytes)
{
    uint64_t bytes;
    return hri_purger_run(&purger, &(hri_purge_wish){retained_bytes, need_bytes, .urgent = true}, &bytes);
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
    assert_true(run(100 * MIB));
    assert_false(run(200 * MIB));
    world.now_ns += HRI_SECOND - 1;
    assert_false(run(200 * MIB));
    world.now_ns += 1;
    assert_true(run(200 * MIB));
    stop();
}

/* Memory that the program never charged is no reason to purge again and again: what a purge left is in use. */
static void only_what_has_come_since_the_last_purge_counts(void **state)
{
    (void)state;
    start(HRI_SECOND);
    assert_false(run(0));
    assert_true(run(100 * MIB));
    for (int second = 0; second < 1000; second++, world.now_ns += HRI_SECOND)
        assert_false(run(100 * MIB));
    assert_false(run(104 * MIB)); /* less than a twentieth is not worth it */
    assert_true(run(106 * MIB));
    stop();
}

/* Regression: the first came when there was nothing to return yet. Then relief gave much back near the limit. */
static void an_urgent_one_comes_at_once(void **state)
{
    (void)state;
    start(HRI_SECOND);
    assert_true(run(100 * MIB));
    assert_false(run(150 * MIB));
    assert_true(run_urgently(150 * MIB, MIB));
    purger.urgent_interval_ns = HRI_SECOND; /* one that was asked for is kept */
    assert_false(run_urgently(200 * MIB, MIB));
    world.now_ns += HRI_SECOND;
    assert_true(run_urgently(200 * MIB, MIB));
    stop();
}

static void one_that_cannot_return_what_is_needed_does_not_come(void **state)
{
    (void)state;
    start(HRI_SECOND);
    assert_true(run(100 * MIB));
    assert_false(run_urgently(110 * MIB, 11 * MIB));
    assert_true(run_urgently(110 * MIB, 10 * MIB));
    stop();
}

static void at_most_a_twentieth_of_the_time_goes_into_purges(void **state)
{
    (void)state;
    start(0);
    assert_true(run(100 * MIB));
    purger.cost_ns = 50 * HRI_MILLISECOND;
    world.now_ns += HRI_SECOND - 1;
    assert_false(run_urgently(200 * MIB, MIB));
    world.now_ns += 1;
    assert_true(run_urgently(200 * MIB, MIB));
    stop();
}

static void never_is_never(void **state)
{
    (void)state;
    start(-1);
    assert_false(run(HR_NONE));
    assert_false(run_urgently(HR_NONE, 0));
    uint64_t count;
    int64_t longest_ns;
    hri_purger_read(&purger, &count, &longest_ns);
    assert_int_equal(count, 0);
    stop();
}

static void *run_own(void *context)
{
    hri_purger_run_own(context);
    return NULL;
}

/* Prevents: all are refused, so no thread allocates, and what others freed of its blocks waits for that for ever. */
static void each_thread_that_is_refused_purges_for_itself(void **state)
{
    (void)state;
    pthread_t other;
    start(-1);
    collected = 0;
    run_own(&purger);
    assert_int_equal(collected, 0); /* never */
    stop();
    start(HRI_SECOND);
    run_own(&purger);
    run_own(&purger); /* it takes a twentieth of the thread's time */
    assert_int_equal(collected, 1);
    assert_int_equal(pthread_create(&other, NULL, run_own, &purger), 0);
    pthread_join(other, NULL);
    assert_int_equal(collected, 2);
    work(25 * HRI_MILLISECOND);
    run_own(&purger);
    assert_int_equal(collected, 3);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purge_waits_for_its_interval),
        cmocka_unit_test(only_what_has_come_since_the_last_purge_counts),
        cmocka_unit_test(an_urgent_one_comes_at_once),
        cmocka_unit_test(one_that_cannot_return_what_is_needed_does_not_come),
        cmocka_unit_test(at_most_a_twentieth_of_the_time_goes_into_purges),
        cmocka_unit_test(never_is_never),
        cmocka_unit_test(each_thread_that_is_refused_purges_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
