/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "os/pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const hri_site here = {.root = ""};
static const hri_cgroup_chain no_groups;
static hrt_world world; /* a folder to put things into */
static char path[128];

static int set_up(void **state)
{
    (void)state;
    hrt_world_new(&world);
    unsetenv("MEMORY_PRESSURE_WATCH");
    unsetenv("MEMORY_PRESSURE_WRITE");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("MEMORY_PRESSURE_WATCH");
    unsetenv("MEMORY_PRESSURE_WRITE");
    hrt_world_free(&world);
    return 0;
}

static const char *in_world(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", world.root, name);
    return path;
}

/* Polls for as long as it may take; gives what came. */
static short wait_for(const hri_pressure *pressure, int timeout_ms)
{
    struct pollfd asked = {.fd = pressure->fd, .events = pressure->events};
    return poll(&asked, 1, timeout_ms) == 1 ? asked.revents : 0;
}

static void the_hosts_file_is_armed_where_the_kernel_allows_it(void **state)
{
    (void)state;
    hri_pressure pressure;
    assert_int_equal(hri_pressure_open(&pressure, &here, &no_groups), 0);
    if (pressure.fd < 0) { /* then it says so, and that is all that it can do */
        print_message("skipped: %s\n", pressure.why);
        assert_true(strlen(pressure.why) > 0);
        assert_string_equal(pressure.source, "");
        skip();
    }
    assert_string_equal(pressure.source, "/proc/pressure/memory");
    assert_int_equal(pressure.events, POLLPRI);
    assert_int_equal(wait_for(&pressure, 0) & (POLLERR | POLLNVAL), 0);
    hri_pressure_close(&pressure);
    hri_pressure_close(&pressure); /* twice is fine */
}

static void the_environment_may_forbid_it(void **state)
{
    (void)state;
    hri_pressure pressure;
    setenv("MEMORY_PRESSURE_WATCH", "/dev/null", 1);
    assert_int_equal(hri_pressure_open(&pressure, &here, &no_groups), 0);
    assert_true(pressure.fd < 0);
    assert_string_equal(pressure.source, "");
    assert_non_null(strstr(pressure.why, "/dev/null"));
}

static void a_fifo_signals_by_what_is_written_to_it(void **state)
{
    (void)state;
    hri_pressure pressure;
    assert_int_equal(mkfifo(in_world("fifo"), 0600), 0);
    setenv("MEMORY_PRESSURE_WATCH", path, 1);
    setenv("MEMORY_PRESSURE_WRITE", "aGVsbG8=", 1); /* nobody is there to read it: not written */
    assert_int_equal(hri_pressure_open(&pressure, &here, &no_groups), 0);
    assert_true(pressure.fd >= 0);
    assert_string_equal(pressure.source, path);
    assert_int_equal(wait_for(&pressure, 0), 0);
    for (int i = 0; i < 2; i++) {
        int writer = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(writer >= 0 && write(writer, "x", 1) == 1 && close(writer) == 0);
        short came = wait_for(&pressure, 10000);
        assert_true(hri_pressure_take(&pressure, came));
        assert_int_equal(wait_for(&pressure, 0), 0); /* taken */
    }
    hri_pressure_close(&pressure);
}

static void a_socket_is_told_what_to_watch_and_its_end_is_seen(void **state)
{
    (void)state;
    hri_pressure pressure;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, in_world("socket"));
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    setenv("MEMORY_PRESSURE_WATCH", path, 1);
    setenv("MEMORY_PRESSURE_WRITE", "c29tZSAxIDIA", 1); /* "some 1 2" with its NUL */
    assert_int_equal(hri_pressure_open(&pressure, &here, &no_groups), 0);
    assert_true(pressure.fd >= 0);
    int peer = accept(listener, NULL, NULL);
    char told[16];
    assert_int_equal(read(peer, told, sizeof told), 9);
    assert_string_equal(told, "some 1 2");
    assert_int_equal(write(peer, "!", 1), 1);
    assert_true(hri_pressure_take(&pressure, wait_for(&pressure, 10000)));
    close(peer);
    assert_false(hri_pressure_take(&pressure, wait_for(&pressure, 10000)));
    assert_true(pressure.fd < 0);
    assert_non_null(strstr(pressure.why, "ended"));
    close(listener);
}

static void what_is_wrong_is_said_and_the_next_best_is_taken(void **state)
{
    (void)state;
    hri_pressure pressure;
    setenv("MEMORY_PRESSURE_WATCH", "/nowhere/memory.pressure", 1);
    assert_int_equal(hri_pressure_open(&pressure, &here, &no_groups), 0);
    assert_non_null(strstr(pressure.why, "/nowhere/memory.pressure: No such file"));
    hri_pressure_close(&pressure);
    hrt_world_write(&world, "/plain", ""); /* a file that cannot be polled for what we want, but may be written */
    setenv("MEMORY_PRESSURE_WATCH", in_world("plain"), 1);
    setenv("MEMORY_PRESSURE_WRITE", "no base64!", 1);
    assert_int_equal(hri_pressure_open(&pressure, &here, &no_groups), 0);
    assert_non_null(strstr(pressure.why, "no base64"));
    hri_pressure_close(&pressure);
}

static void elsewhere_it_is_only_looked_at(void **state)
{
    (void)state;
    hri_pressure pressure;
    hri_site elsewhere = {.root = world.root};
    setenv("MEMORY_PRESSURE_WATCH", "/dev/null", 1); /* ours, and not that process's */
    assert_int_equal(hri_pressure_open(&pressure, &elsewhere, &no_groups), 0);
    assert_true(pressure.fd < 0);
    assert_string_equal(pressure.source, "");
    assert_non_null(strstr(pressure.why, "PSI"));
    hrt_world_write(&world, "/proc/pressure/memory", "some avg10=0.00\n");
    assert_int_equal(hri_pressure_open(&pressure, &elsewhere, &no_groups), 0);
    assert_true(pressure.fd < 0);
    assert_non_null(strstr(pressure.source, "/proc/pressure/memory"));
    assert_non_null(strstr(pressure.why, "only looked at"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_hosts_file_is_armed_where_the_kernel_allows_it),
        TEST(the_environment_may_forbid_it),
        TEST(a_fifo_signals_by_what_is_written_to_it),
        TEST(a_socket_is_told_what_to_watch_and_its_end_is_seen),
        TEST(what_is_wrong_is_said_and_the_next_best_is_taken),
        TEST(elsewhere_it_is_only_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
