/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/clock.h"
#include "report/explain.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static char buffer[HR_EXPLANATION_BYTES];

static void explain(const hri_story *story)
{
    hri_text text = {.buffer = buffer, .size = sizeof buffer};
    hri_explain(story, &text);
    assert_int_equal(text.length, strlen(buffer));
}

static const hri_holder holder = {.name = "cache", .bytes = 60 * MIB};
static const hr_trend growing = {.kind = HR_TREND_GROWTH,
                                 .slope_bytes_per_s = 1.5 * (double)MIB,
                                 .slope_low = 1.4 * (double)MIB,
                                 .slope_high = 1.6 * (double)MIB,
                                 .settled_ns = 8 * HRI_SECOND};
static const hr_event relief = {.kind = HR_EVENT_RELIEF, .freed_bytes = 1 * MIB, .time_ns = 3 * HRI_SECOND};
static const hr_trend trend = {.reason = "",
                               .time_to_limit_ns = 12 * HRI_SECOND,
                               .time_to_limit_low_ns = 10 * HRI_SECOND,
                               .time_to_limit_high_ns = 300 * HRI_SECOND};

static hri_story a_story(void)
{
    return (hri_story){
        .level = HR_DEGRADED,
        .ledger = {.source = "cgroup v2 /app memory.max", .use_bytes = 93 * MIB, .limit_bytes = 100 * MIB},
        .holder = &holder,
        .holding = &growing,
        .reliefs = 4,
        .relieved_bytes = 3 * MIB,
        .last_relief = &relief,
        .trend = &trend,
        .now_ns = 5 * HRI_SECOND,
    };
}

static void a_level_is_explained(void **state)
{
    (void)state;
    hri_story story = a_story();
    explain(&story);
    assert_string_equal(
        buffer,
        "degraded: 93.0 MiB of 100.0 MiB used (93.0 %), the limit set by cgroup v2 /app memory.max; "
        "most is held by budget \"cache\", 60.0 MiB and growing by 1.5 MiB/s for 8 s; relief gave back 3.0 MiB, "
        "the last 1.0 MiB 2 s ago; at this rate it will be full in 12 s (10 s to 5 min)");
}

/* Page cache that cannot be dropped, and a group that stands still, are not in the use. Without a word of them the
 * level has no reason, and neither has a refusal beside so much room. */
static void what_is_no_use_is_said(void **state)
{
    (void)state;
    hri_story story = a_story();
    story.dirty_bytes = 24 * MIB;
    explain(&story);
    assert_non_null(
        strstr(buffer, "memory.max; 24.0 MiB of page cache are not written yet and cannot be dropped; most is"));
    story.dirty_bytes = 0;
    story.strained = HR_DEGRADED;
    story.stalled_share = 0.344;
    explain(&story);
    assert_non_null(strstr(buffer,
                           "memory.max; all tasks of the cgroup stood still for memory 34 % of the last ten seconds, "
                           "which alone is degraded; most is"));
    story.strained = HR_CRITICAL;
    story.stalled_share = 0;
    explain(&story);
    assert_non_null(strstr(buffer,
                           "; the cgroup thrashes at its limit, by memory.events and pages that were read again, "
                           "which alone is critical; most is"));
}

/* Prevents: of 59 MiB that were used the text named a budget of 5 MiB, which held most among budgets. */
static void who_holds_more_than_any_budget_is_named(void **state)
{
    (void)state;
    hri_story story = a_story();
    story.larger = "this process, in no budget";
    story.larger_bytes = 70 * MIB;
    explain(&story);
    assert_non_null(strstr(buffer, "; most is held by this process, in no budget, 70.0 MiB; relief gave back"));
}

static void a_refusal_is_explained(void **state)
{
    (void)state;
    hri_story story = a_story();
    hr_refusal refusal = {
        .limit_name = "cache", .asked_bytes = 5 * MIB, .left_bytes = 1 * MIB, .limit_bytes = 64 * MIB};
    hr_trend none = {.time_to_limit_ns = -1, .reason = "no growth is certain"};
    hr_trend shrinking = growing;
    shrinking.kind = HR_TREND_SHRINKING;
    shrinking.slope_bytes_per_s = -2.0 * (double)MIB;
    story.refusal = &refusal;
    story.trend = &none;
    story.holding = &shrinking;
    story.reliefs = 0;
    refusal.asked_bytes = HR_NONE; /* a request of that many bytes, and no absence */
    explain(&story);
    assert_non_null(strstr(buffer, "refused 16.0 EiB: cache has"));
    refusal.asked_bytes = 5 * MIB;
    explain(&story);
    assert_string_equal(
        buffer, "refused 5.0 MiB: cache has 1.0 MiB left of 64.0 MiB; the level is degraded: 93.0 MiB of 100.0 "
                "MiB used (93.0 %), the limit set by cgroup v2 /app memory.max; most is held by budget \"cache\", "
                "60.0 MiB and shrinking by 2.0 MiB/s for 8 s; relief has given nothing back yet; no forecast: no "
                "growth is certain");
}

