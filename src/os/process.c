/* SPDX-License-Identifier: Apache-2.0 */
/* statm and meminfo cost a microsecond or two; smaps_rollup would say more and cost a thousand times that. */
#define _GNU_SOURCE
#include "os/process.h"

#include "base/checked.h"
#include "base/hash.h"
#include "os/file.h"
#include "os/pages.h"
#include "os/parse.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEMINFO_BYTES 4096
#define ARCSTATS_BYTES (16 * 1024)
#define STATM_BYTES 256

#define ARCSTATS "/proc/spl/kstat/zfs/arcstats"

/* Says what is wrong with the host's figures, and copies what was read. */
static void tell_host(const hri_process *process, const hri_site *site)
{
    hri_host_reading host = {0};
    char path[HRI_SITE_PATH_BYTES];
    if (process->meminfo_fd >= 0)
        hri_process_read_host(process, &host);
    if (host.absurd)
        hri_findings_note(
            site->findings, "host-not-known",
            "Set a limit in the cgroup, or declare one with HEADROOM_LIMIT; an lxcfs that shows such "
            "figures should be updated.",
            "/proc/meminfo shows figures that cannot be true: the memory of the host is not known, and is "
            "no limit.");
    else if (host.total_bytes == HR_NONE || host.available_bytes == HR_NONE)
        hri_findings_add(site->findings, "/proc/meminfo does not say what the host has: its memory is not known.");
    hri_site own = *site;
    own.pid = 0; /* the copy is of one process, which is its own "self" */
    hri_copy_file(site->copy, "/proc/meminfo", process->meminfo_fd);
    hri_copy_file(site->copy, ARCSTATS, process->arcstats_fd);
    hri_copy_file(site->copy, hri_site_path(&own, "statm", path), process->statm_fd);
    int limits = hri_file_open(site->root, hri_site_path(site, "limits", path));
    hri_copy_file(site->copy, hri_site_path(&own, "limits", path), limits);
    hri_file_close(limits);
}

int hri_process_open(hri_process *process, const hri_site *site)
{
    char path[HRI_SITE_PATH_BYTES];
    bool here = !site->only_place && !site->pid, own = site->root[0] == '\0' && !site->pid;
    process->meminfo_fd = hri_file_open(site->root, "/proc/meminfo");
    process->arcstats_fd = hri_file_open(site->root, ARCSTATS);
    process->limits_fd = own ? -1 : hri_file_open(site->root, hri_site_path(site, "limits", path));
    process->statm_fd = hri_file_open(site->root, hri_site_path(site, "statm", path));
    process->status_fd = here ? hri_file_open(site->root, "/proc/self/status") : -1;
    process->place_fd = here ? hri_file_open(site->root, "/proc/self/cgroup") : -1;
    process->mark = hri_file_mark_of(process->statm_fd);
    process->pid = site->pid;
    process->own = own;
    bool absent = process->statm_fd == -ENOENT || process->statm_fd == -ESRCH;
    int error = site->pid && absent ? -ESRCH : hri_file_shortage(process->statm_fd);
    if (!error)
        error = hri_file_shortage(process->meminfo_fd);
    if (error) {
        hri_process_close(process);
        return error;
    }
    if (process->statm_fd < 0 && !site->only_place)
        hri_findings_add(site->findings, "%s cannot be read: %s. What the process uses is not known.", path,
                         strerror(-process->statm_fd));
    if (process->meminfo_fd < 0)
        hri_findings_add(site->findings, "/proc/meminfo cannot be read: %s. The memory of the host is not known.",
                         strerror(-process->meminfo_fd));
    if (site->findings)
        tell_host(process, site);
    return 0;
}

int hri_site_check(const hri_site *site)
{
    int root = hri_file_open_folder(site->root, "/");
    if (root < 0)
        return root;
    hri_file_close(root);
    char path[HRI_SITE_PATH_BYTES];
    int folder = site->pid ? hri_file_open_folder(site->root, hri_site_path(site, "", path)) : -1;
    hri_file_close(folder);
    if (site->pid && folder < 0)
        return hri_file_shortage(folder) ? folder : -ESRCH;
    return 0;
}

bool hri_process_is_self(int pid)
{
    return pid == getpid();
}

void hri_process_close(hri_process *process)
{
    if (!hri_file_is(process->statm_fd, &process->mark)) {
        hri_process_abandon(process);
        return;
    }
    hri_file_close(process->statm_fd);
    hri_file_close(process->meminfo_fd);
    hri_file_close(process->limits_fd);
    hri_file_close(process->arcstats_fd);
    hri_file_close(process->status_fd);
    hri_file_close(process->place_fd);
    hri_process_abandon(process);
}

