/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "os/file.h"

#include "base/uncancelled.h"
#include "os/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_at(int folder, const char *path, int flags)
{
    HRI_UNCANCELLED;
    int fd;
    do
        fd = openat(folder, path, flags | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

static int open_below(const char *root, const char *path, int flags)
{
    char whole[PATH_MAX];
    int length = snprintf(whole, sizeof whole, "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof whole)
        return -ENAMETOOLONG;
    return open_at(AT_FDCWD, whole, flags);
}

int hri_file_open(const char *root, const char *path)
{
    return open_below(root, path, O_RDONLY);
}

int hri_file_open_folder(const char *root, const char *path)
{
    return open_below(root, path, O_PATH | O_DIRECTORY);
}

int hri_file_open_folder_in(int folder, const char *name)
{
    return open_at(folder, name, O_PATH | O_DIRECTORY);
}

int hri_file_open_in(int folder, const char *name)
{
    return open_at(folder, name, O_RDONLY);
}

int hri_file_open_again(int fd, int flags)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return fd < 0 ? -EBADF : open_at(AT_FDCWD, path, flags);
}

int hri_file_shortage(int result)
{
    return result == -ENOMEM || result == -EMFILE || result == -ENFILE ? result : 0;
}

/* Reads what one call gives from `offset` on, up to what fits. */
static ssize_t read_at(int fd, char *buffer, size_t size, size_t offset)
{
    HRI_UNCANCELLED;
    ssize_t got;
    do
        got = pread(fd, buffer, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

ssize_t hri_file_read(int fd, char *buffer, size_t size)
{
    if (fd < 0)
        return -EBADF;
    ssize_t length = read_at(fd, buffer, size - 1, 0);
    if (length >= 0)
        buffer[length] = '\0';
    return length;
}

ssize_t hri_file_read_path(const char *root, const char *path, char *buffer, size_t size)
{
    int fd = hri_file_open(root, path);
    if (fd < 0)
        return fd;
    size_t length = 0;
    ssize_t got;
    while ((got = read_at(fd, buffer + length, size - 1 - length, length)) > 0)
        length += (size_t)got;
    hri_file_close(fd);
    buffer[length] = '\0';
    return got < 0 ? got : (ssize_t)length;
}

#define WHOLE_BYTES (16 * 1024) /* at first */

/* Twice as many pages as before, with the same text. Gives 0 or a negative errno; then all is as it was. */
static int grow(char **text, size_t *size)
{
    void *more;
    size_t new_size = *size ? *size * 2 : WHOLE_BYTES;
    int error = hri_pages_map(new_size, &more);
    if (error)
        return error;
    if (*text) {
        memcpy(more, *text, *size);
        hri_pages_unmap(*text, *size);
    }
    *text = more;
    *size = new_size;
    return 0;
}

int hri_file_read_whole(const char *root, const char *path, char **ret_text, size_t *ret_size)
{
    int fd = hri_file_open(root, path);
    if (fd < 0)
        return fd;
    char *text = NULL;
    size_t size = 0, length = 0;
    ssize_t got = 1;
    int error = 0;
    while (got > 0) {
        if (size - length < 2 && (error = grow(&text, &size)) != 0)
            break;
        got = read_at(fd, text + length, size - 1 - length, length);
        length += got > 0 ? (size_t)got : 0;
    }
    hri_file_close(fd);
    if (error || got < 0) {
        if (text)
            hri_pages_unmap(text, size);
        return error ? error : (int)got;
    }
    text[length] = '\0';
    *ret_text = text;
    *ret_size = size;
    return 0;
}

ssize_t hri_file_read_on(int fd, char *buffer, size_t size)
{
    HRI_UNCANCELLED;
    ssize_t got;
    do
        got = read(fd, buffer, size - 1);
    while (got < 0 && errno == EINTR);
    buffer[got > 0 ? got : 0] = '\0';
    return got < 0 ? -errno : got;
}

int hri_file_each_line(int fd, hri_line_fn *visit, void *context)
{
    char piece[HRI_LINE_BYTES + 1];
    size_t length = 0, offset = 0;
    ssize_t got;
    if (fd < 0)
        return -EBADF;
    while ((got = read_at(fd, piece + length, HRI_LINE_BYTES - length, offset)) > 0) {
        char *line = piece, *end;
        length += (size_t)got;
        offset += (size_t)got;
        while ((end = memchr(line, '\n', length - (size_t)(line - piece)))) {
            char next = end[1]; /* behind the last one there is room for the end */
            end[1] = '\0';
            visit(line, context);
            end[1] = next;
            line = end + 1;
        }
        length -= (size_t)(line - piece);
        memmove(piece, line, length);
        if (length == HRI_LINE_BYTES) {
            piece[length] = '\0';
            visit(piece, context);
            length = 0;
        }
    }
    return (int)got;
}

struct entry { /* as the kernel writes it: struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

int hri_file_each_name(const char *path, hri_name_fn *visit, void *context)
{
    alignas(struct entry) char entries[HRI_LINE_BYTES];
    int folder = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY), result = 0;
    long got = 0;
    if (folder < 0)
        return folder;
    while (result == 0 && (got = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
        const struct entry *entry;
        for (long at = 0; at < got && result == 0; at += entry->length) {
            entry = (const struct entry *)(const void *)(entries + at);
            result = visit(folder, entry->name, context);
        }
    }
    if (got < 0)
        result = -errno;
    hri_file_close(folder);
    return result;
}

int hri_file_write(int fd, const char *buffer, size_t size)
{
    HRI_UNCANCELLED;
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, buffer + done, size - done);
        if (put < 0 && errno != EINTR)
            return -errno;
        if (put > 0)
            done += (size_t)put;
    }
    return 0;
}

void hri_file_close(int fd)
{
    HRI_UNCANCELLED;
    if (fd >= 0)
        close(fd);
}

hri_file_mark hri_file_mark_of(int fd)
{
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return (hri_file_mark){0};
    return (hri_file_mark){.device = status.st_dev, .inode = status.st_ino};
}

bool hri_file_is(int fd, const hri_file_mark *mark)
{
    hri_file_mark now = hri_file_mark_of(fd);
    return now.device == mark->device && now.inode == mark->inode;
}

void hri_file_close_own(int fd, const hri_file_mark *mark)
{
    if (hri_file_is(fd, mark))
        hri_file_close(fd);
}