/* Trends are of the last sample, use is of now. */
static void a_limit_that_has_room_again_was_met(void **state)
{
    (void)state;
    hri_story story = a_story();
    hr_trend met = {.reason = "the limit is reached"};
    story.trend = &met;
    explain(&story);
    assert_non_null(strstr(buffer, "; the limit was reached"));
    story.ledger.use_bytes = story.ledger.limit_bytes;
    explain(&story);
    assert_non_null(strstr(buffer, "; the limit is reached"));
    met.time_to_limit_ns = 80 * 1000 * 1000; /* the last sample was just before */
    explain(&story);
    assert_non_null(strstr(buffer, "; the limit is reached"));
}

/* Prevents: beside a cgroup of 3 GiB the text said "it will be full in 39 s", and those were of limit_bytes. */
static void a_forecast_of_another_limit_names_it(void **state)
{
    (void)state;
    hri_story story = a_story();
    story.grows_to = story.ledger.source;
    explain(&story);
    assert_non_null(strstr(buffer, "; at this rate it will be full in 12 s"));
    story.grows_to = "limit_bytes";
    explain(&story);
    assert_non_null(strstr(buffer, "; at this rate limit_bytes will be full in 12 s"));
    hr_trend met = {.reason = "the limit is reached"};
    story.trend = &met;
    explain(&story);
    assert_non_null(strstr(buffer, "; limit_bytes was reached"));
}

static void what_is_not_known_is_said(void **state)
{
    (void)state;
    hri_story story = {.level = HR_NORMAL};
    explain(&story);
    assert_string_equal(buffer,
                        "normal: no limit is known; no budget holds anything; relief has given nothing back yet; "
                        "it is too early for a forecast");
    hri_holder fresh = {.name = "a\033[2J\nb\xff", .bytes = 5};
    hr_trend none = {.slope_bytes_per_s = 5, .slope_low = -INFINITY, .slope_high = INFINITY};
    story.holder = &fresh;
    story.holding = &none;
    explain(&story);
    assert_non_null(strstr(buffer, "budget \"a?[2J?b?\", 5 B;"));
}

static void the_longest_fits(void **state)
{
    (void)state;
    char source[300], other[300];
    hri_story story = a_story();
    hr_refusal refusal = {.asked_bytes = HR_NONE - 1, .left_bytes = HR_NONE - 1, .limit_bytes = HR_NONE - 1};
    hr_trend far = {.reason = "",
                    .time_to_limit_ns = INT64_MAX - 1,
                    .time_to_limit_low_ns = INT64_MAX - 1,
                    .time_to_limit_high_ns = INT64_MAX};
    hri_holder largest = {.bytes = HR_NONE - 1};
    hr_trend fast = {.kind = HR_TREND_GROWTH, .slope_bytes_per_s = 1e300, .settled_ns = INT64_MAX};
    memset(source, 'x', sizeof source);
    source[255] = '\0'; /* HRI_CGROUP_NAME_BYTES */
    memcpy(other, source, sizeof other);
    other[0] = 'w';
    story.grows_to = other;
    memset(refusal.limit_name, 'y', sizeof refusal.limit_name - 1);
    memset(largest.name, 'z', sizeof largest.name - 1);
    story.refusal = &refusal;
    story.trend = &far;
    story.holder = &largest;
    story.holding = &fast;
    story.ledger.source = source;
    story.ledger.limit_bytes = story.relieved_bytes = HR_NONE - 1;
    story.ledger.use_bytes = HR_NONE - 2;
    story.now_ns = INT64_MAX;
    explain(&story);
    assert_true(strlen(buffer) < sizeof buffer - 1);
}

/* Prevents: of 100 KiB that had been there for ten seconds, the text was "growing by 158.1 MiB/s" right after a burst.
 * Later it was "shrinking by 50.3 KiB/s", while the trend was 0. */
