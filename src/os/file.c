/* SPDX-License-Identifier: Apache-2.0 */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int hri_file_open(const char *root, const char *path)
{
    char whole[PATH_MAX];
    int length = snprintf(whole, sizeof whole, "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof whole)
        return -ENAMETOOLONG;
    int fd;
    do
        fd = open(whole, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int hri_file_shortage(int result)
{
    return result == -ENOMEM || result == -EMFILE || result == -ENFILE ? result : 0;
}

ssize_t hri_file_read(int fd, char *buffer, size_t size)
{
    if (fd < 0)
        return -EBADF;
    size_t length = 0;
    while (length < size - 1) {
        ssize_t got = pread(fd, buffer + length, size - 1 - length, (off_t)length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    buffer[length] = '\0';
    return (ssize_t)length;
}

ssize_t hri_file_read_path(const char *root, const char *path, char *buffer, size_t size)
{
    int fd = hri_file_open(root, path);
    if (fd < 0)
        return fd;
    ssize_t length = hri_file_read(fd, buffer, size);
    hri_file_close(fd);
    return length;
}

int hri_file_write(int fd, const char *buffer, size_t size)
{
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
    if (fd >= 0)
        close(fd);
}
