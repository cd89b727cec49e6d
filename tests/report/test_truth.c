/* SPDX-License-Identifier: Apache-2.0 */
/* Trends held against synthetic histories whose truth is known: the figures of goals.json, and the table that
 * docs/analysis.md keeps (`test_truth --table`, which `make analysis` calls). */
#include "support/cmocka.h"
#include "support/synthetic.h"

#include <stdio.h>
#include <string.h>

#define EACH 150 /* series of each shape */
#define LINES 600

static hr_record records[HRT_SYNTHETIC_RECORDS];

/* How many of the series of a shape are suspected of a leak. */
static unsigned suspected(hrt_shape shape, unsigned counts[HR_TREND_KINDS])
{
    memset(counts, 0, HR_TREND_KINDS * sizeof *counts);
    for (uint64_t seed = 1; seed <= EACH; seed++) {
        hr_trend trend;
        hrt_synthetic(shape, seed, records);
        assert_int_equal(hr_trend_compute(records, HRT_SYNTHETIC_RECORDS, HRT_SYNTHETIC_LIMIT, &trend), 0);
        counts[trend.kind]++;
    }
    return counts[HR_TREND_LEAK_SUSPECTED];
}

/* Goal: at most 1 % false alarms, in all and in each shape at most 3 %; at least 95 % of leaks of 1 % of the limit an
 * hour within six hours, in each shape. */
static void leaks_are_found_and_little_else(void **state)
{
    (void)state;
    unsigned counts[HR_TREND_KINDS], alarms = 0;
    for (hrt_shape shape = 0; shape < HRT_SHAPE_FIRST_LEAK; shape++) {
        unsigned found = suspected(shape, counts);
        alarms += found;
        if (found * 100 > EACH * 3)
            fail_msg("%s: %u of %d are false alarms", hrt_shape_text(shape), found, EACH);
    }
    assert_true(alarms * 100 <= EACH * HRT_SHAPE_FIRST_LEAK);
    for (hrt_shape shape = HRT_SHAPE_FIRST_LEAK; shape < HRT_SHAPES; shape++) {
        unsigned found = suspected(shape, counts);
        if (found * 100 < EACH * 95)
            fail_msg("%s: only %u of %d are found", hrt_shape_text(shape), found, EACH);
    }
}

static hrt_line a_line(uint64_t seed, hrt_noise noise)
{
    uint64_t state = seed * 77 + noise;
    double limit = (double)HRT_SYNTHETIC_LIMIT;
    hrt_line line = {
        .seed = seed * HRT_NOISES + noise,
        .count = 360 + (size_t)(hrt_uniform(&state) * 1000),
        .start_bytes = limit * 0.4,
        .slope_bytes_per_s = limit * (hrt_uniform(&state) * 2 - 1) * 0.02 / 3600,
        .noise_bytes = limit * (0.001 + 0.02 * hrt_uniform(&state)),
        .noise = noise,
    };
    return line;
}

/* How often the interval holds the true slope. */
static unsigned covered(hrt_noise noise)
{
    unsigned count = 0;
    for (uint64_t seed = 1; seed <= LINES; seed++) {
        hrt_line line = a_line(seed, noise);
        hr_trend trend;
        hrt_synthetic_line(&line, records);
        assert_int_equal(hr_trend_compute(records, line.count, HRT_SYNTHETIC_LIMIT, &trend), 0);
        assert_true(trend.slope_low <= trend.slope_bytes_per_s && trend.slope_bytes_per_s <= trend.slope_high);
        count += trend.slope_low <= line.slope_bytes_per_s && line.slope_bytes_per_s <= trend.slope_high;
    }
    return count;
}

static const char *const noise_texts[HRT_NOISES] = {"normal noise", "even noise", "a sawtooth of 5 to 40 samples"};

/* Goal: an interval of 95 % holds the truth in 90 to 98 % of cases. */
static void the_interval_holds_the_truth_as_often_as_it_says(void **state)
{
    (void)state;
    for (hrt_noise noise = 0; noise < HRT_NOISES; noise++) {
        unsigned count = covered(noise);
        if (count * 100 < LINES * 90 || count * 100 > LINES * 98)
            fail_msg("%s: %u of %d", noise_texts[noise], count, LINES);
    }
}

