/* SPDX-License-Identifier: Apache-2.0 */
/* Trends of small, broken and extreme histories. test_truth.c has the statistics. */
#include "support/cmocka.h"

#include "base/clock.h"
#include "report/trend.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MANY 2160
#define HOUR_S 3600

static hr_record records[MANY];

static hr_trend compute(size_t count, uint64_t limit_bytes)
{
    hr_trend trend;
    assert_int_equal(hr_trend_compute(records, count, limit_bytes, &trend), 0);
    assert_true(trend.slope_low <= trend.slope_bytes_per_s && trend.slope_bytes_per_s <= trend.slope_high);
    assert_true(trend.time_to_limit_ns >= -1);
    assert_true(trend.time_to_limit_low_ns <= trend.time_to_limit_ns);
    assert_true(trend.time_to_limit_ns <= trend.time_to_limit_high_ns);
    assert_true((trend.time_to_limit_ns == -1) == (trend.time_to_limit_low_ns == -1));
    assert_int_equal(trend.time_to_limit_ns > 0, strlen(trend.reason) == 0);
    return trend;
}

/* A line of `count` records, a step of time apart. */
static void line(size_t count, int64_t step_s, uint64_t start_bytes, int64_t grow_bytes)
{
    memset(records, 0, sizeof records);
    for (size_t i = 0; i < count; i++) {
        records[i].time_ns = (int64_t)i * step_s * HRI_SECOND;
        records[i].live_bytes = start_bytes + (uint64_t)((int64_t)i * grow_bytes);
    }
}

static void spans_are_exact_to_the_nanosecond(void **state)
{
    (void)state;
    line(126, 0, 1 * MIB, 100);
    for (int i = 0; i < 126; i++)
        records[i].time_ns = i * INT64_C(418233937);
    assert_int_equal(compute(126, HR_NONE).span_ns, 125 * INT64_C(418233937));
}

static void certain_growth_that_is_slight_is_told_from_none(void **state)
{
    (void)state;
    line(100, 10, 1000 * MIB, 1000);
    hr_trend trend = compute(100, 2000 * MIB);
    assert_int_equal(trend.kind, HR_TREND_STEADY);
    assert_true(trend.slope_low > 0);
    assert_string_equal(trend.reason, "growth is too slight");
}

/* Regression: in the source a heap that shrank "grew" by 18,014,398,509,430,784 KB. */
static void source_15_what_shrank_has_shrunk(void **state)
{
    (void)state;
    line(100, 10, 100 * MIB, -1000);
    hr_trend trend = compute(100, 200 * MIB);
    assert_int_equal(trend.growth_bytes, -99000);
    assert_int_equal(trend.span_ns, 990 * HRI_SECOND);
    assert_true(trend.slope_bytes_per_s < -99 && trend.slope_bytes_per_s > -101);
    assert_true(trend.slope_high < 0);
    assert_int_equal(trend.time_to_limit_ns, -1);
    assert_string_equal(trend.reason, "use is shrinking");
    line(2, 10, 100 * MIB, -(int64_t)MIB);
    assert_int_equal(compute(2, 200 * MIB).growth_bytes, -(int64_t)MIB);
    line(100, 10, 100 * MIB, -100000);
    assert_int_equal(compute(100, 200 * MIB).kind, HR_TREND_SHRINKING);
}

/* Regression: in the source two records within one second divide by zero. */
static void source_15_records_within_one_second(void **state)
{
    (void)state;
    line(2, 0, 1 * MIB, 1000);
    hr_trend trend = {.span_ns = 42};
    assert_int_equal(hr_trend_compute(records, 2, 100 * MIB, &trend), -ENODATA);
    assert_int_equal(trend.span_ns, 42); /* untouched */
    records[1].time_ns = 1;
    trend = compute(2, 100 * MIB);
    assert_int_equal(trend.growth_bytes, 1000);
    assert_int_equal(trend.span_ns, 1);
    line(50, 0, 1 * MIB, 1000);
    assert_int_equal(hr_trend_compute(records, 50, 100 * MIB, &trend), -ENODATA);
    /* Some times are equal, as those of changes of level may be. */
    line(100, 1, 1 * MIB, 1000);
    for (size_t i = 1; i < 100; i += 2)
        records[i].time_ns = records[i - 1].time_ns;
    trend = compute(100, 100 * MIB);
    assert_true(trend.slope_bytes_per_s > 900 && trend.slope_bytes_per_s < 1100);
}

