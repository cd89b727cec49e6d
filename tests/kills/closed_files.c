/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a program closes all its descriptors after it made a guard, as daemons do. The guard's readings failed,
 * or read other files that have the same numbers now; the limit was lost or stale, and the kernel killed the process.
 *
 *     closed_files close|reuse|daemon|use      in 64 MiB
 *
 * close: all descriptors from 3 up. reuse: other files get their numbers. daemon: a child that detaches, closes all of
 * them and starts the guard's monitor again. use: the files alone that tell a group's use. Then the program's own
 * memory grows by 20 MiB, and blocks are taken until one is refused. Right: no kill, and at least 6/10 of the limit
 * without 20 MiB is granted. The monitor does not spin: it takes less than half of a second of processor time in a
 * second.
 */
#include "kills/kills.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define OWN (20 * MIB)
#define FILES 64

static double processor_seconds(void)
{
    struct rusage use;
    HRT_MUST(getrusage(RUSAGE_SELF, &use) == 0);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static int live(hr_guard *guard, hr_budget *budget, size_t limit_bytes)
{
    double before = processor_seconds();
    sleep(1);
    double spent = processor_seconds() - before;
    hrt_own(OWN);
    hrt_show(guard, "own");
    size_t granted = hrt_fill(budget, 100000);
    hrt_show(guard, "filled");
    printf("%.2f s of processor time in a second\n", spent);
    int status = hrt_granted(granted, (limit_bytes - OWN) / 10 * 6);
    return status == HRT_RIGHT && spent >= 0.5 ? HRT_WRONG : status;
}

static void close_all(bool reuse)
{
    HRT_MUST(close_range(3, ~0U, 0) == 0);
    for (int i = 0; reuse && i < FILES; i++)
        HRT_MUST(open(i % 2 ? "/dev/zero" : "/dev/null", O_RDWR | O_CLOEXEC) >= 0);
}

/* Closes all descriptors of files of a name. */
static void close_named(const char *name)
{
    char path[64], file[512];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, file, sizeof file - 1);
        file[length > 0 ? length : 0] = '\0';
        if (strstr(file, name))
            close(fd);
    }
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "close";
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    hr_figures figures;
    HRT_MUST(hr_guard_read(guard, &figures) == 0);
    if (strcmp(how, "use") == 0) {
        close_named("/memory.stat");
        return live(guard, budget, figures.limit_bytes);
    }
    if (strcmp(how, "daemon") != 0) {
        close_all(strcmp(how, "reuse") == 0);
        return live(guard, budget, figures.limit_bytes);
    }
    int status;
    pid_t child = fork();
    HRT_MUST(child >= 0);
    if (child == 0) {
        setsid();
        close_all(false);
        if (hr_guard_start(guard, 0) != 0)
            hrt_end(HRT_WRONG, "the monitor does not start again");
        status = live(guard, budget, figures.limit_bytes);
        fflush(NULL);
        _exit(status);
    }
    HRT_MUST(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : HRT_WRONG;
}
