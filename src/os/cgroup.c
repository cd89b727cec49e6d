/* SPDX-License-Identifier: Apache-2.0 */
/* Use is what the kernel cannot take back when the limit is met: the LRU's anonymous pages (v1's own `rss` still counts
 * MADV_FREE pages), unevictable ones, kernel memory that no shrinker gives back, sockets. Page cache is not use
 * (lessons 1): a gate on memory.current latches near 1 and never opens again.
 */
#include "os/cgroup.h"

#include "base/checked.h"
#include "os/file.h"
#include "os/parse.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAT_BYTES 8192
#define NUMBER_BYTES 64

/* v1 writes "unlimited" as the largest multiple of a page; anything from here up means that. */
#define V1_UNLIMITED (UINT64_C(1) << 62)

static uint64_t key(const char *text, const char *name)
{
    uint64_t value = 0;
    return hri_parse_key(text, name, &value) == 0 ? value : 0;
}

/* Adds up the figures of `names`. False where one is missing: a sum without it would say that there is more room. */
static bool sum(const char *text, const char *const names[], size_t count, uint64_t *ret_sum)
{
    uint64_t all = 0, value;
    for (size_t i = 0; i < count; i++) {
        if (hri_parse_key(text, names[i], &value) != 0)
            return false;
        all = hri_add(all, value);
    }
    *ret_sum = all;
    return true;
}

/* Kernel memory of v2. False where the text ends before it. */
static bool kernel_memory(const char *text, uint64_t *ret_bytes)
{
    uint64_t kernel, slab;
    if (hri_parse_key(text, "kernel", &kernel) == 0 && hri_parse_key(text, "slab_reclaimable", &slab) == 0) {
        *ret_bytes = hri_sub(kernel, slab);
        return true;
    }
    /* Before Linux 5.18 the sum has to be made, of what there is: percpu came with 5.9, pagetables with 5.11. */
    if (hri_parse_key(text, "slab_unreclaimable", &slab) != 0)
        return false;
    kernel = hri_add(key(text, "kernel_stack"), key(text, "pagetables"));
    *ret_bytes = hri_add(kernel, hri_add(key(text, "percpu"), slab));
    return true;
}

int hri_cgroup_parse_stat(const char *text, int version, hri_cgroup_reading *reading)
{
    static const char *const use_names[2][3] = {{"total_active_anon", "total_inactive_anon", "total_unevictable"},
                                                {"active_anon", "inactive_anon", "unevictable"}};
    static const char *const cache_names[2][2] = {{"total_active_file", "total_inactive_file"},
                                                  {"active_file", "inactive_file"}};
    uint64_t use, cache, kernel = 0;
    if (!sum(text, use_names[version - 1], 3, &use) || !sum(text, cache_names[version - 1], 2, &cache) ||
        (version == 2 && !kernel_memory(text, &kernel)))
        return -ENODATA;
    if (version == 2)
        use = hri_add(use, hri_add(kernel, key(text, "sock")));
    reading->use_bytes = use;
    reading->cache_bytes = cache;
    return 0;
}

static int read_number(int fd, uint64_t *ret_value)
{
    char text[NUMBER_BYTES];
    ssize_t length = hri_file_read(fd, text, sizeof text);
    return length < 0 ? (int)length : hri_parse_number(text, ret_value);
}

/* Adds what a file of its own says. One that is not there adds nothing; false where it says no number. */
static bool add_file(int fd, uint64_t *bytes)
{
    uint64_t more;
    int error = read_number(fd, &more);
    if (error == 0)
        *bytes = hri_add(*bytes, more);
    return error != -EINVAL;
}

/* v1 tells each group the smallest limit of all that contain it, also of those that a container cannot see. */
static uint64_t hierarchical_limit(const hri_cgroup *group)
{
    char text[STAT_BYTES];
    uint64_t limit;
    if (hri_file_read(group->stat_fd, text, sizeof text) < 0 ||
        hri_parse_key(text, "hierarchical_memory_limit", &limit) != 0)
        return HR_NONE;
    return limit;
}

int hri_cgroup_read_limit(const hri_cgroup_chain *chain, unsigned index, uint64_t *ret_limit_bytes)
{
    uint64_t limit;
    int error = read_number(chain->groups[index].limit_fd, &limit);
    if (error)
        return error;
    if (chain->groups[index].hidden)
        limit = hri_min(limit, hierarchical_limit(&chain->groups[index]));
    *ret_limit_bytes = chain->version == 1 && limit >= V1_UNLIMITED ? HR_NONE : limit;
    return 0;
}

int hri_cgroup_read(const hri_cgroup_chain *chain, unsigned index, hri_cgroup_reading *ret_reading)
{
    const hri_cgroup *group = &chain->groups[index];
    hri_cgroup_reading reading;
    int error = hri_cgroup_read_limit(chain, index, &reading.limit_bytes);
    if (error)
        return error;
    char text[STAT_BYTES];
    ssize_t length = hri_file_read(group->stat_fd, text, sizeof text);
    if (length < 0)
        return (int)length;
    error = hri_cgroup_parse_stat(text, chain->version, &reading);
    if (error)
        return error;
    if (!add_file(group->kernel_fd, &reading.use_bytes) || !add_file(group->sockets_fd, &reading.use_bytes))
        return -ENODATA;
    uint64_t more;
    reading.charged_bytes = 0;
    if (read_number(group->charged_fd, &more) == 0)
        reading.charged_bytes = hri_sub(more, hri_add(reading.cache_bytes, key(text, "slab_reclaimable")));
    *ret_reading = reading;
    return 0;
}

