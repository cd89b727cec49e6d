/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/clock.h"
#include "relief/stall.h"

#define PATIENCE_NS (10 * HRI_SECOND)

static hri_stall stall;

static void look(hr_level level, uint64_t freed, uint64_t use, int64_t seconds)
{
    hri_stall_sample(&stall, &(hri_stall_input){level, freed, use, seconds * HRI_SECOND});
}

static int64_t age(int64_t seconds)
{
    return hri_stall_age(&stall, seconds * HRI_SECOND, PATIENCE_NS) / HRI_SECOND;
}

static void nothing_achieved_for_long_is_a_stall(void **state)
{
    (void)state;
    stall = (hri_stall){0};
    look(HR_CRITICAL, 0, 950, 100);
    look(HR_CRITICAL, 0, 950, 109);
    assert_int_equal(age(109), 0);
    look(HR_CRITICAL, 5, 940, 110); /* less than a 64th is no progress, and no use that wavers either */
    look(HR_CRITICAL, 5, 960, 111);
    assert_int_equal(age(111), 11);
}

static void progress_starts_it_anew(void **state)
{
    (void)state;
    stall = (hri_stall){0};
    look(HR_DEGRADED, 0, 960, 100);
    look(HR_DEGRADED, 16, 960, 109); /* freed, and filled again at once */
    assert_int_equal(age(118), 0);
    assert_int_equal(age(119), 10);
    look(HR_DEGRADED, 16, 940, 120); /* fell by itself */
    assert_int_equal(age(129), 0);
    look(HR_WARNING, 16, 940, 130);
    assert_int_equal(age(1000), 0);
}

static void one_probe_an_interval(void **state)
{
    (void)state;
    stall = (hri_stall){0};
    int passed = 0;
    for (int64_t now = 0; now < 10 * HRI_SECOND; now += HRI_SECOND / 100)
        passed += hri_stall_probe(&stall, now, HRI_SECOND);
    assert_int_equal(passed, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_achieved_for_long_is_a_stall),
        cmocka_unit_test(progress_starts_it_anew),
        cmocka_unit_test(one_probe_an_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
