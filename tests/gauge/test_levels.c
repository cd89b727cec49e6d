/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/clock.h"
#include "gauge/levels.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static hri_level_rules defaults(void)
{
    hri_level_rules rules = {.dwell_ns = HRI_SECOND};
    assert_int_equal(hri_level_rules_fit(&rules), 0);
    return rules;
}

static void the_table(void **state)
{
    (void)state;
    /* seconds, use, signals: the level that follows. */
    static const struct {
        double seconds, use;
        bool relieved, met;
        hr_level level;
    } rows[] = {
        {0.0, 0.50, 0, 0, HR_NORMAL},    {0.1, 0.80, 0, 0, HR_WARNING},  /* up at once, at the threshold */
        {0.2, 0.76, 0, 0, HR_WARNING},                                   /* not below warn_below */
        {0.3, 0.74, 0, 0, HR_WARNING},   {1.2, 0.74, 0, 0, HR_WARNING},  /* the dwell runs from 0.3 */
        {1.3, 0.74, 0, 0, HR_NORMAL},    {2.0, 0.90, 0, 0, HR_WARNING},  /* degraded begins over 0.90 */
        {2.1, 0.91, 0, 0, HR_DEGRADED},  {2.2, 0.85, 0, 0, HR_DEGRADED}, /* not below recover_below */
        {4.0, 0.79, 0, 0, HR_DEGRADED},  {4.9, 0.81, 0, 0, HR_DEGRADED}, /* the dwell starts anew */
        {5.0, 0.79, 0, 0, HR_DEGRADED},  {6.0, 0.79, 0, 0, HR_WARNING},
        {6.1, 0.95, 0, 0, HR_DEGRADED},  {6.2, 0.951, 0, 0, HR_CRITICAL},
        {6.3, 0.70, 0, 0, HR_CRITICAL},  {7.2, 0.70, 0, 0, HR_CRITICAL},
        {7.3, 0.70, 0, 0, HR_NORMAL}, /* all the way, in one dwell */
        {7.4, 0.96, 0, 0, HR_CRITICAL},  {7.5, 0.95, 0, 0, HR_CRITICAL},
        {8.5, 0.94, 0, 0, HR_DEGRADED}, /* a state to live in */
        {8.6, 0.10, 0, 0, HR_DEGRADED},  {9.6, 0.10, 0, 0, HR_NORMAL},
        {9.7, 0.91, 1, 0, HR_DEGRADED}, /* relief ran and did not help: no reason for more */
        {9.8, 0.10, 0, 0, HR_DEGRADED},  {10.8, 0.10, 0, 0, HR_NORMAL},
        {10.9, 0.85, 0, 1, HR_CRITICAL}, /* a limit was hit */
        {11.0, 0.85, 0, 0, HR_CRITICAL}, {12.0, 0.85, 0, 0, HR_DEGRADED},
        {12.1, 0.10, 0, 0, HR_DEGRADED}, {13.1, 0.10, 0, 0, HR_NORMAL},
        {13.2, 0.30, 0, 1, HR_NORMAL}, /* one large request is no emergency */
    };
    hri_level_rules rules = defaults();
    hri_level_state level = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hri_level_input input = {
            .use = rows[i].use,
            .now_ns = (int64_t)(rows[i].seconds * 1e9 + 0.5),
            .relieved = rows[i].relieved,
            .met = rows[i].met,
        };
        hr_level got = hri_level_next(&rules, &level, &input);
        if (got != rows[i].level)
            fail_msg("row %zu (%.1f s, use %.3f): %s", i, rows[i].seconds, rows[i].use, hr_level_text(got));
    }
}

static void refuse_until_recovered_is_the_sources_literal_rule(void **state)
{
    (void)state;
    hri_level_rules rules = defaults();
    rules.refuse_until_recovered = true;
    hri_level_state level = {0};
    assert_int_equal(hri_level_next(&rules, &level, &(hri_level_input){.use = 0.92}), HR_DEGRADED);
    assert_int_equal(hri_level_next(&rules, &level, &(hri_level_input){.use = 0.85, .relieved = true}), HR_CRITICAL);
    assert_int_equal(hri_level_next(&rules, &level, &(hri_level_input){.use = 0.81, .now_ns = HRI_SECOND}),
                     HR_CRITICAL);
    assert_int_equal(hri_level_next(&rules, &level, &(hri_level_input){.use = 0.81, .now_ns = INT64_MAX}), HR_CRITICAL);
}

