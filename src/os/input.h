/* SPDX-License-Identifier: Apache-2.0 */
/* Input of any kind, read from its front to its end: descriptors, FILEs, and the names in a folder. */
#ifndef HRI_OS_INPUT_H
#define HRI_OS_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* The ends of a wait for input, besides the input: descriptors that are readable then; below 0: none. */
typedef struct hri_wake {
    int cancel_fd;
    int stop_fd;
} hri_wake;

#define HRI_WAKE_NONE ((hri_wake){-1, -1})

typedef struct hri_input {
    int fd;
    bool regular;     /* a file: reads never wait for a writer */
    bool direct;      /* O_DIRECT, and no pipe: reads begin and end at multiples of the device's blocks */
    bool drop_behind; /* give the page cache back behind the reads */
    bool widened;     /* a pipe that holds more now */
    int64_t start;    /* where it stood when it was opened; below 0: it cannot seek */
    int64_t size;     /* bytes from there to the end; below 0: not known */
    int64_t position; /* of the next read, from the start */
    int64_t dropped;  /* the cache is given back up to here */
} hri_input;

/* Looks at a descriptor, and tells the kernel that a file will be read from front to end. Gives 0 or a negative
 * errno. */
int hri_input_open(hri_input *input, int fd, bool drop_behind);

/* Reads once, as much as is there; repeats what was interrupted and waits where there is nothing yet. Gives bytes, 0 at
 * the end, -ECANCELED after a wake, or a negative errno. */
ssize_t hri_input_read(hri_input *input, hri_wake wake, void *buffer, size_t size);

/* Goes to this many bytes behind the start. Gives 0; -ESPIPE where it cannot seek. */
int hri_input_seek(hri_input *input, uint64_t offset);

/* If the cache is dropped behind: gives back what is not yet given back, and what may have been read ahead. For the end
 * of a run. */
void hri_input_drop(hri_input *input);

/* A FILE, and the error that is still to be told. */
typedef struct hri_stdio {
    FILE *file;
    int kept_error;
} hri_stdio;

/* As hri_input_read() for a FILE. A part that came before an error is given first, and the error by the next call. */
ssize_t hri_input_read_file(hri_stdio *input, hri_wake wake, void *buffer, size_t size, bool *ret_end);

/* ── folders ────────────────────────────────────────────────────────────────────────────────────────────────────── */

#define HRI_NAME_BYTES 256

/* The names in a folder, as the kernel lists them. */
typedef struct hri_names {
    const char *inside; /* the file of this name in each entry is meant; NULL: the entry itself */
    int fd;
    size_t at, length; /* what is left of `entries` */
    _Alignas(8) char entries[4096];
} hri_names;

/* Gives 0 or a negative errno. */
int hri_names_open(hri_names *names, const char *path, const char *inside);
void hri_names_close(hri_names *names);

/* Opens the next regular file for reading; it stays the next until it is passed. Gives its descriptor, -ENODATA after
 * the last, or a negative errno. Its name is always written: "" where there is none. */
int hri_names_open_next(hri_names *names, char ret_name[HRI_NAME_BYTES]);
void hri_names_pass(hri_names *names);

#endif
