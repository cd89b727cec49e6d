/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/clock.h"
#include "report/history.h"

#include <string.h>

#define HOUR (3600 * HRI_SECOND)
#define WALL INT64_C(1800000000000000000)

static hri_history history;
static hr_bucket buckets[2000];

static int set_up(void **state)
{
    (void)state;
    return hri_history_init(&history, HRI_HISTORY_BYTES);
}

static int tear_down(void **state)
{
    (void)state;
    hri_history_destroy(&history);
    return 0;
}

static void sample(int64_t time_ns, uint64_t live_bytes)
{
    hri_history_add(&history, &(hr_record){
                                  .time_ns = time_ns,
                                  .wall_ns = WALL + time_ns,
                                  .live_bytes = live_bytes,
                                  .rss_bytes = live_bytes / 2,
                                  .cgroup_anonymous_bytes = HR_NONE,
                                  .cgroup_kernel_bytes = 7,
                                  .cgroup_cache_bytes = 0,
                              });
}

static size_t copy(hr_tier tier)
{
    return hri_history_copy_tier(&history, tier, buckets, sizeof buckets / sizeof *buckets);
}

/* Goal: at most 256 KiB for a day of history in all tiers. */
static void a_day_fits_and_keeps_its_promises(void **state)
{
    (void)state;
    for (int64_t second = 0; second < 86400; second++)
        sample(second * HRI_SECOND, (uint64_t)second);
    assert_true(sizeof history + history.pages_bytes <= 256 << 10);
    assert_true(copy(HR_TIER_SECONDS) >= 7 * 60);
    assert_true(copy(HR_TIER_MINUTES) >= 12 * 60);
    assert_int_equal(copy(HR_TIER_HOURS), 24);
    for (uint64_t hour = 0; hour < 24; hour++) {
        const hr_bytes_range *live = &buckets[hour].ledgers[HR_HISTORY_LIVE];
        assert_int_equal(buckets[hour].samples, 3600);
        assert_int_equal(buckets[hour].time_ns, (int64_t)hour * HOUR);
        assert_int_equal(buckets[hour].wall_ns, WALL + (int64_t)hour * HOUR);
        assert_int_equal(buckets[hour].width_ns, HOUR);
        assert_int_equal(live->min_bytes, hour * 3600);
        assert_int_equal(live->max_bytes, hour * 3600 + 3599);
        assert_int_equal(live->mean_bytes, hour * 3600 + 1799);
    }
    size_t count = copy(HR_TIER_MINUTES);
    assert_int_equal(buckets[count - 1].ledgers[HR_HISTORY_LIVE].max_bytes, 86399);
    assert_int_equal(buckets[0].time_ns, (int64_t)(86400 / 60 - count) * 60 * HRI_SECOND);
}

static void what_is_absent_stays_absent(void **state)
{
    (void)state;
    sample(0, 5);
    assert_int_equal(copy(HR_TIER_SECONDS), 1);
    assert_int_equal(buckets[0].ledgers[HR_HISTORY_CGROUP_ANONYMOUS].min_bytes, HR_NONE);
    assert_int_equal(buckets[0].ledgers[HR_HISTORY_CGROUP_ANONYMOUS].mean_bytes, HR_NONE);
    assert_int_equal(buckets[0].ledgers[HR_HISTORY_CGROUP_KERNEL].mean_bytes, 7);
    assert_int_equal(buckets[0].ledgers[HR_HISTORY_CGROUP_CACHE].max_bytes, 0);
}

/* Sums of 64-bit figures must not wrap, and a mean must lie between its ends. */
static void the_largest_figures_have_a_mean(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        sample(i, HR_NONE - 1);
    assert_int_equal(copy(HR_TIER_SECONDS), 1);
    assert_int_equal(buckets[0].ledgers[HR_HISTORY_LIVE].mean_bytes, HR_NONE - 1);
    assert_int_equal(buckets[0].ledgers[HR_HISTORY_LIVE].min_bytes, HR_NONE - 1);
}

