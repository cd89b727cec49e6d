/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in pipes, in local sockets, and watches. The kernel tells the bytes in a pipe to a process that has it open.
 * So a pipe of another process is opened for a moment, for writing. If its last writer closes it at that moment, its
 * reader sees the end a few microseconds later. Were it opened for reading, a write to a pipe that has lost its readers
 * would succeed, and the bytes would be lost. fork() waits for the gauge's lock, so no child inherits the descriptor.
 */
#define _GNU_SOURCE
#include "os/descriptors.h"

#include "base/checked.h"
#include "os/file.h"
#include "os/numbers.h"
#include "os/sockets.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIND_BYTES 32
#define PATH_BYTES 64

struct look {
    hri_descriptors kept;
    char process[24]; /* whose descriptors: "self", or a number */
    bool own;
    unsigned left;              /* that may still be looked at */
    uint64_t sockets_bytes;     /* of own ones */
    hri_numbers pipes, sockets; /* that were seen: two processes may have one */
};

/* Opens a pipe of another process, and nothing else that may have its number by now. */
static int open_pipe(int folder, const char *name, uint64_t pipe)
{
    struct stat facts;
    int fd = -1, place = openat(folder, name, O_PATH | O_CLOEXEC);
    if (place >= 0 && fstat(place, &facts) == 0 && S_ISFIFO(facts.st_mode) && facts.st_ino == pipe)
        fd = hri_file_open_again(place, O_WRONLY | O_NONBLOCK);
    hri_file_close(place);
    return fd;
}

/* A pipe is counted by its writing end: the kernel charges it so. The mode of a link in /proc/PID/fd says how the
 * descriptor was opened. */
static void add_pipe(int folder, const char *name, uint64_t pipe, struct look *look)
{
    struct stat link;
    int bytes = 0;
    if (fstatat(folder, name, &link, AT_SYMLINK_NOFOLLOW) != 0 || !(link.st_mode & S_IWUSR) ||
        hri_numbers_have(&look->pipes, pipe))
        return;
    hri_numbers_add(&look->pipes, pipe);
    int fd = look->own ? (int)strtol(name, NULL, 10) : open_pipe(folder, name, pipe);
    if (fd >= 0 && ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0)
        look->kept.queued_bytes = hri_add(look->kept.queued_bytes, (uint64_t)bytes);
    if (!look->own)
        hri_file_close(fd);
}

/* The own ones are asked, in whatever network namespace they are. Those of others are looked up when all are known. */
static void add_socket(const char *name, uint64_t number, struct look *look)
{
    hri_numbers_add(&look->sockets, number);
    if (look->own)
        look->sockets_bytes = hri_add(look->sockets_bytes, hri_sockets_queued_in((int)strtol(name, NULL, 10)));
}

static void count_watch(const char *line, void *context)
{
    hri_descriptors *kept = context;
    kept->watches += strncmp(line, "inotify wd:", 11) == 0;
}

static void count_watches(const char *name, struct look *look)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%s/fdinfo/%.16s", look->process, name);
    int fd = hri_file_open("", path);
    hri_file_each_line(fd, count_watch, &look->kept);
    hri_file_close(fd);
}

/* Another thread may put another file under an own number meanwhile. These questions harm no kind of file. */
static int look_at(int folder, const char *name, void *context)
{
    struct look *look = context;
    char kind[KIND_BYTES] = {0};
    if (look->left == 0)
        return 1;
    look->left--;
    if (readlinkat(folder, name, kind, sizeof kind - 1) <= 0)
        return 0;
    if (strncmp(kind, "pipe:[", 6) == 0)
        add_pipe(folder, name, strtoull(kind + 6, NULL, 10), look);
    else if (strncmp(kind, "socket:[", 8) == 0)
        add_socket(name, strtoull(kind + 8, NULL, 10), look);
    else if (strstr(kind, "inotify"))
        count_watches(name, look);
    return 0;
}

static void look_through(struct look *look)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/proc/%s/fd", look->process);
    hri_file_each_name(path, look_at, look);
}

static void look_through_member(const char *line, void *context)
{
    struct look *look = context;
    long pid = strtol(line, NULL, 10);
    if (pid <= 0 || pid == getpid() || look->left == 0)
        return;
    look->left--;
    snprintf(look->process, sizeof look->process, "%ld", pid);
    look_through(look);
}

void hri_descriptors_read(int members_fd, hri_descriptors *ret_kept)
{
    struct look look = {.process = "self", .own = true, .left = HRI_DESCRIPTORS_OWN};
    look_through(&look);
    look.own = false;
    look.left = HRI_DESCRIPTORS_OTHER;
    int list = hri_file_open_again(members_fd, O_RDONLY); /* on v1 an open list stays as it was first read */
    hri_file_each_line(list, look_through_member, &look);
    hri_file_close(list);
    uint64_t sockets_bytes = hri_max(look.sockets_bytes, hri_sockets_queued(&look.sockets));
    look.kept.queued_bytes = hri_add(look.kept.queued_bytes, sockets_bytes);
    *ret_kept = look.kept;
}