/* Regression: in the source the analysis of a short history does not compile, and would index before its start. */
static void source_15_too_short_is_said(void **state)
{
    (void)state;
    hr_trend trend;
    line(1, 1, 1 * MIB, 0);
    assert_int_equal(hr_trend_compute(records, 1, 100 * MIB, &trend), -ENODATA);
    assert_int_equal(hr_trend_compute(records, 0, 100 * MIB, &trend), -ENODATA);
    assert_int_equal(hr_trend_compute(NULL, 0, 100 * MIB, &trend), -ENODATA);
    assert_int_equal(hr_trend_compute(NULL, 1, 100 * MIB, &trend), -EINVAL);
    assert_int_equal(hr_trend_compute(records, 1, 100 * MIB, NULL), -EINVAL);
    assert_int_equal(hr_trend_compute_buckets(NULL, 1, 100 * MIB, &trend), -EINVAL);
}

/* Regression: two records gave "growth, 13.0 GiB/s (95 %: 13.0 to 13.0), the limit will be reached in 67 ms". */
static void up_to_four_records_show_nothing(void **state)
{
    (void)state;
    const int64_t steps_ns[] = {1000, HRI_MILLISECOND, HRI_SECOND, 10 * HRI_SECOND};
    char text[512];
    for (size_t i = 0; i < 4; i++) {
        for (size_t count = 2; count <= 4; count++) {
            line(count, 1, 50 * MIB, (int64_t)MIB);
            for (size_t k = 0; k < count; k++)
                records[k].time_ns = 1 + (int64_t)k * steps_ns[i];
            hr_trend trend = compute(count, 100 * MIB);
            assert_true(trend.slope_low == -INFINITY && trend.slope_high == INFINITY);
            assert_int_equal(trend.kind, HR_TREND_STEADY);
            assert_int_equal(trend.growth_bytes, (count - 1) * MIB);
            assert_string_equal(trend.reason, "the history is too short");
            assert_true(hr_trend_format(&trend, text, sizeof text) > 0);
            assert_null(strstr(text, "MiB"));
        }
    }
    line(4, 10, 50 * MIB, (int64_t)MIB);
    assert_true(hr_trend_format(&(hr_trend){0}, text, sizeof text) > 0);
    hr_trend shrinking = {.kind = HR_TREND_SHRINKING,
                          .slope_bytes_per_s = -2.0 * (double)MIB,
                          .slope_low = -3.0 * (double)MIB,
                          .slope_high = -1.0 * (double)MIB};
    hr_trend_format(&shrinking, text, sizeof text);
    assert_non_null(strstr(text, "shrinking, by 2.0 MiB/s (95 %: 1.0 MiB/s to 3.0 MiB/s) over "));
    hr_trend trend = compute(4, 100 * MIB);
    hr_trend_format(&trend, text, sizeof text);
    assert_string_equal(text, "live: too short for a trend, 4 records over 30 s");
}

/* A rate is in the sentence only where the interval says that there is one. */
static void a_steady_use_has_no_rate(void **state)
{
    (void)state;
    char text[512];
    line(20, 1, 50 * MIB, 0);
    for (size_t i = 0; i < 20; i++)
        records[i].live_bytes += (i * 7919 % 11) * 4096;
    hr_trend trend = compute(20, 100 * MIB);
    assert_int_equal(trend.kind, HR_TREND_STEADY);
    hr_trend_format(&trend, text, sizeof text);
    assert_null(strstr(text, "by "));
    assert_non_null(strstr(text, "live: steady (95 %: between -"));
}

