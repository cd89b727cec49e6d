/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the stream's files: its state, filling a slot with the next chunk, and handing one on. */
#ifndef HRI_FLOW_STREAM_H
#define HRI_FLOW_STREAM_H

#include "flow/buffers.h"
#include "flow/source.h"
#include "flow/splitter.h"

/* A buffer and the chunk in it. Only the thread that runs the stream touches a slot that is HRI_SLOT_IDLE. */
typedef enum hri_slot_state {
    HRI_SLOT_IDLE,
    HRI_SLOT_READY, /* its chunk waits for a worker */
    HRI_SLOT_BUSY,  /* a worker has it */
    HRI_SLOT_FAILED /* its chunk was not taken */
} hri_slot_state;

typedef struct hri_slot {
    char *data;             /* NULL: no buffer */
    size_t size;            /* bytes in it: the chunk's, and behind them the rest of the stream, see hr_stream.rest */
    size_t cut;             /* bytes of the chunk */
    uint64_t offset, index; /* of the chunk */
    uint64_t file_start;    /* the offset at which its file began */
    hri_slot_state state;
    bool ours;      /* it was idle when the thread that runs the stream looked, so it still is */
    hr_chunk chunk; /* what the callbacks see, and may change */
    char name[HRI_NAME_BYTES];
} hri_slot;

struct hr_stream {
    hr_stream_options options;
    hri_source source;
    hri_buffers buffers;
    hri_splitter splitter;
    hri_wake wake;

    /* The thread's that runs the stream. */
    uint64_t offset;        /* of the next byte to be cut */
    uint64_t file_start;    /* the offset at which the file that is read began, where there are several */
    uint64_t skip;          /* bytes still to be passed over */
    uint64_t index;         /* of the next chunk */
    hri_slot *rest;         /* bytes behind its chunk are read and not cut yet; NULL: there are none */
    bool file_ended;        /* nothing more belongs to the record at the front */
    bool ended;             /* nor is there more to read */
    bool stale;             /* a callback has failed: not to be continued */
    unsigned mapped;        /* slots that have buffers */
    uint64_t ask_at;        /* the chunk at which one more buffer is asked for again */
    int64_t started_ns;     /* of this run */
    uint64_t started_bytes; /* handed on before it */
    int64_t reported_ns;
    uint64_t reported_bytes;
    hr_stream_result result; /* bytes and chunks: with workers under their lock */
    unsigned slot_count;
    hri_slot slots[];
};

/* How many buffers the level allows: 0 at critical. */
unsigned hri_stream_allowed(const hr_stream *stream);

/* Gives a slot its buffer, or takes it from an idle one: it waits in the pool then. The first buffer is needed, others
 * are wanted. */
int hri_slot_map(hr_stream *stream, hri_slot *slot);
void hri_slot_unmap(hr_stream *stream, hri_slot *slot);

/* Pauses while the level is critical; only when all slots are idle. Gives 0, -ECANCELED or -ETIMEDOUT. */
int hri_stream_pause(hr_stream *stream);

/* Fills an idle slot that has a buffer. Gives 1 when its chunk is ready, 0 at the end, or a negative errno: what was
 * read is kept in the slot then. */
int hri_stream_fill(hr_stream *stream, hri_slot *slot);

/* Call back for a slot's chunk: on_work, if there is one; then either on_chunk, or on_drop where that is not to come.
 * Give the callback's error. */
int hri_stream_work(hr_stream *stream, hri_slot *slot);
int hri_stream_take(hr_stream *stream, hri_slot *slot);
void hri_stream_drop(hr_stream *stream, hri_slot *slot);

/* Gives the slot of the first chunk that waits; NULL if none does. */
hri_slot *hri_stream_first_ready(hr_stream *stream);

/* Reports progress if it is time. */
void hri_stream_report(hr_stream *stream, bool at_end);

/* Runs with workers. Gives what hr_stream_run() does; -EAGAIN, with nothing done, where no worker can be made. */
int hri_workers_run(hr_stream *stream);

#endif
