/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests were refused: in words, in records and events, in the file, and in every format. */
#include "support/cmocka.h"

#include "base/clock.h"
#include "budget/refusals.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOON INT64_C(1772366587) /* 2026-03-01 12:03:07 UTC */

static char text[1024], report[16384];

static void say(const hr_record *records, size_t count, const hr_event *events, size_t event_count)
{
    ssize_t length = hr_refusals_format(&(hr_history_view){records, count, events, event_count}, text, sizeof text);
    assert_int_equal(length, strlen(text));
}

static hr_record at(int64_t second, uint64_t all, uint64_t degraded, uint64_t critical)
{
    return (hr_record){.wall_ns = (NOON + second) * HRI_SECOND,
                       .refusals = all,
                       .refusals_degraded = degraded,
                       .refusals_critical = critical};
}

static void the_example_of_the_header(void **state)
{
    (void)state;
    const hr_record records[] = {at(-1, 0, 0, 0),      at(0, 0, 0, 0),       at(1, 1000, 0, 990),
                                 at(2, 3000, 0, 2980), at(3, 5821, 0, 5790), at(4, 5821, 0, 5790)};
    const hr_event event = {
        .kind = HR_EVENT_REFUSALS, .budget = "uploads", .refused_by_level = 5790, .refused_by_limit = 12};
    const hr_event other = {.kind = HR_EVENT_LEVEL, .budget = "no"};
    say(records, 6, (const hr_event[]){event, other}, 2);
    assert_string_equal(text,
                        "5,821 requests were refused between 2026-03-01 12:03:07 and 12:03:10 UTC: 5,790 because the "
                        "level was critical, 31 by limits; by budget \"uploads\" 5,802");
}

static void spells_restarts_and_old_files_are_understood(void **state)
{
    (void)state;
    const hr_record records[] = {at(0, 7, 0, 0),    at(1, 8, 1, 0),     at(100, 8, 1, 0),
                                 at(101, 10, 1, 2), at(43200, 0, 0, 0), at(43201, 1, 1, 0)};
    say(records, 2, NULL, 0);
    assert_string_equal(
        text, "1 request was refused between 2026-03-01 12:03:07 and 12:03:08 UTC: 1 because the level was or "
              "would have been degraded; before that 7");
    say(records, 6, NULL, 0);
    assert_string_equal(text,
                        "4 requests were refused in 3 spells, the last 1 between 2026-03-02 00:03:07 and 00:03:08 UTC: "
                        "2 because the level was critical, 2 because the level was or would have been degraded; before "
                        "that 7");
    const hr_record old = {.refusals = HR_NONE};
    say(&old, 1, NULL, 0);
    assert_string_equal(text, "no request was refused");
    say(records, 1, NULL, 0);
    assert_string_equal(text, "no request was refused since the first record; before that 7");
    assert_int_equal(hr_refusals_format(NULL, text, sizeof text), -EINVAL);
    assert_int_equal(hr_refusals_format(&(hr_history_view){records, 2, NULL, 1}, text, sizeof text), -EINVAL);
}

static void a_tally_of_many_has_a_place_for_the_rest(void **state)
{
    (void)state;
    hri_refusals refusals = {0};
    char name[100];
    int budgets[20];
    memset(name, 'x', sizeof name - 1);
    name[99] = '\0';
    for (int i = 0; i < 20; i++)
        for (int k = 0; k <= i; k++)
            hri_refusals_count(&refusals, &budgets[i], i == 0 ? name : "same", k % 2 ? HR_CRITICAL : HR_NORMAL);
    const hri_refusers *refusers = &refusals.refusers;
    assert_int_equal(refusals.counts.all, 210);
    assert_int_equal(refusals.counts.critical, 100);
    assert_int_equal(refusers->count, HRI_REFUSERS_MAX + 1);
    assert_int_equal(strlen(refusers->list[0].name), HRI_REFUSER_NAME_BYTES - 1);
    assert_int_equal(refusers->list[1].by_limit + refusers->list[1].by_level, 2);
    assert_null(refusers->list[HRI_REFUSERS_MAX].budget);
    uint64_t sum = 0;
    for (size_t i = 0; i < refusers->count; i++)
        sum += refusers->list[i].by_limit + refusers->list[i].by_level;
    assert_int_equal(sum, 210);
}

struct events {
    uint64_t by_limit, by_level, records;
    hr_record last;
    char budget[48];
};

static int visit(void *context, const hr_history_entry *entry)
{
    struct events *events = context;
    if (!entry->is_event) {
        events->records++;
        events->last = entry->record;
    } else if (entry->event.kind == HR_EVENT_REFUSALS) {
        events->by_limit += entry->event.refused_by_limit;
        events->by_level += entry->event.refused_by_level;
        memcpy(events->budget, entry->event.budget, sizeof events->budget);
    }
    return 0;
}

