/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/reading.h"

#include "base/checked.h"
#include "os/pages.h"

#include <errno.h>
#include <string.h>

/* A CPU keeps up to 64 pages (MEMCG_CHARGE_BATCH) that it has charged in advance. It keeps as many changes of the
 * statistics to itself. Page tables and the like come on top of what is touched. */
#define LAG_PAGES 128
#define LAG_BYTES_MIN (UINT64_C(1) << 20)

#define TEXTS_BYTES 4096

/* Gives a copy of a group's name that lives as long as the gauge: whoever was told a limit's source keeps the pointer,
 * also when the groups are found anew. NULL for want of memory. */
static const char *keep(hri_gauge *gauge, const char *name)
{
    size_t size = strlen(name) + 1;
    hri_texts *texts = gauge->named;
    for (; texts; texts = texts->next) {
        for (size_t at = 0; at < texts->used; at += strlen(texts->bytes + at) + 1)
            if (strcmp(texts->bytes + at, name) == 0)
                return texts->bytes + at;
    }
    if (!gauge->named || size > TEXTS_BYTES - sizeof *texts - gauge->named->used) {
        void *pages;
        if (hri_pages_map(TEXTS_BYTES, &pages) != 0)
            return NULL;
        texts = pages;
        texts->next = gauge->named;
        gauge->named = texts;
    }
    texts = gauge->named;
    char *text = memcpy(texts->bytes + texts->used, name, size);
    texts->used += size;
    return text;
}

/* The name of a group's second limit, whose file stands beside the first one. */
static const char *keep_second(hri_gauge *gauge, const char *name, int version)
{
    char second[HRI_CGROUP_NAME_BYTES + 64];
    snprintf(second, sizeof second, "%.*s %s", (int)(strrchr(name, ' ') - name), name,
             hri_cgroup_file_names[version - 1][HRI_FILE_SECOND]);
    return keep(gauge, second);
}

_Static_assert(HRI_CGROUP_NAME_BYTES + 64 <= TEXTS_BYTES - sizeof(hri_texts), "each name finds room in a page");

/* Opens the chain with its names. Gives 0 or a shortage; then the gauge's chain is as it was. */
static int open_chain(hri_gauge *gauge)
{
    hri_cgroup_chain chain;
    hri_group_names sources[HRI_CGROUP_DEPTH];
    int error = hri_cgroup_open(&chain, &gauge->site);
    if (error)
        return error;
    for (unsigned i = 0; i < chain.count; i++) {
        sources[i].max = keep(gauge, chain.groups[i].name);
        sources[i].second = keep_second(gauge, chain.groups[i].name, chain.version);
        if (!sources[i].max || !sources[i].second) {
            hri_cgroup_close(&chain);
            return -ENOMEM;
        }
    }
    hri_cgroup_close(&gauge->chain);
    gauge->chain = chain;
    memcpy(gauge->sources, sources, chain.count * sizeof *sources);
    gauge->limit_mark = hri_file_mark_of(chain.count ? chain.groups[0].fds[HRI_FILE_LIMIT] : -1);
    return 0;
}

/* Are the files still its own? */
static bool owns_its_files(const hri_gauge *gauge)
{
    return hri_file_is(gauge->process.statm_fd, &gauge->process.mark) &&
           hri_file_is(gauge->chain.count ? gauge->chain.groups[0].fds[HRI_FILE_LIMIT] : -1, &gauge->limit_mark);
}

/* Forgets files that the program has closed: their numbers may be those of its own files now. */
static void abandon_lost(hri_gauge *gauge)
{
    if (owns_its_files(gauge))
        return;
    hri_process_abandon(&gauge->process);
    hri_cgroup_abandon(&gauge->chain);
}

/* Are the files those of this machine? Not in a fixture or a copy. */
static bool is_here(const hri_gauge *gauge)
{
    return gauge->site.root[0] == '\0';
}

int hri_gauge_open(hri_gauge *gauge, const hri_site *site, const hri_clock *clock)
{
    *gauge = (hri_gauge){.clock = clock, .site = *site, .lag_bytes = LAG_BYTES_MIN, .chain = hri_cgroup_none};
    gauge->readahead_bytes = hri_readahead_bytes();
    if (!site->only_place) /* the processors are this machine's */
        gauge->lag_bytes = hri_max(LAG_PAGES * hri_page_size() * hri_cpu_count(), LAG_BYTES_MIN);
    int error = hri_process_open(&gauge->process, site);
    if (error)
        return error;
    gauge->place_hash = hri_process_read_place(&gauge->process);
    error = open_chain(gauge);
    if (error)
        hri_gauge_close(gauge);
    else if (is_here(gauge))
        hri_pins_read(true, gauge->chain.members_fd, &gauge->pins);
    return error;
}

