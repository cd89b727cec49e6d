/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "guard/environment.h"
#include "os/clock.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic int up_changes, down_changes;

static void count_changes(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context, (void)figures;
    if (to > from)
        up_changes++;
    else
        down_changes++;
}

static hr_guard *make_guard(hr_guard_options options)
{
    hr_guard *guard = NULL;
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    return guard;
}

static void defaults_find_the_machines_limit(void **state)
{
    (void)state;
    hr_guard *guard = NULL;
    hr_figures figures;
    assert_int_equal(hr_guard_new(NULL, &guard), 0);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_true(figures.limit_bytes > 0 && figures.limit_bytes < HR_NONE);
    assert_true(strlen(figures.limit_source) > 0);
    assert_true(figures.rss_bytes > 0 && figures.rss_bytes < HR_NONE);
    assert_int_equal(hr_guard_level(guard), HR_NORMAL);
    assert_string_equal(hr_budget_name(hr_guard_root(guard)), "root");
    hr_guard_free(guard);
    hr_guard_free(NULL);
}

static void thresholds_are_read_back_as_they_were_fitted(void **state)
{
    (void)state;
    hr_thresholds got;
    hr_guard *guard = make_guard((hr_guard_options){.limit_bytes = 10 * MIB, .degrade_at = 0.96, .interval_ns = -1});
    assert_int_equal(hr_guard_thresholds(guard, &got), 0);
    assert_true(got.warn_at == 0.80 && got.warn_below == 0.75 && got.degrade_at == 0.96 && got.recover_below == 0.80);
    assert_true(got.critical_at > 0.9799 && got.critical_at < 0.9801); /* half way to 1 */
    assert_int_equal(got.limit_bytes, 10 * MIB);
    assert_int_equal(got.warn_at_bytes, 8 * MIB);
    assert_in_range(got.degrade_at_bytes, 96 * MIB / 10 - 1, 96 * MIB / 10 + 1);
    assert_true(got.critical_at_bytes > got.degrade_at_bytes && got.critical_at_bytes < got.limit_bytes);
    assert_int_equal(got.recover_below_bytes, 8 * MIB);
    assert_in_range(got.warn_below_bytes, 75 * MIB / 10 - 1, 75 * MIB / 10 + 1);
    assert_int_equal(hr_budget_set_limit(hr_guard_root(guard), 5 * MIB), 0);
    assert_int_equal(hr_guard_thresholds(guard, &got), 0);
    assert_int_equal(got.warn_at_bytes, 4 * MIB);
    hr_guard_free(guard);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    hr_guard *guard = (hr_guard *)1;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.warn_at = 0.9, .degrade_at = 0.8}, &guard), -EINVAL);
    assert_ptr_equal(guard, (hr_guard *)1); /* untouched on failure */
    assert_int_equal(hr_guard_new(NULL, NULL), -EINVAL);
}

static void a_limit_above_the_kernels_is_the_kernels(void **state)
{
    (void)state;
    hrt_world world;
    hr_guard *guard;
    hr_figures figures;
    hrt_world_new(&world);
    hrt_world_set_process(&world, 1 * MIB, 8192 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 1 * MIB, 0);
    hri_environment environment = {world.root, &world.clock};
    hr_guard_options options = {.limit_bytes = 500 * MIB, .interval_ns = -1};
    assert_int_equal(hri_guard_new_in(&environment, &options, &guard), 0);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.limit_bytes, 100 * MIB);
    assert_string_equal(figures.limit_source, "cgroup v2 /app memory.max");
    assert_int_equal(hr_budget_set_limit(hr_guard_root(guard), 50 * MIB), 0);
    hr_guard_check(guard);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.limit_bytes, 50 * MIB);
    assert_string_equal(figures.limit_source, "limit_bytes");
    hr_guard_free(guard);
    hrt_world_free(&world);
}

