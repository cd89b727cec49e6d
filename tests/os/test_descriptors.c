/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel memory that a process's own descriptors keep is counted, each piece once. */
#include "support/cmocka.h"

#include "os/descriptors.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static char piece[16 * 1024];

/* The output of this test may wait in a pipe too, until the runner has read it. */
static void let_output_go(int fd)
{
    int waiting = 0;
    fflush(NULL);
    for (int i = 0; i < 10000 && ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0; i++)
        poll(NULL, 0, 1);
}

static uint64_t queued_bytes(void)
{
    hri_descriptors kept;
    let_output_go(STDOUT_FILENO);
    let_output_go(STDERR_FILENO);
    hri_descriptors_read(&kept);
    return kept.queued_bytes;
}

static uint64_t watches(void)
{
    hri_descriptors kept;
    hri_descriptors_read(&kept);
    return kept.watches;
}

static void what_waits_in_a_pipe_counts_once(void **state)
{
    int ends[2];
    uint64_t before = queued_bytes();
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(queued_bytes() == before);
    assert_int_equal(write(ends[1], piece, sizeof piece), sizeof piece);
    assert_true(queued_bytes() == before + sizeof piece);
    assert_int_equal(read(ends[0], piece, sizeof piece), sizeof piece);
    assert_true(queued_bytes() == before);
    close(ends[0]);
    close(ends[1]);
}

static void what_waits_in_a_local_socket_counts(void **state)
{
    int ends[2], files[2];
    uint64_t before = queued_bytes();
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(write(ends[0], piece, sizeof piece), sizeof piece);
    uint64_t counted = queued_bytes() - before;
    assert_in_range(counted, sizeof piece, 2 * sizeof piece);
    files[0] = open("/dev/null", O_RDWR); /* other files keep nothing */
    files[1] = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(queued_bytes() - before == counted);
    close(files[0]);
    close(files[1]);
    close(ends[0]);
    close(ends[1]);
    assert_true(queued_bytes() == before);
}

static void watches_are_counted_of_each_instance(void **state)
{
    int one = inotify_init1(IN_CLOEXEC), two = inotify_init1(IN_CLOEXEC);
    uint64_t before = watches();
    (void)state;
    assert_true(one >= 0 && two >= 0);
    assert_true(inotify_add_watch(one, "/", IN_CREATE) >= 0);
    assert_true(inotify_add_watch(one, "/proc", IN_CREATE) >= 0);
    assert_true(inotify_add_watch(two, "/", IN_CREATE) >= 0);
    assert_true(watches() == before + 3);
    close(one);
    assert_true(watches() == before + 1);
    close(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_in_a_pipe_counts_once),
        cmocka_unit_test(what_waits_in_a_local_socket_counts),
        cmocka_unit_test(watches_are_counted_of_each_instance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
