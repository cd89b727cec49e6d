/* SPDX-License-Identifier: Apache-2.0 */
/* One open file at a time, and a page of names: constant, however many files there are. */
#include "flow/folder.h"

#include "os/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct hr_folder {
    hri_names names;
    hri_input input; /* of the file that is open */
    bool open;
    bool drop_behind;
    bool begun, ended;
    char name[HRI_NAME_BYTES];
    char kept_name[HRI_NAME_BYTES]; /* that a result has told */
};

int hr_folder_new(const char *path, hr_folder **ret_folder)
{
    if (!path || !ret_folder)
        return -EINVAL;
    hr_folder *folder = calloc(1, sizeof *folder);
    if (!folder)
        return -ENOMEM;
    int error = hri_names_open(&folder->names, path, NULL);
    if (error) {
        free(folder);
        return error;
    }
    *ret_folder = folder;
    return 0;
}

static void close_file(hr_folder *folder)
{
    if (folder->open)
        hri_file_close(folder->input.fd);
    folder->open = false;
}

void hr_folder_free(hr_folder *folder)
{
    if (!folder)
        return;
    close_file(folder);
    hri_names_close(&folder->names);
    free(folder);
}

static int open_next(hr_folder *folder)
{
    int fd = hri_names_open_next(&folder->names, folder->name);
    if (fd < 0)
        return fd;
    int error = hri_input_open(&folder->input, fd, folder->drop_behind);
    folder->open = !error;
    if (error)
        hri_file_close(fd);
    else
        hri_names_pass(&folder->names);
    return error;
}

int hri_folder_begin(hr_folder *folder, bool drop_behind)
{
    folder->drop_behind = drop_behind;
    return folder->begun ? -ESTALE : 0;
}

ssize_t hri_folder_read(hr_folder *folder, void *buffer, size_t size, bool *ret_file_end, bool *ret_end)
{
    if (folder->ended)
        return -ESTALE;
    folder->begun = true;
    if (!folder->open) {
        int error = open_next(folder);
        if (error == -ENODATA) {
            *ret_end = folder->ended = true;
            return 0;
        }
        if (error)
            return error;
    }
    ssize_t got = hri_input_read(&folder->input, HRI_WAKE_NONE, buffer, size);
    if (got == 0) {
        close_file(folder);
        *ret_file_end = true;
    }
    return got;
}

const char *hri_folder_name(const hr_folder *folder)
{
    return folder->name;
}

const char *hri_folder_keep_name(hr_folder *folder, const char name[HRI_NAME_BYTES])
{
    return memcpy(folder->kept_name, name, HRI_NAME_BYTES);
}

void hri_folder_drop(hr_folder *folder)
{
    if (folder->open)
        hri_input_drop(&folder->input);
}