/* Regression: the source's monitor cannot be stopped. */
static void source_10_the_monitor_starts_stops_and_starts_again(void **state)
{
    (void)state;
    hr_guard *guard = make_guard((hr_guard_options){.limit_bytes = 64 * MIB});
    assert_int_equal(hr_guard_start(guard, 0), -EALREADY);
    assert_int_equal(hr_guard_stop(guard), 0);
    assert_int_equal(hr_guard_stop(guard), -EALREADY);
    assert_int_equal(hr_guard_start(guard, -1), -EINVAL);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(hr_guard_start(guard, HRI_MILLISECOND), 0);
        assert_int_equal(hr_guard_stop(guard), 0);
    }
    assert_int_equal(hr_guard_start(guard, HRI_MILLISECOND), 0);
    hr_guard_free(guard); /* stops it */
}

/* Regression: between two ticks the source's monitor is blind. Ours sees a burst shorter than its interval. */
static void source_10_a_burst_between_two_samples_is_seen(void **state)
{
    (void)state;
    up_changes = down_changes = 0;
    hr_guard *guard = make_guard((hr_guard_options){
        .limit_bytes = 64 * MIB,
        .interval_ns = 3600 * HRI_SECOND,
        .dwell_ns = HRI_MILLISECOND,
        .on_level = count_changes,
    });
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 55 * MIB), 0);
    assert_int_equal(hr_guard_level(guard), HR_WARNING);
    while (up_changes == 0) /* told after it is decided, by whoever looked first: perhaps the monitor */
        usleep(1000);
    hr_budget_uncharge(hr_guard_root(guard), 55 * MIB);
    assert_int_equal(hr_guard_wait(guard, HR_NORMAL, 10 * HRI_SECOND), 0); /* the monitor does not sleep its hour now */
    while (down_changes == 0)
        usleep(1000);
    hr_guard_free(guard);
    assert_int_equal(up_changes, 1);
    assert_int_equal(down_changes, 1);
}

static void waiting_ends_with_the_level_or_the_time(void **state)
{
    (void)state;
    for (int thread = 0; thread < 2; thread++) {
        hr_guard *guard = make_guard((hr_guard_options){
            .limit_bytes = 64 * MIB, .interval_ns = thread ? 0 : -1, .dwell_ns = 50 * HRI_MILLISECOND});
        assert_int_equal(hr_guard_wait(guard, HR_NORMAL, 0), 0);
        assert_int_equal(hr_budget_charge(hr_guard_root(guard), 55 * MIB), 0);
        assert_int_equal(hr_guard_wait(guard, HR_WARNING, 0), 0);
        assert_int_equal(hr_guard_wait(guard, HR_NORMAL, 20 * HRI_MILLISECOND), -ETIMEDOUT);
        hr_budget_uncharge(hr_guard_root(guard), 55 * MIB);
        assert_int_equal(hr_guard_wait(guard, HR_NORMAL, -1), 0);
        hr_guard_free(guard);
    }
    assert_int_equal(hr_guard_wait(NULL, HR_NORMAL, 0), -EINVAL);
    hr_ticket ticket = {.left_bytes = 1};
    assert_int_equal(hr_admit(NULL, &(hr_request){.bytes = 1000}, &ticket), HR_REFUSED_NO_BUDGET);
    char text[128];
    assert_int_equal(hr_ticket_text(&ticket, text, sizeof text), 0);
    assert_string_equal(text, "refused 1000 B: there is no guard or no request, or the budget is another guard's");
    assert_int_equal(ticket.left_bytes, 0);
}

static bool readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

static void the_descriptor_is_readable_after_each_change(void **state)
{
    (void)state;
    hr_guard *guard = make_guard((hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1});
    int fd = hr_guard_fd(guard);
    assert_true(fd >= 0);
    assert_int_equal(hr_guard_fd(guard), fd);
    assert_false(readable(fd));
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 55 * MIB), 0);
    assert_true(readable(fd));
    eventfd_t changes;
    assert_int_equal(eventfd_read(fd, &changes), 0);
    assert_false(readable(fd));
    hr_budget_uncharge(hr_guard_root(guard), 55 * MIB);
    hr_guard_check(guard);
    assert_true(readable(fd));
    hr_guard_free(guard);
}

/* A callback that frees what the level asks for, from within its own change. */
static void *ballast;

static void drop_ballast(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context, (void)from, (void)figures;
    if (to >= HR_WARNING) {
        hr_free(ballast);
        ballast = NULL;
    }
}

