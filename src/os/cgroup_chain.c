/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the groups of a process and opens them.
 *
 * The way goes from the mount point down to the process's own group, a folder at a time. So no path is ever longer than
 * one name, and every group on the way is looked at once, however deep the tree is. The table keeps what can matter
 * most: the own group, those with the smallest limits, and then the nearest. Groups that it has to leave out, and files
 * that cannot be read, go to the site's findings.
 */
#include "os/cgroup_way.h"

#include "base/checked.h"
#include "os/file.h"
#include "os/pages.h"
#include "os/parse.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_BYTES 64
#define STAT_BYTES 8192

/* ── one group ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static void close_group(const hri_cgroup *group)
{
    for (unsigned i = 0; i < HRI_CGROUP_FILES; i++)
        hri_file_close(group->fds[i]);
}

/* A long path keeps its end, which tells groups apart. */
static void name_group(const hri_cgroup_way *way, hri_cgroup *group)
{
    char whole[HRI_MOUNT_BYTES];
    const char *path = hri_cgroup_way_path(way, whole), *cut = "";
    const char *file = hri_cgroup_file_names[way->chain->version - 1][HRI_FILE_LIMIT];
    size_t room = sizeof group->name - sizeof "cgroup v1 …  " - strlen(file);
    if (strlen(path) > room) {
        path += strlen(path) - room;
        cut = "…";
    }
    snprintf(group->name, sizeof group->name, "cgroup v%d %s%s %s", way->chain->version, cut, path, file);
}

/* Opens one group's files. Gives 0, -ENOENT where it has no limit that can be read (v2's root has none), or a
 * shortage. */
static int open_group(const hri_cgroup_way *way, hri_cgroup *group)
{
    int error = 0;
    *group = (hri_cgroup){0};
    for (unsigned i = 0; i < HRI_CGROUP_FILES; i++)
        group->fds[i] = -1;
    for (unsigned i = 0; i < HRI_CGROUP_FILES && !error; i++) {
        const char *name = hri_cgroup_file_names[way->chain->version - 1][i];
        if (!name)
            continue;
        group->fds[i] = hri_file_open_in(way->folder, name);
        hri_cgroup_copy(way, name, group->fds[i]);
        if (hri_file_shortage(group->fds[i]))
            error = group->fds[i];
        else if (group->fds[i] < 0)
            hri_cgroup_tell_unreadable(way, name, group->fds[i], i == HRI_FILE_STAT);
        if (i == HRI_FILE_LIMIT && group->fds[i] < 0 && !error)
            error = -ENOENT;
    }
    if (error)
        close_group(group);
    else
        name_group(way, group);
    return error;
}

/* ── the table ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Which group is worth the least: the farthest without a limit, else the one with the largest limit. HRI_CGROUP_DEPTH
 * stands for the newcomer, which is the nearest of all. */
static unsigned least_of(const hri_cgroup_way *way, uint64_t newcomer_limit_bytes)
{
    unsigned least = HRI_CGROUP_DEPTH;
    for (unsigned i = HRI_CGROUP_DEPTH; i-- > 0;) {
        uint64_t worst = least == HRI_CGROUP_DEPTH ? newcomer_limit_bytes : way->limits[least];
        bool displaceable = least == HRI_CGROUP_DEPTH && way->own;
        if (displaceable || way->limits[i] >= worst)
            least = i;
    }
    return least;
}

static void take_in(hri_cgroup_way *way, const hri_cgroup *group, uint64_t limit_bytes)
{
    hri_cgroup_chain *chain = way->chain;
    if (chain->count == HRI_CGROUP_DEPTH) {
        unsigned least = least_of(way, limit_bytes);
        chain->left_out++;
        close_group(least == HRI_CGROUP_DEPTH ? group : &chain->groups[least]);
        if (least == HRI_CGROUP_DEPTH)
            return;
        chain->count--;
        memmove(&chain->groups[least], &chain->groups[least + 1], (chain->count - least) * sizeof *chain->groups);
        memmove(&way->limits[least], &way->limits[least + 1], (chain->count - least) * sizeof *way->limits);
    }
    way->limits[chain->count] = limit_bytes;
    chain->groups[chain->count++] = *group;
}

/* The way went down; the chain goes up. */
static void turn_round(hri_cgroup_chain *chain)
{
    for (unsigned i = 0; i < chain->count / 2; i++) {
        hri_cgroup other = chain->groups[i];
        chain->groups[i] = chain->groups[chain->count - 1 - i];
        chain->groups[chain->count - 1 - i] = other;
    }
}