static void a_burst_is_no_rate(void **state)
{
    (void)state;
    hr_guard *guard;
    assert_int_equal(
        hr_guard_new(&(hr_guard_options){.limit_bytes = 100 * MIB, .interval_ns = 50 * HRI_MILLISECOND}, &guard), 0);
    hr_budget *root = hr_guard_root(guard);
    assert_int_equal(hr_budget_charge(root, 1 * MIB), 0);
    usleep(120000);
    assert_int_equal(hr_budget_charge(root, 40 * MIB), 0);
    usleep(120000);
    hr_budget_uncharge(root, 41 * MIB);
    assert_int_equal(hr_budget_charge(root, 100 * KIB), 0);
    for (int i = 0; i < 20; i++) {
        hr_report_explain(guard, NULL, buffer, sizeof buffer);
        assert_non_null(strstr(buffer, "most is held by budget \"root\", 100.0 KiB"));
        assert_null(strstr(buffer, "growing by"));
        assert_null(strstr(buffer, "shrinking by"));
        usleep(100000);
    }
    hr_budget_uncharge(root, 100 * KIB);
    hr_guard_free(guard);
}

/* Prevents: the figures weighed the ledgers by the last sample, and the text by now. Beside 79 of 100 MiB that were
 * held the use was 2 % of the host, and the holder was memory in no budget. */
static void figures_and_holders_are_of_now(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_figures figures;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 1000 * MIB, .interval_ns = -1}, &guard), 0);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 790 * MIB), 0); /* it crosses no threshold */
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_string_equal(figures.use_source, "budget");
    assert_true(figures.use >= 0.79);
    hr_report_explain(guard, NULL, buffer, sizeof buffer);
    assert_non_null(strstr(buffer, "most is held by budget \"root\", 790.0 MiB"));
    hr_budget_uncharge(hr_guard_root(guard), 790 * MIB);
    hr_guard_free(guard);
}

static void a_guard_explains_itself(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_budget *budgets[12];
    hr_refusal refusal;
    const uint64_t unit = 16 * MIB; /* a sanitizer has some 20 MiB in no budget, which are not to be the most */
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * unit, .interval_ns = -1}, &guard), 0);
    for (unsigned i = 0; i < 12; i++) {
        char name[] = "budget a";
        name[7] = (char)('a' + i);
        assert_int_equal(hr_budget_new(hr_guard_root(guard), name, 8 * unit, &budgets[i]), 0);
        assert_int_equal(hr_budget_charge(budgets[i], (1 + i % 5) * unit), 0);
    }
    assert_int_equal(hr_budget_charge(budgets[7], 4 * unit), 0);
    assert_int_equal(hr_budget_charge(budgets[7], 4 * unit), -EDQUOT);
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    ssize_t length = hr_report_explain(guard, &refusal, buffer, sizeof buffer);
    assert_int_equal(length, strlen(buffer));
    assert_non_null(strstr(buffer, "refused 64.0 MiB: budget h has 16.0 MiB left of 128.0 MiB; the level is "));
    assert_non_null(strstr(buffer, "of 1.0 GiB used"));
    assert_non_null(strstr(buffer, "the limit set by limit_bytes; most is held by budget \"budget h\", 112.0 MiB"));
    char small[8];
    assert_int_equal(hr_report_explain(guard, &refusal, small, sizeof small), length);
    assert_string_equal(small, "refused");
    assert_int_equal(hr_report_explain(guard, &refusal, NULL, 0), length);
    assert_int_equal(hr_report_explain(NULL, NULL, small, sizeof small), -EINVAL);
    assert_int_equal(hr_report_explain(guard, NULL, NULL, 1), -EINVAL);
    for (unsigned i = 0; i < 12; i++) {
        hr_budget_figures figures;
        assert_int_equal(hr_budget_read(budgets[i], &figures), 0);
        hr_budget_uncharge(budgets[i], figures.used_bytes);
        assert_int_equal(hr_budget_free(budgets[i]), 0);
    }
    hr_guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_level_is_explained),
        cmocka_unit_test(what_is_no_use_is_said),
        cmocka_unit_test(a_refusal_is_explained),
        cmocka_unit_test(a_limit_that_has_room_again_was_met),
        cmocka_unit_test(a_forecast_of_another_limit_names_it),
        cmocka_unit_test(what_is_not_known_is_said),
        cmocka_unit_test(the_longest_fits),
        cmocka_unit_test(a_burst_is_no_rate),
        cmocka_unit_test(figures_and_holders_are_of_now),
        cmocka_unit_test(a_guard_explains_itself),
        cmocka_unit_test(who_holds_more_than_any_budget_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
