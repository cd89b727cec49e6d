/* SPDX-License-Identifier: Apache-2.0 */
/* Small kernel files, opened once and read again and again. No stdio: nothing here allocates. */
#ifndef HRI_OS_FILE_H
#define HRI_OS_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens root + path for reading, close-on-exec. Gives a descriptor or a negative errno. */
int hri_file_open(const char *root, const char *path);

/* Opens a folder for looking into it: root + path, or a name in another folder. Gives a descriptor or a negative errno. */
int hri_file_open_folder(const char *root, const char *path);
int hri_file_open_folder_in(int folder, const char *name);

/* Opens a file in a folder for reading, close-on-exec. Gives a descriptor or a negative errno. */
int hri_file_open_in(int folder, const char *name);

/* Reads a file from its start into `buffer` and terminates it, in one call: the kernel's files of figures come whole in
 * one, and a second call to see their end would double the cost of a reading. What does not fit is cut. Gives the length
 * or a negative errno (-EBADF for a descriptor below 0). */
ssize_t hri_file_read(int fd, char *buffer, size_t size);

/* Tells "could not be opened for want of memory or descriptors" from "is not there": gives -ENOMEM, -EMFILE or -ENFILE
 * back, and 0 for everything else. */
int hri_file_shortage(int result);

/* Opens, reads to the end and closes: for lists such as mountinfo, which come a page at a time. */
ssize_t hri_file_read_path(const char *root, const char *path, char *buffer, size_t size);

/* Reads the next piece of a file, as much as one call gives, and terminates it. Gives its length, 0 at the end, or a
 * negative errno. */
ssize_t hri_file_read_on(int fd, char *buffer, size_t size);

/* Writes all of a buffer to a descriptor. Gives 0 or a negative errno. */
int hri_file_write(int fd, const char *buffer, size_t size);

/* Closes a descriptor; one below 0 is fine. */
void hri_file_close(int fd);

#endif
