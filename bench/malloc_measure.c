/* SPDX-License-Identifier: Apache-2.0 */
/* malloc_measure FD LIBRARY COMMAND WORD…: runs a command with a library preloaded ("": none), and writes its processor
 * seconds and its peak in KiB to descriptor FD. A child's peak is at least what its parent had when it was made, so the
 * parent has to be small. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    pid_t child;
    int status;
    struct rusage usage;
    if (argc < 4)
        return 2;
    fcntl(atoi(argv[1]), F_SETFD, FD_CLOEXEC);
    if (*argv[2])
        setenv("LD_PRELOAD", argv[2], 1);
    if (posix_spawnp(&child, argv[3], NULL, NULL, argv + 3, environ) != 0 || wait4(child, &status, 0, &usage) != child)
        return 3;
    dprintf(atoi(argv[1]), "%.6f %ld\n", seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}
