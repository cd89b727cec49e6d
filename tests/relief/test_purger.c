/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "relief/purger.h"

static hrt_world world;
static hri_purger purger;

static bool run(uint64_t kept_bytes)
{
    uint64_t bytes;
    return hri_purger_run(&purger, &(hri_purge_wish){.kept_bytes = kept_bytes}, &bytes);
}

static bool run_urgently(uint64_t kept_bytes, uint64_t need_bytes)
{
    uint64_t bytes;
    return hri_purger_run(&purger, &(hri_purge_wish){kept_bytes, need_bytes, .urgent = true}, &bytes);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_purge_waits_for_its_interval),
        cmocka_unit_test(only_what_has_come_since_the_last_purge_counts),
        cmocka_unit_test(an_urgent_one_comes_at_once),
        cmocka_unit_test(one_that_cannot_return_what_is_needed_does_not_come),
        cmocka_unit_test(at_most_a_twentieth_of_the_time_goes_into_purges),
        cmocka_unit_test(never_is_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
