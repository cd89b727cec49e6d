/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t run_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * RUN_SECOND_NS + now.tv_nsec;
}

const char *run_path(const char *folder, const char *name, char path[RUN_PATH_BYTES])
{
    if (snprintf(path, RUN_PATH_BYTES, "%s/%s", folder, name) >= RUN_PATH_BYTES)
        path[0] = '\0';
    return path;
}

int run_file_write(const char *folder, const char *name, const char *text)
{
    char path[RUN_PATH_BYTES];
    int fd = open(run_path(folder, name, path), O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text, strlen(text));
    int error = written < 0 ? -errno : 0;
    close(fd);
    return error;
}

int run_file_write_number(const char *folder, const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return run_file_write(folder, name, text);
}

ssize_t run_file_read(const char *folder, const char *name, char *text, size_t size)
{
    char path[RUN_PATH_BYTES];
    text[0] = '\0';
    int fd = open(run_path(folder, name, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length < size - 1) {
        got = read(fd, text + length, size - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    int error = got < 0 && length == 0 ? -errno : 0;
    close(fd);
    text[length] = '\0';
    return error ? error : (ssize_t)length;
}

bool run_file_number(const char *folder, const char *name, const char *key, uint64_t *ret_number)
{
    char text[8192];
    if (run_file_read(folder, name, text, sizeof text) <= 0)
        return false;
    const char *at = text;
    size_t length = key ? strlen(key) : 0;
    while (key && (strncmp(at, key, length) != 0 || at[length] != ' ')) {
        at = strchr(at, '\n');
        if (!at)
            return false;
        at++;
    }
    at += key ? length + 1 : 0;
    if (*at < '0' || *at > '9')
        return false;
    *ret_number = strtoull(at, NULL, 10);
    return true;
}
