/* SPDX-License-Identifier: Apache-2.0 */
/* Copies what a survey reads into a folder, so that the same survey can be made of it elsewhere.
 *
 * Each text is written where it was read: DIR/proc/self/cgroup, DIR/sys/fs/cgroup/app/memory.max. Of mountinfo only the
 * lines are kept that say where cgroups are, and of other file systems only their mount points. Sources and options of
 * mounts have names of people and hosts in them.
 */
#ifndef HRI_OS_COPY_H
#define HRI_OS_COPY_H

#include <stddef.h>

typedef struct hri_copy {
    const char *folder;
    int error; /* the first */
} hri_copy;

/* Makes the folders up to the last slash of a path. NULL is fine. */
void hri_copy_folder(hri_copy *copy, const char *path);

/* Writes `length` bytes to folder + path, with the folders that lead to it. NULL is fine: nothing is copied. */
void hri_copy_text(hri_copy *copy, const char *path, const char *text, size_t length);

/* Writes what an open file has; one that is not open is left out. */
void hri_copy_file(hri_copy *copy, const char *path, int fd);

/* Writes the lines of a mountinfo that say where cgroups are. */
void hri_copy_mounts(hri_copy *copy, const char *path, const char *text);

#endif
