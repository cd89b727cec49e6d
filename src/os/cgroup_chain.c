/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the groups of a process and opens them.
 *
 * The way goes from the mount point down to the process's own group, a folder at a time: so no path is ever longer than
 * one name, and every group on the way is looked at once, however deep the tree is. The table keeps what can matter most:
 * the own group, those with the smallest limits, and then the nearest. What it has to leave out, and what cannot be
 * read, goes to the site's findings.
 */
#include "os/cgroup.h"

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

static const char *limit_file(int version)
{
    return version == 1 ? "memory.limit_in_bytes" : "memory.max";
}

/* ── one group ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static void close_group(const hri_cgroup *group)
{
    hri_file_close(group->limit_fd);
    hri_file_close(group->stat_fd);
    hri_file_close(group->charged_fd);
    hri_file_close(group->kernel_fd);
    hri_file_close(group->sockets_fd);
}

/* The way from the mount point down. */
struct way {
    hri_cgroup_chain *chain;
    const hri_site *site;
    const hri_cgroup_place *place;
    int folder;                        /* where the way has come to */
    int length;                        /* of place->below up to there */
    bool own;                          /* the process's own group */
    bool met;                          /* a group has been found on the way */
    uint64_t limits[HRI_CGROUP_DEPTH]; /* of the groups in the table */
};

/* The path that people know a group by. */
static const char *path_of(const struct way *way, char path[HRI_MOUNT_BYTES])
{
    snprintf(path, HRI_MOUNT_BYTES, "%.*s", way->length, way->place->below);
    return path[0] ? path : "/";
}

/* A long path keeps its end, which tells groups apart. */
static void name_group(const struct way *way, hri_cgroup *group)
{
    char whole[HRI_MOUNT_BYTES];
    const char *path = path_of(way, whole), *file = limit_file(way->chain->version), *cut = "";
    size_t room = sizeof group->name - sizeof "cgroup v1 …  " - strlen(file);
    if (strlen(path) > room) {
        path += strlen(path) - room;
        cut = "…";
    }
    snprintf(group->name, sizeof group->name, "cgroup v%d %s%s %s", way->chain->version, cut, path, file);
}

/* Says that a file of the group could not be read. One that is not there is no news, unless it has to be. */
static void tell_unreadable(const struct way *way, const char *file, int error, bool needed)
{
    char path[HRI_MOUNT_BYTES];
    if (error < 0 && (needed || error != -ENOENT))
        hri_findings_add(way->site->findings, "%s of the cgroup %s cannot be read: %s.", file, path_of(way, path),
                         strerror(-error));
}

#define FILES 5

/* Opens one group's files. Gives 0, -ENOENT where it has no limit that can be read (v2's root has none), or a shortage. */
static int open_group(const struct way *way, hri_cgroup *group)
{
    static const char *const names[2][FILES] = {
        {"memory.limit_in_bytes", "memory.stat", "memory.usage_in_bytes", "memory.kmem.usage_in_bytes",
         "memory.kmem.tcp.usage_in_bytes"},
        {"memory.max", "memory.stat", "memory.current", NULL, NULL},
    };
    int fds[FILES] = {-1, -1, -1, -1, -1};
    int error = 0;
    for (unsigned i = 0; i < FILES && names[way->chain->version - 1][i] && !error; i++) {
        const char *name = names[way->chain->version - 1][i];
        fds[i] = hri_file_open_in(way->folder, name);
        if (hri_file_shortage(fds[i]))
            error = fds[i];
        else if (fds[i] < 0)
            tell_unreadable(way, name, fds[i], i == 1);
        if (i == 0 && fds[i] < 0 && !error)
            error = -ENOENT;
    }
    *group = (hri_cgroup){
        .limit_fd = fds[0], .stat_fd = fds[1], .charged_fd = fds[2], .kernel_fd = fds[3], .sockets_fd = fds[4]};
    if (error)
        close_group(group);
    else
        name_group(way, group);
    return error;
}

/* ── what cannot be seen of it ──────────────────────────────────────────────────────────────────────────────────── */

static bool read_number_in(const struct way *way, const char *name, uint64_t *ret_value)
{
    char text[NUMBER_BYTES];
    int fd = hri_file_open_in(way->folder, name);
    if (hri_file_shortage(fd))
        way->site->findings->shortage = fd;
    bool known = hri_file_read(fd, text, sizeof text) >= 0 && hri_parse_number(text, ret_value) == 0;
    hri_file_close(fd);
    return known;
}

