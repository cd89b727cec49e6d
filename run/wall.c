/* SPDX-License-Identifier: Apache-2.0 */
#include "wall.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAISE_MIN_BYTES (UINT64_C(64) << 10)
#define GROUP_PREFIX "headroom-tree-"
#define OWN_PREFIX "headroom-self-" /* v2: of the supervisor's own group; nobody ends what is in there */
#define NAME_TRIES 8

__attribute__((format(printf, 2, 3))) static void say(run_wall *wall, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    vsnprintf(wall->why, sizeof wall->why, format, rest);
    va_end(rest);
}

/* ── moving ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Moves all processes of a group into another, and those that they fork meanwhile. */
static void move_all(const char *from, const char *to)
{
    char text[8192];
    for (int round = 0; round < 8 && run_file_read(from, "cgroup.procs", text, sizeof text) > 0; round++) {
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            run_file_write(to, "cgroup.procs", line);
    }
}

/* Removes a group with those that its processes have made below it. */
static int remove_group(const char *folder, const char *refuge)
{
    DIR *groups = opendir(folder);
    for (struct dirent *each = groups ? readdir(groups) : NULL; each; each = readdir(groups)) {
        char below[RUN_PATH_BYTES];
        if (each->d_type == DT_DIR && each->d_name[0] != '.')
            remove_group(run_path(folder, each->d_name, below), refuge);
    }
    if (groups)
        closedir(groups);
    move_all(folder, refuge);
    for (int round = 0; rmdir(folder) != 0; round++) {
        if (errno != EBUSY || round == 500)
            return -errno;
        usleep(2000); /* processes that have ended leave a moment later */
    }
    return 0;
}

/* ── version 1 ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Arms an eventfd on memory.oom_control. Gives it, or a negative errno. */
static int arm_v1(const char *folder)
{
    char path[RUN_PATH_BYTES], line[64];
    int control = open(run_path(folder, "memory.oom_control", path), O_RDONLY | O_CLOEXEC);
    if (control < 0)
        return -errno;
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), error = event < 0 ? -errno : 0;
    if (!error) {
        snprintf(line, sizeof line, "%d %d", event, control);
        error = run_file_write(folder, "cgroup.event_control", line);
    }
    close(control);
    if (error && event >= 0)
        close(event);
    return error ? error : event;
}

/* Has it groups below it? A cgroup folder has two links, and one more by each of them. */
static bool has_groups(const char *folder)
{
    struct stat status;
    return stat(folder, &status) == 0 && status.st_nlink > 2;
}

/* Switches the killer on in all groups below. The wall of a run within this one is its supervisor's: `spare` leaves it
 * alone, with all below it. */
static void switch_on_below(const char *folder, bool spare)
{
    DIR *groups = has_groups(folder) ? opendir(folder) : NULL;
    for (struct dirent *each = groups ? readdir(groups) : NULL; each; each = readdir(groups)) {
        char below[RUN_PATH_BYTES];
        uint64_t off = 0;
        if (each->d_type != DT_DIR || each->d_name[0] == '.' ||
            (spare && strncmp(each->d_name, GROUP_PREFIX, sizeof GROUP_PREFIX - 1) == 0))
            continue;
        run_path(folder, each->d_name, below);
        if (run_file_number(below, "memory.oom_control", "oom_kill_disable", &off) && off)
            run_file_write(below, "memory.oom_control", "0");
        switch_on_below(below, spare);
    }
    if (groups)
        closedir(groups);
}

void run_wall_tend(const run_wall *wall)
{
    if (wall->kind == RUN_WALL_V1)
        switch_on_below(wall->folder, true);
}

static int make_v1(run_wall *wall, uint64_t limit_bytes)
{
    int error = run_file_write(wall->folder, "memory.oom_control", "1");
    if (!error)
        error = run_file_write_number(wall->folder, "memory.limit_in_bytes", limit_bytes);
    if (!error) {
        wall->event_fd = arm_v1(wall->folder);
        error = wall->event_fd < 0 ? wall->event_fd : 0;
    }
    if (!error)
        wall->kind = RUN_WALL_V1;
    return error;
}

/* ── version 2 ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes the group around hand on its memory controller. The root of the machine can; any other only without processes
 * of its own, so the command moves itself aside, and moves back if it is not the only one. */
