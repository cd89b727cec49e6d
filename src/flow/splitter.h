/* SPDX-License-Identifier: Apache-2.0 */
/* Where chunks are cut so that records stay whole. Pure: it sees bytes and says how many belong together. */
#ifndef HRI_FLOW_SPLITTER_H
#define HRI_FLOW_SPLITTER_H

#include <headroom/flow.h>

typedef struct hri_splitter {
    /* Constant once made; of the first three at most one is used. */
    int delimiter;       /* a byte; below 0: none */
    size_t record_bytes; /* 0: not fixed */
    hr_frame_fn *frame;  /* NULL: none */
    void *context;       /* for frame */
    bool pieces;         /* long records in pieces */

    size_t seen;   /* this many bytes at the front of the buffer are known: no delimiter in them, or whole records */
    bool inside;   /* what comes next goes on with a record that did not fit */
    uint64_t left; /* how much of that record is still to come, where its length is known */
} hri_splitter;

/* The bytes that stand in the buffer. */
typedef struct hri_window {
    const char *data;
    size_t size;
    bool full; /* no more fits behind it */
    bool end;  /* nothing comes behind it */
} hri_window;

typedef struct hri_piece {
    size_t size; /* from the front of the window */
    bool starts; /* as in hr_chunk */
    bool ends;
    bool none; /* more bytes are needed, or nothing is left */
} hri_piece;

/* Says what of the window can be handed on. After a piece the next window must begin behind it. Gives 0, or -EMSGSIZE,
 * -EBADMSG or what the frame function said, of the record at the front: nothing has changed then. */
int hri_splitter_cut(hri_splitter *splitter, const hri_window *window, hri_piece *ret_piece);

#endif