void hri_process_abandon(hri_process *process)
{
    process->limits_fd = process->arcstats_fd = -1;
    process->statm_fd = process->meminfo_fd = process->status_fd = process->place_fd = -1;
    process->mark = (hri_file_mark){0};
}

static uint64_t pages_field(const char *statm, unsigned index)
{
    uint64_t pages;
    return hri_parse_field(statm, index, &pages) == 0 ? hri_mul(pages, hri_page_size()) : HR_NONE;
}

/* "unlimited", or no such line: none. */
static uint64_t limits_key(const char *limits, const char *key)
{
    uint64_t value;
    return hri_parse_key(limits, key, &value) == 0 ? value : HR_NONE;
}

static uint64_t own_limit(int error, const struct rlimit *limit)
{
    return error ? HR_NONE : limit->rlim_cur; /* an unlimited one is RLIM_INFINITY, which is HR_NONE */
}

/* Reads a resource limit of this process, or of another by what /proc says of it. A macro, since the type of `resource`
 * is an enumeration in one libc and an int in another. `room` is a struct rlimit to work in. */
#define READ_LIMIT(process, limits, resource, key, room)                                                               \
    ((process)->own ? own_limit(prlimit(0, (resource), NULL, (room)), (room)) : limits_key((limits), (key)))

#define TEXT_BYTES 8192

static void read_limits_text(const hri_process *process, char *text)
{
    if (hri_file_read(process->limits_fd, text, TEXT_BYTES) <= 0)
        text[0] = '\0';
}

uint64_t hri_process_read_files_limit(const hri_process *process)
{
    char limits[TEXT_BYTES];
    struct rlimit room;
    read_limits_text(process, limits);
    return READ_LIMIT(process, limits, RLIMIT_NOFILE, "Max open files", &room);
}

void hri_process_read(const hri_process *process, hri_process_reading *ret_reading)
{
    hri_process_reading reading = {HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE};
    char statm[STATM_BYTES], limits[TEXT_BYTES];
    struct rlimit room;
    read_limits_text(process, limits);
    reading.address_limit_bytes = READ_LIMIT(process, limits, RLIMIT_AS, "Max address space", &room);
    reading.data_limit_bytes = READ_LIMIT(process, limits, RLIMIT_DATA, "Max data size", &room);
    if (hri_file_read(process->statm_fd, statm, sizeof statm) > 0) {
        reading.address_bytes = pages_field(statm, 0);
        reading.rss_bytes = pages_field(statm, 1);
        uint64_t shared = pages_field(statm, 2);
        if (reading.rss_bytes != HR_NONE && shared != HR_NONE)
            reading.anonymous_bytes = hri_sub(reading.rss_bytes, shared);
        reading.data_bytes = pages_field(statm, 5);
    } else if (hri_process_is_gone(process)) { /* the limits may be another's */
        reading.address_limit_bytes = reading.data_limit_bytes = HR_NONE;
    }
    *ret_reading = reading;
}

bool hri_process_is_gone(const hri_process *process)
{
    char statm[STATM_BYTES];
    return process->pid && process->statm_fd >= 0 && hri_file_read(process->statm_fd, statm, sizeof statm) == -ESRCH;
}

void hri_process_read_host(const hri_process *process, hri_host_reading *ret_reading)
{
    char meminfo[MEMINFO_BYTES], arcstats[ARCSTATS_BYTES];
    if (hri_file_read(process->meminfo_fd, meminfo, sizeof meminfo) <= 0)
        meminfo[0] = '\0';
    bool zfs = process->arcstats_fd >= 0 && hri_file_read(process->arcstats_fd, arcstats, sizeof arcstats) > 0;
    hri_host_parse(meminfo, zfs ? arcstats : NULL, ret_reading);
}

uint64_t hri_process_read_shared(const hri_process *process)
{
    char text[TEXT_BYTES];
    uint64_t kibibytes;
    if (hri_file_read(process->status_fd, text, sizeof text) <= 0)
        return 0;
    return hri_parse_key(text, "RssShmem:", &kibibytes) == 0 ? hri_mul(kibibytes, 1024) : 0;
}

uint64_t hri_process_read_place(const hri_process *process)
{
    char text[TEXT_BYTES];
    ssize_t length = hri_file_read(process->place_fd, text, sizeof text);
    return length > 0 ? hri_hash(text, (size_t)length, 0) : 0;
}