/* Prevents a server from running empty: its clients give memory back, and for a dwell nobody may take it. */
static void where_nobody_aids_the_levels_that_refuse_end_at_once(void **state)
{
    (void)state;
    hri_level_rules rules = defaults();
    hri_level_state level = {0};
    hri_level_input input = {.use = 0.99, .unaided = true};
    assert_int_equal(hri_level_next(&rules, &level, &input), HR_CRITICAL);
    input.use = 0.80;
    assert_int_equal(hri_level_next(&rules, &level, &input), HR_CRITICAL); /* not below recover_below */
    input.use = 0.79;
    assert_int_equal(hri_level_next(&rules, &level, &input), HR_WARNING);
    input.use = 0.10;
    assert_int_equal(hri_level_next(&rules, &level, &input), HR_WARNING); /* which refuses nothing: after the dwell */
    input.now_ns = rules.dwell_ns;
    assert_int_equal(hri_level_next(&rules, &level, &input), HR_NORMAL);
}

/* Prevents two changes of the level in each swing of a use that jumps up and down. */
static void where_nobody_aids_the_level_goes_down_once_a_dwell_at_most(void **state)
{
    (void)state;
    hri_level_rules rules = defaults();
    hri_level_state level = {0};
    int falls = 0;
    hr_level before = HR_NORMAL;
    for (int tenth = 0; tenth < 100; tenth++) { /* ten dwells */
        hri_level_input input = {.use = tenth % 2 ? 0.79 : 0.92, .now_ns = tenth * HRI_SECOND / 10, .unaided = true};
        hr_level now = hri_level_next(&rules, &level, &input);
        falls += now < before;
        before = now;
    }
    assert_in_range(falls, 9, 10);
}

static double draw(double from, double to)
{
    return from + (to - from) * (rand() / (double)RAND_MAX);
}

/* Any legal thresholds, any state: with low use the level is normal within three dwells. */
static void any_set_of_thresholds_recovers_from_any_state(void **state)
{
    (void)state;
    srand(5);
    for (int set = 0; set < 100000; set++) {
        hri_level_rules rules = {
            .warn_at = rand() % 2 ? draw(0, 1) : 0,
            .warn_below = rand() % 2 ? draw(0, 1) : 0,
            .degrade_at = rand() % 2 ? draw(0, 1) : 0,
            .critical_at = rand() % 2 ? draw(0, 1) : 0,
            .recover_below = rand() % 2 ? draw(0, 1) : 0,
            .dwell_ns = rand() % 2 ? HRI_SECOND : 0,
            .refuse_until_recovered = rand() % 2,
        };
        if (hri_level_rules_fit(&rules) != 0)
            continue;
        hri_level_state level = {0};
        hri_level_input input = {0};
        for (int i = 0; i < 5; i++) {
            input = (hri_level_input){.use = draw(0, 1.1), .now_ns = input.now_ns + rand() % HRI_SECOND};
            input.relieved = rand() % 2;
            input.met = rand() % 2;
            input.unaided = rand() % 2;
            hri_level_next(&rules, &level, &input);
        }
        double low = rules.warn_below < rules.recover_below ? rules.warn_below : rules.recover_below;
        input = (hri_level_input){.use = low / 2, .now_ns = input.now_ns};
        for (int i = 0; i < 3; i++, input.now_ns += rules.dwell_ns)
            hri_level_next(&rules, &level, &input);
        assert_int_equal(level.level, HR_NORMAL);
    }
}

static void straight_falls_without_the_dwell(void **state)
{
    (void)state;
    hri_level_rules rules = defaults();
    hri_level_state level = {0};
    hri_level_next(&rules, &level, &(hri_level_input){.use = 0.99});
    assert_int_equal(hri_level_next(&rules, &level, &(hri_level_input){.use = 0.1, .straight = true}), HR_NORMAL);
}

