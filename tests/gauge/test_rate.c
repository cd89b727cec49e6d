/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/clock.h"
#include "gauge/rate.h"

static void a_steady_rate_is_found(void **state)
{
    (void)state;
    hri_rate rate = {0};
    for (int64_t i = 0; i <= 100; i++)
        hri_rate_sample(&rate, (uint64_t)i * 1000, HRI_SECOND + i * 100 * HRI_MILLISECOND);
    assert_in_range(rate.bytes_per_s, 9900, 10000);
}

static void the_past_fades_within_seconds(void **state)
{
    (void)state;
    hri_rate rate = {.bytes_per_s = 1000000, .total_bytes = 5, .time_ns = 1};
    for (int64_t i = 1; i <= 100; i++)
        hri_rate_sample(&rate, 5, 1 + i * 100 * HRI_MILLISECOND);
    assert_true(rate.bytes_per_s < 1000);
}

static void looks_in_quick_succession_change_nothing(void **state)
{
    (void)state;
    hri_rate rate = {0};
    hri_rate_sample(&rate, 0, HRI_SECOND);
    hri_rate_sample(&rate, 1 << 30, HRI_SECOND + 1);
    assert_int_equal(rate.bytes_per_s, 0);
    hri_rate_sample(&rate, 1 << 30, 2 * HRI_SECOND);
    assert_in_range(rate.bytes_per_s, (1 << 29) - 1, (1 << 29) + 1); /* one step of a second weighs a half */
}

static void a_counter_or_a_clock_that_steps_back_gives_no_rate(void **state)
{
    (void)state;
    hri_rate rate = {0};
    hri_rate_sample(&rate, 1000, 10 * HRI_SECOND);
    hri_rate_sample(&rate, 5000, 9 * HRI_SECOND);
    assert_int_equal(rate.bytes_per_s, 0);
    hri_rate_sample(&rate, 10, 11 * HRI_SECOND);
    assert_int_equal(rate.bytes_per_s, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_rate_is_found),
        cmocka_unit_test(the_past_fades_within_seconds),
        cmocka_unit_test(looks_in_quick_succession_change_nothing),
        cmocka_unit_test(a_counter_or_a_clock_that_steps_back_gives_no_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
