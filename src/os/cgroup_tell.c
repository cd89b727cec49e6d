/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the groups on the way, beside the limits that are in ledgers: for a survey, not for a
 * guard. */
#define _GNU_SOURCE
#include "os/cgroup_way.h"

#include "base/checked.h"
#include "os/file.h"
#include "os/input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_BYTES 64
#define STAT_BYTES 8192

const char *hri_cgroup_way_path(const hri_cgroup_way *way, char path[HRI_MOUNT_BYTES])
{
    snprintf(path, HRI_MOUNT_BYTES, "%.*s", way->length, way->place->below);
    return path[0] ? path : "/";
}

void hri_cgroup_copy(const hri_cgroup_way *way, const char *name, int fd)
{
    char path[2 * HRI_MOUNT_BYTES + HRI_NAME_BYTES];
    if (!way->site->copy)
        return;
    snprintf(path, sizeof path, "%s%.*s/%s", way->place->mount, way->length, way->place->below, name);
    hri_copy_folder(way->site->copy, path);
    hri_copy_file(way->site->copy, path, fd);
}

void hri_cgroup_tell_unreadable(const hri_cgroup_way *way, const char *file, int error, bool needed)
{
    char path[HRI_MOUNT_BYTES];
    if (error < 0 && (needed || error != -ENOENT))
        hri_findings_add(way->site->findings, "%s of the cgroup %s cannot be read: %s.", file,
                         hri_cgroup_way_path(way, path), strerror(-error));
}

static bool read_number_in(const hri_cgroup_way *way, const char *name, uint64_t *ret_value)
{
    char text[NUMBER_BYTES];
    int fd = hri_file_open_in(way->folder, name);
    if (hri_file_shortage(fd))
        way->site->findings->shortage = fd;
    hri_cgroup_copy(way, name, fd);
    bool known = hri_file_read(fd, text, sizeof text) >= 0 && hri_parse_number(text, ret_value) == 0;
    hri_file_close(fd);
    return known;
}

/* Limits of another kind, which are in no ledger. */
static void tell_other_limits(const hri_cgroup_way *way, const char *path)
{
    hri_findings *findings = way->site->findings;
    char size[16];
    uint64_t value;
    if (way->chain->version != 2)
        return;
    if (read_number_in(way, "memory.swap.max", &value) && value > 0 && value != HR_NONE)
        hri_findings_add(findings, "Swap of the cgroup %s is limited to %s (memory.swap.max). It is in no ledger.",
                         path, hr_size_format(value, size, sizeof size));
    if (read_number_in(way, "memory.oom.group", &value) && value == 1)
        hri_findings_note(findings, "oom-group",
                          "Expect the whole group to end at once; where one worker should end alone, set "
                          "memory.oom.group to 0 (systemd: OOMPolicy=continue).",
                          "When the kernel kills one process of the cgroup %s for memory, it kills all of them "
                          "(memory.oom.group).",
                          path);
}

/* Says that the second limit could not be read, where there is one. */
static void tell_second(const hri_cgroup_way *way, const hri_cgroup_chain *alone, const char *path)
{
    char text[NUMBER_BYTES];
    uint64_t value;
    int fd = alone->groups[0].fds[HRI_FILE_SECOND];
    if (fd < 0)
        return;
    const char *file = hri_cgroup_file_names[alone->version - 1][HRI_FILE_SECOND];
    ssize_t length = hri_file_read(fd, text, sizeof text);
    if (length < 0)
        hri_cgroup_tell_unreadable(way, file, (int)length, true);
    else if (hri_parse_number(text, &value) != 0)
        hri_findings_add(way->site->findings, "%s of the cgroup %s says no number: that limit is not known.", file,
                         path);
}

/* Huge pages have limits of their own; what they hold is not in memory.current. Their files are named by the size of a
 * page: hugetlb.2MB.max, v1's hugetlb.2MB.limit_in_bytes; with .rsvd before it they are about mappings that are made,
 * not touched. */
static void tell_hugetlb(const hri_cgroup_way *way, const char *path, const char *file)
{
    static const char *const endings[2][2] = {{".limit_in_bytes", ".usage_in_bytes"}, {".max", ".current"}};
    const char *const *ending = endings[way->chain->version - 1];
    size_t length = strlen(ending[0]), stem = strlen(file) > length ? strlen(file) - length : 0;
    char name[HRI_NAME_BYTES + 32], source[HRI_MOUNT_BYTES + 2 * HRI_NAME_BYTES], used[16], limit[16];
    uint64_t limit_bytes, use_bytes = HR_NONE;
    if (strncmp(file, "hugetlb.", 8) != 0 || stem == 0 || strcmp(file + stem, ending[0]) != 0 ||
        !read_number_in(way, file, &limit_bytes) || limit_bytes >= HRI_CGROUP_V1_UNLIMITED)
        return;
    snprintf(name, sizeof name, "%.*s%s", (int)stem, file, ending[1]);
    read_number_in(way, name, &use_bytes);
    snprintf(source, sizeof source, "cgroup v%d %s %s", way->chain->version, path, file);
    hri_findings_hugetlb(way->site->findings, source, use_bytes, limit_bytes);
    hri_findings_note(way->site->findings, "hugetlb-limit",
                      "Keep huge pages below this limit: beyond it a mapping fails with ENOMEM, or a touch ends the "
                      "process with SIGBUS; no budget counts them.",
                      "Huge pages of the cgroup %s are limited to %s, of which %s are used (%s); the limit on memory "
                      "does not count them.",
                      path, hr_size_format(limit_bytes, limit, sizeof limit),
                      use_bytes == HR_NONE ? "an unknown part" : hr_size_format(use_bytes, used, sizeof used), file);
}