/* ── the way ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Looks at the group of this folder. Gives 0 or a shortage. */
static int look_around(hri_cgroup_way *way)
{
    hri_cgroup_chain alone = {.version = way->chain->version, .count = 1};
    hri_cgroup *group = &alone.groups[0];
    int error = open_group(way, group);
    if (error)
        return hri_file_shortage(error);
    hri_cgroup_limits limits = {HR_NONE, HR_NONE}, with_hidden;
    error = hri_cgroup_read_limits(&alone, 0, &limits);
    if (hri_cgroup_is_gone(error)) { /* gone since: so is the process */
        close_group(group);
        return 0;
    }
    hri_cgroup_tell_of(way, &alone, error, &limits);
    if (!error && !way->met && alone.version == 1) {
        group->hidden = true;
        group->hidden =
            hri_cgroup_read_limits(&alone, 0, &with_hidden) == 0 && with_hidden.max_bytes < limits.max_bytes;
        if (group->hidden)
            limits = with_hidden;
    }
    if (!error && !way->met)
        hri_cgroup_tell_above(way, group, limits.max_bytes);
    way->met = true;
    take_in(way, group, hri_cgroup_limit(&limits));
    return 0;
}

/* Goes into the next folder. Gives 1, 0 at the end of the way, or a negative errno where it is barred. */
static int step(hri_cgroup_way *way)
{
    const char *next = way->place->below + way->length;
    if (!*next)
        return 0;
    size_t length = 1 + strcspn(next + 1, "/");
    char name[NAME_MAX + 1];
    int folder = -ENAMETOOLONG;
    if (length <= sizeof name) {
        memcpy(name, next + 1, length - 1);
        name[length - 1] = '\0';
        folder = hri_file_open_folder_in(way->folder, name);
    }
    way->length += (int)length;
    if (folder < 0)
        return folder;
    hri_file_close(way->folder);
    way->folder = folder;
    way->own = way->place->below[way->length] == '\0';
    return 1;
}

/* The same for groups with limits on memory. Gives 1, 0 at the end of the way or where it is barred, or a shortage. */
static int step_down(hri_cgroup_way *way)
{
    char path[HRI_MOUNT_BYTES];
    int result = step(way);
    if (result >= 0)
        return result;
    hri_findings_add(way->site->findings,
                     "The cgroup %s cannot be opened: %s. Its own limit and what is below it are not known.",
                     hri_cgroup_way_path(way, path), strerror(-result));
    return hri_file_shortage(result);
}

/* A way that found no group and nothing in its way either has come through a tree without memory limits. */
static void tell_no_controller(const hri_cgroup_way *way, size_t told_before)
{
    hri_findings *findings = way->site->findings;
    char path[HRI_MOUNT_BYTES];
    if (findings && !way->met && way->place->below[0] && findings->unseen_count == told_before)
        hri_findings_add(findings,
                         "Neither the cgroup %s nor any above it has a file %s: the memory controller is not enabled "
                         "there.",
                         hri_cgroup_way_path(way, path),
                         hri_cgroup_file_names[way->chain->version - 1][HRI_FILE_LIMIT]);
}

/* Opens the two files that are read of the own group alone, whose folder the way has come to. The root of v2 has no
 * limit, and its memory.pressure is the host's, which would blame this process for its neighbours. Gives 0 or a
 * shortage. */
static int open_own(const hri_cgroup_way *way)
{
    bool root = way->place->below[0] == '\0' && !way->met;
    int pressure_fd = root ? -1 : hri_file_open_in(way->folder, "memory.pressure");
    hri_cgroup_copy(way, "memory.pressure", pressure_fd);
    way->chain->pressure_fd = pressure_fd < 0 ? -1 : pressure_fd;
    int members_fd = hri_file_open_in(way->folder, "cgroup.procs");
    way->chain->members_fd = members_fd < 0 ? -1 : members_fd;
    int error = hri_file_shortage(pressure_fd);
    return error ? error : hri_file_shortage(members_fd);
}

