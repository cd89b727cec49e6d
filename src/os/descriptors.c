/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "os/descriptors.h"

#include "base/checked.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define KIND_BYTES 32

/* A pipe is counted by its writing end, a local socket by the one that sent: the kernel charges them so. */
static uint64_t queued_in_pipe(int fd)
{
    int flags = fcntl(fd, F_GETFL), bytes = 0;
    bool writes = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
    return writes && ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 ? (uint64_t)bytes : 0;
}

static uint64_t queued_in_socket(int fd)
{
    uint32_t figures[SK_MEMINFO_VARS] = {0};
    int domain = 0;
    socklen_t length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_UNIX)
        return 0;
    length = sizeof figures;
    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, figures, &length) == 0 ? figures[SK_MEMINFO_WMEM_ALLOC] : 0;
}

static void count_watch(const char *line, void *context)
{
    hri_descriptors *kept = context;
    kept->watches += strncmp(line, "inotify wd:", 11) == 0;
}

static void count_watches(const char *name, hri_descriptors *kept)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%.16s", name);
    int fd = hri_file_open("", path);
    hri_file_each_line(fd, count_watch, kept);
    hri_file_close(fd);
}

/* Another thread may put another file under the number meanwhile. These questions harm no kind of file. */
static int look_at(int folder, const char *name, void *context)
{
    hri_descriptors *kept = context;
    char kind[KIND_BYTES] = {0};
    int fd = (int)strtol(name, NULL, 10);
    if (readlinkat(folder, name, kind, sizeof kind - 1) <= 0)
        return 0;
    if (strncmp(kind, "pipe:", 5) == 0)
        kept->queued_bytes = hri_add(kept->queued_bytes, queued_in_pipe(fd));
    else if (strncmp(kind, "socket:", 7) == 0)
        kept->queued_bytes = hri_add(kept->queued_bytes, queued_in_socket(fd));
    else if (strstr(kind, "inotify"))
        count_watches(name, kept);
    return 0;
}

void hri_descriptors_read(hri_descriptors *ret_kept)
{
    *ret_kept = (hri_descriptors){0};
    hri_file_each_name("/proc/self/fd", look_at, ret_kept);
}
