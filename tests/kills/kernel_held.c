/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: kernel memory that pipes or sockets hold is taken for names of files, which the kernel gives back. v1 does
 * not tell one from the other. Blocks were granted for it, and the process was killed.
 *
 *     kernel_held pipes|sockets|watches|files|names MIB [MILLISECONDS [NAMES_MIB [before|after [self|other]]]]
 *
 * In 64 MiB. NAMES_MIB are taken by names of files that are not there. MIB are taken, a MiB each MILLISECONDS: by full
 * pipes, by buffers of sockets, by inodes that are watched, by inodes that nobody uses (files), or by names. "before":
 * that is done before there is a guard. "other": another process of the group does it, which is not guarded, and a
 * process outside of the group makes as many names meanwhile. Then blocks are taken until one is refused.
 * Right: no kill, the level is not above normal before that, and of the limit without what is held half is granted.
 */
#include "kills/company.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NAMES_A_MIB 5000
#define INODES_A_MIB 900

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

/* Makes files that nobody uses later. Each keeps an inode, and its name can be dropped. */
static void make_files(int instance)
{
    static long next;
    char path[64];
    for (int i = 0; i < INODES_A_MIB; i++) {
        snprintf(path, sizeof path, "headroom-%d-%ld", (int)getpid(), next++);
        int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        HRT_MUST(fd >= 0 && close(fd) == 0);
        HRT_MUST(instance < 0 || inotify_add_watch(instance, path, IN_MODIFY) >= 0);
    }
}

static void watch_files(void)
{
    static int instance = -1;
    if (instance < 0)
        HRT_MUST((instance = inotify_init1(IN_CLOEXEC)) >= 0);
    make_files(instance);
}

static void leave_files(void)
{
    make_files(-1);
}

static const struct kind {
    const char *name;
    void (*take)(void);
    bool held;
} kinds[] = {
    {"pipes", fill_pipe, true},    {"sockets", fill_socket, true},   {"watches", watch_files, true},
    {"files", leave_files, false}, {"names", look_for_names, false},
};

static const struct kind *kind = kinds;
static long taken_mib, pause_ms;

static void take(void)
{
    struct rlimit files = {4096, 4096};
    setrlimit(RLIMIT_NOFILE, &files);
    for (long i = 0; i < taken_mib; i++) {
        kind->take();
        usleep((useconds_t)pause_ms * 1000);
    }
}

/* The kernel memory stays as long as this process lives. */
static int take_and_tell(long told)
{
    take();
    HRT_MUST(write((int)told, "", 1) == 1);
    return pause();
}

/* Makes names outside of the group. Its parent's death kills it (hrt_join_company). */
static int make_names_outside(long told)
{
    char path[HRT_CGROUP_PATH + 32];
    hrt_cgroup group = hrt_own_group();
    snprintf(path, sizeof path, "%s/../cgroup.procs", group.path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    HRT_MUST(fd >= 0 && write(fd, "0", 1) == 1 && close(fd) == 0);
    HRT_MUST(write((int)told, "", 1) == 1);
    while (true)
        look_for_names();
    return 0;
}

/* Starts another process and waits until it tells. */
static void start_other(hrt_life *life)
{
    int ends[2];
    char told;
    HRT_MUST(pipe2(ends, O_CLOEXEC) == 0);
    hrt_join_company(HRT_PLAIN, life, ends[1]);
    HRT_MUST(read(ends[0], &told, 1) == 1);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, argv[1]) == 0)
            kind = &kinds[i];
    taken_mib = hrt_number(argc, argv, 2, 30);
    pause_ms = hrt_number(argc, argv, 3, 1);
    long names = hrt_number(argc, argv, 4, 0);
    bool before = argc > 5 && strcmp(argv[5], "before") == 0, other = argc > 6 && strcmp(argv[6], "other") == 0;
    hr_budget *budget;
    hr_figures figures;
    if (other)
        start_other(make_names_outside);
    if (before)
        other ? start_other(take_and_tell) : take();
    hr_guard *guard = hrt_guard(&budget);
    HRT_MUST(hr_guard_read(guard, &figures) == 0);
    for (long i = 0; i < names; i++)
        look_for_names();
    if (!before)
        other ? start_other(take_and_tell) : take();
    hr_guard_check(guard);
    hrt_show(guard, kind->name);
    if (hr_guard_level(guard) != HR_NORMAL)
        hrt_end(HRT_WRONG, "kernel memory alone raises the level");
    size_t granted = hrt_fill(budget, 100000), held = kind->held ? (size_t)taken_mib * MIB : 0;
    hrt_show(guard, "filled");
    return hrt_granted(granted, (figures.limit_bytes - held) / 2);
}
