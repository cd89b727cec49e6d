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

/* A text that says nothing of anonymous memory is none of memory.stat's, or is cut short before it comes to the point. */
static bool tells_use(const char *text, int version)
{
    uint64_t value;
    return hri_parse_key(text, version == 1 ? "total_active_anon" : "active_anon", &value) == 0 ||
           hri_parse_key(text, version == 1 ? "total_inactive_anon" : "inactive_anon", &value) == 0;
}

void hri_cgroup_parse_stat(const char *text, int version, hri_cgroup_reading *reading)
{
    if (!tells_use(text, version)) {
        reading->use_bytes = reading->cache_bytes = HR_NONE;
        return;
    }
    if (version == 1) {
        uint64_t use = hri_add(key(text, "total_active_anon"), key(text, "total_inactive_anon"));
        reading->use_bytes = hri_add(use, key(text, "total_unevictable"));
        reading->cache_bytes = hri_add(key(text, "total_active_file"), key(text, "total_inactive_file"));
        return;
    }
    uint64_t use = hri_add(key(text, "active_anon"), key(text, "inactive_anon"));
    use = hri_add(use, key(text, "unevictable"));
    uint64_t kernel;
    if (hri_parse_key(text, "kernel", &kernel) == 0) {
        kernel = hri_sub(kernel, key(text, "slab_reclaimable"));
    } else { /* before Linux 5.18 the sum has to be made */
        kernel = hri_add(key(text, "kernel_stack"), key(text, "pagetables"));
        kernel = hri_add(kernel, hri_add(key(text, "percpu"), key(text, "slab_unreclaimable")));
    }
    reading->use_bytes = hri_add(use, hri_add(kernel, key(text, "sock")));
    reading->cache_bytes = hri_add(key(text, "active_file"), key(text, "inactive_file"));
}

static int read_number(int fd, uint64_t *ret_value)
{
    char text[NUMBER_BYTES];
    ssize_t length = hri_file_read(fd, text, sizeof text);
    return length < 0 ? (int)length : hri_parse_number(text, ret_value);
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
    hri_cgroup_parse_stat(text, chain->version, &reading);
    reading.charged_bytes = 0;
    if (reading.use_bytes == HR_NONE) { /* memory.current alone says nothing: page cache is in it */
        *ret_reading = reading;
        return 0;
    }
    uint64_t more;
    if (read_number(group->kernel_fd, &more) == 0)
        reading.use_bytes = hri_add(reading.use_bytes, more);
    if (read_number(group->sockets_fd, &more) == 0)
        reading.use_bytes = hri_add(reading.use_bytes, more);
    if (read_number(group->charged_fd, &more) == 0)
        reading.charged_bytes = hri_sub(more, hri_add(reading.cache_bytes, key(text, "slab_reclaimable")));
    *ret_reading = reading;
    return 0;
}