static void a_callback_may_free_and_check(void **state)
{
    (void)state;
    hr_guard *guard =
        make_guard((hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1, .on_level = drop_ballast});
    ballast = hr_alloc(hr_guard_root(guard), 40 * MIB);
    assert_non_null(ballast);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 15 * MIB), 0);
    assert_null(ballast);
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    hr_budget_uncharge(hr_guard_root(guard), 15 * MIB);
    hr_guard_free(guard);
}

/* Prevents: a use that went over the threshold between two readings counted as low all the time. The level fell in each
 * dwell, and rose with the next peak. */
static void peaks_between_two_readings_keep_the_level(void **state)
{
    (void)state;
    hr_guard_options options = {.limit_bytes = 100 * MIB, .interval_ns = 5 * HRI_MILLISECOND, .dwell_ns = HRI_SECOND};
    options.on_level = count_changes;
    hr_guard *guard = make_guard(options);
    hr_budget *root = hr_guard_root(guard);
    up_changes = down_changes = 0;
    assert_int_equal(hr_budget_charge(root, 65 * MIB), 0);
    for (int i = 0; i < 150; i++) {
        assert_int_equal(hr_budget_charge(root, 16 * MIB), 0); /* warning begins at 80 % */
        hr_budget_uncharge(root, 16 * MIB);
        poll(NULL, 0, 20);
    }
    assert_int_equal(up_changes, 1);
    assert_int_equal(down_changes, 0);
    assert_int_equal(hr_guard_wait(guard, HR_NORMAL, 20 * HRI_SECOND), 0); /* and then it does fall */
    hr_budget_uncharge(root, 65 * MIB);
    hr_guard_free(guard);
}

/* Regression: the source's ticker is stopped before its loop runs: the cleanup never happens. */
static _Atomic int cleanups;

static uint64_t count_cleanups(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)deadline_ns;
    cleanups += want_bytes == 0;
    return 0;
}

static void source_9_the_janitor_really_comes_again_and_again(void **state)
{
    (void)state;
    cleanups = 0;
    hr_reclaimer node = {.name = "counter", .reclaim = count_cleanups};
    hr_guard *guard =
        make_guard((hr_guard_options){.limit_bytes = 64 * MIB, .cleanup_interval_ns = 5 * HRI_MILLISECOND});
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    hr_figures figures = {0};
    while (cleanups < 3 || figures.cleanups < 3) { /* a cleanup is counted after its callbacks */
        usleep(1000);
        assert_int_equal(hr_guard_read(guard, &figures), 0);
    }
    hr_reclaimer_remove(guard, &node);
    hr_guard_free(guard);
}

static void history_is_recorded_and_reports_are_written(void **state)
{
    (void)state;
    hr_guard *guard = make_guard((hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1});
    for (int i = 0; i < 150; i++)
        hr_guard_check(guard);
    hr_record records[HR_HISTORY_RECORDS];
    size_t count = 0;
    assert_int_equal(hr_history_read(guard, records, HR_HISTORY_RECORDS, &count), 0);
    assert_int_equal(count, 100);
    for (size_t i = 1; i < count; i++)
        assert_true(records[i].time_ns >= records[i - 1].time_ns);
    assert_int_equal(hr_history_read(guard, NULL, 1, &count), -EINVAL);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(hr_report_write(guard, HR_JSON, ends[1]), 0);
    char text[8192];
    ssize_t length = read(ends[0], text, sizeof text);
    assert_true(length > 2 && text[0] == '{' && text[length - 2] == '}');
    assert_int_equal(hr_report_write(guard, (hr_format)17, ends[1]), -EINVAL);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(hr_report_write(guard, HR_TEXT, -1), -EBADF);
    hr_guard_free(guard);
}

static uint64_t give_all(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    uint64_t *bytes = context, given = *bytes;
    (void)want_bytes, (void)deadline_ns;
    *bytes = 0;
    return given;
}

