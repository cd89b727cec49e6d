/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "os/copy.h"

#include "base/uncancelled.h"
#include "os/file.h"
#include "os/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_BYTES (64 * 1024)

static void note(hri_copy *copy, int error)
{
    if (error < 0 && !copy->error)
        copy->error = error;
}

/* Makes the folders that lead to the file `path`, the copy's own with them, which ends at `from`. */
static void make_folders(char *path, size_t from)
{
    for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
}

/* Writes the copy's name of a path, whose folders are made. Gives false if it is too long. */
static bool prepare(hri_copy *copy, const char *path, char whole[PATH_MAX])
{
    int size = snprintf(whole, PATH_MAX, "%s%s", copy->folder, path);
    bool fits = size >= 0 && size < PATH_MAX;
    if (fits)
        make_folders(whole, strlen(copy->folder));
    else
        note(copy, -ENAMETOOLONG);
    return fits;
}

void hri_copy_folder(hri_copy *copy, const char *path)
{
    HRI_UNCANCELLED;
    char whole[PATH_MAX];
    if (copy)
        prepare(copy, path, whole);
}

void hri_copy_text(hri_copy *copy, const char *path, const char *text, size_t length)
{
    HRI_UNCANCELLED;
    char whole[PATH_MAX];
    if (!copy || !prepare(copy, path, whole))
        return;
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    note(copy, fd < 0 ? -errno : hri_file_write(fd, text, length));
    hri_file_close(fd);
}

void hri_copy_file(hri_copy *copy, const char *path, int fd)
{
    if (!copy || fd < 0)
        return;
    char *text = malloc(TEXT_BYTES);
    if (!text) {
        note(copy, -ENOMEM);
        return;
    }
    ssize_t length = hri_file_read(fd, text, TEXT_BYTES);
    if (length >= 0)
        hri_copy_text(copy, path, text, (size_t)length);
    free(text);
}

void hri_copy_mounts(hri_copy *copy, const char *path, const char *text)
{
    if (!copy)
        return;
    size_t length = 0;
    char *kept = malloc(2 * strlen(text) + 1);
    if (!kept) {
        note(copy, -ENOMEM);
        return;
    }
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n');
        if (!end)
            break;
        length += hri_parse_mount_without_secrets(line, end, kept + length);
        line = end + 1;
    }
    hri_copy_text(copy, path, kept, length);
    free(kept);
}