static int hand_on(run_wall *wall)
{
    char text[1024], pid[16];
    if (run_file_read(wall->around, "cgroup.subtree_control", text, sizeof text) >= 0 && strstr(text, "memory"))
        return 0;
    if (run_file_write(wall->around, "cgroup.subtree_control", "+memory") == 0)
        return 0;
    snprintf(pid, sizeof pid, "%d", getpid());
    char name[48];
    snprintf(name, sizeof name, OWN_PREFIX "%d", getpid());
    run_path(wall->around, name, wall->own);
    int error = mkdir(wall->own, 0755) == 0 ? 0 : -errno;
    if (!error)
        error = run_file_write(wall->own, "cgroup.procs", pid);
    if (!error)
        error = run_file_write(wall->around, "cgroup.subtree_control", "+memory");
    if (error && wall->own[0]) {
        run_file_write(wall->around, "cgroup.procs", pid);
        rmdir(wall->own);
        wall->own[0] = '\0';
    }
    return error;
}

static int make_v2(run_wall *wall, uint64_t limit_bytes)
{
    char path[RUN_PATH_BYTES];
    int error = run_file_write_number(wall->folder, "memory.high", limit_bytes);
    if (error)
        return error;
    wall->event_fd = open(run_path(wall->folder, "memory.events", path), O_RDONLY | O_CLOEXEC);
    wall->kind = RUN_WALL_V2;
    return 0;
}

/* A process of a group that is x bytes beyond memory.high H sleeps 64 s * (x / H)^2 after each 64 pages
 * (calculate_high_delay() in mm/memcontrol.c). At 250 ticks a second the kernel leaves out sleeps below 12 ms, which is
 * x < 1.37 % of H. So the sleeps from H to H + D add up to 64 s * (D^3 - (1.37 % of H)^3) / (3 * 64 pages * H^2).
 * With H 2 % below a limit of 100 MiB that was less than 100 ms, and a supervisor that was off the processor for so
 * long came too late. */
uint64_t run_wall_distance(uint64_t limit_bytes)
{
    const double pages_bytes = 64 * 4096, full_ns = 64e9, left_out = 0.0137;
    double below = 0, slowed_ns = 0;
    while (slowed_ns < (double)RUN_SECOND_NS && below < (double)limit_bytes / 2) {
        below += (double)limit_bytes / 1024;
        double high = (double)limit_bytes - below, begin = left_out * high;
        slowed_ns = full_ns * (below * below * below - begin * begin * begin) / (3 * pages_bytes * high * high);
    }
    return (uint64_t)below;
}

/* Sends SIGKILL to all processes of a group and of those below it. Gives false when there are none. */
static bool kill_all(const char *folder)
{
    char text[8192];
    bool found = false;
    if (run_file_read(folder, "cgroup.procs", text, sizeof text) > 0) {
        for (char *rest = NULL, *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            found |= atoi(line) > 0 && kill(atoi(line), SIGKILL) == 0;
    }
    DIR *groups = opendir(folder);
    for (struct dirent *each = groups ? readdir(groups) : NULL; each; each = readdir(groups)) {
        char below[RUN_PATH_BYTES];
        if (each->d_type == DT_DIR && each->d_name[0] != '.')
            found |= kill_all(run_path(folder, each->d_name, below));
    }
    if (groups)
        closedir(groups);
    return found;
}

/* ── one tree, one group ────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes the lock of a group. Gives it, or -1: a supervisor has it, or there is no such group. */
static int lock_group(const char *folder)
{
    struct stat there, locked;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    bool is_ours = flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &locked) == 0 && stat(folder, &there) == 0 &&
                   there.st_ino == locked.st_ino; /* else it has been removed meanwhile */
    if (!is_ours)
        close(fd);
    return is_ours ? fd : -1;
}

static void end_group(run_wall *wall)
{
    for (int round = 0; kill_all(wall->folder) && round < 1000; round++)
        usleep(5000);
    run_wall_remove(wall);
}

/* Ends the trees that nobody watches any more: their processes sleep at a wall that nobody raises. Another user's are
 * left to that user. */