static void tiers_and_events_tell_what_happened(void **state)
{
    (void)state;
    hr_guard *guard = make_guard((hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1});
    uint64_t bytes = 5 * MIB;
    hr_reclaimer node = {.name = "cache", .reclaim = give_all, .context = &bytes};
    hr_bucket hour;
    hr_event events[HR_HISTORY_EVENTS];
    size_t count;
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 55 * MIB), 0);
    assert_int_equal(hr_guard_check(guard), HR_WARNING);
    hr_relieve(guard, 1);
    hr_budget_uncharge(hr_guard_root(guard), 55 * MIB);
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    assert_int_equal(hr_history_read_events(guard, events, HR_HISTORY_EVENTS, &count), 0);
    assert_true(count >= 3);
    assert_int_equal(events[0].kind, HR_EVENT_LEVEL);
    assert_int_equal(events[0].from, HR_NORMAL);
    assert_int_equal(events[0].to, HR_WARNING);
    assert_int_equal(events[0].live_bytes, 55 * MIB);
    assert_true(events[0].wall_ns > INT64_C(1600000000) * HRI_SECOND);
    assert_int_equal(events[1].kind, HR_EVENT_RELIEF);
    assert_int_equal(events[1].freed_bytes, 5 * MIB);
    assert_int_equal(hr_history_read_tier(guard, HR_TIER_HOURS, &hour, 1, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(hour.worst_level, HR_WARNING);
    assert_int_equal(hour.ledgers[HR_HISTORY_LIVE].max_bytes, 55 * MIB);
    assert_int_equal(hour.ledgers[HR_HISTORY_LIVE].min_bytes, 0);
    assert_int_equal(hr_history_read_tier(guard, HR_TIERS, &hour, 1, &count), -EINVAL);
    assert_int_equal(hr_history_read_tier(guard, HR_TIER_HOURS, NULL, 1, &count), -EINVAL);
    assert_int_equal(hr_history_read_events(guard, NULL, 1, &count), -EINVAL);
    hr_reclaimer_remove(guard, &node);
    hr_guard_free(guard);
    guard = make_guard((hr_guard_options){.limit_bytes = 64 * MIB, .history_bytes = HR_NONE});
    assert_int_equal(hr_history_read_tier(guard, HR_TIER_SECONDS, &hour, 1, &count), 0);
    assert_int_equal(count, 0);
    hr_guard_free(guard);
}

/* Hours of a guard's life, by a clock that goes as fast as it likes. */
static void a_guard_knows_its_own_trend(void **state)
{
    (void)state;
    hrt_world world;
    hr_guard *guard;
    hr_trend trend;
    hrt_world_new(&world);
    hrt_world_set_process(&world, 1 * MIB, 8192 * MIB);
    hri_environment environment = {world.root, &world.clock};
    hr_guard_options options = {.limit_bytes = 100 * MIB, .interval_ns = -1};
    assert_int_equal(hri_guard_new_in(&environment, &options, &guard), 0);
    assert_int_equal(hr_trend_read(guard, &trend), -ENODATA);
    assert_int_equal(hr_trend_read(guard, NULL), -EINVAL);
    for (int i = 0; i < 4 * 360; i++) {
        world.now_ns += 10 * HRI_SECOND;
        assert_int_equal(hr_budget_charge(hr_guard_root(guard), 10000), 0);
        hr_guard_check(guard);
        if (i == 20) {
            assert_int_equal(hr_trend_read(guard, &trend), 0);
            assert_int_equal(trend.kind, HR_TREND_GROWTH);
        }
    }
    assert_int_equal(hr_trend_read(guard, &trend), 0);
    assert_int_equal(trend.kind, HR_TREND_LEAK_SUSPECTED);
    assert_true(trend.slope_bytes_per_s > 990 && trend.slope_bytes_per_s < 1010);
    double left_ns = (100 * 1048576.0 - 14400000) / 1000 * 1e9;
    assert_true((double)trend.time_to_limit_ns > left_ns * 0.98 && (double)trend.time_to_limit_ns < left_ns * 1.02);
    hr_budget_uncharge(hr_guard_root(guard), 14400000);
    hr_guard_free(guard);
    hrt_world_free(&world);
}

static void two_guards_do_not_see_each_other(void **state)
{
    (void)state;
    hr_guard *a = make_guard((hr_guard_options){.limit_bytes = 64 * MIB});
    hr_guard *b = make_guard((hr_guard_options){.limit_bytes = 64 * MIB});
    assert_int_equal(hr_budget_charge(hr_guard_root(a), 60 * MIB), 0);
    assert_int_equal(hr_guard_check(b), HR_NORMAL);
    hr_reclaimer node = {.name = "x", .reclaim = count_cleanups, .budget = hr_guard_root(a)};
    assert_int_equal(hr_reclaimer_add(b, &node), -EINVAL);
    hr_budget_uncharge(hr_guard_root(a), 60 * MIB);
    hr_guard_free(a);
    hr_guard_free(b);
}

/* Runs in a child, since debug builds abort. */
static void free_with_budgets_alive(void)
{
    hr_guard *guard;
    hr_budget *budget;
    if (hr_guard_new(NULL, &guard) != 0 || hr_budget_new(hr_guard_root(guard), "alive", HR_NONE, &budget) != 0)
        _exit(2);
    hr_guard_free(guard);
    if (hr_budget_charge(budget, 10) != 0) /* still valid */
        _exit(3);
    hr_budget_uncharge(budget, 10);
    _exit(0);
}

static void freeing_with_budgets_alive_is_a_fault(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        free_with_budgets_alive();
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
#ifdef HRI_DEBUG
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#else
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
}

static void blocks_outlive_their_guard_and_are_a_fault(void **state)
{
    (void)state;
    static hr_guard *guard; /* never freed, by design: LeakSanitizer is to know where it is */
    guard = make_guard((hr_guard_options){.limit_bytes = 64 * MIB});
    hr_guard *next;
    void *block = hr_alloc(hr_guard_root(guard), 100);
    hr_guard_free(guard);
    hr_free(block); /* its account is still there */
    next = make_guard((hr_guard_options){.limit_bytes = 64 * MIB});
    hr_figures figures;
    assert_int_equal(hr_guard_read(next, &figures), 0);
    assert_true(figures.faults >= 1);
    hr_guard_free(next);
}

/* A resource limit is a limit like the others. In a child: it would stay. */
static void rlimit_child(void)
{
    struct rlimit limit = {.rlim_cur = 512 * MIB, .rlim_max = RLIM_INFINITY};
    hr_guard *guard;
    hr_figures figures;
    if (setrlimit(RLIMIT_DATA, &limit) != 0 || hr_guard_new(NULL, &guard) != 0 || hr_guard_read(guard, &figures) != 0)
        _exit(2);
    bool found = figures.limit_bytes == 512 * MIB && strcmp(figures.limit_source, "RLIMIT_DATA") == 0;
    hr_guard_free(guard);
    _exit(found ? 0 : 3);
}

static void resource_limits_are_found(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: sanitizers need more data segment than the limit of this test\n");
    skip();
#endif
    pid_t child = fork();
    if (child == 0)
        rlimit_child();
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_find_the_machines_limit),
        cmocka_unit_test(thresholds_are_read_back_as_they_were_fitted),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(a_limit_above_the_kernels_is_the_kernels),
        cmocka_unit_test(source_10_the_monitor_starts_stops_and_starts_again),
        cmocka_unit_test(source_10_a_burst_between_two_samples_is_seen),
        cmocka_unit_test(waiting_ends_with_the_level_or_the_time),
        cmocka_unit_test(the_descriptor_is_readable_after_each_change),
        cmocka_unit_test(a_callback_may_free_and_check),
        cmocka_unit_test(peaks_between_two_readings_keep_the_level),
        cmocka_unit_test(source_9_the_janitor_really_comes_again_and_again),
        cmocka_unit_test(history_is_recorded_and_reports_are_written),
        cmocka_unit_test(tiers_and_events_tell_what_happened),
        cmocka_unit_test(a_guard_knows_its_own_trend),
        cmocka_unit_test(two_guards_do_not_see_each_other),
        cmocka_unit_test(freeing_with_budgets_alive_is_a_fault),
        cmocka_unit_test(resource_limits_are_found),
        cmocka_unit_test(blocks_outlive_their_guard_and_are_a_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
