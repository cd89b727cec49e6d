/* SPDX-License-Identifier: Apache-2.0 */
/* Use is what the kernel cannot take back when the limit is hit. That is the LRU's anonymous pages (v1's own `rss`
 * still counts MADV_FREE pages), unevictable ones, kernel memory that no shrinker gives back, and sockets. Page cache
 * is not use: a gate on memory.current latches near 1 and never opens again. Anonymous pages that nobody maps are told
 * apart, and gauge/reading.c says which of them are use. Where a part of a huge page is given back, the whole stays on
 * the LRU, and charged, until the kernel is short enough to split it. A purge did not bring the level down then, and
 * relief went on until everything was evicted.
 *
 * Kernel memory is use, except for what shrinkers give back: names and inodes of files. v2 says how much slab that may
 * be (slab_reclaimable). v1 lists slabs by name until Linux 5.9, and later not at all. There, kernel memory beyond what
 * the anonymous memory explains is doubtful. It is in no level, since it is mostly names of files, and the lease finds
 * out how much of it is available (gauge/reading.c).
 */
#include "os/cgroup.h"

#include "base/checked.h"
#include "os/file.h"
#include "os/parse.h"

#include <errno.h>
#include <string.h>

#define STAT_BYTES 8192
#define NUMBER_BYTES 64
#define PAGE_BYTES 4096 /* workingset_refault_… are pages; of larger ones this is a lower bound */

const hri_cgroup_reading hri_cgroup_unknown = {
    .limit_bytes = HR_NONE,
    .use_bytes = HR_NONE,
    .cache_bytes = HR_NONE,
    .anonymous_bytes = HR_NONE,
    .huge_bytes = HR_NONE,
    .current_bytes = HR_NONE,
    .limits = {HR_NONE, HR_NONE},
    .swap_bytes = HR_NONE,
};

const hri_cgroup_chain hri_cgroup_none = {.pressure_fd = -1, .members_fd = -1};

const char *const hri_cgroup_file_names[2][HRI_CGROUP_FILES] = {
    {"memory.limit_in_bytes", "memory.stat", "memory.usage_in_bytes", "memory.memsw.limit_in_bytes",
     "memory.memsw.usage_in_bytes", "memory.kmem.usage_in_bytes", "memory.kmem.slabinfo",
     "memory.kmem.tcp.usage_in_bytes", NULL},
    {"memory.max", "memory.stat", "memory.current", "memory.high", "memory.swap.current", NULL, NULL, NULL,
     "memory.events"},
};

static uint64_t key(const char *text, const char *name)
{
    uint64_t value = 0;
    return hri_parse_key(text, name, &value) == 0 ? value : 0;
}

/* A text of memory.stat. Lines that an old kernel or a sandbox leaves out count as nothing. A text that was cut within
 * a line is another case. The lines may have stood behind the cut, and a sum without them would say that there is more
 * room. */