static void a_short_history_withholds_only_the_word_leak(void **state)
{
    (void)state;
    for (size_t count = 5; count < 60; count++) {
        line(count, 10, 50 * MIB, (int64_t)MIB / 10);
        hr_trend trend = compute(count, 100 * MIB);
        assert_int_equal(trend.kind, HR_TREND_GROWTH);
        double left_s = (100 * 10.0 - 50 * 10.0 - (double)(count - 1)) * 10;
        assert_true((double)trend.time_to_limit_ns > left_s * 0.99e9);
        assert_true((double)trend.time_to_limit_ns < left_s * 1.01e9);
    }
    line(MANY, 10, 50 * MIB, (int64_t)MIB / 100);
    assert_int_equal(compute(MANY, 100 * MIB).kind, HR_TREND_LEAK_SUSPECTED);
}

static void clocks_that_step_back_cost_no_sense(void **state)
{
    (void)state;
    line(400, 10, 10 * MIB, 10000);
    for (size_t i = 200; i < 400; i++)
        records[i].time_ns -= 5 * HOUR_S * HRI_SECOND;
    hr_trend trend = compute(400, 100 * MIB);
    assert_true(trend.slope_bytes_per_s > 990 && trend.slope_bytes_per_s < 1010);
    assert_int_equal(trend.span_ns, 398 * 10 * HRI_SECOND);
    for (size_t i = 0; i < 400; i++) /* all the way backwards: no time has passed */
        records[i].time_ns = -(int64_t)i * HRI_SECOND;
    assert_int_equal(hr_trend_compute(records, 400, 100 * MIB, &trend), -ENODATA);
}

static void a_gap_is_time_without_samples(void **state)
{
    (void)state;
    line(400, 10, 10 * MIB, 10000);
    for (size_t i = 200; i < 400; i++) {
        records[i].time_ns += 4000 * HRI_SECOND;
        records[i].live_bytes += 4000 * 1000;
    }
    hr_trend trend = compute(400, 100 * MIB);
    assert_true(trend.slope_bytes_per_s > 990 && trend.slope_bytes_per_s < 1010);
    assert_int_equal(trend.change, HR_CHANGE_NONE);
}

/* Regression: unsigned differences wrap, and sums of squares of 64-bit figures overflow in integers. */
static void source_15_the_ends_of_64_bits(void **state)
{
    (void)state;
    line(3, 10, 0, 0);
    records[2].live_bytes = UINT64_MAX;
    assert_int_equal(compute(3, HR_NONE).growth_bytes, INT64_MAX);
    records[0].live_bytes = UINT64_MAX;
    records[2].live_bytes = 0;
    assert_int_equal(compute(3, UINT64_MAX - 1).growth_bytes, INT64_MIN);
    records[0].time_ns = INT64_MIN;
    records[2].time_ns = INT64_MAX;
    records[2].live_bytes = INT64_MAX;
    assert_int_equal(compute(3, 1).growth_bytes, -INT64_MAX - 1);
    assert_int_equal(compute(3, 1).span_ns, INT64_MAX);
    assert_int_equal(compute(3, 1).time_to_limit_ns, 0);
    for (size_t i = 0; i < 100; i++)
        records[i] = (hr_record){.time_ns = (int64_t)i, .live_bytes = i % 2 ? UINT64_MAX : 0, .rss_bytes = HR_NONE};
    compute(100, UINT64_MAX);
    compute(100, 0);
    for (size_t i = 0; i < 100; i++) /* grows by what is hardly a byte in a century */
        records[i] = (hr_record){.time_ns = (int64_t)i * (INT64_MAX / 100), .live_bytes = 1000 + i};
    assert_string_equal(compute(100, UINT64_MAX - 1).reason, "at this rate it takes centuries");
}

static void no_forecast_has_a_reason(void **state)
{
    (void)state;
    line(100, 10, 50 * MIB, 0);
    assert_string_equal(compute(100, 100 * MIB).reason, "no growth is certain");
    assert_int_equal(compute(100, 100 * MIB).kind, HR_TREND_STEADY);
    line(100, 10, 50 * MIB, 100000);
    assert_string_equal(compute(100, HR_NONE).reason, "no limit is known");
    assert_string_equal(compute(100, 0).reason, "no limit is known");
    assert_string_equal(compute(100, 40 * MIB).reason, "the limit is reached");
    assert_int_equal(compute(100, 40 * MIB).time_to_limit_ns, 0);
    assert_int_equal(compute(100, HR_NONE).kind, HR_TREND_GROWTH);
}

