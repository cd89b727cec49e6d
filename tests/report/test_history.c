/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "report/history.h"

static hri_history history;

static int set_up(void **state)
{
    (void)state;
    return hri_history_init(&history, 0);
}

static int tear_down(void **state)
{
    (void)state;
    hri_history_destroy(&history);
    return 0;
}

static void record(int64_t first, int64_t last)
{
    for (int64_t time_ns = first; time_ns <= last; time_ns++)
        hri_history_add(&history, &(hr_record){.time_ns = time_ns});
}

/* Regression: the source's stats[1:] keeps dropped records reachable and allocates again and again. Ours is a ring. */
static void source_14_the_last_100_are_kept_oldest_first(void **state)
{
    (void)state;
    hr_record records[HR_HISTORY_RECORDS];
    assert_int_equal(hri_history_copy(&history, records, HR_HISTORY_RECORDS), 0);
    record(1, 3);
    assert_int_equal(hri_history_copy(&history, records, HR_HISTORY_RECORDS), 3);
    assert_int_equal(records[0].time_ns, 1);
    record(4, 250);
    assert_int_equal(hri_history_copy(&history, records, HR_HISTORY_RECORDS), 100);
    for (int64_t i = 0; i < 100; i++)
        assert_int_equal(records[i].time_ns, 151 + i);
}

static void a_small_array_gets_the_newest(void **state)
{
    (void)state;
    hr_record records[2];
    record(1, 120);
    assert_int_equal(hri_history_copy(&history, records, 2), 2);
    assert_int_equal(records[0].time_ns, 119);
    assert_int_equal(records[1].time_ns, 120);
    assert_int_equal(hri_history_copy(&history, NULL, 0), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(source_14_the_last_100_are_kept_oldest_first),
        TEST(a_small_array_gets_the_newest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