/* Regression: 5,821 requests were refused in three seconds, and the history said "normal 66.7 %, warning 33.3 %". */
static void refusals_are_in_the_history_and_in_its_file(void **state)
{
    (void)state;
    char file[] = "/tmp/headroom-refused-XXXXXX";
    hr_guard *guard;
    hr_budget *uploads;
    hr_ticket ticket;
    hr_bucket bucket;
    size_t count;
    struct events events = {0};
    hr_history_findings findings;
    close(mkstemp(file));
    const hr_guard_options options = {.limit_bytes = 100 * MIB, .interval_ns = -1, .history_file = file};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "uploads", 10 * MIB, &uploads), 0);
    for (int i = 0; i < 30; i++)
        assert_int_equal(hr_budget_try_charge(uploads, 11 * MIB), -EDQUOT);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 96 * MIB), 0);
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    for (int i = 0; i < 1500; i++)
        assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 1, .budget = uploads}, &ticket), HR_REFUSED_OVERLOADED);
    assert_int_equal(hr_history_record(guard), 0);
    assert_int_equal(hr_history_record(NULL), -EINVAL);
    assert_int_equal(hr_history_read_tier(guard, HR_TIER_HOURS, &bucket, 1, &count), 0);
    assert_int_equal(bucket.refusals, 1530);
    assert_int_equal(bucket.refusals_by_level, 1500);
    assert_true(hr_report_format(guard, HR_TEXT, report, sizeof report) > 0);
    for (char *at = report; (at = strstr(at, "\n  ")) != NULL;) /* lines that go on */
        memmove(at, at + 2, strlen(at + 2) + 1), *at = ' ';
    assert_non_null(strstr(report, "1,530 requests were refused between "));
    assert_non_null(strstr(report, "1,500 because the level was critical"));
    hr_budget_uncharge(hr_guard_root(guard), 96 * MIB);
    assert_int_equal(hr_budget_free(uploads), 0);
    hr_guard_free(guard);
    assert_int_equal(hr_history_file_visit(file, visit, &events, &findings), 0);
    assert_int_equal(events.by_limit, 30);
    assert_int_equal(events.by_level, 1500);
    assert_string_equal(events.budget, "uploads");
    assert_int_equal(events.last.refusals, 1530);
    assert_int_equal(events.last.refusals_critical, 1500);
    assert_true(*events.last.decided_by != '\0');
    unlink(file);
}

static void a_record_is_all_that_happens(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_record records[4];
    size_t count;
    hr_figures before, after;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 100 * MIB, .interval_ns = -1}, &guard), 0);
    assert_int_equal(hr_history_read(guard, records, 4, &count), 0);
    size_t begun = count;
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 10 * MIB), 0);
    hr_guard_read(guard, &before);
    assert_int_equal(hr_history_record(guard), 0);
    hr_guard_read(guard, &after);
    assert_int_equal(after.time_ns, before.time_ns); /* no gauge was read */
    assert_int_equal(hr_history_read(guard, records, 4, &count), 0);
    assert_int_equal(count, begun + 1);
    assert_int_equal(records[count - 1].live_bytes, 10 * MIB);
    hr_budget_uncharge(hr_guard_root(guard), 10 * MIB);
    hr_guard_free(guard);
}

static void figures_are_said_in_one_line(void **state)
{
    (void)state;
    hr_figures figures = {.level = HR_WARNING,
                          .live_bytes = 81 * MIB,
                          .limit_bytes = 100 * MIB,
                          .limit_source = "limit\n_bytes",
                          .promised_bytes = 2 * MIB,
                          .use = 0.83,
                          .use_source = "budget",
                          .rss_bytes = 90 * MIB,
                          .cgroup_bytes = HR_NONE,
                          .cgroup_limit_bytes = HR_NONE,
                          .refusals = 3,
                          .reliefs = 1,
                          .relieved_bytes = 5 * MIB};
    assert_int_equal(hr_figures_text(&figures, text, sizeof text), 0);
    assert_string_equal(text,
                        "warning: 81.0 MiB of 100.0 MiB held (limit?_bytes), 2.0 MiB promised, budget 83.0 % full, rss "
                        "90.0 MiB, 3 refused, relief gave back 5.0 MiB");
    assert_int_equal(hr_figures_text(&figures, text, 8), -ENOBUFS);
    assert_string_equal(text, "warning");
    assert_int_equal(hr_figures_text(NULL, text, 8), -EINVAL);
    assert_int_equal(hr_figures_text(&figures, NULL, 8), -EINVAL);
    assert_int_equal(hr_figures_text(&(hr_figures){0}, text, sizeof text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_header),
        cmocka_unit_test(spells_restarts_and_old_files_are_understood),
        cmocka_unit_test(a_tally_of_many_has_a_place_for_the_rest),
        cmocka_unit_test(refusals_are_in_the_history_and_in_its_file),
        cmocka_unit_test(a_record_is_all_that_happens),
        cmocka_unit_test(figures_are_said_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