static void gaps_show_and_clocks_that_step_back_open_nothing(void **state)
{
    (void)state;
    sample(-1, 1); /* before the epoch, the second before */
    sample(10 * HRI_SECOND, 2);
    sample(9 * HRI_SECOND, 40);
    sample(10 * HRI_SECOND + 1, 3);
    sample(1000 * HRI_SECOND, 4);
    assert_int_equal(copy(HR_TIER_SECONDS), 3);
    assert_int_equal(buckets[0].time_ns, -1);
    assert_int_equal(buckets[1].time_ns, 10 * HRI_SECOND);
    assert_int_equal(buckets[1].samples, 3);
    assert_int_equal(buckets[1].ledgers[HR_HISTORY_LIVE].max_bytes, 40);
    assert_int_equal(buckets[2].time_ns, 1000 * HRI_SECOND);
}

static void events_are_counted_where_they_happen(void **state)
{
    (void)state;
    hr_event relief = {.kind = HR_EVENT_RELIEF, .freed_bytes = 10, .time_ns = 1};
    hr_event level = {.kind = HR_EVENT_LEVEL, .from = HR_NORMAL, .to = HR_DEGRADED};
    hr_event events[HR_HISTORY_EVENTS];
    hri_history_note(&history, &relief); /* before any sample */
    sample(0, 1);
    hri_history_note(&history, &relief);
    hri_history_note(&history, &relief);
    hri_history_note(&history, &level);
    assert_int_equal(copy(HR_TIER_HOURS), 1);
    assert_int_equal(buckets[0].reliefs, 2);
    assert_int_equal(buckets[0].relieved_bytes, 20);
    assert_int_equal(buckets[0].level_changes, 1);
    assert_int_equal(hri_history_copy_events(&history, events, 1), 1);
    assert_int_equal(events[0].to, HR_DEGRADED);
    for (int64_t i = 0; i < 2 * HR_HISTORY_EVENTS; i++)
        hri_history_note(&history, &(hr_event){.time_ns = i});
    assert_int_equal(hri_history_copy_events(&history, events, HR_HISTORY_EVENTS), HR_HISTORY_EVENTS);
    assert_int_equal(events[0].time_ns, HR_HISTORY_EVENTS);
    assert_int_equal(events[HR_HISTORY_EVENTS - 1].time_ns, 2 * HR_HISTORY_EVENTS - 1);
}

static void a_small_room_has_small_tiers_or_none(void **state)
{
    (void)state;
    for (uint64_t bytes = 0; bytes < 64 << 10; bytes += 100) {
        hri_history small;
        assert_int_equal(hri_history_init(&small, bytes), 0);
        assert_true(small.pages_bytes == 0 || sizeof small + small.pages_bytes <= bytes);
        for (int64_t i = 0; i < 200; i++)
            hri_history_add(&small, &(hr_record){.time_ns = i * 60 * HRI_SECOND, .live_bytes = (uint64_t)i});
        for (hr_tier tier = HR_TIER_SECONDS; tier < HR_TIERS; tier++) {
            size_t count = hri_history_copy_tier(&small, tier, buckets, 10);
            for (size_t i = 1; i < count; i++)
                assert_true(buckets[i].time_ns > buckets[i - 1].time_ns);
        }
        hri_history_destroy(&small);
    }
}

static void ledgers_have_names(void **state)
{
    (void)state;
    assert_string_equal(hr_history_ledger_text(HR_HISTORY_CGROUP_CACHE), "cgroup cache");
    assert_string_equal(hr_history_ledger_text((hr_history_ledger)99), "unknown");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_day_fits_and_keeps_its_promises),
        TEST(what_is_absent_stays_absent),
        TEST(the_largest_figures_have_a_mean),
        TEST(gaps_show_and_clocks_that_step_back_open_nothing),
        TEST(events_are_counted_where_they_happen),
        cmocka_unit_test(a_small_room_has_small_tiers_or_none),
        TEST(ledgers_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
