/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/clock.h"
#include "gauge/strain.h"

static hri_stalls stalls;
static hri_strain strain;
static hri_strain_input input;

static int set_up(void **state)
{
    (void)state;
    stalls = (hri_stalls){0};
    strain = (hri_strain){0};
    input = (hri_strain_input){
        .stalls = &stalls, .max_events = 5, .cache_bytes = 80 * MIB, .use = 0.90, .now_ns = 1000 * HRI_SECOND};
    return 0;
}

/* A second later, in which the limit was hit and so much was read back. */
static hr_level later(uint64_t refault_bytes)
{
    input.now_ns += HRI_SECOND;
    input.max_events++;
    input.refault_bytes += refault_bytes;
    return hri_strain_sample(&strain, &input);
}

static void the_own_groups_pressure_raises_the_level(void **state)
{
    (void)state;
    static const struct {
        double full;
        hr_level level;
    } cases[] = {{0, HR_NORMAL}, {19.99, HR_NORMAL}, {20, HR_DEGRADED}, {59.99, HR_DEGRADED}, {60, HR_CRITICAL}};
    stalls.known = true;
    stalls.some.avg10 = 99; /* of a group with many threads some always wait */
    input.max_events = HR_NONE;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stalls.full.avg10 = cases[i].full;
        assert_int_equal(hri_strain_sample(&strain, &input), cases[i].level);
    }
    stalls.known = false; /* the host's, perhaps */
    assert_int_equal(hri_strain_sample(&strain, &input), HR_NORMAL);
}

/* Prevents hours of thrashing before the end: 3.6 of 4 GB anonymous, 80 MB of cache that is read again and again. */
static void a_cache_that_is_read_back_each_second_is_strain(void **state)
{
    (void)state;
    assert_int_equal(later(1000 * MIB), HR_NORMAL); /* nothing to compare it with */
    assert_int_equal(later(100 * MIB), HR_DEGRADED);
    assert_int_equal(later(400 * MIB), HR_CRITICAL);
    input.now_ns += HRI_SECOND / 2; /* it holds until there is another second to judge by */
    assert_int_equal(hri_strain_sample(&strain, &input), HR_CRITICAL);
    assert_int_equal(later(0), HR_NORMAL);
}

/* Prevents refusals by large files that are read again and again, and by a backup that reads each once. */
static void files_that_turn_over_are_no_strain(void **state)
{
    (void)state;
    later(0);
    input.use = 0.30;
    assert_int_equal(later(1000 * MIB), HR_NORMAL);
    input.use = 0.90;
    later(0);
    assert_int_equal(later(40 * MIB), HR_NORMAL);
    input.max_events--; /* the limit was not met: the host was short */
    assert_int_equal(later(1000 * MIB), HR_NORMAL);
}

static void one_look_judges_by_the_whole_life(void **state)
{
    (void)state;
    input.once = true;
    input.max_events = 3889;
    input.refault_bytes = UINT64_C(1800000000) * 4096;
    assert_int_equal(hri_strain_sample(&strain, &input), HR_CRITICAL);
    stalls.known = true; /* which tells of now */
    assert_int_equal(hri_strain_sample(&strain, &input), HR_NORMAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_own_groups_pressure_raises_the_level, set_up),
        cmocka_unit_test_setup(a_cache_that_is_read_back_each_second_is_strain, set_up),
        cmocka_unit_test_setup(files_that_turn_over_are_no_strain, set_up),
        cmocka_unit_test_setup(one_look_judges_by_the_whole_life, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
