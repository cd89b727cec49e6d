/* SPDX-License-Identifier: Apache-2.0 */
/* The command's process: started behind the wall, reaped, and its exit status told as a shell tells it.
 *
 * The supervisor is the subreaper: what the command leaves behind comes to it and stays in the tree. If the supervisor
 * is killed, the command is killed too, as if it had been started without one. All else that is behind the wall would
 * sleep there for ever: nobody raises the wall any more, and the kernel's killer is off. So a process outside of the
 * wall, the keeper, waits for the supervisor's end, kills what is behind the wall, and removes it. Where there is no
 * wall, as with --pid, processes that the supervisor has stopped would stay so: it tells the keeper which they are, and
 * the keeper continues them.
 */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

/* ── the keeper ─────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Signals are blocked here as in the supervisor; in a session of its own none to the supervisor's group arrives. */
static _Noreturn void keep(run_supervisor *run, int pipe_fd)
{
    static int stopped[RUN_TREE_MAX];
    size_t count = 0;
    int pid;
    setsid();
    prctl(PR_SET_NAME, "headroom-keeper");
    dup2(pipe_fd, STDIN_FILENO);
    run->wall.event_fd = run->wall.lock_fd = -1;
    if (syscall(SYS_close_range, STDIN_FILENO + 1, UINT_MAX, 0) != 0) { /* before Linux 5.9 */
        for (int fd = STDIN_FILENO + 1; fd < 1024; fd++)
            close(fd);
    }
    for (ssize_t got = 1; got > 0 || (got < 0 && errno == EINTR);) { /* 0: the list begins anew */
        got = read(STDIN_FILENO, &pid, sizeof pid);
        if (got == sizeof pid && pid == 0)
            count = 0;
        else if (got == sizeof pid && count < RUN_TREE_MAX)
            stopped[count++] = pid;
    }
    for (size_t i = 0; i < count; i++)
        kill(stopped[i], SIGCONT);
    run_wall_end(&run->wall);
    _exit(0);
}

void run_keeper_tell(const run_supervisor *run, bool stopped)
{
    int pid = 0;
    size_t i = 0;
    while (run->keeper_fd >= 0 && write(run->keeper_fd, &pid, sizeof pid) == sizeof pid && stopped &&
           i < run->tree.count)
        pid = run_tree_own(&run->tree, i++);
}

/* May a process be stopped by signals? Behind a wall of version 1 or 2 there is a keeper in any case. */
static bool may_stop(const run_options *options)
{
    bool may = options->on_limit == RUN_LIMIT_FREEZE;
    for (size_t i = 0; i < options->trigger_count; i++)
        may |= options->triggers[i].action == RUN_FREEZE;
    return may && !options->observe;
}

int run_keeper_start(run_supervisor *run)
{
    int pair[2];
    if (run->wall.kind == RUN_WALL_NONE && !may_stop(&run->options))
        return 0;
    if (pipe2(pair, O_CLOEXEC) != 0)
        return -errno;
    fcntl(pair[1], F_SETFL, O_NONBLOCK); /* a keeper that is stopped does not stop the supervisor */
    int pid = fork(), error = pid < 0 ? -errno : 0;
    if (pid == 0) {
        close(pair[1]);
        keep(run, pair[0]);
    }
    close(pair[0]);
    if (error)
        close(pair[1]);
    run->keeper_fd = error ? -1 : pair[1];
    run->tree.keeper = error ? 0 : pid;
    return error;
}

void run_keeper_stop(run_supervisor *run)
{
    if (run->tree.keeper) {
        kill(run->tree.keeper, SIGKILL);
        waitpid(run->tree.keeper, NULL, 0);
    }
    if (run->keeper_fd >= 0)
        close(run->keeper_fd);
    run->tree.keeper = 0;
    run->keeper_fd = -1;
}

/* ── the command ────────────────────────────────────────────────────────────────────────────────────────────────── */

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

/* Stops by the same signal, so that a shell shows that one. Signals are blocked: it stops when it is let through. */
static void raise_stop(int signal)
{
    sigset_t one, before;
    sigemptyset(&one);
    sigaddset(&one, signal);
    raise(signal);
    sigprocmask(SIG_UNBLOCK, &one, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Are we the foreground job of a terminal? A shell waits there until all of the job has stopped. */
static bool is_foreground(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (tcgetpgrp(fd) == getpgrp())
            return true;
    }
    return false;
}

/* The command was stopped by the terminal, or by somebody who sent the terminal's signals: the shell is to see it.
 * SIGSTOP comes from anywhere. Elsewhere than in front of a shell it would leave the tree without its watch. */
static void stop_with_it(run_supervisor *run, int signal)
{
    bool stops = signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU || (signal == SIGSTOP && is_foreground());
    if (run->frozen || getpid() == 1 || !stops)
        return;
    run_line_clear(run);
    raise_stop(signal);
    kill(run->pid, SIGCONT);
}

/* A process that sleeps at a wall does not stop. So the supervisor stops alone: else the terminal would stay taken. A
 * shell that goes on with the job sends SIGCONT to all of it. A tree that was frozen by SIGSTOP is then stopped again.
 */
void run_child_stop_frozen(run_supervisor *run, int signal)
{
    if (!run->frozen || getpid() == 1)
        return;
    run_line_clear(run);
    raise_stop(signal);
    if (run->stopped)
        run_tree_signal(&run->tree, SIGSTOP);
    else
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
        } else if (pid == run->tree.keeper && !WIFSTOPPED(status)) {
            run->tree.keeper = 0; /* somebody has killed it */
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
        return -EAGAIN; /* this many still run */
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