static int open_chain(hri_cgroup_chain *chain, const hri_site *site, const hri_cgroup_place *place)
{
    size_t told_before = site->findings ? site->findings->unseen_count : 0;
    hri_cgroup_way way = {.chain = chain, .site = site, .place = place, .own = place->below[0] == '\0'};
    if (place->outside)
        hri_findings_add(
            site->findings,
            "The process's cgroup lies outside of what is mounted at %s: its own limit cannot be seen from "
            "here; what is shown is that of the group that is mounted there.",
            place->mount);
    way.folder = hri_file_open_folder(site->root, place->mount);
    if (way.folder < 0) {
        hri_findings_add(site->findings, "%s, where cgroups are mounted, cannot be opened: %s.", place->mount,
                         strerror(-way.folder));
        return hri_file_shortage(way.folder);
    }
    int result;
    do {
        result = look_around(&way);
        if (!result)
            result = step_down(&way);
    } while (result > 0);
    if (!result && way.own)
        result = open_own(&way);
    hri_file_close(way.folder);
    if (!result)
        tell_no_controller(&way, told_before);
    turn_round(chain);
    return result;
}

/* ── where it begins ────────────────────────────────────────────────────────────────────────────────────────────── */

/* The two lists of /proc that say where the process is. They have no upper bound: 1.3 MB of mounts were seen. */
struct lists {
    char *groups; /* NULL: it cannot be read */
    char *mounts;
    size_t groups_size, mounts_size; /* of the pages that they are in */
    int groups_error, mounts_error;
};

static void read_lists(const hri_site *site, struct lists *lists)
{
    char path[HRI_SITE_PATH_BYTES];
    *lists = (struct lists){0};
    lists->groups_error =
        hri_file_read_whole(site->root, hri_site_path(site, "cgroup", path), &lists->groups, &lists->groups_size);
    lists->mounts_error = hri_file_read_whole(site->root, "/proc/self/mountinfo", &lists->mounts, &lists->mounts_size);
    if (lists->groups)
        hri_copy_text(site->copy, "/proc/self/cgroup", lists->groups, strlen(lists->groups));
    if (lists->mounts)
        hri_copy_mounts(site->copy, "/proc/self/mountinfo", lists->mounts);
}

static void free_lists(struct lists *lists)
{
    if (lists->groups)
        hri_pages_unmap(lists->groups, lists->groups_size);
    if (lists->mounts)
        hri_pages_unmap(lists->mounts, lists->mounts_size);
}

static int lists_shortage(const struct lists *lists)
{
    int error = hri_file_shortage(lists->groups_error);
    return error ? error : hri_file_shortage(lists->mounts_error);
}

static const char *controller_of(int version)
{
    return version == 1 ? "memory" : NULL;
}

/* Finds where this process's group of a version is mounted. Gives 0 or -ENOENT. */
static int find_place(const hri_site *site, int version, const struct lists *lists, hri_cgroup_place *ret_place)
{
    char path[HRI_MOUNT_BYTES];
    if (!lists->groups || hri_parse_cgroup_path(lists->groups, controller_of(version), path, sizeof path) != 0)
        return -ENOENT;
    if (!lists->mounts || hri_parse_cgroup_mount(lists->mounts, controller_of(version), path, ret_place) != 0)
        return -ENOENT;
    char folder[2 * HRI_MOUNT_BYTES];
    snprintf(folder, sizeof folder, "%s%s", ret_place->mount, ret_place->below);
    hri_findings_place(site->findings, version, path, ret_place->outside ? NULL : folder);
    return 0;
}

/* Says that a list cannot be read, or ends within a line. Gives whether there is one. */
static bool tell_list(const hri_site *site, const char *file, const char *text, int error)
{
    size_t length = text ? strlen(text) : 0;
    if (!text)
        hri_findings_add(site->findings, "%s cannot be read: %s.", file, strerror(-error));
    else if (length > 0 && text[length - 1] != '\n')
        hri_findings_add(site->findings, "%s is cut short: what stands behind its first %zu bytes is not known.", file,
                         length);
    return text != NULL;
}

/* Says why no place was found. */
static void tell_lost(const hri_site *site, const struct lists *lists)
{
    char file[HRI_SITE_PATH_BYTES], path[HRI_MOUNT_BYTES];
    if (!site->findings)
        return;
    site->findings->limits_hidden = true;
    hri_site_path(site, "cgroup", file);
    if (!tell_list(site, file, lists->groups, lists->groups_error))
        return;
    bool named = hri_parse_cgroup_path(lists->groups, controller_of(1), path, sizeof path) == 0 ||
                 hri_parse_cgroup_path(lists->groups, controller_of(2), path, sizeof path) == 0;
    if (!named) {
        hri_findings_add(site->findings, "%s names no memory cgroup: its limits, if there are any, are not known.",
                         file);
        return;
    }
    if (tell_list(site, "/proc/self/mountinfo", lists->mounts, lists->mounts_error))
        hri_findings_add(
            site->findings,
            "No memory cgroup is mounted (/proc/self/mountinfo shows none for %s): its limits, if there are any, "
            "are not known.",
            path);
}