/* Limits of another kind, which are in no ledger. */
static void tell_other_limits(const struct way *way, uint64_t limit_bytes)
{
    hri_findings *findings = way->site->findings;
    char whole[HRI_MOUNT_BYTES], size[16], other[16];
    const char *path = path_of(way, whole);
    uint64_t value;
    if (way->chain->version == 2 && read_number_in(way, "memory.high", &value) && value < limit_bytes)
        hri_findings_add(findings,
                         "memory.high of the cgroup %s is %s, below its memory.max (%s): above it the kernel slows the "
                         "group down and reclaims; it does not kill. It is in no ledger.",
                         path, hr_size_format(value, size, sizeof size),
                         hr_size_format(limit_bytes, other, sizeof other));
    if (way->chain->version == 2 && read_number_in(way, "memory.swap.max", &value) && value > 0 && value != HR_NONE)
        hri_findings_add(findings, "Swap of the cgroup %s is limited to %s (memory.swap.max). It is in no ledger.",
                         path, hr_size_format(value, size, sizeof size));
    if (way->chain->version == 1 && read_number_in(way, "memory.memsw.limit_in_bytes", &value) &&
        value < HRI_CGROUP_V1_UNLIMITED && value != limit_bytes)
        hri_findings_add(findings,
                         "Memory and swap of the cgroup %s are together limited to %s (memory.memsw.limit_in_bytes). "
                         "That is in no ledger.",
                         path, hr_size_format(value, size, sizeof size));
}

/* Says what a group keeps to itself. `group` stands in a chain of its own. */
static void tell_of(const struct way *way, const hri_cgroup_chain *alone, int limit_error, uint64_t limit_bytes)
{
    hri_cgroup_reading reading;
    if (!way->site->findings)
        return;
    char path[HRI_MOUNT_BYTES];
    if (limit_error == -EINVAL)
        hri_findings_add(way->site->findings, "%s of the cgroup %s says no number: its limit is not known.",
                         limit_file(alone->version), path_of(way, path));
    else
        tell_unreadable(way, limit_file(alone->version), limit_error, true);
    bool legible = alone->groups[0].stat_fd >= 0;
    if (!limit_error && legible && hri_cgroup_read(alone, 0, &reading) == 0 && reading.use_bytes == HR_NONE)
        hri_findings_add(way->site->findings,
                         "memory.stat of the cgroup %s is empty or cut short, or a figure beside it cannot be read: "
                         "what the group uses is not known.",
                         path_of(way, path));
    if (!limit_error)
        tell_other_limits(way, limit_bytes);
}

/* The topmost group that can be seen may stand below others. v1 tells each group the smallest limit of all that contain
 * it; v2's true root is the only group without a limit file. */
static void tell_above(const struct way *way, const hri_cgroup *top, uint64_t limit_bytes)
{
    char text[STAT_BYTES], size[16];
    uint64_t above;
    const char *mount = way->place->mount;
    bool told = hri_file_read(top->stat_fd, text, sizeof text) >= 0 &&
                hri_parse_key(text, "hierarchical_memory_limit", &above) == 0;
    bool root = way->length == 0;
    if (top->hidden)
        hri_findings_add(way->site->findings,
                         "A cgroup above %s, which cannot be seen from here, has a limit of %s: it is taken for the "
                         "group's own, and what others use of it is not known.",
                         mount, hr_size_format(limit_bytes, size, sizeof size));
    else if (root && (way->chain->version == 2 || (way->place->partial && !told)))
        hri_findings_add(
            way->site->findings,
            "Limits above %s cannot be seen from here: what is mounted there is only a part of the tree of "
            "cgroups.",
            mount);
}

/* ── the table ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Which group is worth the least: the farthest without a limit, else the one with the largest limit. HRI_CGROUP_DEPTH
 * stands for the newcomer, which is the nearest of all. */
static unsigned least_of(const struct way *way, uint64_t newcomer_limit_bytes)
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

static void take_in(struct way *way, const hri_cgroup *group, uint64_t limit_bytes)
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
static int look_around(struct way *way)
{
    hri_cgroup_chain alone = {.version = way->chain->version, .count = 1};
    hri_cgroup *group = &alone.groups[0];
    int error = open_group(way, group);
    if (error)
        return hri_file_shortage(error);
    uint64_t limit, with_hidden;
    error = hri_cgroup_read_limit(&alone, 0, &limit);
    if (hri_cgroup_is_gone(error)) { /* gone since: so is the process */
        close_group(group);
        return 0;
    }
    tell_of(way, &alone, error, error ? HR_NONE : limit);
    if (!error && !way->met && alone.version == 1) {
        group->hidden = true;
        group->hidden = hri_cgroup_read_limit(&alone, 0, &with_hidden) == 0 && with_hidden < limit;
        limit = hri_min(limit, with_hidden);
    }
    if (!error && !way->met)
        tell_above(way, group, limit);
    way->met = true;
    take_in(way, group, error ? HR_NONE : limit);
    return 0;
}

