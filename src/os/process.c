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
#define STATM_BYTES 256

int hri_process_open(hri_process *process, const hri_site *site)
{
    char path[HRI_SITE_PATH_BYTES];
    process->statm_fd = site->only_place ? -1 : hri_file_open(site->root, hri_site_path(site, "statm", path));
    process->meminfo_fd = hri_file_open(site->root, "/proc/meminfo");
    bool here = !site->only_place && !site->pid;
    process->status_fd = here ? hri_file_open(site->root, "/proc/self/status") : -1;
    process->place_fd = here ? hri_file_open(site->root, "/proc/self/cgroup") : -1;
    process->vmstat_fd = here ? hri_file_open(site->root, "/proc/vmstat") : -1;
    process->mark = hri_file_mark_of(process->statm_fd);
    process->pid = site->pid;
    process->rlimits = site->root[0] == '\0';
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
    hri_host_reading host = {0, 0};
    if (site->findings && process->meminfo_fd >= 0)
        hri_process_read_host(process, &host);
    if (host.total_bytes == HR_NONE || host.available_bytes == HR_NONE)
        hri_findings_add(site->findings, "/proc/meminfo does not say what the host has: its memory is not known.");
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
    hri_file_close(process->status_fd);
    hri_file_close(process->place_fd);
    hri_file_close(process->vmstat_fd);
    hri_process_abandon(process);
}

void hri_process_abandon(hri_process *process)
{
    process->statm_fd = process->meminfo_fd = process->status_fd = process->place_fd = process->vmstat_fd = -1;
    process->mark = (hri_file_mark){0};
}

static uint64_t pages_field(const char *statm, unsigned index)
{
    uint64_t pages;
    return hri_parse_field(statm, index, &pages) == 0 ? hri_mul(pages, hri_page_size()) : HR_NONE;
}

static uint64_t meminfo_key(const char *meminfo, const char *key)
{
    uint64_t kibibytes;
    return hri_parse_key(meminfo, key, &kibibytes) == 0 ? hri_mul(kibibytes, 1024) : HR_NONE;
}

void hri_process_read(const hri_process *process, hri_process_reading *ret_reading)
{
    hri_process_reading reading = {HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE};
    char statm[STATM_BYTES];
    struct rlimit limit; /* an unlimited one is RLIM_INFINITY, which is HR_NONE */
    if (process->rlimits && prlimit(process->pid, RLIMIT_AS, NULL, &limit) == 0)
        reading.address_limit_bytes = limit.rlim_cur;
    if (process->rlimits && prlimit(process->pid, RLIMIT_DATA, NULL, &limit) == 0)
        reading.data_limit_bytes = limit.rlim_cur;
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
    hri_host_reading reading = {HR_NONE, HR_NONE};
    char meminfo[MEMINFO_BYTES];
    if (hri_file_read(process->meminfo_fd, meminfo, sizeof meminfo) > 0) {
        reading.total_bytes = meminfo_key(meminfo, "MemTotal:");
        reading.available_bytes = meminfo_key(meminfo, "MemAvailable:");
    }
    *ret_reading = reading;
}

#define TEXT_BYTES 8192

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

uint64_t hri_process_read_splits(const hri_process *process)
{
    char text[TEXT_BYTES];
    uint64_t count;
    if (hri_file_read(process->vmstat_fd, text, sizeof text) <= 0)
        return HR_NONE;
    return hri_parse_key(text, "thp_deferred_split_page", &count) == 0 ? count : HR_NONE;
}