static void end_left(const char *around, run_wall_kind kind)
{
    DIR *groups = opendir(around);
    for (struct dirent *each = groups ? readdir(groups) : NULL; each; each = readdir(groups)) {
        run_wall left = {.kind = kind, .event_fd = -1, .lock_fd = -1};
        struct stat status;
        char own[RUN_PATH_BYTES];
        if (each->d_type != DT_DIR)
            continue;
        if (strncmp(each->d_name, OWN_PREFIX, sizeof OWN_PREFIX - 1) == 0)
            rmdir(run_path(around, each->d_name, own)); /* one that is in use stays */
        if (strncmp(each->d_name, GROUP_PREFIX, sizeof GROUP_PREFIX - 1) != 0)
            continue;
        snprintf(left.around, sizeof left.around, "%s", around);
        run_path(around, each->d_name, left.folder);
        if (stat(left.folder, &status) != 0 || status.st_uid != geteuid())
            continue;
        left.lock_fd = lock_group(left.folder);
        if (left.lock_fd >= 0)
            end_group(&left);
    }
    if (groups)
        closedir(groups);
}

/* Makes the tree's group, and locks it. A name is taken where a PID namespace has a supervisor of the same number.
 * Another supervisor may remove the group before the lock is there. Gives 0 or a negative errno. */
static int make_group(run_wall *wall)
{
    int error = -EEXIST;
    for (int round = 0; error == -EEXIST && round < NAME_TRIES; round++) {
        char name[48];
        snprintf(name, sizeof name, round ? GROUP_PREFIX "%d.%d" : GROUP_PREFIX "%d", getpid(), round);
        error = mkdir(run_path(wall->around, name, wall->folder), 0755) == 0 ? 0 : -errno;
        if (error)
            continue;
        wall->lock_fd = lock_group(wall->folder);
        if (wall->lock_fd < 0)
            error = -EEXIST;
    }
    return error;
}

/* ── both ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void say_kind(run_wall *wall)
{
    char size[16];
    hr_size_format(wall->now_bytes, size, sizeof size);
    if (wall->kind == RUN_WALL_V1)
        say(wall, "cgroup v1 at %s: the tree sleeps there, the kernel's killer is off", size);
    else if (wall->kind == RUN_WALL_V2)
        say(wall, "cgroup v2, memory.high at %s: the tree is slowed down there", size);
}

/* The words to type where systemd may give the command a group of its own. A file system that is read-only stays so,
 * and users get no group of version 1. */
static const char *advice(int version, int error)
{
    if (version != 2 || error == -EROFS || access("/run/systemd/system", F_OK) != 0)
        return "";
    return geteuid() == 0
               ? ". 'systemd-run --scope -p Delegate=yes headroom run ...' gives it a group of its own"
               : ". 'systemd-run --user --scope -p Delegate=yes headroom run ...' gives it a group of its own";
}

void run_wall_make(run_wall *wall, const hr_survey *survey, uint64_t limit_bytes, uint64_t ceiling_bytes)
{
    *wall = (run_wall){.event_fd = -1, .lock_fd = -1, .now_bytes = limit_bytes, .ceiling_bytes = ceiling_bytes};
    if (!survey->cgroup_folder) {
        say(wall, "none: the cgroup that this process is in cannot be seen; looking often is all that holds");
        return;
    }
    snprintf(wall->around, sizeof wall->around, "%s", survey->cgroup_folder);
    end_left(wall->around, survey->cgroup_version == 1 ? RUN_WALL_V1 : RUN_WALL_V2);
    int error = survey->cgroup_version == 2 ? hand_on(wall) : 0;
    if (!error)
        error = make_group(wall);
    if (!error) {
        error = survey->cgroup_version == 1 ? make_v1(wall, limit_bytes) : make_v2(wall, limit_bytes);
        if (error) {
            rmdir(wall->folder);
            close(wall->lock_fd);
        }
    }
    say_kind(wall);
    if (error)
        say(wall, "none: no cgroup can be made in %.200s (%s); looking often is all that holds%s", wall->around,
            strerror(-error), advice(survey->cgroup_version, error));
}

int run_wall_enter(const run_wall *wall)
{
    return wall->kind == RUN_WALL_NONE ? 0 : run_file_write(wall->folder, "cgroup.procs", "0");
}

bool run_wall_is_hit(run_wall *wall)
{
    uint64_t number = 0, before = wall->highs;
    if (wall->kind == RUN_WALL_V1)
        return run_file_number(wall->folder, "memory.oom_control", "under_oom", &number) && number > 0;
    if (wall->kind == RUN_WALL_V2 && run_file_number(wall->folder, "memory.events", "high", &number))
        wall->highs = number;
    return wall->highs > before;
}

