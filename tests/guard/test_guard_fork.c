/* SPDX-License-Identifier: Apache-2.0 */
/* A fork leaves the child a guard that works: accounts as they were, figures of its own, no thread. */
#include "support/cmocka.h"

#include <headroom/headroom.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static hr_guard *new_guard(int64_t interval_ns)
{
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = 1024 * MIB, .interval_ns = interval_ns, .dwell_ns = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    return guard;
}

/* Runs `function` in a child, which has 20 s; gives its exit status. */
static int in_child(int (*function)(hr_guard *), hr_guard *guard)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(20);
        _exit(function(guard));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int reads_its_own_figures(hr_guard *guard)
{
    hr_figures before, after;
    hr_guard_check(guard);
    hr_guard_read(guard, &before);
    char *volatile block = malloc(64 * MIB); /* else the compiler does without it */
    if (!block)
        return 1;
    memset(block, 1, 64 * MIB);
    hr_guard_check(guard);
    hr_guard_read(guard, &after);
    bool kept = block[MIB] == 1;
    free(block);
    return after.rss_bytes >= before.rss_bytes + 60 * MIB && kept ? 0 : 2;
}

static void the_child_reads_its_own_figures(void **state)
{
    (void)state;
    hr_guard *guard = new_guard(-1);
    assert_int_equal(in_child(reads_its_own_figures, guard), 0);
    hr_guard_free(guard);
}

static int keeps_the_accounts(hr_guard *guard)
{
    hr_budget *root = hr_guard_root(guard);
    hr_budget_figures figures;
    hr_budget_read(root, &figures);
    if (figures.used_bytes != 10 * MIB)
        return 1;
    hr_budget_uncharge(root, 10 * MIB);
    return hr_budget_charge(root, 20 * MIB) == 0 ? 0 : 2;
}

static void each_has_its_own_accounts_from_then_on(void **state)
{
    (void)state;
    hr_guard *guard = new_guard(0);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 10 * MIB), 0);
    assert_int_equal(in_child(keeps_the_accounts, guard), 0);
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    assert_int_equal(figures.used_bytes, 10 * MIB);
    hr_budget_uncharge(hr_guard_root(guard), 10 * MIB);
    hr_guard_free(guard);
}

static bool readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

static int changes_its_level(hr_guard *guard)
{
    if (hr_budget_charge(hr_guard_root(guard), 1000 * MIB) != 0 || hr_guard_level(guard) == HR_NORMAL)
        return 1;
    int fd = hr_guard_fd(guard);
    hr_budget_uncharge(hr_guard_root(guard), 1000 * MIB);
    hr_guard_check(guard);
    return fd >= 0 && readable(fd) && hr_guard_level(guard) == HR_NORMAL ? 0 : 2;
}

static void levels_of_the_child_are_its_own(void **state)
{
    (void)state;
    hr_guard *guard = new_guard(-1);
    int fd = hr_guard_fd(guard);
    assert_true(fd >= 0);
    assert_int_equal(in_child(changes_its_level, guard), 0);
    assert_int_equal(hr_guard_level(guard), HR_NORMAL);
    assert_false(readable(fd));
    hr_guard_free(guard);
}

/* Prevents: a parent whose pages are copied at each write reads the gauges once a second, and is killed in between. */
static void while_a_child_lives_readings_come_often(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = 1024 * 1024 * MIB, .interval_ns = 3600 * INT64_C(1000000000)};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (map < 0) {
        hr_guard_free(guard);
        print_message("skipped: /proc/self/pagemap cannot be opened\n");
        skip();
    }
    close(map);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sleep(60);
        _exit(0);
    }
    hr_figures before, after;
    assert_int_equal(hr_guard_read(guard, &before), 0);
    int64_t begin_ns = before.time_ns;
    for (int readings = 0; readings < 20;) { /* some seconds each without it */
        usleep(1000);
        assert_int_equal(hr_guard_read(guard, &after), 0);
        readings += after.time_ns != before.time_ns;
        before = after;
    }
    int64_t took_ns = after.time_ns - begin_ns;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    hr_guard_free(guard);
    assert_true(took_ns < 10 * INT64_C(1000000000));
}