void hri_cgroup_tell_huge_pages(const hri_cgroup_way *way)
{
    char folder[32], name[HRI_NAME_BYTES], whole[HRI_MOUNT_BYTES];
    const char *path = hri_cgroup_way_path(way, whole);
    hri_names names;
    snprintf(folder, sizeof folder, "/proc/self/fd/%d", way->folder);
    if (hri_names_open(&names, folder, NULL) != 0)
        return;
    int fd;
    while ((fd = hri_names_open_next(&names, name)) != -ENODATA && name[0]) {
        hri_file_close(fd);
        tell_hugetlb(way, path, name);
        hri_names_pass(&names);
    }
    hri_names_close(&names);
}

void hri_cgroup_tell_of(const hri_cgroup_way *way, const hri_cgroup_chain *alone, int limit_error,
                        const hri_cgroup_limits *limits)
{
    hri_cgroup_reading reading;
    hri_findings *findings = way->site->findings;
    if (!findings)
        return;
    char whole[HRI_MOUNT_BYTES], size[16], other[16];
    const char *path = hri_cgroup_way_path(way, whole);
    const char *file = hri_cgroup_file_names[alone->version - 1][HRI_FILE_LIMIT];
    if (limit_error == -EINVAL)
        hri_findings_add(findings, "%s of the cgroup %s says no number: its limit is not known.", file, path);
    else
        hri_cgroup_tell_unreadable(way, file, limit_error, true);
    if (limit_error)
        return;
    bool legible = alone->groups[0].fds[HRI_FILE_STAT] >= 0;
    if (legible && hri_cgroup_read(alone, 0, &reading) == 0 && reading.use_bytes == HR_NONE)
        hri_findings_add(findings,
                         "memory.stat of the cgroup %s is empty or cut short, or a figure beside it cannot be read: "
                         "what the group uses is not known.",
                         path);
    if (alone->version == 2 && limits->second_bytes < limits->max_bytes)
        hri_findings_note(
            findings, "memory-high-binds",
            "Take memory.high for the limit: keep use below it, or raise it (systemd: MemoryHigh=) where the "
            "group should be allowed to use more.",
            "memory.high of the cgroup %s is %s, below its memory.max (%s): above it the kernel slows the "
            "group down to a crawl, and near memory.max it kills.",
            path, hr_size_format(limits->second_bytes, size, sizeof size),
            limits->max_bytes == HR_NONE ? "none" : hr_size_format(limits->max_bytes, other, sizeof other));
    tell_second(way, alone, path);
    ssize_t slabs = hri_file_read(alone->groups[0].fds[HRI_FILE_SLABS], other, sizeof other);
    if (slabs < 0 && slabs != -EBADF)
        hri_cgroup_tell_unreadable(way, hri_cgroup_file_names[0][HRI_FILE_SLABS], (int)slabs, true);
    tell_other_limits(way, path);
    if (alone->version == 2)
        hri_cgroup_tell_huge_pages(way);
}

/* v1 tells each group the smallest limit of all that contain it; v2's true root is the only group without a limit
 * file. */
void hri_cgroup_tell_above(const hri_cgroup_way *way, const hri_cgroup *top, uint64_t limit_bytes)
{
    char text[STAT_BYTES], size[16];
    uint64_t above;
    hri_findings *findings = way->site->findings;
    const char *mount = way->place->mount;
    bool told = hri_file_read(top->fds[HRI_FILE_STAT], text, sizeof text) >= 0 &&
                hri_parse_key(text, "hierarchical_memory_limit", &above) == 0;
    bool root = way->length == 0;
    if (!findings)
        return;
    if (top->hidden) {
        hri_findings_add(findings,
                         "A cgroup above %s, which cannot be seen from here, has a limit of %s: it is taken for the "
                         "group's own, and what others use of it is not known.",
                         mount, hr_size_format(limit_bytes, size, sizeof size));
        return;
    }
    if (root && (way->chain->version == 2 || (way->place->partial && !told))) {
        findings->limits_hidden = true;
        hri_findings_add(
            findings,
            "Limits above %s cannot be seen from here: what is mounted there is only a part of the tree of "
            "cgroups.",
            mount);
    }
    if (root && way->chain->version == 1 && way->place->of_pod && limit_bytes < HRI_CGROUP_V1_UNLIMITED)
        hri_findings_note(
            findings, "pod-limit-equal",
            "Leave room for the other containers of the pod and for its tmpfs volumes, or give the pod more "
            "than this container.",
            "The pod's limit may be the same %s as this container's, and what else is charged to the pod "
            "cannot be seen from here.",
            hr_size_format(limit_bytes, size, sizeof size));
}
