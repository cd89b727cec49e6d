/* SPDX-License-Identifier: Apache-2.0 */
#include "os/environment.h"

#include "os/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int copy(const char *value, char **ret_value)
{
    char *text = value ? strdup(value) : NULL;
    if (!text)
        return value ? -ENOMEM : -ENODATA;
    *ret_value = text;
    return 0;
}

/* The strings of /proc/PID/environ end in a NUL each; a program may have written other bytes there. */
static int search(FILE *file, const char *name, char **ret_value)
{
    char *entry = NULL;
    size_t size = 0, length = strlen(name);
    int error = -ENODATA;
    errno = 0;
    while (error == -ENODATA && getdelim(&entry, &size, '\0', file) > 0)
        if (strncmp(entry, name, length) == 0 && entry[length] == '=')
            error = copy(entry + length + 1, ret_value);
    if (error == -ENODATA && ferror(file))
        error = errno ? -errno : -EIO;
    free(entry);
    return error;
}

int hri_environment_read(const hri_site *site, const char *name, char **ret_value)
{
    char path[HRI_SITE_PATH_BYTES];
    if (!site->pid || site->only_place)
        return copy(getenv(name), ret_value);
    int fd = hri_file_open(site->root, hri_site_path(site, "environ", path));
    if (fd < 0)
        return fd;
    FILE *file = fdopen(fd, "r");
    if (!file) {
        int error = -errno;
        close(fd);
        return error;
    }
    int error = search(file, name, ret_value);
    fclose(file);
    return error;
}