struct stat_text {
    const char *text;
    bool whole;
    bool known;     /* no figure was cut off */
    unsigned found; /* how many have been found */
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

/* The bytes of the LRU's `lru_bytes` that nobody maps, 0 where that is not told. Locked and MADV_FREE pages are mapped
 * and not in `lru_bytes`, so it may be too little by as much. */
static uint64_t unmapped(const char *text, bool v1, uint64_t lru_bytes)
{
    uint64_t anonymous, shared;
    if (hri_parse_key(text, v1 ? "total_rss" : "anon", &anonymous) != 0 ||
        hri_parse_key(text, v1 ? "total_shmem" : "shmem", &shared) != 0)
        return 0;
    return hri_sub(lru_bytes, hri_add(anonymous, shared));
}

/* Anonymous and shared pages that are on no list yet, since a CPU keeps them to itself: 567 MiB were seen. Pages that
 * were given back with MADV_FREE are anonymous too, and on the lists of files; those are more than the page cache
 * then. */
static uint64_t unlisted(const char *text, bool v1, uint64_t listed_bytes, uint64_t cache_bytes)
{
    uint64_t anonymous, shared, file;
    if (hri_parse_key(text, v1 ? "total_rss" : "anon", &anonymous) != 0 ||
        hri_parse_key(text, v1 ? "total_shmem" : "shmem", &shared) != 0 ||
        hri_parse_key(text, v1 ? "total_cache" : "file", &file) != 0)
        return 0;
    uint64_t freed = hri_sub(cache_bytes, hri_sub(file, shared));
    return hri_sub(hri_sub(hri_add(anonymous, shared), freed), listed_bytes);
}

static void parse_beside_use(const char *text, bool v1, hri_cgroup_reading *reading)
{
    uint64_t written = key(text, v1 ? "total_writeback" : "file_writeback");
    uint64_t dirty = hri_add(key(text, v1 ? "total_dirty" : "file_dirty"), written);
    uint64_t refaults = hri_add(key(text, "workingset_refault_file"), key(text, "workingset_refault_anon"));
    reading->dirty_bytes = hri_min(dirty, reading->cache_bytes);
    reading->written_bytes = hri_min(written, reading->cache_bytes);
    reading->refault_bytes =
        hri_mul(hri_max(refaults, key(text, v1 ? "total_workingset_refault" : "workingset_refault")), PAGE_BYTES);
    if (hri_parse_key(text, v1 ? "total_rss_huge" : "anon_thp", &reading->huge_bytes) != 0)
        reading->huge_bytes = HR_NONE;
    reading->doubtful_bytes = v1 ? 0 : key(text, "slab_reclaimable");
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
    use = hri_add(use, unlisted(text, v1, use, cache));
    use = hri_add(use, v1 ? 0 : key(text, "hugetlb")); /* where it is mounted so that huge pages count */
    uint64_t anonymous = use;
    if (!v1)
        use = hri_add(use, hri_add(kernel_memory(&stat), key(text, "sock")));
    if (!tells_use || !stat.known)
        return -ENODATA;
    reading->use_bytes = use;
    reading->anonymous_bytes = anonymous;
    reading->cache_bytes = cache;
    reading->unmapped_bytes = unmapped_bytes;
    parse_beside_use(text, v1, reading);
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
    if (hri_file_read(group->fds[HRI_FILE_STAT], text, sizeof text) < 0 ||
        hri_parse_key(text, "hierarchical_memory_limit", &limit) != 0)
        return HR_NONE;
    return limit;
}

bool hri_cgroup_is_gone(int error)
{
    return error == -ENODEV || error == -ENOENT;
}

/* v1 counts swap together with memory. */
static uint64_t read_swap(const hri_cgroup *group, int version)
{
    uint64_t swap, usage;
    if (read_number(group->fds[HRI_FILE_SWAP], &swap) != 0)
        return HR_NONE;
    if (version == 2)
        return swap;
    return read_number(group->fds[HRI_FILE_USAGE], &usage) == 0 ? hri_sub(swap, usage) : HR_NONE;
}

/* On v1 the limit on memory and swap together leaves for memory what is not swapped out. */
static uint64_t second_limit(const hri_cgroup *group, int version)
{
    uint64_t limit;
    if (read_number(group->fds[HRI_FILE_SECOND], &limit) != 0)
        return HR_NONE;
    if (version == 2)
        return limit;
    uint64_t swap = limit >= HRI_CGROUP_V1_UNLIMITED ? HR_NONE : read_swap(group, version);
    return swap == HR_NONE ? HR_NONE : hri_sub(limit, swap);
}

int hri_cgroup_read_limits(const hri_cgroup_chain *chain, unsigned index, hri_cgroup_limits *ret_limits)
{
    const hri_cgroup *group = &chain->groups[index];
    uint64_t limit;
    int error = read_number(group->fds[HRI_FILE_LIMIT], &limit);
    if (error)
        return error;
    if (group->hidden)
        limit = hri_min(limit, hierarchical_limit(group));
    ret_limits->max_bytes = chain->version == 1 && limit >= HRI_CGROUP_V1_UNLIMITED ? HR_NONE : limit;
    ret_limits->second_bytes = second_limit(group, chain->version);
    return 0;
}

/* Kernel memory of v1 that processes have of themselves: page tables, a 512th of what they map, stacks, descriptors,
 * pipes. Kernel memory beyond it is doubtful. */
#define EXPLAINED_SHARE 8
#define EXPLAINED_BYTES (UINT64_C(8) << 20) /* but no more than a quarter of the limit */

struct slabs {
    bool listed;
    uint64_t bytes; /* that the kernel gives back */
};

static void add_slab(const char *line, void *context)
{
    struct slabs *slabs = context;
    slabs->listed = true;
    slabs->bytes = hri_add(slabs->bytes, hri_parse_slab(line));
}

static bool add_kernel_memory(const hri_cgroup *group, hri_cgroup_reading *reading)
{
    struct slabs slabs = {0};
    uint64_t kernel = 0;
    if (!add_file(group->fds[HRI_FILE_KERNEL], &kernel))
        return false;
    uint64_t base = hri_min(EXPLAINED_BYTES, hri_cgroup_limit(&reading->limits) / 4);
    uint64_t explained = hri_min(kernel, hri_add(reading->anonymous_bytes / EXPLAINED_SHARE, base));
    if (explained < kernel) /* the list is made under a lock of the kernel's */
        hri_file_each_line(group->fds[HRI_FILE_SLABS], add_slab, &slabs);
    if (slabs.listed)
        explained = hri_sub(kernel, slabs.bytes);
    reading->use_bytes = hri_add(reading->use_bytes, explained);
    reading->doubtful_bytes = hri_add(reading->doubtful_bytes, kernel - explained);
    return true;
}

int hri_cgroup_read(const hri_cgroup_chain *chain, unsigned index, hri_cgroup_reading *ret_reading)
{
    const hri_cgroup *group = &chain->groups[index];
    hri_cgroup_reading reading = hri_cgroup_unknown;
    int error = hri_cgroup_read_limits(chain, index, &reading.limits);
    if (error)
        return error;
    char text[STAT_BYTES];
    if (hri_file_read(group->fds[HRI_FILE_STAT], text, sizeof text) < 0)
        text[0] = '\0';
    bool known = hri_cgroup_parse_stat(text, chain->version, &reading) == 0 && add_kernel_memory(group, &reading) &&
                 add_file(group->fds[HRI_FILE_SOCKETS], &reading.use_bytes);
    reading.charged_bytes = 0;
    if (!known) { /* memory.current alone says nothing: page cache is in it */
        const hri_cgroup_limits limits = reading.limits;
        reading = hri_cgroup_unknown;
        reading.limits = limits;
    }
    reading.limit_bytes = hri_cgroup_limit(&reading.limits);
    reading.swap_bytes = read_swap(group, chain->version);
    uint64_t more, spare = hri_add(reading.cache_bytes, hri_add(reading.unmapped_bytes, reading.doubtful_bytes));
    if (known && read_number(group->fds[HRI_FILE_USAGE], &more) == 0) {
        reading.charged_bytes = hri_sub(more, spare);
        reading.current_bytes = more;
    }
    *ret_reading = reading;
    return 0;
}

int hri_cgroup_read_events(const hri_cgroup_chain *chain, unsigned index, hr_events *ret_events)
{
    char text[NUMBER_BYTES * 8];
    ssize_t length = hri_file_read(chain->groups[index].fds[HRI_FILE_EVENTS], text, sizeof text);
    if (length < 0)
        return (int)length;
    hr_events events = {HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE};
    hri_parse_key(text, "low", &events.low);
    hri_parse_key(text, "high", &events.high);
    hri_parse_key(text, "max", &events.max);
    hri_parse_key(text, "oom", &events.oom);
    hri_parse_key(text, "oom_kill", &events.oom_kill);
    hri_parse_key(text, "oom_group_kill", &events.oom_group_kill);
    *ret_events = events;
    return 0;
}
