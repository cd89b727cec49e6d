/* SPDX-License-Identifier: Apache-2.0 */
/* A process that is watched from outside, and one that is given its number: which no test can ask for but in a namespace of
 * processes of its own, so it is skipped, with the reason, where there can be none. */
#define _GNU_SOURCE
#include "support/cmocka.h"

#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_NAMESPACE 77
#define NO_CHOICE 78
#define LIMIT_BYTES (UINT64_C(1) << 40)

static pid_t start_waiter(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void limit_address(pid_t pid)
{
    const struct rlimit limit = {LIMIT_BYTES, LIMIT_BYTES};
    prlimit(pid, RLIMIT_AS, &limit, NULL);
}

static bool is_unknown(const hri_process *process)
{
    hri_process_reading reading;
    hri_process_read(process, &reading);
    return reading.rss_bytes == HR_NONE && reading.address_bytes == HR_NONE && reading.data_bytes == HR_NONE &&
           reading.address_limit_bytes == HR_NONE && reading.data_limit_bytes == HR_NONE;
}

static void one_that_ends_is_gone(void **state)
{
    (void)state;
    hri_process process;
    hri_process_reading reading;
    pid_t pid = start_waiter();
    assert_true(pid > 0);
    limit_address(pid);
    assert_int_equal(hri_process_open(&process, &(hri_site){.root = "", .pid = pid}), 0);
    hri_process_read(&process, &reading);
    assert_true(reading.rss_bytes > 0 && reading.rss_bytes != HR_NONE && reading.address_limit_bytes == LIMIT_BYTES);
    assert_false(hri_process_is_gone(&process));
    end(pid);
    assert_true(hri_process_is_gone(&process));
    assert_true(is_unknown(&process));
    hri_process_close(&process);
    assert_int_equal(hri_process_open(&process, &(hri_site){.root = "", .pid = pid}), -ESRCH);
}

static void this_one_is_never_gone(void **state)
{
    (void)state;
    hri_process process;
    assert_int_equal(hri_process_open(&process, &(hri_site){.root = ""}), 0);
    assert_false(hri_process_is_gone(&process));
    hri_process_close(&process);
    assert_false(hri_process_is_gone(&process));
}

/* ── in the namespace ───────────────────────────────────────────────────────────────────────────────────────────── */

static bool choose_next(pid_t pid)
{
    FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");
    if (!file)
        return false;
    fprintf(file, "%d", pid - 1);
    return fclose(file) == 0;
}

/* As the first process of a namespace. Gives an exit status: 0, or the line of what is not right, or why it is skipped. */
static int give_a_number_twice(void)
{
    hri_process process;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("proc", "/proc", "proc", 0, NULL) != 0)
        return NO_NAMESPACE;
    pid_t first = start_waiter();
    if (hri_process_open(&process, &(hri_site){.root = "", .pid = first}) != 0 || is_unknown(&process))
        return 1;
    end(first);
    if (!choose_next(first))
        return NO_CHOICE;
    pid_t second = start_waiter();
    if (second != first)
        return NO_CHOICE;
    limit_address(second); /* known by its number alone */
    if (!hri_process_is_gone(&process))
        return 2;
    if (!is_unknown(&process))
        return 3;
    hri_process_close(&process);
    if (hri_process_open(&process, &(hri_site){.root = "", .pid = second}) != 0 || is_unknown(&process) ||
        hri_process_is_gone(&process))
        return 4;
    return 0;
}

static void one_that_is_given_its_number_is_another(void **state)
{
    (void)state;
    int status;
    pid_t outer = fork();
    assert_true(outer >= 0);
    if (outer == 0) {
        if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
            _exit(NO_NAMESPACE);
        pid_t inner = fork();
        if (inner == 0)
            _exit(give_a_number_twice());
        _exit(waitpid(inner, &status, 0) == inner && WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    }
    assert_int_equal(waitpid(outer, &status, 0), outer);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_NAMESPACE || WEXITSTATUS(status) == NO_CHOICE) {
        print_message("skipped: %s\n", WEXITSTATUS(status) == NO_CHOICE
                                           ? "the kernel does not let us choose the next process's number"
                                           : "no namespace for processes can be made here (it takes root)");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_ends_is_gone),
        cmocka_unit_test(this_one_is_never_gone),
        cmocka_unit_test(one_that_is_given_its_number_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
