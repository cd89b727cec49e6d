/* SPDX-License-Identifier: Apache-2.0 */
/* `headroom run` whose Nth call to the machine fails, once or from then on. The command runs to its end, or the
 * supervisor says that it cannot and ends with a status of its own. It never dies, hangs, or leaves its command
 * behind. */
#include "support/cmocka.h"
#include "support/fault.h"

#include "run/run.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 60000

struct outcome {
    int status;
    uint64_t failed;
};

/* One run in a process of its own, which it changes for good: its signals, its children. */
static void supervise(hrt_fault_mode mode, uint64_t nth, const char *report, int answer_fd)
{
    char program[] = "true";
    char *command[] = {program, NULL};
    run_options options = {.limit_share = 0.9, .grace_ns = 1000000000, .report = report, .command = command};
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nowhere, STDERR_FILENO);
    hrt_fault_arm(mode, nth);
    struct outcome outcome = {.status = run_supervise(&options)};
    hrt_fault_disarm();
    outcome.failed = hrt_fault_failed();
    ssize_t written = write(answer_fd, &outcome, sizeof outcome);
    _exit(written == sizeof outcome ? 0 : 1);
}

/* Waits for a child; false if it does not end, or not by itself. */
static bool ends(pid_t pid)
{
    int status = 0, left_ms = PATIENCE_MS;
    while (waitpid(pid, &status, WNOHANG) == 0 && left_ms-- > 0)
        usleep(1000);
    if (left_ms > 0)
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return false;
}

static struct outcome try_one(hrt_fault_mode mode, uint64_t nth, const char *report)
{
    struct outcome outcome = {.status = -1};
    int pair[2];
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        supervise(mode, nth, report, pair[1]);
    close(pair[1]);
    bool ended = ends(pid);
    ssize_t got = read(pair[0], &outcome, sizeof outcome);
    close(pair[0]);
    if (!ended || got != sizeof outcome)
        fail_msg("mode %d, call %llu: it did not come to its end", (int)mode, (unsigned long long)nth);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left behind to this subreaper */
    return outcome;
}

static void any_call_may_fail(void **state)
{
    (void)state;
    char folder[] = "/tmp/headroom-run-oom-XXXXXX", report[sizeof folder + 16];
    assert_non_null(mkdtemp(folder));
    snprintf(report, sizeof report, "%s/history", folder);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (hrt_fault_mode mode = HRT_FAULT_ONCE; mode <= HRT_FAULT_ALWAYS; mode++) {
        uint64_t nth = 1;
        for (struct outcome outcome = {.failed = 1}; outcome.failed; nth++) {
            outcome = try_one(mode, nth, report);
            bool own = outcome.status >= 125 && outcome.status <= 127;
            if (outcome.status != 0 && !(outcome.failed && own))
                fail_msg("mode %d, call %llu: status %d", (int)mode, (unsigned long long)nth, outcome.status);
            unlink(report);
        }
        assert_true(nth > 10); /* else nothing was tried */
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_call_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