static void teeth(size_t count, size_t period, uint64_t bytes)
{
    for (size_t i = 0; i < count; i++)
        records[i].live_bytes += i % period * (bytes / period);
}

static void a_sawtooth_is_no_growth(void **state)
{
    (void)state;
    const size_t periods[] = {5, 30, 100, 300};
    for (size_t i = 0; i < 4; i++) {
        line(MANY, 10, 30 * MIB, 0);
        teeth(MANY, periods[i], 40 * MIB);
        hr_trend trend = compute(MANY, 100 * MIB);
        assert_int_equal(trend.kind, HR_TREND_SAWTOOTH);
        assert_int_equal(trend.time_to_limit_ns, -1);
    }
    line(MANY, 10, 20 * MIB, (int64_t)MIB / 100);
    teeth(MANY, 30, 20 * MIB);
    assert_int_equal(compute(MANY, 100 * MIB).kind, HR_TREND_LEAK_SUSPECTED);
}

static void the_other_ledgers_tell_kinds_apart(void **state)
{
    (void)state;
    line(MANY, 10, 30 * MIB, 0);
    for (size_t i = 0; i < MANY; i++) {
        records[i].rss_bytes = 40 * MIB + i * 10000;
        records[i].cgroup_bytes = records[i].rss_bytes;
    }
    hr_trend trend = compute(MANY, 100 * MIB);
    assert_int_equal(trend.kind, HR_TREND_FRAGMENTATION);
    assert_true(trend.rss_slope_bytes_per_s > 990 && trend.rss_slope_bytes_per_s < 1010);
    for (size_t i = 0; i < MANY; i++) {
        records[i].rss_bytes = records[i].cgroup_bytes = 40 * MIB;
        records[i].cgroup_cache_bytes = i * 10000;
    }
    assert_int_equal(compute(MANY, 100 * MIB).kind, HR_TREND_PAGE_CACHE);
    for (size_t i = 0; i < MANY; i++) {
        records[i].cgroup_cache_bytes = 0;
        records[i].cgroup_bytes = 40 * MIB + i * 10000;
    }
    assert_int_equal(compute(MANY, 100 * MIB).kind, HR_TREND_PAGE_CACHE);
}

/* A ledger that is 0 or HR_NONE throughout is absent: then the next one is read. */
static void a_ledger_of_nothing_is_absent(void **state)
{
    (void)state;
    line(MANY, 10, 0, 0);
    assert_int_equal(compute(MANY, 100 * MIB).kind, HR_TREND_STEADY);
    for (size_t i = 0; i < MANY; i++)
        records[i].rss_bytes = i % 100 ? 40 * MIB + i * 10000 : HR_NONE; /* now and then it could not be read */
    hr_trend trend = compute(MANY, 100 * MIB);
    assert_int_equal(trend.ledger, HR_HISTORY_RSS);
    assert_int_equal(trend.kind, HR_TREND_LEAK_SUSPECTED);
    for (size_t i = 0; i < MANY; i++) {
        records[i].rss_bytes = HR_NONE;
        records[i].cgroup_bytes = 40 * MIB + i * 10000;
    }
    trend = compute(MANY, 100 * MIB);
    assert_int_equal(trend.ledger, HR_HISTORY_CGROUP_ANONYMOUS);
    assert_int_equal(trend.kind, HR_TREND_LEAK_SUSPECTED);
    for (size_t i = 0; i < MANY; i++)
        records[i].live_bytes = records[i].total_bytes = HR_NONE;
    assert_int_equal(compute(MANY, 100 * MIB).ledger, HR_HISTORY_CGROUP_ANONYMOUS);
}