static int runs_a_monitor(hr_guard *guard)
{
    hr_figures before, after;
    if (hr_guard_start(guard, 1000000) != 0)
        return 1;
    hr_guard_read(guard, &before);
    do {
        usleep(1000);
        hr_guard_read(guard, &after);
    } while (after.time_ns == before.time_ns);
    if (hr_guard_start(guard, 0) == 0 || hr_guard_stop(guard) != 0)
        return 2;
    hr_guard_free(guard);
    return 0;
}

/* ThreadSanitizer ends a child that starts threads. AddressSanitizer's allocator may be locked in it for ever by a
 * thread that has stayed behind (gcc 12, clang 14: seen in one of some 25 runs). */
static void skip_under_sanitizers(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    print_message("skipped: this sanitizer is not made for threads in the child of a fork\n");
    skip();
#endif
}

static void the_child_may_start_a_monitor(void **state)
{
    (void)state;
    skip_under_sanitizers();
    hr_guard *guard = new_guard(0);
    assert_int_equal(in_child(runs_a_monitor, guard), 0);
    assert_int_equal(hr_guard_stop(guard), 0); /* the parent's went on */
    hr_guard_free(guard);
}

/* ── a fork at any moment ───────────────────────────────────────────────────────────────────────────────────────── */

static atomic_bool stop;

static uint64_t give_slowly(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)deadline_ns, (void)want_bytes;
    usleep(200);
    return 0;
}

static void *be_busy(void *argument)
{
    hr_guard *guard = argument;
    hr_budget *root = hr_guard_root(guard);
    while (!atomic_load(&stop)) {
        hr_ticket ticket;
        if (hr_budget_charge(root, 600 * MIB) == 0)
            hr_budget_uncharge(root, 600 * MIB);
        if (hr_admit(guard, &(hr_request){.bytes = 100 * MIB}, &ticket) == HR_ADMITTED)
            hr_ticket_release(&ticket);
        if (hr_budget_charge_wait(root, 700 * MIB, 1000) == 0)
            hr_budget_uncharge(root, 700 * MIB);
        hr_relieve(guard, MIB);
        hr_purge();
        hr_guard_check(guard);
    }
    return NULL;
}

static int does_everything(hr_guard *guard)
{
    hr_budget *child;
    hr_ticket ticket;
    hr_figures figures;
    if (hr_budget_new(hr_guard_root(guard), "child", HR_NONE, &child) != 0)
        return 1;
    if (hr_budget_charge(child, 4096) == 0)
        hr_budget_uncharge(child, 4096);
    if (hr_admit(guard, &(hr_request){.bytes = 1000, .budget = child}, &ticket) == HR_ADMITTED)
        hr_ticket_release(&ticket);
    hr_relieve(guard, 1);
    hr_cleanup(guard);
    hr_guard_check(guard);
    hr_guard_read(guard, &figures);
    return hr_budget_free(child) == 0 && hr_guard_start(guard, 1000000) == 0 && hr_guard_stop(guard) == 0 ? 0 : 2;
}

static void a_fork_at_any_moment_leaves_no_lock_behind(void **state)
{
    (void)state;
    skip_under_sanitizers();
    hr_guard *guard = new_guard(1000000);
    hr_reclaimer node = {.name = "slow", .reclaim = give_slowly};
    pthread_t threads[2];
    atomic_store(&stop, false);
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, be_busy, guard), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(in_child(does_everything, guard), 0);
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    hr_reclaimer_remove(guard, &node);
    hr_guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_child_reads_its_own_figures), cmocka_unit_test(each_has_its_own_accounts_from_then_on),
        cmocka_unit_test(levels_of_the_child_are_its_own), cmocka_unit_test(while_a_child_lives_readings_come_often),
        cmocka_unit_test(the_child_may_start_a_monitor),   cmocka_unit_test(a_fork_at_any_moment_leaves_no_lock_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
