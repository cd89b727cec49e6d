/* SPDX-License-Identifier: Apache-2.0 */
/* Small kernel files, opened once and read again and again. No stdio: nothing here allocates. */
#ifndef HRI_OS_FILE_H
#define HRI_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens root + path for reading, close-on-exec. Gives a descriptor or a negative errno. */
int hri_file_open(const char *root, const char *path);

/* Opens a folder for looking into it: root + path, or a name in another folder. Gives a descriptor or a negative
 * errno. */
int hri_file_open_folder(const char *root, const char *path);
int hri_file_open_folder_in(int folder, const char *name);

/* Opens a file in a folder for reading, close-on-exec. Gives a descriptor or a negative errno. */
int hri_file_open_in(int folder, const char *name);

/* Opens a file again that is open, if only as a place (O_PATH). Gives a descriptor or a negative errno. */
int hri_file_open_again(int fd, int flags);

/* Reads a file from its start into `buffer` and terminates it, in one call. The kernel's files of figures come whole in
 * one, and a second call to see their end would double the cost of a reading. A longer file is cut. Gives the
 * length or a negative errno (-EBADF for a descriptor below 0). */
ssize_t hri_file_read(int fd, char *buffer, size_t size);

/* Tells "could not be opened for want of memory or descriptors" from "is not there": gives -ENOMEM, -EMFILE or -ENFILE
 * back, and 0 for everything else. */
int hri_file_shortage(int result);

/* Opens, reads to the end and closes: for lists such as mountinfo, which come a page at a time. */
ssize_t hri_file_read_path(const char *root, const char *path, char *buffer, size_t size);

/* The same for a list of any length. Gives 0 and a text in pages of its own, to be unmapped: a guard reads such lists
 * with a lock held, and takes no block of malloc()'s then. Or a negative errno, of which -ENOMEM may be for want of
 * memory here. */
int hri_file_read_whole(const char *root, const char *path, char **ret_text, size_t *ret_size);

/* Reads the next piece of a file, as much as one call gives, and terminates it. Gives its length, 0 at the end, or a
 * negative errno. */
ssize_t hri_file_read_on(int fd, char *buffer, size_t size);

/* Calls `visit` for each line of an open file, from its start, with the line end that the kernel ends each by. Lines of
 * HRI_LINE_BYTES and more come in parts. Gives 0 or a negative errno. */
#define HRI_LINE_BYTES 4096
typedef void hri_line_fn(const char *line, void *context);
int hri_file_each_line(int fd, hri_line_fn *visit, void *context);

/* Calls `visit` for each name in a folder, until it gives other than 0. It reads as readdir() does, and allocates
 * nothing. Gives 0, a negative errno, or what `visit` gave. */
typedef int hri_name_fn(int folder, const char *name, void *context);
int hri_file_each_name(const char *path, hri_name_fn *visit, void *context);

/* Writes all of a buffer to a descriptor. Gives 0 or a negative errno. */
int hri_file_write(int fd, const char *buffer, size_t size);

/* Which file a descriptor is open on. A program that closes all its descriptors closes ours too, and its next files
 * get their numbers: those must be neither read nor closed. */
typedef struct hri_file_mark {
    dev_t device;
    ino_t inode;
} hri_file_mark;

/* Gives the mark of an open file; all zero for a descriptor that is not open. */
hri_file_mark hri_file_mark_of(int fd);

/* Is the descriptor open on that file still? A descriptor below 0 is, by a mark of zeros. */
bool hri_file_is(int fd, const hri_file_mark *mark);

/* Closes a descriptor if it is open on that file still. */
void hri_file_close_own(int fd, const hri_file_mark *mark);

/* Closes a descriptor; one below 0 is fine. */
void hri_file_close(int fd);

#endif