void hri_gauge_shut(hri_gauge *gauge)
{
    hri_process_close(&gauge->process);
    hri_cgroup_close(&gauge->chain);
}

void hri_gauge_close(hri_gauge *gauge)
{
    hri_gauge_shut(gauge);
    while (gauge->named) {
        hri_texts *texts = gauge->named;
        gauge->named = texts->next;
        hri_pages_unmap(texts, TEXTS_BYTES);
    }
}

void hri_gauge_reopen(hri_gauge *gauge)
{
    bool had_groups = gauge->chain.count > 0 || gauge->place_hash == 0;
    abandon_lost(gauge);
    hri_process_close(&gauge->process);
    hri_process_open(&gauge->process, &gauge->site);
    gauge->place_hash = hri_process_read_place(&gauge->process);
    open_chain(gauge);
    if (had_groups && gauge->chain.count == 0) /* the program may have closed one while it was read: again soon */
        gauge->place_hash = 0;
}

/* Has the process been moved to another group since the chain was opened? Its old one may stay. */
static bool is_moved(hri_gauge *gauge, int64_t now_ns)
{
    if (gauge->site.pid || gauge->site.only_place || now_ns - gauge->place_time_ns < HRI_PLACE_AGE_NS)
        return false;
    gauge->place_time_ns = now_ns;
    uint64_t hash = hri_process_read_place(&gauge->process);
    return hash != 0 && hash != gauge->place_hash;
}

/* Makes sure that its files are its own, and the process's. */
static void prepare(hri_gauge *gauge, int64_t now_ns)
{
    bool whole = gauge->site.only_place || gauge->site.pid || owns_its_files(gauge);
    if (!whole || is_moved(gauge, now_ns))
        hri_gauge_reopen(gauge);
}

static void read_host(const hri_gauge *gauge, bool all, hri_reading *reading)
{
    int64_t age_ns = reading->time_ns - reading->host_time_ns;
    bool known = reading->host_time_ns != 0 && age_ns < HRI_HOST_AGE_NS;
    if (!all && known && reading->process.rss_bytes < reading->host.available_bytes)
        return;
    hri_process_read_host(&gauge->process, &reading->host);
    reading->host_time_ns = reading->time_ns;
}

static void read_stalls(const hri_gauge *gauge, hri_reading *reading)
{
    int64_t age_ns = reading->time_ns - reading->stalls_time_ns;
    if (reading->stalls_time_ns != 0 && age_ns < HRI_STALLS_AGE_NS)
        return;
    unsigned group = reading->binding >= 0 ? (unsigned)reading->binding : 0;
    hri_stalls_read(gauge->chain.pressure_fd, &reading->stalls);
    reading->events = (hr_events){HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE};
    if (group < reading->group_count)
        hri_cgroup_read_events(&gauge->chain, group, &reading->events);
    reading->stalls_time_ns = reading->time_ns;
}

uint64_t hri_lasting_sample(hri_lasting *lasting, uint64_t bytes, int64_t window_ns, int64_t now_ns)
{
    if (now_ns - lasting->since_ns >= window_ns) {
        lasting->before_bytes = lasting->least_bytes;
        lasting->least_bytes = bytes;
        lasting->since_ns = now_ns;
    }
    lasting->least_bytes = hri_min(lasting->least_bytes, bytes);
    return hri_min(lasting->before_bytes, lasting->least_bytes);
}

/* Fewer unmapped pages than this may be on their way between two lists of the kernel's. */
#define UNMAPPED_MIN (UINT64_C(1) << 20)

uint64_t hri_rests_sample(hri_group_memory *memory, uint64_t huge_bytes, uint64_t unmapped_bytes)
{
    if (huge_bytes == HR_NONE)
        return unmapped_bytes;
    /* The page ceases to be huge before its parts are unmapped: a reading may come in between. */
    uint64_t came = hri_sub(memory->huge_bytes, huge_bytes);
    memory->rests_bytes = hri_add(hri_min(memory->rests_bytes, memory->unmapped_bytes), came);
    memory->huge_bytes = huge_bytes;
    memory->unmapped_bytes = unmapped_bytes;
    return hri_min(memory->rests_bytes, unmapped_bytes);
}