static void changes_are_found(void **state)
{
    (void)state;
    line(MANY, 10, 30 * MIB, 0);
    for (size_t i = MANY / 2; i < MANY; i++)
        records[i].live_bytes = 60 * MIB;
    hr_trend trend = compute(MANY, 100 * MIB);
    assert_int_equal(trend.change, HR_CHANGE_STEP);
    assert_int_equal(trend.kind, HR_TREND_STEADY);
    assert_true(trend.changed_ns > 10700 * HRI_SECOND && trend.changed_ns < 11200 * HRI_SECOND);
    line(MANY, 10, 30 * MIB, (int64_t)MIB / 50);
    for (size_t i = MANY / 2; i < MANY; i++)
        records[i].live_bytes = records[MANY / 2].live_bytes;
    trend = compute(MANY, 100 * MIB);
    assert_int_equal(trend.change, HR_CHANGE_SLOPE); /* a cache that filled */
    assert_int_equal(trend.kind, HR_TREND_STEADY);
    line(MANY, 10, 30 * MIB, (int64_t)MIB / 50);
    for (size_t i = 0; i < MANY; i++)
        records[i].total_bytes = 100 * MIB + i % 500;
    for (size_t i = MANY - 100; i < MANY; i++)
        records[i] = (hr_record){.time_ns = records[i].time_ns, .live_bytes = 5 * MIB, .total_bytes = 5 * MIB + i};
    trend = compute(MANY, 100 * MIB);
    assert_int_equal(trend.change, HR_CHANGE_RESTART);
    assert_int_equal(trend.changed_ns, (int64_t)(MANY - 100) * 10 * HRI_SECOND);
    assert_int_equal(trend.settled_records, 100);
    assert_int_equal(trend.kind, HR_TREND_STEADY);
}

/* A staircase of even steps, and a little noise. */
static hr_trend_kind kind_of_stairs(unsigned steps, uint64_t step_bytes)
{
    uint64_t noise = 1;
    line(MANY, 10, 200 * MIB, 0);
    for (size_t i = 0; i < MANY; i++) {
        noise = noise * 6364136223846793005U + 1442695040888963407U;
        records[i].live_bytes += i * (steps + 1) / MANY * step_bytes + (noise >> 44); /* up to a MiB */
    }
    return compute(MANY, 1000 * MIB).kind;
}

/* Regression: two or three resizes upwards were called a leak. */
static void resizes_are_no_leak(void **state)
{
    (void)state;
    for (unsigned steps = 1; steps <= 3; steps++) {
        for (uint64_t bytes = 10 * MIB; bytes <= 160 * MIB; bytes *= 2)
            assert_int_not_equal(kind_of_stairs(steps, bytes), HR_TREND_LEAK_SUSPECTED);
    }
    for (unsigned steps = 6; steps <= 36; steps += 6) /* what leaks in pieces does leak */
        assert_int_equal(kind_of_stairs(steps, 200 * MIB / steps), HR_TREND_LEAK_SUSPECTED);
}

/* Prevents: a rate that changed a little, where there is no noise to hide it, made half of a history forgotten. It was
 * seen with redis-server, whose keys grew more slowly while the machine was busy. */
static void a_rate_that_changes_a_little_is_one_trend(void **state)
{
    (void)state;
    line(MANY, 10, 30 * MIB, 10000);
    for (size_t i = MANY / 2; i < MANY; i++)
        records[i].live_bytes = records[MANY / 2 - 1].live_bytes + (i + 1 - MANY / 2) * 8000;
    hr_trend trend = compute(MANY, 100 * MIB);
    assert_int_equal(trend.change, HR_CHANGE_NONE);
    assert_int_equal(trend.kind, HR_TREND_LEAK_SUSPECTED);
}

/* Whatever comes: the answers keep their order, and nothing is undefined (the sanitizers look on). */
static void noise_of_any_kind_is_answered(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int round = 0; round < 2000; round++) {
        size_t count = (size_t)(round % 130);
        for (size_t i = 0; i < count; i++) {
            uint64_t words[6];
            for (int k = 0; k < 6; k++) {
                seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                words[k] = round % 3 == 0 ? seed : round % 3 == 1 ? seed >> (seed % 64) : seed % 4;
            }
            records[i] = (hr_record){
                .time_ns = (int64_t)words[0],
                .live_bytes = words[1],
                .total_bytes = words[2],
                .rss_bytes = words[3],
                .cgroup_bytes = words[4],
                .cgroup_cache_bytes = words[5],
            };
        }
        hr_trend trend;
        int error = hr_trend_compute(records, count, seed, &trend);
        assert_true(error == 0 || error == -ENODATA);
        if (!error)
            compute(count, seed);
    }
}

