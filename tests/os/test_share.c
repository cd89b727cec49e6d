/* SPDX-License-Identifier: Apache-2.0 */
/* The word that processes share, with real processes and locks. Any file stands for that of a cgroup's limit. Each case
 * runs in a child of its own, since a process shares one word. */
#define _GNU_SOURCE
#include "support/cmocka.h"

#include "os/share.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char limit_path[64], page_path[128];
static int limit_fd;

/* A claim that does not hold ends the child with its line, which the parent shows. */
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static int set_up(void **state)
{
    (void)state;
    struct stat status;
    strcpy(limit_path, "/tmp/headroom-limit-XXXXXX");
    limit_fd = mkstemp(limit_path);
    if (limit_fd < 0 || fstat(limit_fd, &status) != 0)
        return -1;
    snprintf(page_path, sizeof page_path, "/dev/shm/headroom-%llx-%llx-%u", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino, (unsigned)geteuid());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(page_path);
    unlink(limit_path);
    return close(limit_fd);
}

static void in_child(void (*life)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        life();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A process that joins, is granted `bytes`, and stays until it is killed. */
static pid_t start_other(uint64_t bytes)
{
    int ends[2];
    char byte = 0;
    MUST(pipe(ends) == 0);
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        hri_share_fork(HRI_FORK_BEFORE); /* as the guard's handlers do around the fork above */
        hri_share_fork(HRI_FORK_CHILD);
        hri_lease_word word = hri_share_join(limit_fd);
        hri_lease lease = hri_lease_without_limit();
        MUST(hri_lease_spend(&lease, &word, bytes));
        MUST(write(ends[1], &byte, 1) == 1);
        for (;;)
            pause();
    }
    MUST(read(ends[0], &byte, 1) == 1);
    return child;
}

static void end_other(pid_t other)
{
    MUST(kill(other, SIGKILL) == 0 && waitpid(other, NULL, 0) == other);
}

static void know_of_each_other(void)
{
    hri_lease_word word = hri_share_join(limit_fd);
    MUST(word.granted != hri_word_alone.granted);
    uint64_t before = hri_lease_granted(&word);
    pid_t first = start_other(100), second = start_other(30);
    MUST(hri_lease_granted(&word) - before == 130);
    hri_share_sum sum = hri_share_read();
    MUST(sum.processes == 3 && sum.foreign == 0 && sum.pending_bytes == 130);
    MUST(hri_share_count(limit_fd) == 3); /* whoever asks */
    end_other(first);                     /* nothing is left to repair, */
    sum = hri_share_read();
    MUST(sum.processes == 2 && sum.pending_bytes == 30);
    MUST(hri_lease_granted(&word) - before == 130); /* and no grant is taken back */
    first = start_other(7);                         /* in the slot that became free */
    sum = hri_share_read();
    MUST(sum.processes == 3 && sum.pending_bytes == 37);
    end_other(first);
    end_other(second);
}

static void processes_of_a_group_know_of_each_others_grants(void **state)
{
    (void)state;
    in_child(know_of_each_other);
}

/* Locks as a process of another user has them: in the limit's file alone. */
static void know_a_foreign_process(void)
{
    hri_share_join(limit_fd);
    int fd = open(limit_path, O_RDONLY);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)5 << 40, .l_len = 1 + 10};
    MUST(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
    hri_share_sum sum = hri_share_read();
    MUST(sum.foreign == 1 && sum.processes == 1 && sum.pending_bytes == 10 * 4096);
    lock.l_start = (off_t)9 << 40;
    lock.l_len = 1;
    MUST(fcntl(fd, F_OFD_SETLK, &lock) == 0);
    sum = hri_share_read();
    MUST(sum.foreign == 2 && sum.pending_bytes == 10 * 4096);
    MUST(hri_share_count(limit_fd) == 3);
    close(fd);
    MUST(hri_share_read().foreign == 0);
}

static void foreign_processes_are_known_by_their_locks(void **state)
{
    (void)state;
    in_child(know_a_foreign_process);
}

/* Gives the length of the lock that this process has, as others find it; 0: there is none. */
static off_t length_of_own_lock(void)
{
    int fd = open(limit_path, O_RDWR);
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    MUST(fd >= 0 && fcntl(fd, F_OFD_GETLK, &found) == 0);
    close(fd);
    return found.l_type == F_UNLCK ? 0 : found.l_len;
}

