/* SPDX-License-Identifier: Apache-2.0 */
/* A reader while it is read: one face over the kinds. */
#ifndef HRI_FLOW_SOURCE_H
#define HRI_FLOW_SOURCE_H

#include "os/input.h"

#include <headroom/flow.h>

/* hr_reader.kind_; 0 is a reader that nobody made. */
typedef enum hri_reader_kind {
    HRI_READER_FD = 1,
    HRI_READER_FILE,
    HRI_READER_MEMORY,
    HRI_READER_CUSTOM,
    HRI_READER_FOLDER,
} hri_reader_kind;

typedef struct hri_source {
    hr_reader reader;
    hri_input input; /* of a descriptor */
    bool drop_behind;
} hri_source;

typedef struct hri_got {
    bool end;      /* nothing comes behind these bytes */
    bool file_end; /* what comes behind them is another file's */
} hri_got;

/* Gives 0 or a negative errno. */
int hri_source_open(hri_source *source, const hr_reader *reader, bool drop_behind);

/* Reads once. Gives bytes or a negative errno. */
ssize_t hri_source_read(hri_source *source, hri_wake wake, void *buffer, size_t size, hri_got *ret_got);

/* Goes towards this many bytes behind the start, until it would have to read or the input ends. Gives how many
 * bytes are left to be read over. */
uint64_t hri_source_seek(hri_source *source, uint64_t offset);

/* For the end of a run: gives back the page cache, where that was asked for. */
void hri_source_drop(hri_source *source);

/* Gives the input's size from the start; below 0: not known. */
int64_t hri_source_size(const hri_source *source);

/* The name of the file that is read, or could not be opened, where there is one of several; else NULL. */
const char *hri_source_name(const hri_source *source);

/* Keeps such a name for the caller: as long as the reader stands on what it was made from. Gives the copy. */
const char *hri_source_keep_name(hri_source *source, const char name[HRI_NAME_BYTES]);

/* How it is read, in words. */
const char *hri_source_method(const hri_source *source, bool can_be_woken);

#endif
