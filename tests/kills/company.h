/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded processes that live in one group under different circumstances: shared by the programs of several
 * processes. */
#ifndef HRT_KILLS_COMPANY_H
#define HRT_KILLS_COMPANY_H

#include "kills/kills.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define COMPANY_MAX 16
#define NOBODY 65534

/* The kind of a process of the company; with "mixed" the processes have these kinds in turn. */
typedef enum hrt_kind {
    HRT_PLAIN,
    HRT_OTHER_USER,
    HRT_OTHER_MOUNTS, /* with a /dev/shm of its own */
    HRT_OTHER_PIDS,   /* with a /proc of its own */
    HRT_KINDS
} hrt_kind;

typedef int hrt_life(long number);

/* Runs `life` as the first process of a PID namespace. */
static inline int hrt_live_apart(hrt_life *life, long number)
{
    int status;
    HRT_MUST(unshare(CLONE_NEWPID | CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0);
    pid_t child = fork();
    HRT_MUST(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        HRT_MUST(mount("proc", "/proc", "proc", 0, NULL) == 0);
        _exit(life(number));
    }
    HRT_MUST(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        raise(WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* Runs `life` under the circumstances of a kind; those that take root are left out without it. */
static inline int hrt_live(hrt_kind kind, hrt_life *life, long number)
{
    if (geteuid() != 0)
        kind = HRT_PLAIN;
    switch (kind) {
    case HRT_OTHER_USER:
        HRT_MUST(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
        break;
    case HRT_OTHER_MOUNTS:
        HRT_MUST(unshare(CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0);
        HRT_MUST(mount("shm", "/dev/shm", "tmpfs", 0, "size=16m") == 0);
        break;
    case HRT_OTHER_PIDS:
        return hrt_live_apart(life, number);
    default:
        break;
    }
    return life(number);
}

/* Forks a process of the company. It dies with its parent. */
static inline pid_t hrt_join_company(hrt_kind kind, hrt_life *life, long number)
{
    fflush(NULL);
    pid_t child = fork();
    HRT_MUST(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int status = hrt_live(kind, life, number);
        fflush(NULL);
        _exit(status);
    }
    return child;
}

#endif
