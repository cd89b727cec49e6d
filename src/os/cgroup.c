/* SPDX-License-Identifier: Apache-2.0 */
/* Use is what the kernel cannot take back when the limit is met: the LRU's anonymous pages (v1's own `rss` still counts
 * MADV_FREE pages), unevictable ones, kernel memory that no shrinker gives back, sockets. Page cache is not use
 * (lessons 1): a gate on memory.current latches near 1 and never opens again. Nor are anonymous pages that nobody maps:
 * where a part of a huge page is given back, the whole stays on the LRU, and charged, until the kernel is short enough to
 * split it. A purge did not bring the level down then, and relief went on until everything was evicted.
 */
#include "os/cgroup.h"

#include "base/checked.h"
#include "os/file.h"
#include "os/parse.h"

#include <errno.h>
#include <string.h>

#define STAT_BYTES 8192
#define NUMBER_BYTES 64

const hri_cgroup_reading hri_cgroup_unknown = {
    .limit_bytes = HR_NONE,
    .use_bytes = HR_NONE,
    .cache_bytes = HR_NONE,
    .anonymous_bytes = HR_NONE,
    .current_bytes = HR_NONE,
};

static uint64_t key(const char *text, const char *name)
{
    uint64_t value = 0;
    return hri_parse_key(text, name, &value) == 0 ? value : 0;
}

/* A text of memory.stat. Lines that an old kernel or a sandbox leaves out count as nothing; but not where the text was
 * cut within a line, for then they may have stood behind it, and a sum without them would say that there is more room. */
struct stat_text {
    const char *text;
    bool whole;
    bool known;     /* no figure was cut off */
    unsigned found; /* so many have been found */
};

static uint64_t figure(struct stat_text *stat, const char *name)
{
    uint64_t value = 0;
    int error = hri_parse_key(stat->text, name, &value);
    if (error && (error != -ENOENT || !stat->whole))
        stat->known = false;
    stat->found += !error;
    return value;
}

static uint64_t kernel_memory(struct stat_text *stat)
{
    uint64_t kernel;
    if (hri_parse_key(stat->text, "kernel", &kernel) == 0)
        return hri_sub(kernel, figure(stat, "slab_reclaimable"));
    /* Before Linux 5.18 the sum has to be made, of what there is: percpu came with 5.9, pagetables with 5.11. */
    kernel = hri_add(key(stat->text, "kernel_stack"), key(stat->text, "pagetables"));
    return hri_add(kernel, hri_add(key(stat->text, "percpu"), figure(stat, "slab_unreclaimable")));
}

/* What is on the LRU of `lru_bytes` and mapped by nobody: but for pages that are locked or MADV_FREE, of which it takes more
 * to be mapped than is. 0 where that is not told. */
static uint64_t unmapped(const char *text, bool v1, uint64_t lru_bytes)
{
    uint64_t anonymous, shared;
    if (hri_parse_key(text, v1 ? "total_rss" : "anon", &anonymous) != 0 ||
        hri_parse_key(text, v1 ? "total_shmem" : "shmem", &shared) != 0)
        return 0;
    return hri_sub(lru_bytes, hri_add(anonymous, shared));
}

int hri_cgroup_parse_stat(const char *text, int version, hri_cgroup_reading *reading)
{
    size_t length = strlen(text);
    struct stat_text stat = {.text = text, .whole = length > 0 && text[length - 1] == '\n', .known = true};
    bool v1 = version == 1;
    uint64_t use = hri_add(figure(&stat, v1 ? "total_active_anon" : "active_anon"),
                           figure(&stat, v1 ? "total_inactive_anon" : "inactive_anon"));
    bool tells_use = stat.found > 0;
    uint64_t unmapped_bytes = unmapped(text, v1, use);
    use = hri_add(use - unmapped_bytes, figure(&stat, v1 ? "total_unevictable" : "unevictable"));
    uint64_t cache = hri_add(figure(&stat, v1 ? "total_active_file" : "active_file"),
                             figure(&stat, v1 ? "total_inactive_file" : "inactive_file"));
    uint64_t anonymous = use;
    if (!v1)
        use = hri_add(use, hri_add(kernel_memory(&stat), key(text, "sock")));
    if (!tells_use || !stat.known)
        return -ENODATA;
    reading->use_bytes = use;
    reading->anonymous_bytes = anonymous;
    reading->cache_bytes = cache;
    reading->unmapped_bytes = unmapped_bytes;
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
    hri_cgroup_reading reading = hri_cgroup_unknown;
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
        reading.use_bytes = reading.cache_bytes = reading.anonymous_bytes = HR_NONE;
        reading.unmapped_bytes = 0;
        *ret_reading = reading;
        return 0;
    }
    uint64_t more;
    uint64_t spare = hri_add(reading.cache_bytes, hri_add(reading.unmapped_bytes, key(text, "slab_reclaimable")));
    if (read_number(group->charged_fd, &more) == 0) {
        reading.charged_bytes = hri_sub(more, spare);
        reading.current_bytes = more;
    }
    *ret_reading = reading;
    return 0;
}
