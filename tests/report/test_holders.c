/* SPDX-License-Identifier: Apache-2.0 */
/* How fast those who hold most grow: by numbers and a clock of our own. */
#include "support/cmocka.h"

#include "base/clock.h"
#include "report/holders.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static hri_holders holders;

static const hri_track *track_of(size_t rank)
{
    return &holders.tracks[holders.order[rank]];
}

static void those_who_grow_and_shrink_have_a_rate_after_five_points(void **state)
{
    (void)state;
    int a, b;
    hri_holder list[2] = {{&a, "a", 100 * MIB}, {&b, "b", 50 * MIB}};
    hr_trend trend;
    memset(&holders, 0, sizeof holders);
    hri_holders_note(&holders, list, 2, 1 * HRI_SECOND);
    assert_int_equal(hri_track_trend(track_of(0), &trend), -ENODATA);
    for (int64_t second = 2; second < 600; second++) {
        list[0].bytes += 200000;
        list[1].bytes -= 50000;
        hri_holders_note(&holders, list, 2, second * HRI_SECOND);
        assert_int_equal(hri_track_trend(track_of(0), &trend), 0);
        assert_int_equal(trend.slope_low > 0, second >= 5);
        assert_int_equal(trend.kind == HR_TREND_GROWTH, second >= 5);
        if (second < 5)
            continue;
        assert_true(trend.slope_bytes_per_s > 199000 && trend.slope_bytes_per_s < 201000);
        assert_int_equal(hri_track_trend(track_of(1), &trend), 0);
        assert_int_equal(trend.kind, HR_TREND_SHRINKING);
    }
    assert_true(trend.span_ns <= 40 * HRI_SECOND); /* of late */
}

/* A burst is in the points for half a minute, and is a step, not a rate. */
static void a_step_is_no_rate(void **state)
{
    (void)state;
    hri_holder list = {&holders, "a", 1 * MIB};
    hr_trend trend;
    memset(&holders, 0, sizeof holders);
    for (int64_t i = 0; i < 400; i++) {
        list.bytes = i == 30 ? 40 * MIB : i < 30 ? 1 * MIB : 100 * KIB;
        hri_holders_note(&holders, &list, 1, i * 50 * HRI_MILLISECOND);
        if (hri_track_trend(track_of(0), &trend) == 0)
            assert_true(trend.slope_low <= 0 && trend.slope_high >= 0);
    }
    assert_int_equal(trend.kind, HR_TREND_STEADY);
}

/* A figure that is noted between two points is the end of the track, and takes no point away. */
static void a_look_in_between_is_the_last_point(void **state)
{
    (void)state;
    hri_holder list = {&holders, "a", 1 * MIB};
    memset(&holders, 0, sizeof holders);
    for (int64_t i = 0; i < 1000; i++) {
        list.bytes++;
        hri_holders_note(&holders, &list, 1, i * HRI_MILLISECOND);
        assert_int_equal(track_of(0)->holder.bytes, list.bytes);
    }
    assert_int_equal(track_of(0)->count, 10);
}

static void a_holder_is_known_by_its_budget_and_its_name(void **state)
{
    (void)state;
    int keys[HRI_HOLDERS_MAX + 1];
    hri_holder list[HRI_HOLDERS_MAX];
    memset(&holders, 0, sizeof holders);
    for (int64_t second = 0; second < 20; second++) {
        for (size_t i = 0; i < HRI_HOLDERS_MAX; i++)
            list[i] = (hri_holder){&keys[i], "same", 100 - i};
        hri_holders_note(&holders, list, HRI_HOLDERS_MAX, second * HRI_SECOND);
    }
    for (size_t i = 0; i < HRI_HOLDERS_MAX; i++)
        assert_int_equal(track_of(i)->count, 20);
    hri_holder swapped = list[0];
    list[0] = list[3];
    list[3] = swapped;
    list[5].budget = &keys[HRI_HOLDERS_MAX];            /* one that is new in the place of one that is gone */
    strcpy(list[6].name, "another that got its place"); /* as malloc() gives an address again */
    hri_holders_note(&holders, list, HRI_HOLDERS_MAX, 21 * HRI_SECOND);
    for (size_t i = 0; i < HRI_HOLDERS_MAX; i++) {
        assert_int_equal(track_of(i)->count, i == 5 || i == 6 ? 1 : 21);
        assert_ptr_equal(track_of(i)->holder.budget, list[i].budget);
    }
    hri_holders_note(&holders, NULL, 0, 22 * HRI_SECOND);
    assert_int_equal(holders.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_grow_and_shrink_have_a_rate_after_five_points),
        cmocka_unit_test(a_step_is_no_rate),
        cmocka_unit_test(a_look_in_between_is_the_last_point),
        cmocka_unit_test(a_holder_is_known_by_its_budget_and_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