/* Regression: the source recovers at the threshold at which it degrades, and changes mode at every sample. */
static void source_12_samples_around_a_threshold_do_not_flap(void **state)
{
    (void)state;
    hri_level_rules rules = defaults();
    hri_level_state level = {0};
    hr_level before = HR_NORMAL;
    int changes = 0;
    for (int i = 0; i < 20; i++) {
        hri_level_input input = {.use = i % 2 ? 0.905 : 0.895, .now_ns = i * 10 * HRI_SECOND};
        hr_level now = hri_level_next(&rules, &level, &input);
        changes += now != before;
        before = now;
    }
    assert_int_equal(changes, 2); /* to warning, to degraded, and there it stays */
}

/* Where a charge has to be told of: where the level rises, and on the way down where use is no longer low. */
static void a_way_down_ends_at_the_lower_threshold(void **state)
{
    (void)state;
    hri_level_rules rules = defaults();
    const struct {
        hr_level level, lower;
        double at;
        bool from;
    } rows[] = {
        {HR_NORMAL, HR_NORMAL, rules.warn_at, true},
        {HR_WARNING, HR_WARNING, rules.degrade_at, false},
        {HR_WARNING, HR_NORMAL, rules.warn_below, true},
        {HR_DEGRADED, HR_DEGRADED, rules.critical_at, false},
        {HR_DEGRADED, HR_WARNING, rules.recover_below, true},
        {HR_DEGRADED, HR_NORMAL, rules.warn_below, true},
        {HR_CRITICAL, HR_CRITICAL, 2, false},
        {HR_CRITICAL, HR_DEGRADED, rules.critical_at, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool from;
        double at =
            hri_level_turns_at(&rules, &(hri_level_state){.level = rows[i].level, .lower = rows[i].lower}, &from);
        assert_true(at == rows[i].at && from == rows[i].from);
    }
}

/* Any input: up at once, at most one way down a dwell, never stuck once use is low. */
static void random_series_keep_the_rules(void **state)
{
    (void)state;
    srand(1);
    for (int series = 0; series < 200; series++) {
        hri_level_rules rules = defaults();
        hri_level_state level = {0};
        int64_t now = 0, last_down = -HRI_SECOND;
        hr_level before = HR_NORMAL;
        for (int i = 0; i < 500; i++) {
            now += rand() % (series % 2 ? 50 : 900) * HRI_MILLISECOND;
            hri_level_input input = {.use = (rand() % 1100) / 1000.0, .now_ns = now};
            hr_level got = hri_level_next(&rules, &level, &input);
            assert_true(input.use <= rules.critical_at || got == HR_CRITICAL);
            assert_true(input.use <= rules.degrade_at || got >= HR_DEGRADED);
            if (got < before) {
                assert_true(now - last_down >= rules.dwell_ns);
                last_down = now;
            }
            before = got;
        }
        hri_level_next(&rules, &level, &(hri_level_input){.use = 0.1, .now_ns = now});
        now += rules.dwell_ns;
        hri_level_next(&rules, &level, &(hri_level_input){.use = 0.1, .now_ns = now});
        now += rules.dwell_ns;
        assert_int_equal(hri_level_next(&rules, &level, &(hri_level_input){.use = 0.1, .now_ns = now}), HR_NORMAL);
    }
}

/* An adversary who knows the rules: a wave between two uses around any threshold, with a period around the dwell, and
 * any signals. */
struct adversary {
    double low, high;
    int64_t period_ns;
    bool signals;
};

static struct adversary draw_adversary(const hri_level_rules *rules)
{
    const double edges[] = {rules->warn_below, rules->warn_at, rules->recover_below, rules->degrade_at,
                            rules->critical_at};
    double edge = edges[rand() % 5];
    const int64_t periods[] = {rules->dwell_ns - 1, rules->dwell_ns, rules->dwell_ns + 1, 1, rand() % HRI_SECOND + 1};
    return (struct adversary){
        .low = edge - (rand() % 2 ? 1e-9 : 0.2),
        .high = edge + (rand() % 2 ? 1e-9 : 0.2),
        .period_ns = periods[rand() % 5],
        .signals = rand() % 2,
    };
}

static void no_adversary_makes_it_flap(void **state)
{
    (void)state;
    srand(3);
    for (int game = 0; game < 2000; game++) {
        hri_level_rules rules = defaults();
        struct adversary adversary = draw_adversary(&rules);
        hri_level_state level = {0};
        int64_t now = HRI_SECOND, last_down = 0;
        hr_level before = HR_NORMAL;
        for (int i = 0; i < 200; i++) {
            now += adversary.period_ns;
            hri_level_input input = {.use = i % 2 ? adversary.low : adversary.high, .now_ns = now};
            if (adversary.signals) {
                input.relieved = rand() % 4 == 0;
                input.met = rand() % 4 == 0;
            }
            hr_level got = hri_level_next(&rules, &level, &input);
            if (got < before) { /* so ways up are as rare: each but the first follows a way down */
                assert_true(now - last_down >= rules.dwell_ns);
                last_down = now;
            }
            before = got;
        }
        now += 1; /* and whatever was played, it ends */
        hri_level_next(&rules, &level, &(hri_level_input){.use = rules.warn_below - 1e-9, .now_ns = now});
        now += rules.dwell_ns;
        hri_level_next(&rules, &level, &(hri_level_input){.use = rules.warn_below - 1e-9, .now_ns = now});
        now += rules.dwell_ns;
        hri_level_input last = {.use = rules.warn_below - 1e-9, .now_ns = now};
        assert_int_equal(hri_level_next(&rules, &level, &last), HR_NORMAL);
    }
}

static void thresholds_are_fitted_or_refused(void **state)
{
    (void)state;
    hri_level_rules rules = defaults();
    assert_true(rules.warn_at == 0.80 && rules.warn_below == 0.75 && rules.degrade_at == 0.90 &&
                fabs(rules.critical_at - 0.95) < 1e-9 && rules.recover_below == 0.80);
    static const hri_level_rules good[] = {
        {.degrade_at = 0.5},  {.warn_at = 0.93, .degrade_at = 0.97},
        {.warn_at = 0.95},    {.critical_at = 0.6},
        {.warn_below = 0.85}, {.recover_below = 0.95},
        {.warn_at = 0.1},     {.critical_at = 1.0},
        {.degrade_at = 0.99}, {.warn_at = 0.9, .degrade_at = 0.9},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        hri_level_rules fitted = good[i];
        assert_int_equal(hri_level_rules_fit(&fitted), 0);
        assert_true(good[i].degrade_at == 0 || fitted.degrade_at == good[i].degrade_at);
        assert_true(good[i].warn_at == 0 || fitted.warn_at == good[i].warn_at);
    }
    static const hri_level_rules bad[] = {
        {.warn_at = 0.9, .degrade_at = 0.8},
        {.warn_below = 0.9, .warn_at = 0.8},
        {.recover_below = 0.9, .degrade_at = 0.9},
        {.critical_at = 0.9, .degrade_at = 0.9},
        {.critical_at = 1.1},
        {.warn_at = -0.1},
        {.degrade_at = 1.0},
        {.warn_below = 0.8, .warn_at = 0.8},
        {.warn_at = NAN},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hri_level_rules refused = bad[i];
        assert_int_equal(hri_level_rules_fit(&refused), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table),
        cmocka_unit_test(refuse_until_recovered_is_the_sources_literal_rule),
        cmocka_unit_test(where_nobody_aids_the_levels_that_refuse_end_at_once),
        cmocka_unit_test(where_nobody_aids_the_level_goes_down_once_a_dwell_at_most),
        cmocka_unit_test(any_set_of_thresholds_recovers_from_any_state),
        cmocka_unit_test(straight_falls_without_the_dwell),
        cmocka_unit_test(source_12_samples_around_a_threshold_do_not_flap),
        cmocka_unit_test(a_way_down_ends_at_the_lower_threshold),
        cmocka_unit_test(random_series_keep_the_rules),
        cmocka_unit_test(no_adversary_makes_it_flap),
        cmocka_unit_test(thresholds_are_fitted_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