/* Goes into the next folder. Gives 1, 0 at the end of the way or where it is barred, or a shortage. */
static int step_down(struct way *way)
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
    if (folder < 0) {
        char path[HRI_MOUNT_BYTES];
        hri_findings_add(way->site->findings,
                         "The cgroup %s cannot be opened: %s. Its own limit and what is below it "
                         "are not known.",
                         path_of(way, path), strerror(-folder));
        return hri_file_shortage(folder);
    }
    hri_file_close(way->folder);
    way->folder = folder;
    way->own = way->place->below[way->length] == '\0';
    return 1;
}

/* A way that found no group and nothing in its way either has come through a tree without memory limits. */
static void tell_no_controller(const struct way *way, size_t told_before)
{
    hri_findings *findings = way->site->findings;
    char path[HRI_MOUNT_BYTES];
    if (findings && !way->met && way->place->below[0] && findings->unseen_count == told_before)
        hri_findings_add(findings,
                         "Neither the cgroup %s nor any above it has a file %s: the memory controller is not enabled "
                         "there.",
                         path_of(way, path), limit_file(way->chain->version));
}

static int open_chain(hri_cgroup_chain *chain, const hri_site *site, const hri_cgroup_place *place)
{
    size_t told_before = site->findings ? site->findings->unseen_count : 0;
    struct way way = {.chain = chain, .site = site, .place = place, .own = place->below[0] == '\0'};
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
    hri_file_close(way.folder);
    if (!result)
        tell_no_controller(&way, told_before);
    turn_round(chain);
    return result;
}

/* ── where it begins ────────────────────────────────────────────────────────────────────────────────────────────── */

/* Texts of /proc have no upper bound: as much as fits is read; a line that is cut is passed over. */
#define PROC_BYTES (64 * 1024)

/* Reads one of /proc's texts, for the findings. Gives 0 or a negative errno. */
static int read_proc(const hri_site *site, const char *file, char *text)
{
    ssize_t length = hri_file_read_path(site->root, file, text, PROC_BYTES);
    if (length >= 0)
        return 0;
    if (hri_file_shortage((int)length))
        site->findings->shortage = (int)length;
    hri_findings_add(site->findings, "%s cannot be read: %s.", file, strerror((int)-length));
    text[0] = '\0';
    return (int)length;
}

static void tell_cut(const hri_site *site, const char *file, const char *text)
{
    size_t length = strlen(text);
    if (length > 0 && text[length - 1] != '\n')
        hri_findings_add(site->findings, "%s is cut short: what stands behind its first %zu bytes is not known.", file,
                         length);
}

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
    char folder[2 * HRI_MOUNT_BYTES];
    snprintf(folder, sizeof folder, "%s%s", ret_place->mount, ret_place->below);
    hri_findings_place(site->findings, version, path, ret_place->outside ? NULL : folder);
    return 0;
}

/* Says why no place was found. */
static void tell_lost(const hri_site *site, char *text)
{
    char file[HRI_SITE_PATH_BYTES], path[HRI_MOUNT_BYTES];
    if (!site->findings)
        return;
    hri_site_path(site, "cgroup", file);
    if (read_proc(site, file, text) != 0)
        return;
    tell_cut(site, file, text);
    bool named = hri_parse_cgroup_path(text, 1, path, sizeof path) == 0 ||
                 hri_parse_cgroup_path(text, 2, path, sizeof path) == 0;
    if (!named) {
        hri_findings_add(site->findings, "%s names no memory cgroup: its limits, if there are any, are not known.",
                         file);
        return;
    }
    if (read_proc(site, "/proc/self/mountinfo", text) != 0)
        return;
    tell_cut(site, "/proc/self/mountinfo", text);
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

int hri_cgroup_open(hri_cgroup_chain *chain, const hri_site *site)
{
    *chain = (hri_cgroup_chain){0};
    void *text; /* no block of malloc()'s: a guard finds its groups anew with a lock held */
    int error = hri_pages_map(PROC_BYTES, &text);
    if (error)
        return error;
    bool placed = false;
    for (int version = 1; version <= 2 && chain->count == 0 && !hri_file_shortage(error); version++) {
        hri_cgroup_place place = {0};
        error = find_place(site, version, text, &place);
        if (error)
            continue;
        placed = true;
        chain->version = version;
        error = open_chain(chain, site, &place);
        if (!error)
            tell_left_out(chain, site);
    }
    if (!placed && !hri_file_shortage(error))
        tell_lost(site, text);
    hri_pages_unmap(text, PROC_BYTES);
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

void hri_cgroup_abandon(hri_cgroup_chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++) {
        hri_cgroup *group = &chain->groups[i];
        group->limit_fd = group->stat_fd = group->charged_fd = group->kernel_fd = group->sockets_fd = -1;
    }
}
