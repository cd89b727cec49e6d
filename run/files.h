/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of the kernel, and the clock. */
#ifndef RUN_FILES_H
#define RUN_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RUN_PATH_BYTES 4096
#define RUN_SECOND_NS INT64_C(1000000000)

/* CLOCK_MONOTONIC. */
int64_t run_now_ns(void);

/* Joins a folder and a name; too long a path is cut, and so does not exist. */
const char *run_path(const char *folder, const char *name, char path[RUN_PATH_BYTES]);

/* Writes a text in one piece. Gives 0 or a negative errno. */
int run_file_write(const char *folder, const char *name, const char *text);
int run_file_write_number(const char *folder, const char *name, uint64_t number);

/* Reads a file from its beginning, as much as there is room for, always terminated. Gives its length or a negative
 * errno. */
ssize_t run_file_read(const char *folder, const char *name, char *text, size_t size);

/* The number behind the line that begins with `key` and a space; with a NULL key the first number of the file. Gives
 * false if there is none. */
bool run_file_number(const char *folder, const char *name, const char *key, uint64_t *ret_number);

#endif