struct forecasts {
    unsigned near;   /* within 10 % */
    unsigned inside; /* the interval holds the truth */
    double worst;    /* the largest error */
};

/* Linear growth, half way to the limit. */
static struct forecasts forecast(void)
{
    struct forecasts result = {0};
    for (uint64_t seed = 1; seed <= LINES; seed++) {
        double limit = (double)HRT_SYNTHETIC_LIMIT;
        uint64_t state = seed;
        hrt_line line = {.seed = seed, .count = 360 + (size_t)(hrt_uniform(&state) * 1000)};
        double end_s = (double)((line.count - 1) * HRT_SYNTHETIC_STEP_S);
        line.start_bytes = limit * 0.4 * hrt_uniform(&state);
        line.slope_bytes_per_s = (limit / 2 - line.start_bytes) / end_s;
        line.noise_bytes = limit * 0.01 * hrt_uniform(&state);
        hrt_synthetic_line(&line, records);
        hr_trend trend;
        assert_int_equal(hr_trend_compute(records, line.count, HRT_SYNTHETIC_LIMIT, &trend), 0);
        double truth_ns = limit / 2 / line.slope_bytes_per_s * 1e9;
        double error = (double)trend.time_to_limit_ns / truth_ns - 1;
        error = error < 0 ? -error : error;
        result.near += error <= 0.1;
        result.inside +=
            (double)trend.time_to_limit_low_ns <= truth_ns && truth_ns <= (double)trend.time_to_limit_high_ns;
        result.worst = error > result.worst ? error : result.worst;
    }
    return result;
}

/* Goal: within 10 % half way to the limit on linear growth: all of them. */
static void forecasts_are_near(void **state)
{
    (void)state;
    struct forecasts result = forecast();
    assert_int_equal(result.near, LINES);
    assert_true(result.inside * 100 >= LINES * 95);
}

/* ── the table ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static void print_table(void)
{
    unsigned counts[HR_TREND_KINDS], total[2] = {0}, series[2] = {0};
    printf("| history of six hours, %d each | leak suspected | called |\n| --- | ---: | --- |\n", EACH);
    for (hrt_shape shape = 0; shape < HRT_SHAPES; shape++) {
        bool leak = shape >= HRT_SHAPE_FIRST_LEAK;
        unsigned found = suspected(shape, counts);
        total[leak] += found;
        series[leak] += EACH;
        printf("| %s | %.1f %% |", hrt_shape_text(shape), 100.0 * found / EACH);
        const char *comma = " ";
        for (hr_trend_kind kind = 0; kind < HR_TREND_KINDS; kind++) {
            if (counts[kind])
                printf("%s%s %u", comma, hr_trend_kind_text(kind), counts[kind]);
            comma = counts[kind] ? ", " : comma;
        }
        printf(" |\n");
    }
    printf("| **false alarms of all without a leak** (goal: at most 1 %%) | **%.1f %%** | %u series |\n",
           100.0 * total[0] / series[0], series[0]);
    printf("| **leaks of 1 %% an hour found** (goal: at least 95 %%) | **%.1f %%** | %u series |\n\n",
           100.0 * total[1] / series[1], series[1]);
    printf("| interval of 95 %%, %d lines each (goal: 90 to 98 %%) | holds the true slope |\n| --- | ---: |\n", LINES);
    for (hrt_noise noise = 0; noise < HRT_NOISES; noise++)
        printf("| %s | %.1f %% |\n", noise_texts[noise], 100.0 * covered(noise) / LINES);
    struct forecasts result = forecast();
    printf("\n| forecast half way to the limit, linear growth, %d lines | |\n| --- | ---: |\n", LINES);
    printf("| within 10 %% of the truth (goal: all) | %.1f %% |\n", 100.0 * result.near / LINES);
    printf("| the largest error | %.1f %% |\n", 100 * result.worst);
    printf("| the interval holds the truth | %.1f %% |\n", 100.0 * result.inside / LINES);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaks_are_found_and_little_else),
        cmocka_unit_test(the_interval_holds_the_truth_as_often_as_it_says),
        cmocka_unit_test(forecasts_are_near),
    };
    if (argc == 2 && strcmp(argv[1], "--table") == 0) {
        print_table();
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