static void close_group(const hri_cgroup *group)
{
    hri_file_close(group->limit_fd);
    hri_file_close(group->stat_fd);
    hri_file_close(group->charged_fd);
    hri_file_close(group->kernel_fd);
    hri_file_close(group->sockets_fd);
}

/* Opens a group's file. Gives a descriptor, -ENOENT where there is none to be read, or a shortage. */
static int open_in(const char *root, const char *directory, const char *name)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = length < 0 || (size_t)length >= sizeof path ? -ENOENT : hri_file_open(root, path);
    return fd >= 0 || hri_file_shortage(fd) ? fd : -ENOENT;
}

#define FILES 5

/* Opens one group's files. Gives 0, -ENOENT where it has no limit file (v2's root has none), or a shortage. */
static int open_group(hri_cgroup *group, int version, const char *root, const char *directory)
{
    static const char *const names[2][FILES] = {
        {"memory.limit_in_bytes", "memory.stat", "memory.usage_in_bytes", "memory.kmem.usage_in_bytes",
         "memory.kmem.tcp.usage_in_bytes"},
        {"memory.max", "memory.stat", "memory.current", NULL, NULL},
    };
    int fds[FILES] = {-1, -1, -1, -1, -1};
    int error = 0;
    for (unsigned i = 0; i < FILES && names[version - 1][i] && !error; i++) {
        fds[i] = open_in(root, directory, names[version - 1][i]);
        if (hri_file_shortage(fds[i]) || (i == 0 && fds[0] < 0))
            error = fds[i];
    }
    *group = (hri_cgroup){
        .limit_fd = fds[0], .stat_fd = fds[1], .charged_fd = fds[2], .kernel_fd = fds[3], .sockets_fd = fds[4]};
    if (error)
        close_group(group);
    return error;
}

static void name_group(hri_cgroup *group, int version, const char *path)
{
    const char *file = version == 1 ? "memory.limit_in_bytes" : "memory.max";
    int room = (int)(sizeof group->name - sizeof "cgroup v1   " - strlen(file));
    snprintf(group->name, sizeof group->name, "cgroup v%d %.*s %s", version, room, path[0] ? path : "/", file);
}

/* Looks whether the topmost group that can be seen stands under a smaller limit than its own. */
static void find_hidden(hri_cgroup_chain *chain)
{
    uint64_t limit;
    if (chain->version != 1 || chain->count == 0 || hri_cgroup_read_limit(chain, chain->count - 1, &limit) != 0)
        return;
    hri_cgroup *top = &chain->groups[chain->count - 1];
    top->hidden = hierarchical_limit(top) < limit && hierarchical_limit(top) < V1_UNLIMITED;
}

/* Opens the groups from the own one up to the mount point. */
static int open_chain(hri_cgroup_chain *chain, const char *root, const hri_cgroup_place *place)
{
    char directory[2 * HRI_MOUNT_BYTES];
    snprintf(directory, sizeof directory, "%s%s", place->mount, place->below);
    size_t mount_length = strlen(place->mount);
    while (chain->count < HRI_CGROUP_DEPTH) {
        int error = open_group(&chain->groups[chain->count], chain->version, root, directory);
        if (hri_file_shortage(error))
            return error;
        if (!error)
            name_group(&chain->groups[chain->count++], chain->version, directory + mount_length);
        char *slash = strrchr(directory, '/');
        if (!slash || (size_t)(slash - directory) < mount_length)
            break;
        *slash = '\0';
    }
    find_hidden(chain);
    return 0;
}

/* Texts of /proc have no upper bound: as much as fits is read; a line that is cut is passed over. */
#define PROC_BYTES (64 * 1024)

/* Finds where this process's group of a version is mounted. Gives 0, -ENOENT, or a shortage. */
static int find_place(const hri_site *site, int version, char *text, hri_cgroup_place *ret_place)
{
    char path[HRI_MOUNT_BYTES], file[HRI_SITE_PATH_BYTES];
    ssize_t length = hri_file_read_path(site->root, hri_site_path(site, "cgroup", file), text, PROC_BYTES);
    if (length < 0 || hri_parse_cgroup_path(text, version, path, sizeof path) != 0)
        return hri_file_shortage((int)length) ? (int)length : -ENOENT;
    length = hri_file_read_path(site->root, "/proc/self/mountinfo", text, PROC_BYTES);
    if (length < 0 || hri_parse_cgroup_mount(text, version, path, ret_place) != 0)
        return hri_file_shortage((int)length) ? (int)length : -ENOENT;
    return 0;
}

int hri_cgroup_open(hri_cgroup_chain *chain, const hri_site *site)
{
    *chain = (hri_cgroup_chain){0};
    char *text = malloc(PROC_BYTES);
    if (!text)
        return -ENOMEM;
    int error = 0;
    for (int version = 1; version <= 2 && chain->count == 0 && !hri_file_shortage(error); version++) {
        hri_cgroup_place place;
        error = find_place(site, version, text, &place);
        if (error)
            continue;
        chain->version = version;
        error = open_chain(chain, site->root, &place);
    }
    free(text);
    if (hri_file_shortage(error)) {
        hri_cgroup_close(chain);
        return error;
    }
    if (chain->count == 0)
        chain->version = 0;
    return 0;
}

void hri_cgroup_close(hri_cgroup_chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++)
        close_group(&chain->groups[i]);
    *chain = (hri_cgroup_chain){0};
}