/* Counts the pages as used that nobody maps and that are no rests. */
static void tell_unmapped(hri_group_memory *memory, hri_cgroup_reading *group)
{
    uint64_t used = hri_sub(group->unmapped_bytes, hri_rests_sample(memory, group->huge_bytes, group->unmapped_bytes));
    if (used < UNMAPPED_MIN || group->use_bytes == HR_NONE)
        return;
    group->unmapped_bytes -= used;
    group->use_bytes = hri_add(group->use_bytes, used);
    group->anonymous_bytes = hri_add(group->anonymous_bytes, used);
    if (group->charged_bytes)
        group->charged_bytes = hri_add(group->charged_bytes, used);
}

/* Kernel memory that counts as reclaimable is looked into from this share of the limit on. */
#define DOUBTFUL_SHARE 64
#define PINS_AGE_NS (100 * HRI_MILLISECOND)
#define PINS_REST 64 /* looking takes one part in this many of a processor at most */

uint64_t hri_held_sample(const hri_group_memory *memory, uint64_t doubtful_bytes, uint64_t idle_before,
                         uint64_t idle_now, bool full)
{
    uint64_t before = memory->doubtful_bytes, names = hri_sub(before, memory->held_bytes);
    uint64_t came = hri_sub(hri_sub(doubtful_bytes, before), hri_sub(idle_now, idle_before));
    uint64_t left = hri_sub(hri_sub(before, doubtful_bytes), hri_sub(idle_before, idle_now));
    if (full)
        came = hri_add(came, hri_min(hri_sub(hri_sub(idle_before, idle_now), hri_sub(before, doubtful_bytes)), names));
    return hri_min(hri_sub(hri_add(memory->held_bytes, came), left), doubtful_bytes);
}

/* Looks up what pins kernel memory, where a group has much that may be pinned. On v1 idle names always: their growth
 * tells. Kernel memory of a group at the first look is taken for names. */
static void read_pins(hri_gauge *gauge, hri_reading *reading)
{
    bool v1 = gauge->chain.version == 1, wanted = false;
    bool first = !gauge->pins_time_ns || reading->place_hash != gauge->place_hash;
    for (unsigned i = 0; i < reading->group_count; i++)
        wanted |= reading->groups[i].doubtful_bytes > reading->groups[i].limit_bytes / DOUBTFUL_SHARE;
    int64_t rest_ns = hri_later(PINS_AGE_NS, gauge->pins_cost_ns * PINS_REST);
    if (!(wanted || v1) || !is_here(gauge) || (!first && reading->time_ns - gauge->pins_time_ns < rest_ns))
        return;
    uint64_t idle_bytes = gauge->pins.idle_bytes;
    hri_pins_read(wanted, gauge->chain.members_fd, &gauge->pins);
    gauge->pins_time_ns = reading->time_ns;
    gauge->pins_cost_ns = hri_clock_now(gauge->clock) - reading->time_ns;
    for (unsigned i = 0; i < reading->group_count; i++) {
        const hri_cgroup_reading *group = &reading->groups[i];
        hri_group_memory *memory = &reading->memory[i];
        bool full = group->current_bytes != HR_NONE && group->current_bytes + reading->lag_bytes >= group->limit_bytes;
        uint64_t held = hri_held_sample(memory, group->doubtful_bytes, idle_bytes, gauge->pins.idle_bytes, full);
        memory->held_bytes = v1 && !first ? held : 0;
        memory->doubtful_bytes = group->doubtful_bytes;
    }
}

/* This part of a limit may be in slabs of which each page has one name left that is in use. */
#define LEFTOVER_SHARE 32

/* Of a group's doubtful kernel memory, sorts out what does not come back. Memory that files on a tmpfs and watches pin
 * counts in the level. The lease also leaves out what is held, which descriptors show even where a neighbour's
 * names hide it, and what grew since the pins were looked up. It leaves out all that is not known to be idle, and the
 * rest that stays when names are dropped: a process in 64 MiB was killed for that. */
