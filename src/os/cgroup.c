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

#define STAT_BYTES 8192
#define NUMBER_BYTES 64

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

/* Adds what a file of its own says. One that is not there adds nothing; false where it cannot be read. */
static bool add_file(int fd, uint64_t *bytes)
{
    uint64_t more;
    int error = read_number(fd, &more);
    if (error == 0)
        *bytes = hri_add(*bytes, more);
    return error == 0 || error == -EBADF;
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

bool hri_cgroup_is_gone(int error)
{
    return error == -ENODEV || error == -ENOENT;
}

int hri_cgroup_read_limit(const hri_cgroup_chain *chain, unsigned index, uint64_t *ret_limit_bytes)
{
    uint64_t limit;
    int error = read_number(chain->groups[index].limit_fd, &limit);
    if (error)
        return error;
    if (chain->groups[index].hidden)
        limit = hri_min(limit, hierarchical_limit(&chain->groups[index]));
    *ret_limit_bytes = chain->version == 1 && limit >= HRI_CGROUP_V1_UNLIMITED ? HR_NONE : limit;
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
    if (hri_file_read(group->stat_fd, text, sizeof text) < 0)
        text[0] = '\0';
    bool known = hri_cgroup_parse_stat(text, chain->version, &reading) == 0 &&
                 add_file(group->kernel_fd, &reading.use_bytes) && add_file(group->sockets_fd, &reading.use_bytes);
    reading.charged_bytes = 0;
    if (!known) { /* memory.current alone says nothing: page cache is in it */
        reading.use_bytes = reading.cache_bytes = HR_NONE;
        *ret_reading = reading;
        return 0;
    }
    uint64_t more;
    if (read_number(group->charged_fd, &more) == 0)
        reading.charged_bytes = hri_sub(more, hri_add(reading.cache_bytes, key(text, "slab_reclaimable")));
    *ret_reading = reading;
    return 0;
}
