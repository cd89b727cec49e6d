/* SPDX-License-Identifier: Apache-2.0 */
/* Where the memory controller is mounted stands in /proc/self/mountinfo, which group we are in in /proc/self/cgroup. On
 * v2 a group gives its children a memory controller only if it holds no process itself, except for the real root. So
 * inside a container there is often none. The test says so and works around nothing, since the other
 * processes are not ours to move.
 */
#include "support/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Where groups can be made: the folder, and the version of what is mounted there. */
typedef struct place {
    int version;
    char path[HRT_CGROUP_PATH / 2];
} place;

static int write_text(const char *folder, const char *file, const char *text)
{
    char path[HRT_CGROUP_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return error;
}

/* Reads a small file whole; an empty text if there is none. */
static void read_text(const char *folder, const char *file, char *text, size_t size)
{
    char path[HRT_CGROUP_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    text[0] = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, size - 1);
    text[n < 0 ? 0 : n] = 0;
    close(fd);
}

static bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += length) {
        bool starts = at == text || strchr(" ,\n", at[-1]);
        if (starts && (at[length] == 0 || strchr(" ,\n", at[length])))
            return true;
    }
    return false;
}

/* Finds the mount with the memory controller: a v1 hierarchy that has it, else v2. */
static bool find_mount(place *ret_mount)
{
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (!mounts)
        return false;
    bool found = false;
    char line[HRT_CGROUP_PATH];
    while (fgets(line, sizeof line, mounts)) {
        char at[1024];
        char type[64];
        char options[1024];
        const char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*s %*s %*s %*s %1023s", at) != 1 ||
            sscanf(rest, " - %63s %*s %1023s", type, options) != 2)
            continue;
        char controllers[512];
        if (strcmp(type, "cgroup") == 0 && has_word(options, "memory")) {
            ret_mount->version = 1;
        } else if (strcmp(type, "cgroup2") == 0 && !found) {
            read_text(at, "cgroup.controllers", controllers, sizeof controllers);
            if (!has_word(controllers, "memory"))
                continue;
            ret_mount->version = 2;
        } else {
            continue;
        }
        snprintf(ret_mount->path, sizeof ret_mount->path, "%s", at);
        found = true;
        if (ret_mount->version == 1)
            break;
    }
    fclose(mounts);
    return found;
}

/* Appends the path of our own group, if this mount shows it, to `place`. */
static bool find_own(place *own)
{
    FILE *groups = fopen("/proc/self/cgroup", "re");
    if (!groups)
        return false;
    bool found = false;
    char line[HRT_CGROUP_PATH];
    while (!found && fgets(line, sizeof line, groups)) {
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        controllers++;
        if (own->version == 1 ? !has_word(controllers, "memory") : *controllers != 0)
            continue;
        size_t length = strlen(own->path);
        snprintf(own->path + length, sizeof own->path - length, "%s", path);
        found = access(own->path, F_OK) == 0;
    }
    fclose(groups);
    return found;
}

/* On v2 lets the children of `folder` have memory limits. */
static int delegate(int version, const char *folder)
{
    if (version == 1)
        return 0;
    char controllers[512];
    read_text(folder, "cgroup.subtree_control", controllers, sizeof controllers);
    return has_word(controllers, "memory") ? 0 : write_text(folder, "cgroup.subtree_control", "+memory");
}

/* Makes a group below `parent` and sees to it that it can be limited. */
static int make_group(int version, const char *parent, const char *name, hrt_cgroup *ret_group)
{
    static unsigned count;
    int error = delegate(version, parent);
    if (error)
        return error;
    ret_group->version = version;
    int length = snprintf(ret_group->path, sizeof ret_group->path, "%s/headroom-test-%s-%d-%u", parent, name,
                          (int)getpid(), ++count);
    if (length < 0 || (size_t)length >= sizeof ret_group->path)
        return -ENAMETOOLONG;
    if (mkdir(ret_group->path, 0755) != 0)
        return -errno;
    char limit[HRT_CGROUP_PATH + 64];
    snprintf(limit, sizeof limit, "%s/%s", ret_group->path, version == 1 ? "memory.limit_in_bytes" : "memory.max");
    if (access(limit, W_OK) != 0) {
        error = -errno;
        rmdir(ret_group->path);
    }
    return error;
}

