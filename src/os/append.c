/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "os/append.h"

#include "base/uncancelled.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONGEST_SUFFIX 8

static int open_file(const char *path, int flags)
{
    HRI_UNCANCELLED;
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0644); /* a FIFO is not waited for */
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* Locks a file and sees that it is a regular one, still the one at `path`. Gives 0, or a negative errno; -ESTALE:
 * another has taken its place. */
static int own(int fd, const char *path, uint64_t *ret_size)
{
    struct stat mine, there;
    if (fstat(fd, &mine) != 0)
        return -errno;
    if (!S_ISREG(mine.st_mode))
        return -EINVAL;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (fstat(fd, &mine) != 0)
        return -errno;
    if (stat(path, &there) != 0 || there.st_ino != mine.st_ino || there.st_dev != mine.st_dev)
        return -ESTALE;
    *ret_size = (uint64_t)mine.st_size;
    return 0;
}

static void use(hri_append *file, int fd)
{
    file->fd = fd;
    file->mark = hri_file_mark_of(fd);
}

int hri_append_open(hri_append *file, const char *path, uint64_t most)
{
    size_t length = strlen(path);
    file->fd = -1;
    if (length + LONGEST_SUFFIX >= sizeof file->path)
        return -ENAMETOOLONG;
    memcpy(file->path, path, length + 1);
    file->most = most;
    int error = -ESTALE;
    for (int attempt = 0; attempt < 10 && error == -ESTALE; attempt++) {
        int fd = open_file(path, O_RDWR | O_CREAT);
        if (fd < 0)
            return fd == -ENXIO || fd == -EISDIR ? -EINVAL : fd;
        error = own(fd, path, &file->size);
        if (!error)
            use(file, fd);
        else
            hri_file_close(fd);
    }
    return error;
}

void hri_append_close(hri_append *file)
{
    hri_file_close_own(file->fd, &file->mark);
    file->fd = -1;
}

ssize_t hri_append_read(const hri_append *file, void *buffer, size_t size, uint64_t offset)
{
    HRI_UNCANCELLED;
    ssize_t got;
    do
        got = pread(file->fd, buffer, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

int hri_append_cut(hri_append *file, uint64_t size)
{
    if (ftruncate(file->fd, (off_t)size) != 0)
        return -errno;
    file->size = size;
    return 0;
}

static int write_at(int fd, const char *block, size_t size, uint64_t offset)
{
    HRI_UNCANCELLED;
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(fd, block + done, size - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR)
            return -errno;
        if (put == 0)
            return -ENOSPC;
        if (put > 0)
            done += (size_t)put;
    }
    return 0;
}

int hri_append_add(hri_append *file, const void *block, size_t size)
{
    if (file->fd < 0 || !hri_file_is(file->fd, &file->mark)) {
        file->fd = -1;
        return -EBADF;
    }
    int error = write_at(file->fd, block, size, file->size);
    if (error)
        (void)hri_append_cut(file, file->size); /* if that fails too, the next block is written over it */
    else
        file->size += size;
    return error;
}

void hri_append_finish_turn(hri_append *file)
{
    static const char *const names[] = {".1", ".old"};
    char name[HRI_APPEND_PATH_BYTES];
    struct stat mine, there;
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%.*s%s", HRI_APPEND_PATH_BYTES - LONGEST_SUFFIX, file->path, names[i]);
        if (fstat(file->fd, &mine) == 0 && lstat(name, &there) == 0 && mine.st_ino == there.st_ino &&
            mine.st_dev == there.st_dev)
            unlink(name);
    }
}

int hri_append_turn(hri_append *file, const void *head, size_t size)
{
    HRI_UNCANCELLED;
    char fresh[HRI_APPEND_PATH_BYTES], older[HRI_APPEND_PATH_BYTES], spare[HRI_APPEND_PATH_BYTES];
    snprintf(fresh, sizeof fresh, "%.*s.new", HRI_APPEND_PATH_BYTES - LONGEST_SUFFIX, file->path);
    snprintf(older, sizeof older, "%.*s.1", HRI_APPEND_PATH_BYTES - LONGEST_SUFFIX, file->path);
    snprintf(spare, sizeof spare, "%.*s.old", HRI_APPEND_PATH_BYTES - LONGEST_SUFFIX, file->path);
    unlink(fresh);
    unlink(spare);
    int fd = open_file(fresh, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0)
        return fd;
    int error = flock(fd, LOCK_EX | LOCK_NB) != 0 ? -errno : write_at(fd, head, size, 0);
    /* A second name for what is full becomes FILE.1, then the new one takes the first name: no moment is without
     * FILE. */
    if (!error && (link(file->path, spare) != 0 || rename(spare, older) != 0 || rename(fresh, file->path) != 0))
        error = -errno;
    if (error) {
        unlink(fresh);
        unlink(spare);
        hri_file_close(fd);
        return error;
    }
    hri_append_close(file);
    use(file, fd);
    file->size = size;
    return 0;
}

int hri_append_open_to_read(const char *path, const char *suffix)
{
    char whole[HRI_APPEND_PATH_BYTES];
    struct stat status;
    int length = snprintf(whole, sizeof whole, "%s%s", path, suffix);
    if (length < 0 || (size_t)length >= sizeof whole)
        return -ENAMETOOLONG;
    int fd = open_file(whole, O_RDONLY);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        return fd;
    hri_file_close(fd);
    return -EINVAL;
}

bool hri_append_is_same(int one, int other)
{
    struct stat first, second;
    return fstat(one, &first) == 0 && fstat(other, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

ssize_t hri_append_read_on(int fd, void *buffer, size_t size)
{
    HRI_UNCANCELLED;
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, (char *)buffer + done, size - done);
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)done;
}
