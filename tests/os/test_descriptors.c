/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel memory that descriptors of a group's processes keep is counted, each piece once. */
#include "support/cmocka.h"

#include "os/descriptors.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char piece[16 * 1024];
static int members_fd = -1;

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
    hri_descriptors_read(members_fd, &kept);
    return kept.queued_bytes;
}

static uint64_t watches(void)
{
    hri_descriptors kept;
    hri_descriptors_read(members_fd, &kept);
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

/* A process that holds what its parent had, and what it fills itself. */
typedef struct holder {
    pid_t pid;
    int tells[2];
} holder;

static void fill_on(const holder *self)
{
    int pipe_ends[2], socket_ends[2];
    bool full = pipe(pipe_ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, socket_ends) == 0 &&
                write(pipe_ends[1], piece, sizeof piece) == sizeof piece &&
                write(socket_ends[0], piece, sizeof piece) == sizeof piece &&
                inotify_add_watch(inotify_init1(IN_CLOEXEC), "/", IN_CREATE) >= 0;
    if (full && write(self->tells[1], "", 1) == 1)
        pause();
    _exit(1);
}

static holder start_holder(void)
{
    char told;
    holder other;
    assert_int_equal(pipe(other.tells), 0);
    other.pid = fork();
    assert_true(other.pid >= 0);
    if (other.pid == 0)
        fill_on(&other);
    assert_int_equal(read(other.tells[0], &told, 1), 1);
    return other;
}

static void end_holder(const holder *other)
{
    kill(other->pid, SIGKILL);
    waitpid(other->pid, NULL, 0);
    close(other->tells[0]);
    close(other->tells[1]);
}

/* Prevents: bytes in a pipe that a process inherited count again; those of another process count as nothing; those in
 * sockets of a process that is no member count. */
static void other_members_of_the_group_are_asked(void **state)
{
    char list[] = "/tmp/headroom-members-XXXXXX", line[64];
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], piece, sizeof piece), sizeof piece);
    uint64_t before = queued_bytes(), watched = watches();
    holder other = start_holder();
    assert_true(queued_bytes() == before);
    members_fd = mkstemp(list);
    unlink(list);
    int length = snprintf(line, sizeof line, "%d\n%d\n", (int)getpid(), (int)other.pid);
    assert_int_equal(write(members_fd, line, (size_t)length), length);
    assert_in_range(queued_bytes() - before, 2 * sizeof piece, 3 * sizeof piece);
    assert_true(watches() == watched + 1);
    end_holder(&other);
    assert_true(queued_bytes() == before);
    close(members_fd);
    members_fd = -1;
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_in_a_pipe_counts_once),
        cmocka_unit_test(what_waits_in_a_local_socket_counts),
        cmocka_unit_test(watches_are_counted_of_each_instance),
        cmocka_unit_test(other_members_of_the_group_are_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