static int move(run_wall *wall, uint64_t bytes)
{
    const char *file = wall->kind == RUN_WALL_V1 ? "memory.limit_in_bytes" : "memory.high";
    int error = wall->kind == RUN_WALL_NONE ? 0 : run_file_write_number(wall->folder, file, bytes);
    if (!error)
        wall->now_bytes = bytes;
    return error;
}

int run_wall_set(run_wall *wall, uint64_t bytes)
{
    int error = move(wall, bytes);
    if (!error)
        say_kind(wall);
    return error;
}

void run_wall_yield(run_wall *wall)
{
    if (wall->now_bytes >= wall->ceiling_bytes)
        return;
    uint64_t step = (wall->ceiling_bytes - wall->now_bytes) / 2;
    if (step >= RAISE_MIN_BYTES)
        move(wall, wall->now_bytes + step);
}

bool run_wall_freeze(run_wall *wall, bool freeze)
{
    if (wall->kind != RUN_WALL_V2 || run_file_write(wall->folder, "cgroup.freeze", freeze ? "1" : "0") != 0)
        return false;
    wall->frozen = freeze;
    return true;
}

bool run_wall_kill(const run_wall *wall)
{
    return wall->kind == RUN_WALL_V2 && run_file_write(wall->folder, "cgroup.kill", "1") == 0;
}

void run_wall_end(run_wall *wall)
{
    if (wall->kind != RUN_WALL_NONE)
        end_group(wall);
}

int run_wall_reclaim(const run_wall *wall, uint64_t bytes)
{
    if (wall->kind == RUN_WALL_V2)
        return run_file_write_number(wall->folder, "memory.reclaim", bytes);
    return wall->kind == RUN_WALL_V1 ? run_file_write(wall->folder, "memory.force_empty", "0") : -ENOTSUP;
}

/* Version 1 counts in the group of the process that was killed, version 2 in all above it too. */
static uint64_t kills_below(const char *folder)
{
    uint64_t kills = 0;
    run_file_number(folder, "memory.oom_control", "oom_kill", &kills);
    DIR *groups = opendir(folder);
    for (struct dirent *each = groups ? readdir(groups) : NULL; each; each = readdir(groups)) {
        char below[RUN_PATH_BYTES];
        if (each->d_type == DT_DIR && each->d_name[0] != '.')
            kills += kills_below(run_path(folder, each->d_name, below));
    }
    if (groups)
        closedir(groups);
    return kills;
}

uint64_t run_group_kills(unsigned version, const char *folder)
{
    uint64_t kills = 0;
    if (version == 2)
        run_file_number(folder, "memory.events", "oom_kill", &kills);
    else
        kills = kills_below(folder);
    return kills;
}

uint64_t run_wall_kills(const run_wall *wall)
{
    return wall->kind == RUN_WALL_NONE ? 0 : run_group_kills(wall->kind == RUN_WALL_V2 ? 2 : 1, wall->folder);
}

uint64_t run_wall_peak(const run_wall *wall)
{
    uint64_t peak;
    const char *file = wall->kind == RUN_WALL_V1 ? "memory.max_usage_in_bytes" : "memory.peak";
    return wall->kind != RUN_WALL_NONE && run_file_number(wall->folder, file, NULL, &peak) ? peak : HR_NONE;
}

void run_wall_remove(run_wall *wall)
{
    char pid[16];
    if (wall->kind == RUN_WALL_NONE)
        return;
    if (wall->event_fd >= 0)
        close(wall->event_fd);
    if (wall->kind == RUN_WALL_V1) { /* what sleeps goes on, and what stays behind is the kernel's again */
        run_file_write(wall->folder, "memory.limit_in_bytes", "-1");
        run_file_write(wall->folder, "memory.oom_control", "0");
        switch_on_below(wall->folder, false);
    } else {
        run_file_write(wall->folder, "memory.high", "max");
        run_file_write(wall->folder, "cgroup.freeze", "0");
    }
    remove_group(wall->folder, wall->own[0] ? wall->own : wall->around);
    if (wall->own[0]) { /* back to where it came from, which has no controller to hand on then */
        snprintf(pid, sizeof pid, "%d", getpid());
        run_file_write(wall->around, "cgroup.subtree_control", "-memory");
        run_file_write(wall->around, "cgroup.procs", pid);
        remove_group(wall->own, wall->around);
    }
    if (wall->lock_fd >= 0) /* not before: what is in a group without it may be ended */
        close(wall->lock_fd);
    wall->kind = RUN_WALL_NONE;
}
