/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: kernel memory that pipes or sockets hold is taken for names of files, which the kernel gives back. v1 does
 * not tell one from the other. Blocks were granted for it, and the process was killed.
 *
 *     kernel_held pipes|sockets|names MIB [MILLISECONDS [NAMES_MIB [BEFORE]]]      in 64 MiB
 *
 * NAMES_MIB are taken by names of files that are not there. Pipes or buffers of sockets are filled with MIB in all, a
 * MiB each MILLISECONDS, or names take that too. If BEFORE is 1, that is done before there is a guard. Then blocks are
 * taken until one is refused.
 * Right: no kill, the level is not above normal before that, and of the limit without what is held half is granted.
 */
#include "kills/kills.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NAMES_A_MIB 5000

static char buffer[64 * KIB];

static void fill_pipe(void)
{
    int ends[2];
    HRT_MUST(pipe2(ends, O_NONBLOCK) == 0 && fcntl(ends[1], F_SETPIPE_SZ, (int)MIB) >= (int)MIB);
    while (write(ends[1], buffer, sizeof buffer) > 0) {}
}

static void fill_socket(void)
{
    size_t sent = 0;
    while (sent < MIB) {
        int ends[2], size = (int)MIB;
        HRT_MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        for (ssize_t more; sent < MIB && (more = write(ends[0], buffer, sizeof buffer)) > 0;)
            sent += (size_t)more;
    }
}

static void look_for_names(void)
{
    static long next;
    struct stat status;
    char path[64];
    for (int i = 0; i < NAMES_A_MIB; i++) {
        snprintf(path, sizeof path, "headroom-is-not-here-%ld", next++);
        HRT_MUST(stat(path, &status) != 0);
    }
}

static const struct kind {
    const char *name;
    void (*take)(void);
    bool held;
} kinds[] = {
    {"pipes", fill_pipe, true},
    {"sockets", fill_socket, true},
    {"names", look_for_names, false},
};

static void take(const struct kind *kind, size_t bytes, long pause_ms)
{
    for (size_t i = 0; i < bytes; i += MIB) {
        kind->take();
        usleep((useconds_t)pause_ms * 1000);
    }
}

int main(int argc, char **argv)
{
    const struct kind *kind = kinds;
    for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, argv[1]) == 0)
            kind = &kinds[i];
    size_t taken = (size_t)hrt_number(argc, argv, 2, 30) * MIB;
    long pause_ms = hrt_number(argc, argv, 3, 1), names = hrt_number(argc, argv, 4, 0);
    bool before = hrt_number(argc, argv, 5, 0) != 0;
    struct rlimit files = {4096, 4096};
    hr_budget *budget;
    hr_figures figures;
    setrlimit(RLIMIT_NOFILE, &files);
    if (before)
        take(kind, taken, pause_ms);
    hr_guard *guard = hrt_guard(&budget);
    HRT_MUST(hr_guard_read(guard, &figures) == 0);
    for (long i = 0; i < names; i++)
        look_for_names();
    if (!before)
        take(kind, taken, pause_ms);
    hr_guard_check(guard);
    hrt_show(guard, kind->name);
    if (hr_guard_level(guard) != HR_NORMAL)
        hrt_end(HRT_WRONG, "kernel memory alone raises the level");
    size_t granted = hrt_fill(budget, 100000);
    hrt_show(guard, "filled");
    return hrt_granted(granted, (figures.limit_bytes - (kind->held ? taken : 0)) / 2);
}