static void sort_doubtful(const hri_gauge *gauge, const hri_reading *reading, unsigned index, hri_cgroup_reading *group)
{
    bool v1 = gauge->chain.version == 1;
    uint64_t doubtful = group->doubtful_bytes, host = reading->host.reclaimable_bytes;
    if (v1 && host != HR_NONE) { /* no group can have more of it than the host */
        uint64_t sure = hri_sub(doubtful, host);
        group->use_bytes = hri_add(group->use_bytes, sure);
        group->doubtful_bytes = doubtful -= sure;
    }
    uint64_t pinned = hri_add(hri_mul(gauge->pins.tmpfs_files, v1 ? HRI_PIN_FILE_BYTES : HRI_PIN_NAME_BYTES),
                              hri_mul(gauge->pins.tmpfs_nodes, HRI_PIN_NODE_BYTES));
    pinned = hri_add(pinned, hri_mul(gauge->pins.kept.watches, HRI_PIN_INODE_BYTES));
    uint64_t grown = gauge->pins_time_ns ? hri_sub(doubtful, reading->memory[index].doubtful_bytes) : 0;
    uint64_t held = hri_max(reading->memory[index].held_bytes, v1 ? gauge->pins.kept.queued_bytes : 0);
    uint64_t stuck = hri_add(pinned, hri_add(grown, hri_min(held, doubtful)));
    stuck = hri_max(stuck, hri_sub(doubtful, gauge->pins.idle_bytes));
    stuck = hri_max(stuck, group->limit_bytes / LEFTOVER_SHARE);
    group->lasting_bytes = hri_min(doubtful, pinned);
    group->stuck_bytes = hri_min(doubtful, stuck);
}

/* Of clean page cache, pages that are just being read cannot be dropped at this moment. A group was killed with 8 MB of
 * clean page cache, and all of it was one window of the disk's read-ahead. This many readers are reckoned with, and at
 * most this part of the limit. */
#define READERS 8
#define BUSY_SHARE 8

static uint64_t busy_cache(const hri_gauge *gauge, const hri_cgroup_reading *group)
{
    uint64_t clean = hri_sub(group->cache_bytes, group->dirty_bytes);
    return hri_min(clean, hri_min(hri_mul(gauge->readahead_bytes, READERS), group->limit_bytes / BUSY_SHARE));
}

/* The bytes that count beside use: dirty pages, those that went into swap of late, and pinned kernel memory. */
static void weigh_beside_use(const hri_gauge *gauge, unsigned how, hri_reading *reading, unsigned index)
{
    hri_cgroup_reading *group = &reading->groups[index];
    hri_group_memory *memory = &reading->memory[index];
    if (group->use_bytes == HR_NONE)
        return;
    sort_doubtful(gauge, reading, index, group);
    uint64_t swap = group->swap_bytes == HR_NONE ? 0 : group->swap_bytes;
    if (how & HRI_READ_ONCE) {
        group->lasting_bytes = hri_add(group->lasting_bytes, group->dirty_bytes);
        return;
    }
    if (memory->swap.since_ns == 0) /* what was there before is no news */
        memory->swap = (hri_lasting){.since_ns = reading->time_ns, .least_bytes = swap, .before_bytes = swap};
    uint64_t swapped = swap - hri_lasting_sample(&memory->swap, swap, HRI_SWAPPED_NS, reading->time_ns);
    /* A file system that does not come along with what it writes keeps as much behind it waiting. */
    uint64_t written = hri_min(group->dirty_bytes, hri_mul(group->written_bytes, 2));
    written = hri_lasting_sample(&memory->written, written, HRI_WRITTEN_NS, reading->time_ns);
    uint64_t dirty = hri_lasting_sample(&memory->dirty, group->dirty_bytes, HRI_DIRTY_NS, reading->time_ns);
    group->lasting_bytes = hri_add(group->lasting_bytes, hri_add(hri_max(dirty, written), swapped));
    group->stuck_bytes =
        hri_add(group->stuck_bytes, hri_add(group->dirty_bytes, hri_add(busy_cache(gauge, group), swapped)));
}

static bool is_limited(const hri_cgroup_reading *group)
{
    return group->limit_bytes != HR_NONE;
}

/* The figures of the groups that were known before a reading. */
typedef struct known {
    hri_cgroup_limits limits[HRI_CGROUP_DEPTH];
    bool use[HRI_CGROUP_DEPTH]; /* not only the limit */
} known;

static known known_before(const hri_gauge *gauge, const hri_reading *reading)
{
    known before = {0};
    unsigned count = gauge->place_hash == reading->place_hash ? reading->group_count : 0;
    for (unsigned i = 0; i < HRI_CGROUP_DEPTH; i++) {
        before.limits[i] = i < count ? reading->groups[i].limits : (hri_cgroup_limits){HR_NONE, HR_NONE};
        before.use[i] = i < count && reading->groups[i].use_bytes != HR_NONE;
    }
    return before;
}