static void tell_left_out(const hri_cgroup_chain *chain, const hri_site *site)
{
    if (chain->left_out)
        hri_findings_add(
            site->findings,
            "%u of the %u cgroups that contain the process are not watched: there is room for %d, which the "
            "own one, those with the smallest limits and the nearest have. A limit that is set on another "
            "one later is not seen by a guard that runs then.",
            chain->left_out, chain->left_out + chain->count, HRI_CGROUP_DEPTH);
}

/* Where memory is on v1, the process may be in a group of v2 too, which has no memory controller but tells of pressure.
 * Gives 0 or a shortage. */
static int open_pressure_beside(hri_cgroup_chain *chain, const hri_site *site, const struct lists *lists)
{
    char path[HRI_MOUNT_BYTES], whole[2 * HRI_MOUNT_BYTES + 32];
    hri_cgroup_place place = {0};
    if (chain->version != 1 || hri_parse_cgroup_path(lists->groups, NULL, path, sizeof path) != 0 ||
        hri_parse_cgroup_mount(lists->mounts, NULL, path, &place) != 0 || place.outside || !place.below[0])
        return 0;
    snprintf(whole, sizeof whole, "%s%s/memory.pressure", place.mount, place.below);
    int fd = hri_file_open(site->root, whole);
    hri_copy_file(site->copy, whole, fd);
    chain->pressure_fd = fd < 0 ? -1 : fd;
    return hri_file_shortage(fd);
}

/* v1 has huge pages in a hierarchy of their own, where the process may be in another group. */
static int tell_huge_pages(const hri_site *site, const struct lists *lists)
{
    char path[HRI_MOUNT_BYTES];
    hri_cgroup_place place = {0};
    if (!site->findings || !lists->groups || !lists->mounts ||
        hri_parse_cgroup_path(lists->groups, "hugetlb", path, sizeof path) != 0 ||
        hri_parse_cgroup_mount(lists->mounts, "hugetlb", path, &place) != 0)
        return 0;
    hri_cgroup_chain chain = {.version = 1};
    hri_cgroup_way way = {.chain = &chain, .site = site, .place = &place};
    way.folder = hri_file_open_folder(site->root, place.mount);
    if (way.folder < 0)
        return hri_file_shortage(way.folder);
    int result;
    do {
        hri_cgroup_tell_huge_pages(&way);
        result = step(&way);
    } while (result > 0);
    hri_file_close(way.folder);
    return hri_file_shortage(result);
}

static int open_by_lists(hri_cgroup_chain *chain, const hri_site *site, const struct lists *lists)
{
    bool placed = false;
    for (int version = 1; version <= 2 && chain->count == 0; version++) {
        hri_cgroup_place place = {0};
        if (find_place(site, version, lists, &place) != 0)
            continue;
        placed = true;
        chain->version = version;
        int error = open_chain(chain, site, &place);
        if (!error)
            error = open_pressure_beside(chain, site, lists);
        if (error)
            return error;
        tell_left_out(chain, site);
    }
    if (!placed)
        tell_lost(site, lists);
    if (chain->count == 0)
        chain->version = 0;
    return tell_huge_pages(site, lists);
}

int hri_cgroup_open(hri_cgroup_chain *chain, const hri_site *site)
{
    *chain = hri_cgroup_none;
    struct lists lists;
    read_lists(site, &lists);
    int error = lists_shortage(&lists);
    if (!error)
        error = open_by_lists(chain, site, &lists);
    free_lists(&lists);
    if (error)
        hri_cgroup_close(chain);
    return error;
}

void hri_cgroup_close(hri_cgroup_chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++)
        close_group(&chain->groups[i]);
    hri_file_close(chain->pressure_fd);
    hri_file_close(chain->members_fd);
    *chain = hri_cgroup_none;
}

void hri_cgroup_abandon(hri_cgroup_chain *chain)
{
    chain->pressure_fd = chain->members_fd = -1;
    for (unsigned i = 0; i < chain->count; i++) {
        for (unsigned file = 0; file < HRI_CGROUP_FILES; file++)
            chain->groups[i].fds[file] = -1;
    }
}
