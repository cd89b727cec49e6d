/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/clock.h"
#include "gauge/monitor.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const hri_site here = {.root = ""};
static const hri_cgroup_chain no_groups;
static hri_monitor monitor;
static atomic_int rounds;
static atomic_int pause_ms;
static atomic_int round_us;

static int64_t play_round(void *context)
{
    (void)context;
    atomic_fetch_add(&rounds, 1);
    usleep((useconds_t)atomic_load(&round_us));
    return atomic_load(&pause_ms) * HRI_MILLISECOND;
}

static int set_up(void **state)
{
    (void)state;
    setenv("MEMORY_PRESSURE_WATCH", "/dev/null", 1);
    atomic_store(&rounds, 0);
    atomic_store(&round_us, 0);
    atomic_store(&pause_ms, 3600 * 1000);
    return hri_monitor_init(&monitor, play_round, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    hri_monitor_destroy(&monitor);
    unsetenv("MEMORY_PRESSURE_WATCH");
    return 0;
}

static void await_rounds(int count)
{
    while (atomic_load(&rounds) < count)
        usleep(100);
}

static void rounds_come_when_their_time_has_come(void **state)
{
    (void)state;
    atomic_store(&pause_ms, 1);
    assert_int_equal(hri_monitor_start(&monitor, &here, &no_groups), 0);
    assert_int_equal(hri_monitor_start(&monitor, &here, &no_groups), -EALREADY);
    await_rounds(20);
    assert_int_equal(hri_monitor_stop(&monitor), 0);
    assert_int_equal(hri_monitor_stop(&monitor), -EALREADY);
    assert_int_equal(monitor.pressure_wakes, 0);
}

static void a_wake_brings_the_next_round_at_once(void **state)
{
    (void)state;
    assert_false(hri_monitor_wake(&monitor));
    assert_int_equal(hri_monitor_start(&monitor, &here, &no_groups), 0);
    for (int i = 1; i <= 200; i++) {
        await_rounds(i);
        assert_true(hri_monitor_wake(&monitor)); /* at any moment of a round, or of the wait after it */
        if (i % 2)
            usleep(50);
    }
    await_rounds(201);
    assert_int_equal(hri_monitor_stop(&monitor), 0);
    assert_false(hri_monitor_wake(&monitor));
}

static void many_wakes_in_one_round_make_one_more(void **state)
{
    (void)state;
    atomic_store(&round_us, 50000);
    assert_int_equal(hri_monitor_start(&monitor, &here, &no_groups), 0);
    await_rounds(1);
    for (int i = 0; i < 1000; i++)
        hri_monitor_wake(&monitor);
    await_rounds(2);
    assert_int_equal(hri_monitor_stop(&monitor), 0);
    assert_in_range(atomic_load(&rounds), 2, 3);
}

static void it_stops_and_starts_again_and_again(void **state)
{
    (void)state;
    for (int i = 1; i <= 100; i++) {
        assert_int_equal(hri_monitor_start(&monitor, &here, &no_groups), 0);
        hri_monitor_wake(&monitor);
        if (i % 10 == 0)
            usleep(1000);
        assert_int_equal(hri_monitor_stop(&monitor), 0);
    }
}

static void pressure_brings_rounds_but_no_storm(void **state)
{
    (void)state;
    char path[] = "/tmp/headroom-monitor-XXXXXX";
    assert_non_null(mkdtemp(path));
    char fifo[sizeof path + 8];
    snprintf(fifo, sizeof fifo, "%s/fifo", path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    setenv("MEMORY_PRESSURE_WATCH", fifo, 1);
    assert_int_equal(hri_monitor_start(&monitor, &here, &no_groups), 0);
    await_rounds(1);
    int writer = open(fifo, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    assert_true(writer >= 0);
    assert_int_equal(write(writer, "x", 1), 1);
    await_rounds(2);
    assert_int_equal(monitor.pressure_wakes, 1);
    int before = atomic_load(&rounds);
    int64_t start_ns = hri_clock_now(&hri_os_clock);
    for (int i = 0; i < 200; i++) { /* signals all the time */
        assert_true(write(writer, "x", 1) == 1 || errno == EAGAIN);
        usleep(1000);
    }
    int more = atomic_load(&rounds) - before;
    assert_true(more >= 1);
    assert_true(more <= (hri_clock_now(&hri_os_clock) - start_ns) / (10 * HRI_MILLISECOND) + 2);
    assert_int_equal(hri_monitor_stop(&monitor), 0);
    close(writer);
    unlink(fifo);
    rmdir(path);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rounds_come_when_their_time_has_come),  TEST(a_wake_brings_the_next_round_at_once),
        TEST(many_wakes_in_one_round_make_one_more), TEST(it_stops_and_starts_again_and_again),
        TEST(pressure_brings_rounds_but_no_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