/* Reads the limits of all groups, from the own one upwards; a limit that cannot be read stays as it was known. Returns
 * how many have to be read whole: all up to the last that is limited. An ancestor's memory.stat was seen 99 of 100 MiB
 * behind until the group below it was read. */
static unsigned read_limits(const hri_gauge *gauge, hri_reading *reading, const known *before, bool *ret_whole)
{
    unsigned count = 0;
    reading->group_count = gauge->chain.count;
    for (unsigned i = 0; i < reading->group_count; i++) {
        hri_cgroup_reading *group = &reading->groups[i];
        *group = hri_cgroup_unknown;
        int error = hri_cgroup_read_limits(&gauge->chain, i, &group->limits);
        *ret_whole &= !hri_cgroup_is_gone(error);
        if (error && !hri_cgroup_is_gone(error))
            group->limits = before->limits[i];
        group->limit_bytes = hri_cgroup_limit(&group->limits);
        count = is_limited(group) ? i + 1 : count;
    }
    return count;
}

/* Returns false if the chain has to be found anew. Then a group has been removed, so the process is not in it.
 * Or (`ret_lost`) a group's use cannot be read any more, for which the program may have closed the file. Without its
 * use a group would have no lease. */
static bool read_groups(const hri_gauge *gauge, unsigned how, hri_reading *reading, bool *ret_lost)
{
    bool whole = true;
    const known before = known_before(gauge, reading);
    reading->binding = -1;
    unsigned count = read_limits(gauge, reading, &before, &whole);
    for (unsigned i = 0; i < count; i++) {
        hri_cgroup_reading *group = &reading->groups[i];
        bool limited = is_limited(group);
        int error = hri_cgroup_read(&gauge->chain, i, group);
        tell_unmapped(&reading->memory[i], group);
        group->leaving_bytes =
            group->unmapped_bytes -
            hri_lasting_sample(&reading->memory[i].leaving, group->unmapped_bytes, HRI_LEAVING_NS, reading->time_ns);
        weigh_beside_use(gauge, how, reading, i);
        *ret_lost |= limited && before.use[i] && group->use_bytes == HR_NONE;
        whole &= !hri_cgroup_is_gone(error);
        if (!limited || hri_cgroup_is_gone(error))
            group->limit_bytes = HR_NONE;
        else if (is_limited(group) &&
                 (reading->binding < 0 || group->limit_bytes < reading->groups[reading->binding].limit_bytes))
            reading->binding = (int)i;
    }
    return whole && !*ret_lost;
}

void hri_gauge_read(hri_gauge *gauge, unsigned how, hri_reading *reading)
{
    int64_t now_ns = hri_clock_now(gauge->clock);
    prepare(gauge, now_ns);
    reading->time_ns = now_ns;
    reading->lag_bytes = gauge->lag_bytes;
    hri_process_read(&gauge->process, &reading->process);
    read_host(gauge, how & HRI_READ_ALL, reading);
    bool lost = false, whole = read_groups(gauge, how, reading, &lost);
    if (lost)
        hri_cgroup_abandon(&gauge->chain); /* the numbers of its files may be those of the program's */
    /* By a number that was given to another process it would find that one's groups. */
    if (!whole && !hri_process_is_gone(&gauge->process) && open_chain(gauge) == 0)
        read_groups(gauge, how, reading, &lost);
    read_pins(gauge, reading);
    reading->place_hash = gauge->place_hash;
    read_stalls(gauge, reading);
}

void hri_gauge_read_unlimited(const hri_gauge *gauge, hri_reading *reading)
{
    for (unsigned i = 0; i < reading->group_count; i++) {
        hri_cgroup_reading *group = &reading->groups[i];
        if (group->limit_bytes == HR_NONE && hri_cgroup_read(&gauge->chain, i, group) != 0)
            *group = hri_cgroup_unknown;
    }
}

int hri_gauge_limit_fd(const hri_gauge *gauge, const hri_reading *reading)
{
    bool own = is_here(gauge) && !gauge->site.pid;
    for (unsigned i = 0; own && i < reading->group_count; i++)
        if (is_limited(&reading->groups[i]))
            return gauge->chain.groups[i].fds[HRI_FILE_LIMIT];
    return -1;
}
