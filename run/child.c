/* SPDX-License-Identifier: Apache-2.0 */
/* The command's process: started behind the wall, reaped, and its exit status told as a shell tells it.
 *
 * The supervisor is the subreaper: what the command leaves behind comes to it and stays in the tree. If the supervisor is
 * killed, the command is killed too, as if it had been started without one: nobody would raise its wall any more.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* How the child says why it could not become the command. */
struct failure {
    bool behind_wall; /* else: before */
    int error;
};

static _Noreturn void fail(int pipe_fd, bool behind_wall, int error)
{
    struct failure failure = {.behind_wall = behind_wall, .error = error};
    if (write(pipe_fd, &failure, sizeof failure) < 0)
        _exit(RUN_EXIT_FAILED);
    _exit(RUN_EXIT_FAILED);
}

static _Noreturn void become(const run_supervisor *run, int failure_fd, int parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(RUN_EXIT_FAILED);
    int error = run_wall_enter(&run->wall);
    if (error)
        fail(failure_fd, false, error);
    sigprocmask(SIG_SETMASK, &run->inherited_mask, NULL);
    if (run->heap.page)
        run_heap_export(&run->heap);
    execvp(run->options.command[0], run->options.command);
    fail(failure_fd, true, errno);
}

int run_child_start(run_supervisor *run)
{
    int pair[2], parent = getpid();
    struct failure failure;
    if (pipe2(pair, O_CLOEXEC) != 0) {
        run_tell(run, "no pipe can be made: %s", strerror(errno));
        return RUN_EXIT_FAILED;
    }
    run->pid = fork();
    if (run->pid == 0)
        become(run, pair[1], parent);
    close(pair[1]);
    ssize_t got = run->pid > 0 ? read(pair[0], &failure, sizeof failure) : 0;
    close(pair[0]);
    if (run->pid < 0) {
        run_tell(run, "no process can be started: %s", strerror(errno));
        return RUN_EXIT_FAILED;
    }
    if (got != sizeof failure)
        return 0;
    waitpid(run->pid, NULL, 0);
    run_tell(run, failure.behind_wall ? "'%s' cannot be executed: %s" : "'%s' cannot be put behind the wall: %s",
             run->options.command[0], strerror(failure.error < 0 ? -failure.error : failure.error));
    if (!failure.behind_wall)
        return RUN_EXIT_FAILED;
    return failure.error == ENOENT ? RUN_EXIT_NOT_FOUND : RUN_EXIT_CANNOT_EXECUTE;
}

/* An action's process has ended. */
static void forget_spawned(run_supervisor *run, int pid)
{
    for (size_t i = 0; i < RUN_SKIPPED_MAX; i++) {
        if (run->tree.skipped[i] == pid)
            run->tree.skipped[i] = 0;
    }
}

/* The command was stopped by the terminal, or by somebody who sent the terminal's signals: the shell is to see it. */
static void stop_with_it(run_supervisor *run, int signal)
{
    if (run->frozen || getpid() == 1 || (signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU))
        return;
    run_line_clear(run);
    raise(SIGSTOP);
    kill(run->pid, SIGCONT);
}

bool run_child_reap(run_supervisor *run)
{
    int status, pid;
    struct rusage usage;
    while ((pid = wait4(-1, &status, WNOHANG | WUNTRACED, &usage)) > 0) {
        if (pid == run->pid && WIFSTOPPED(status)) {
            stop_with_it(run, WSTOPSIG(status));
        } else if (pid == run->pid) {
            run->has_ended = true;
            run->status = status;
            run->rss_peak_bytes = (uint64_t)usage.ru_maxrss << 10;
        } else if (!WIFSTOPPED(status)) {
            forget_spawned(run, pid);
        }
    }
    return run->has_ended;
}

int run_child_exit_status(const run_supervisor *run)
{
    return WIFSIGNALED(run->status) ? 128 + WTERMSIG(run->status) : WEXITSTATUS(run->status);
}

/* ── actions ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void set_number(const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    setenv(name, text, 1);
}

int run_spawn(run_supervisor *run, const char *command)
{
    size_t free_at = 0;
    while (free_at < RUN_SKIPPED_MAX && run->tree.skipped[free_at])
        free_at++;
    if (free_at == RUN_SKIPPED_MAX)
        return -EAGAIN; /* so many still run */
    int pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        set_number("HEADROOM_LIMIT", run->use.limit_bytes);
        set_number("HEADROOM_USE", run->use.use_bytes);
        set_number("HEADROOM_PID", (uint64_t)run->pid);
        setenv("HEADROOM_LEVEL", hr_level_text(run->level), 1);
        sigprocmask(SIG_SETMASK, &run->inherited_mask, NULL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(RUN_EXIT_NOT_FOUND);
    }
    run->tree.skipped[free_at] = pid;
    return 0;
}