static void buckets_give_what_records_give(void **state)
{
    (void)state;
    static hr_bucket buckets[360];
    for (size_t i = 0; i < 360; i++) {
        uint64_t low = 30 * MIB + i * 100000;
        buckets[i] = (hr_bucket){.time_ns = (int64_t)i * 60 * HRI_SECOND, .samples = 60};
        for (int k = 0; k < HR_HISTORY_LEDGERS; k++)
            buckets[i].ledgers[k] = (hr_bytes_range){HR_NONE, HR_NONE, HR_NONE};
        buckets[i].ledgers[HR_HISTORY_LIVE] = (hr_bytes_range){low, low + 10 * MIB, low + 5 * MIB};
    }
    hr_trend trend;
    assert_int_equal(hr_trend_compute_buckets(buckets, 360, 100 * MIB, &trend), 0);
    assert_int_equal(trend.kind, HR_TREND_LEAK_SUSPECTED);
    assert_int_equal(trend.growth_bytes, 359 * 100000);
    assert_true(trend.slope_bytes_per_s > 1660 && trend.slope_bytes_per_s < 1670);
    double left = (double)(60 * MIB) - 359 * 100000.0; /* the high points reach the limit */
    assert_true((double)trend.time_to_limit_ns > left / 1670 * 1e9);
    assert_true((double)trend.time_to_limit_ns < left / 1660 * 1e9);
}

static int64_t told(hr_trend trend)
{
    hri_trend_withhold(&trend);
    assert_int_equal(trend.time_to_limit_ns<0, strlen(trend.reason)> 0);
    return trend.time_to_limit_ns;
}

static void a_forecast_that_says_nothing_is_withheld(void **state)
{
    (void)state;
    hr_trend trend = {.reason = "",
                      .settled_records = 5,
                      .settled_ns = HRI_SECOND,
                      .time_to_limit_ns = 17 * 60 * HRI_SECOND,
                      .time_to_limit_low_ns = 2 * 60 * HRI_SECOND,
                      .time_to_limit_high_ns = INT64_MAX};
    assert_int_equal(told(trend), trend.time_to_limit_ns); /* at least it says "not before" */
    trend.time_to_limit_low_ns = 0;
    assert_int_equal(told(trend), -1);
    trend.time_to_limit_high_ns = 20 * 60 * HRI_SECOND;
    assert_int_equal(told(trend), trend.time_to_limit_ns); /* "soon, at most" */
    trend.settled_ns = HRI_MILLISECOND;
    assert_int_equal(told(trend), -1);
    assert_int_equal(told((hr_trend){.time_to_limit_ns = -1, .reason = "use is shrinking"}), -1);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(hr_trend_kind_text(HR_TREND_LEAK_SUSPECTED), "leak suspected");
    assert_string_equal(hr_trend_kind_text((hr_trend_kind)77), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_exact_to_the_nanosecond),
        cmocka_unit_test(certain_growth_that_is_slight_is_told_from_none),
        cmocka_unit_test(source_15_what_shrank_has_shrunk),
        cmocka_unit_test(source_15_records_within_one_second),
        cmocka_unit_test(source_15_too_short_is_said),
        cmocka_unit_test(up_to_four_records_show_nothing),
        cmocka_unit_test(a_steady_use_has_no_rate),
        cmocka_unit_test(a_short_history_withholds_only_the_word_leak),
        cmocka_unit_test(clocks_that_step_back_cost_no_sense),
        cmocka_unit_test(a_gap_is_time_without_samples),
        cmocka_unit_test(source_15_the_ends_of_64_bits),
        cmocka_unit_test(no_forecast_has_a_reason),
        cmocka_unit_test(a_sawtooth_is_no_growth),
        cmocka_unit_test(the_other_ledgers_tell_kinds_apart),
        cmocka_unit_test(a_ledger_of_nothing_is_absent),
        cmocka_unit_test(changes_are_found),
        cmocka_unit_test(resizes_are_no_leak),
        cmocka_unit_test(a_rate_that_changes_a_little_is_one_trend),
        cmocka_unit_test(noise_of_any_kind_is_answered),
        cmocka_unit_test(buckets_give_what_records_give),
        cmocka_unit_test(a_forecast_that_says_nothing_is_withheld),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
