/* SPDX-License-Identifier: Apache-2.0 */
/* A file that only grows at its end, up to a size: then it becomes FILE.1, in the place of an older one, and a new FILE
 * begins. One process at a time writes it, by flock() on the file itself: FILE is there at every moment, and the one
 * that is there is locked. */
#ifndef HRI_OS_APPEND_H
#define HRI_OS_APPEND_H

#include "os/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HRI_APPEND_PATH_BYTES 4096

typedef struct hri_append {
    int fd; /* below 0: not open */
    hri_file_mark mark;
    uint64_t size; /* what is in it, whole */
    uint64_t most; /* bytes of one file */
    char path[HRI_APPEND_PATH_BYTES];
} hri_append;

/* Opens or makes a file for writing and locks it. Gives 0; -EBUSY if another process writes it; -EINVAL if it is no
 * regular file; -ENAMETOOLONG; another negative errno. */
int hri_append_open(hri_append *file, const char *path, uint64_t most);
void hri_append_close(hri_append *file);

/* Reads at a place, as much as is there up to `size`. Gives the length or a negative errno. */
ssize_t hri_append_read(const hri_append *file, void *buffer, size_t size, uint64_t offset);

/* Cuts what is behind `size`. Gives 0 or a negative errno. */
int hri_append_cut(hri_append *file, uint64_t size);

/* Appends a whole block or nothing: what was written of it is cut off again. Gives 0 or a negative errno;
 * -EBADF, and the file is given up, where the program has closed the descriptor: it may be open on another file. */
int hri_append_add(hri_append *file, const void *block, size_t size);

/* Begins a new file with `head`, as the comment above says. Gives 0 or a negative errno: then it is as it was. */
int hri_append_turn(hri_append *file, const void *head, size_t size);

/* Takes away what is a second name of FILE, FILE.1 among them: its writer was killed while it turned the file. */
void hri_append_finish_turn(hri_append *file);

/* Opens a file for reading: `path` and `suffix`. A descriptor or a negative errno; -EINVAL for what is no regular
 * file. */
int hri_append_open_to_read(const char *path, const char *suffix);

/* Are both descriptors open on one file? */
bool hri_append_is_same(int one, int other);

/* Reads the next bytes, all of `size` unless the file ends. Gives the length or a negative errno. */
ssize_t hri_append_read_on(int fd, void *buffer, size_t size);

#endif
