/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program in a memory cgroup of its own, and says how it ended:
 *
 *     cage LIMIT SECONDS [NAME=VALUE]... PROGRAM [ARGUMENT]...
 *
 * LIMIT is a size such as 64MiB. After SECONDS the run counts as hung. NAME=VALUE is set for the program alone, so
 * that LD_PRELOAD reaches nothing else. The program finds its group in HEADROOM_CAGE_PATH and HEADROOM_CAGE_VERSION.
 *
 * The last line of output is "cage: exit N kills K seconds S" or "cage: signal …" or "cage: hung …". Processes that
 * the program left are killed and the group is removed, also after SIGINT and SIGTERM. Exit status: 0 if the program
 * ran, 77 without a cgroup, 2 for wrong arguments or a group that cannot be entered.
 */
#include "support/cgroup.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static hrt_cgroup group;

static int start_program(void *context)
{
    char **words = context;
    char version[16];
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    snprintf(version, sizeof version, "%d", group.version);
    setenv("HEADROOM_CAGE_PATH", group.path, 1);
    setenv("HEADROOM_CAGE_VERSION", version, 1);
    for (; *words && strchr(*words, '='); words++)
        putenv(*words);
    if (*words)
        execv(*words, words);
    fprintf(stderr, "cage: %s: %s\n", *words ? *words : "no program", strerror(errno));
    return HRT_CGROUP_NOT_ENTERED;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Waits for the program's end; false when the time is over, or the cage itself is to end. */
static bool wait_for_end(pid_t child, double end_s, const sigset_t *signals, int *ret_status)
{
    while (waitpid(child, ret_status, WNOHANG) != child) {
        double left_s = end_s - now_s();
        if (left_s <= 0)
            return false;
        struct timespec left = {.tv_sec = (time_t)left_s, .tv_nsec = (long)((left_s - (double)(time_t)left_s) * 1e9)};
        int signal = sigtimedwait(signals, NULL, &left);
        if (signal == SIGINT || signal == SIGTERM)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    uint64_t limit_bytes;
    char reason[HRT_REASON];
    double seconds = argc > 3 ? atof(argv[2]) : 0;
    if (argc < 4 || hr_size_parse(argv[1], &limit_bytes) != 0 || seconds <= 0) {
        fprintf(stderr, "usage: cage LIMIT SECONDS [NAME=VALUE]... PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    if (!hrt_cgroup_available(reason)) {
        printf("skipped: %s\n", reason);
        return 77;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int error = hrt_cgroup_new("cage", limit_bytes, &group);
    double start_s = now_s();
    pid_t child = error ? error : hrt_cgroup_start(&group, start_program, &argv[3]);
    int status = 0;
    bool ended = child > 0 && wait_for_end(child, start_s + seconds, &signals, &status);
    double lasted_s = now_s() - start_s;
    uint64_t kills = error ? 0 : hrt_cgroup_oom_kills(&group);
    if (child > 0 && !ended)
        kill(-child, SIGKILL);
    hrt_cgroup_free(&group);
    if (child < 0 || (ended && WIFEXITED(status) && WEXITSTATUS(status) == HRT_CGROUP_NOT_ENTERED)) {
        fprintf(stderr, "cage: no run: %s\n", child < 0 ? strerror(-child) : "the program did not start");
        return 2;
    }
    if (!ended)
        printf("\ncage: hung");
    else if (WIFSIGNALED(status))
        printf("\ncage: signal %d", WTERMSIG(status));
    else
        printf("\ncage: exit %d", WEXITSTATUS(status));
    printf(" kills %" PRIu64 " seconds %.2f\n", kills, lasted_s);
    return 0;
}
