/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a process is moved to a smaller group while its old group stays. The guard went on with the files of the
 * old group, granted by its limit, and the kernel killed the process.
 *
 *     moved LIMIT_MIB [INTERVAL_MS]      in 64 MiB
 *
 * A process with a guard holds 8 MiB and is moved by its parent to a group of LIMIT_MIB. After three rounds of its
 * monitor, but at least 200 ms, it takes blocks until one is refused.
 * Right: no kill in the new group, and at least three eighths of its limit are granted: what it held before counts
 * too.
 */
#include "kills/kills.h"

#include <fcntl.h>
#include <sys/wait.h>

#define HELD (8 * MIB)

typedef struct journey {
    int moved_fd; /* readable once the process has been moved */
    int ready_fd;
    int64_t interval_ns;
    size_t limit_bytes;
} journey;

static int live(const journey *plan)
{
    char byte = 0;
    hr_guard *guard;
    HRT_MUST(hr_guard_new(&(hr_guard_options){.interval_ns = plan->interval_ns}, &guard) == 0);
    hr_budget *root = hr_guard_root(guard);
    char *block = hr_alloc(root, HELD);
    HRT_MUST(block);
    memset(block, 1, HELD);
    hrt_show(guard, "before");
    HRT_MUST(write(plan->ready_fd, &byte, 1) == 1 && read(plan->moved_fd, &byte, 1) == 1);
    usleep((useconds_t)(200000 + 3 * (plan->interval_ns ? plan->interval_ns : SECOND) / 1000));
    hrt_show(guard, "moved");
    size_t granted = hrt_fill(root, 100000);
    hrt_show(guard, "filled");
    return hrt_granted(granted, plan->limit_bytes * 3 / 8);
}

static void move(pid_t pid, const hrt_cgroup *group)
{
    char path[HRT_CGROUP_PATH + 16], text[16];
    snprintf(path, sizeof path, "%s/cgroup.procs", group->path);
    int length = snprintf(text, sizeof text, "%d", (int)pid), fd = open(path, O_WRONLY | O_CLOEXEC);
    HRT_MUST(fd >= 0 && write(fd, text, (size_t)length) == length);
    close(fd);
}

int main(int argc, char **argv)
{
    int ready[2], moved[2], status;
    char byte = 0;
    hrt_cgroup group;
    journey plan = {.interval_ns = hrt_number(argc, argv, 2, 0) * (SECOND / 1000),
                    .limit_bytes = (size_t)hrt_number(argc, argv, 1, 24) * MIB};
    HRT_MUST(pipe(ready) == 0 && pipe(moved) == 0 && hrt_cgroup_new("moved", plan.limit_bytes, &group) == 0);
    plan.moved_fd = moved[0];
    plan.ready_fd = ready[1];
    pid_t child = fork();
    if (child == 0) {
        status = live(&plan);
        fflush(NULL);
        _exit(status);
    }
    close(ready[1]);
    bool at_work = child > 0 && read(ready[0], &byte, 1) == 1;
    if (at_work) {
        move(child, &group);
        at_work = write(moved[1], &byte, 1) == 1;
    }
    waitpid(child, &status, 0);
    uint64_t kills = hrt_cgroup_oom_kills(&group);
    hrt_cgroup_free(&group);
    if (kills)
        return HRT_KILLED;
    return at_work && WIFEXITED(status) ? WEXITSTATUS(status) : HRT_WRONG;
}
