/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/world.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t now_ns(void *context)
{
    return __atomic_load_n(&((hrt_world *)context)->now_ns, __ATOMIC_RELAXED);
}

void hrt_world_new(hrt_world *world)
{
    *world = (hrt_world){.now_ns = 1000 * HRI_SECOND};
    world->clock = (hri_clock){now_ns, world};
    strcpy(world->root, "/tmp/headroom-world-XXXXXX");
    if (!mkdtemp(world->root))
        abort();
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status, (void)kind, (void)at;
    return remove(path);
}

void hrt_world_free(hrt_world *world)
{
    nftw(world->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void hrt_world_write(const hrt_world *world, const char *path, const char *text)
{
    char whole[PATH_MAX];
    snprintf(whole, sizeof whole, "%s%s", world->root, path);
    for (char *slash = strchr(whole + strlen(world->root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(whole, 0755);
        *slash = '/';
    }
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
}

void hrt_world_set_process(const hrt_world *world, uint64_t resident_bytes, uint64_t available_bytes)
{
    char text[256];
    unsigned long pages = (unsigned long)(resident_bytes / (uint64_t)sysconf(_SC_PAGESIZE));
    snprintf(text, sizeof text, "%lu %lu 0 10 0 %lu 0\n", pages + 1000, pages, pages);
    hrt_world_write(world, "/proc/self/statm", text);
    snprintf(text, sizeof text, "MemTotal:       16777216 kB\nMemFree:        1 kB\nMemAvailable:   %llu kB\n",
             (unsigned long long)available_bytes / 1024);
    hrt_world_write(world, "/proc/meminfo", text);
}

void hrt_world_set_group(const hrt_world *world, uint64_t limit_bytes, uint64_t anonymous_bytes, uint64_t cache_bytes)
{
    char text[512];
    hrt_world_write(world, "/proc/self/cgroup", "0::/app\n");
    hrt_world_write(world, "/proc/self/mountinfo",
                    "24 30 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
    snprintf(text, sizeof text, "%llu\n", (unsigned long long)limit_bytes);
    hrt_world_write(world, "/sys/fs/cgroup/app/memory.max", text);
    snprintf(text, sizeof text,
             "anon %llu\nfile %llu\nkernel 0\nsock 0\ninactive_anon %llu\nactive_anon 0\ninactive_file %llu\n"
             "active_file 0\nunevictable 0\nslab_reclaimable 0\n",
             (unsigned long long)anonymous_bytes, (unsigned long long)cache_bytes, (unsigned long long)anonymous_bytes,
             (unsigned long long)cache_bytes);
    hrt_world_write(world, "/sys/fs/cgroup/app/memory.stat", text);
}
