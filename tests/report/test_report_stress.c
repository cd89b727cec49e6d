/* SPDX-License-Identifier: Apache-2.0 */
/* Reports, trends, explanations and history files of a guard whose budgets come, go and are charged meanwhile. */
#include "support/cmocka.h"

#include <errno.h>
#include <fcntl.h>
#include <headroom/headroom.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The findings alone are wanted. */
static int pass_by(void *context, const hr_history_entry *entry)
{
    (void)context, (void)entry;
    return 0;
}

static hr_guard *guard;
static _Atomic bool stop;
static _Atomic unsigned reports;

static void *charge(void *context)
{
    hr_budget *root = hr_guard_root(guard), *budget;
    for (unsigned i = 0; !atomic_load(&stop); i++) {
        if (hr_budget_new(root, context, HR_NONE, &budget) != 0)
            continue;
        uint64_t bytes = (i % 16) << 20;
        if (hr_budget_charge(budget, bytes) == 0)
            hr_budget_uncharge(budget, bytes);
        hr_budget_free(budget);
    }
    return NULL;
}

static void *report(void *context)
{
    static _Thread_local char text[1 << 17];
    int null = *(const int *)context;
    while (!atomic_load(&stop)) {
        hr_trend trend;
        hr_bucket buckets[10];
        hr_history_file_figures figures;
        size_t count;
        for (hr_format format = HR_TEXT; format <= HR_OPENMETRICS; format++) {
            if (hr_report_write(guard, format, null) != 0 || hr_report_format(guard, format, text, sizeof text) <= 0)
                abort();
        }
        hr_report_explain(guard, NULL, text, sizeof text);
        if (hr_trend_read(guard, &trend) == -EINVAL)
            abort();
        hr_history_read_tier(guard, HR_TIER_SECONDS, buckets, 10, &count);
        hr_history_file_read(guard, &figures);
        hr_guard_check(guard);
        atomic_fetch_add(&reports, 1);
    }
    return NULL;
}

static void reports_are_made_while_all_changes(void **state)
{
    (void)state;
    char path[] = "/tmp/headroom-stress-XXXXXX";
    int fd = mkstemp(path), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && null >= 0);
    close(fd);
    hr_guard_options options = {
        .limit_bytes = 64 << 20, .interval_ns = 1000000, .dwell_ns = 1000000, .history_file = path};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    pthread_t threads[4];
    assert_int_equal(pthread_create(&threads[0], NULL, charge, (void *)"one"), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, charge, (void *)"two"), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, report, &null), 0);
    assert_int_equal(pthread_create(&threads[3], NULL, report, &null), 0);
    usleep(1500000);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(reports > 10);
    hr_guard_free(guard);
    hr_history_findings findings;
    assert_int_equal(hr_history_file_visit(path, pass_by, NULL, &findings), 0);
    assert_true(findings.entries > 100);
    assert_int_equal(findings.damaged + findings.torn_bytes, 0);
    unlink(path);
    close(null);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reports_are_made_while_all_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