static void tell(void)
{
    hri_share_join(limit_fd);
    MUST(length_of_own_lock() == 1);
    hri_share_say(10 * 4096 + 5);
    MUST(length_of_own_lock() == 11);
    hri_share_say(3 * 4096);
    MUST(length_of_own_lock() == 4);
    hri_share_say(UINT64_MAX); /* as much as the place has room for */
    MUST(length_of_own_lock() == ((off_t)1 << 30) - 1);
    hri_share_leave();
    MUST(length_of_own_lock() == 0);
}

static void foreign_processes_are_told_what_is_pending(void **state)
{
    (void)state;
    in_child(tell);
}

static void leave_nothing(void)
{
    hri_share_join(limit_fd);
    pid_t other = start_other(1);
    hri_share_leave();
    MUST(access(page_path, F_OK) == 0); /* the other one is there */
    hri_share_join(limit_fd);
    end_other(other);
    hri_share_leave();
    MUST(access(page_path, F_OK) != 0);
}

static void the_last_process_removes_the_file(void **state)
{
    (void)state;
    in_child(leave_nothing);
}

/* Prevents processes that ended without a word from leaving a file in /dev/shm for each cgroup that ever was. */
static void sweep(void)
{
    const char *left = "/dev/shm/headroom-0-0-";
    char path[64];
    snprintf(path, sizeof path, "%s%u", left, (unsigned)geteuid());
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    MUST(fd >= 0 && close(fd) == 0);
    hri_share_join(limit_fd);
    MUST(access(path, F_OK) != 0);
    hri_share_leave();
}

static void files_that_nobody_has_a_slot_in_are_removed(void **state)
{
    (void)state;
    in_child(sweep);
}

/* A file that somebody else may write, or a link to one, is left alone, and the process counts for itself. */
static void distrust(void)
{
    MUST(symlink(limit_path, page_path) == 0);
    MUST(hri_share_join(limit_fd).granted == hri_word_alone.granted);
    hri_share_leave();
    struct stat status;
    MUST(stat(limit_path, &status) == 0 && status.st_size == 0);
    MUST(unlink(page_path) == 0);
    int fd = open(page_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    MUST(fd >= 0 && fchmod(fd, 0666) == 0);
    MUST(hri_share_join(limit_fd).granted == hri_word_alone.granted);
    MUST(fstat(fd, &status) == 0 && status.st_size == 0);
    MUST(length_of_own_lock() == 1); /* foreign processes know of it all the same */
    hri_share_leave();
    MUST(fchmod(fd, 0600) == 0 && pwrite(fd, "another version", 15, 0) == 15);
    MUST(hri_share_join(limit_fd).granted == hri_word_alone.granted);
}

static void a_file_that_cannot_be_trusted_is_not_used(void **state)
{
    (void)state;
    in_child(distrust);
}

static void count_alone(void)
{
    MUST(hri_share_join(-1).granted == hri_word_alone.granted);
    hri_share_sum sum = hri_share_read();
    MUST(sum.processes == 1 && sum.foreign == 0 && sum.pending_bytes == 0);
}

static void without_a_limit_nothing_is_shared(void **state)
{
    (void)state;
    in_child(count_alone);
}

/* Prevents a program that closes all descriptors from being nobody from then on: its lock and its slot have gone with
 * them. */
static void join_again(void)
{
    hri_share_join(limit_fd);
    MUST(close_range((unsigned)limit_fd, ~0U, 0) == 0);
    MUST(length_of_own_lock() == 0);
    int fd = open(limit_path, O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0);
    hri_share_join(fd);
    MUST(length_of_own_lock() == 1);
}

static void a_process_whose_files_were_closed_joins_again(void **state)
{
    (void)state;
    in_child(join_again);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(processes_of_a_group_know_of_each_others_grants),
        TEST(foreign_processes_are_known_by_their_locks),
        TEST(foreign_processes_are_told_what_is_pending),
        TEST(the_last_process_removes_the_file),
        TEST(files_that_nobody_has_a_slot_in_are_removed),
        TEST(a_file_that_cannot_be_trusted_is_not_used),
        TEST(without_a_limit_nothing_is_shared),
        TEST(a_process_whose_files_were_closed_joins_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
