/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/processes.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static int wait_for(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int hrt_processes_run(int (*play)(void *context), void *context)
{
    pid_t outer = fork();
    if (outer != 0)
        return wait_for(outer);
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        _exit(HRT_NO_NAMESPACE);
    pid_t inner = fork();
    if (inner == 0)
        _exit(mount("proc", "/proc", "proc", 0, NULL) != 0 ? HRT_NO_NAMESPACE : play(context));
    _exit(wait_for(inner));
}

bool hrt_processes_skip(int status)
{
    if (status == HRT_NO_NAMESPACE)
        printf("skipped: no namespace for processes can be made here (it takes root)\n");
    if (status == HRT_NO_CHOICE)
        printf("skipped: the kernel does not let us choose the next process's number\n");
    fflush(stdout);
    return status == HRT_NO_NAMESPACE || status == HRT_NO_CHOICE;
}

pid_t hrt_process_start(void)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (;;)
        pause();
}

void hrt_process_end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

bool hrt_process_start_as(pid_t pid)
{
    FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");
    if (!file)
        return false;
    fprintf(file, "%d", pid - 1);
    return fclose(file) == 0 && hrt_process_start() == pid;
}