/* Tries the places where we may make groups, and remembers the first that works. */
static int find_place(place *ret_place, char *reason)
{
    static place known;
    if (known.version) {
        *ret_place = known;
        return 0;
    }
    place places[2] = {{0}};
    if (!find_mount(&places[0])) {
        snprintf(reason, HRT_REASON, "no memory controller is mounted");
        return -ENOENT;
    }
    places[1] = places[0];
    int count = find_own(&places[1]) ? 2 : 1;
    int error = 0;
    for (int i = 0; i < count; i++) {
        hrt_cgroup probe;
        error = make_group(places[i].version, places[i].path, "probe", &probe);
        if (error == 0) {
            rmdir(probe.path);
            known = places[i];
            *ret_place = known;
            return 0;
        }
    }
    snprintf(reason, HRT_REASON, "no memory cgroup (v%d) can be made below %.128s: %s", places[0].version,
             places[0].path, strerror(-error));
    return error;
}

bool hrt_cgroup_available(char *reason)
{
    place where;
    return find_place(&where, reason) == 0;
}

int hrt_cgroup_set_limit(const hrt_cgroup *group, uint64_t limit_bytes)
{
    char text[32];
    if (group->version == 2) {
        snprintf(text, sizeof text, "%" PRIu64, limit_bytes);
        return write_text(group->path, "memory.max", limit_bytes == UINT64_MAX ? "max" : text);
    }
    snprintf(text, sizeof text, "%" PRIu64, limit_bytes);
    const char *limit = limit_bytes == UINT64_MAX ? "-1" : text;
    /* memory and swap together must not be below memory alone, so which comes first depends on the way it goes.
     * A kernel that does not count swap has no such file. */
    write_text(group->path, "memory.memsw.limit_in_bytes", limit);
    int error = write_text(group->path, "memory.limit_in_bytes", limit);
    write_text(group->path, "memory.memsw.limit_in_bytes", limit);
    return error;
}

static int limit_group(hrt_cgroup *group, uint64_t limit_bytes)
{
    if (group->version == 1)
        write_text(group->path, "memory.swappiness", "0");
    else
        write_text(group->path, "memory.swap.max", "0");
    int error = hrt_cgroup_set_limit(group, limit_bytes);
    if (error)
        hrt_cgroup_free(group);
    return error;
}

int hrt_cgroup_new(const char *name, uint64_t limit_bytes, hrt_cgroup *ret_group)
{
    place where;
    char reason[HRT_REASON];
    int error = find_place(&where, reason);
    if (!error)
        error = make_group(where.version, where.path, name, ret_group);
    return error ? error : limit_group(ret_group, limit_bytes);
}

int hrt_cgroup_new_inside(const hrt_cgroup *parent, const char *name, uint64_t limit_bytes, hrt_cgroup *ret_group)
{
    int error = make_group(parent->version, parent->path, name, ret_group);
    return error ? error : limit_group(ret_group, limit_bytes);
}

pid_t hrt_cgroup_start(const hrt_cgroup *group, hrt_cgroup_function *function, void *context)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child > 0)
        return child;
    /* 0 is whoever writes it. */
    int error = write_text(group->path, "cgroup.procs", "0");
    if (error) {
        fprintf(stderr, "cannot enter %s: %s\n", group->path, strerror(-error));
        _exit(HRT_CGROUP_NOT_ENTERED);
    }
    int status = function(context);
    fflush(NULL);
    _exit(status);
}

int hrt_cgroup_run(const hrt_cgroup *group, hrt_cgroup_function *function, void *context)
{
    pid_t child = hrt_cgroup_start(group, function, context);
    if (child < 0)
        return child;
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return status;
}

uint64_t hrt_cgroup_usage(const hrt_cgroup *group)
{
    char text[64];
    read_text(group->path, group->version == 1 ? "memory.usage_in_bytes" : "memory.current", text, sizeof text);
    char *end;
    uint64_t bytes = strtoull(text, &end, 10);
    return end == text ? UINT64_MAX : bytes;
}

uint64_t hrt_cgroup_oom_kills(const hrt_cgroup *group)
{
    char text[512];
    read_text(group->path, group->version == 1 ? "memory.oom_control" : "memory.events", text, sizeof text);
    const char *line = strstr(text, "oom_kill ");
    return line ? strtoull(line + strlen("oom_kill "), NULL, 10) : UINT64_MAX;
}

/* A group with processes cannot be removed; killed ones leave a moment later. */
void hrt_cgroup_free(hrt_cgroup *group)
{
    if (group->path[0] == 0)
        return;
    for (int try = 0; try < 500; try++) {
        if (rmdir(group->path) == 0 || errno == ENOENT)
            break;
        char pids[4096];
        read_text(group->path, "cgroup.procs", pids, sizeof pids);
        char *end;
        for (const char *at = pids; *at; at = end) {
            long pid = strtol(at, &end, 10);
            if (end == at)
                break;
            if (pid > 1 && pid != getpid())
                kill((pid_t)pid, SIGKILL);
        }
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    group->path[0] = 0;
}
