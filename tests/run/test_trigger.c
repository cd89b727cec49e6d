/* SPDX-License-Identifier: Apache-2.0 */
/* The words of `headroom run`, and what follows from numbers alone. */
#include "support/cmocka.h"

#include "run/trigger.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)

static run_trigger parsed(const char *text)
{
    run_trigger trigger = {0};
    assert_null(run_trigger_parse(text, &trigger));
    assert_string_equal(trigger.text, text);
    return trigger;
}

static void levels_sizes_and_shares_are_levels(void **state)
{
    (void)state;
    assert_int_equal(parsed("warning=log").level, HR_WARNING);
    assert_int_equal(parsed("degraded=purge").action, RUN_PURGE);
    assert_int_equal(parsed("critical=freeze").action, RUN_FREEZE);
    assert_true(parsed("400M=log").bytes == 400 * MIB);
    assert_true(parsed("1.5 GiB=log").bytes == 1536 * MIB);
    assert_true(parsed("85%=log").share == 0.85);
    assert_int_equal(parsed("85%=signal:SIGUSR1").signal, SIGUSR1);
    assert_int_equal(parsed("85%=signal:TERM").signal, SIGTERM);
    assert_int_equal(parsed("85%=signal:40").signal, 40);
    assert_string_equal(parsed("critical=exec:echo a=b").command, "echo a=b");
}

static void what_is_no_trigger_is_said(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "critical",
        "=log",
        "normal=log",
        "0=log",
        "0%=log",
        "101%=log",
        "none=log",
        "-1=log",
        "1e1%=log",
        "nan%=log",
        "critical=",
        "critical=x",
        "critical=exec:",
        "critical=signal:",
        "critical=signal:NOPE",
        "critical=signal:0",
        "critical=signal:999",
        "critical=signal:-9",
        "inf%=log",
        "0x10%=log",
        "critical =log",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        run_trigger trigger = {.signal = 4711};
        const char *error = run_trigger_parse(wrong[i], &trigger);
        assert_non_null(error);
        assert_int_equal(trigger.signal, 4711);
    }
}

static void times_have_units(void **state)
{
    (void)state;
    int64_t ns = -1;
    assert_true(run_time_parse("10", &ns) && ns == INT64_C(10000000000));
    assert_true(run_time_parse("1.5s", &ns) && ns == INT64_C(1500000000));
    assert_true(run_time_parse("500ms", &ns) && ns == 500000000);
    assert_true(run_time_parse("2m", &ns) && ns == INT64_C(120000000000));
    assert_true(run_time_parse("0", &ns) && ns == 0);
    static const char *const wrong[] = {"", "s", "-1", "1d", "1 s", "1e3", "nan", "99999999h", "1..5"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(run_time_parse(wrong[i], &ns));
    assert_true(ns == 0);
}

static void a_trigger_fires_once_at_each_rise(void **state)
{
    (void)state;
    run_trigger critical = parsed("critical=log"), size = parsed("160M=log");
    run_use use = {.share = 0.94, .use_bytes = 159 * MIB};
    assert_false(run_trigger_rises(&critical, &use));
    assert_false(run_trigger_rises(&size, &use));
    use = (run_use){.share = 0.95, .use_bytes = 160 * MIB};
    assert_true(run_trigger_rises(&critical, &use));
    assert_true(run_trigger_rises(&size, &use));
    assert_false(run_trigger_rises(&critical, &use));
    use = (run_use){.share = 0.81, .use_bytes = 151 * MIB}; /* it trembles */
    assert_false(run_trigger_rises(&critical, &use));
    assert_false(run_trigger_rises(&size, &use));
    use = (run_use){.share = 1.2, .use_bytes = 500 * MIB};
    assert_false(run_trigger_rises(&critical, &use));
    assert_false(run_trigger_rises(&size, &use));
    use = (run_use){.share = 0.79, .use_bytes = 149 * MIB};
    assert_false(run_trigger_rises(&critical, &use));
    assert_false(run_trigger_rises(&size, &use));
    use = (run_use){.share = 0.96, .use_bytes = 170 * MIB};
    assert_true(run_trigger_rises(&critical, &use));
    assert_true(run_trigger_rises(&size, &use));
}

static void levels_rise_at_once_and_fall_late(void **state)
{
    (void)state;
    assert_int_equal(run_level_next(HR_NORMAL, 0.79), HR_NORMAL);
    assert_int_equal(run_level_next(HR_NORMAL, 0.80), HR_WARNING);
    assert_int_equal(run_level_next(HR_NORMAL, 2.0), HR_CRITICAL);
    assert_int_equal(run_level_next(HR_WARNING, 0.76), HR_WARNING);
    assert_int_equal(run_level_next(HR_WARNING, 0.74), HR_NORMAL);
    assert_int_equal(run_level_next(HR_CRITICAL, 0.81), HR_CRITICAL);
    assert_int_equal(run_level_next(HR_CRITICAL, 0.79), HR_NORMAL);
    assert_int_equal(run_level_next(HR_DEGRADED, 0.92), HR_DEGRADED);
}

static void the_nearer_the_limit_the_sooner_the_next_look(void **state)
{
    (void)state;
    assert_int_equal(run_poll_ns(0), 1000000);
    assert_int_equal(run_poll_ns(4000000), 1000000);
    assert_int_equal(run_poll_ns(40000000), 10000000);
    assert_int_equal(run_poll_ns(UINT64_C(1) << 40), 250000000);
    assert_int_equal(run_poll_ns(HR_NONE), 250000000);
}

static void the_default_limit_leaves_some(void **state)
{
    (void)state;
    assert_true(run_limit_below(100 * MIB) == 98 * MIB);
    assert_true(run_limit_below(1000 * MIB) == 980 * MIB);
    assert_true(run_limit_below(10 * MIB) == 8 * MIB);
    assert_true(run_limit_below(1 * MIB) == MIB / 2);
    assert_true(run_limit_below(0) == 0);
}

static void signals_have_names(void **state)
{
    (void)state;
    char text[RUN_SIGNAL_BYTES];
    assert_string_equal(run_signal_text(SIGTERM, text), "SIGTERM");
    assert_string_equal(run_signal_text(40, text), "signal 40");
    assert_true(run_signal_ends(SIGTERM) && run_signal_ends(SIGABRT) && !run_signal_ends(SIGUSR1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_sizes_and_shares_are_levels),
        cmocka_unit_test(what_is_no_trigger_is_said),
        cmocka_unit_test(times_have_units),
        cmocka_unit_test(a_trigger_fires_once_at_each_rise),
        cmocka_unit_test(levels_rise_at_once_and_fall_late),
        cmocka_unit_test(the_nearer_the_limit_the_sooner_the_next_look),
        cmocka_unit_test(the_default_limit_leaves_some),
        cmocka_unit_test(signals_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
