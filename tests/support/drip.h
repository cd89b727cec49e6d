/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of tests of streams: input that comes as the test wants it, and a sink that sees that nothing is
 * lost. */
#ifndef HRT_SUPPORT_DRIP_H
#define HRT_SUPPORT_DRIP_H

#include <errno.h>
#include <headroom/flow.h>
#include <stdlib.h>
#include <string.h>

/* Input for hr_reader_custom(hrt_drip_read, &drip). */
typedef struct hrt_drip {
    const char *data;
    size_t size;
    size_t step;       /* bytes a read; 0: as many as fit; HRT_DRIP_RANDOM: 0 to 16 */
    size_t fail_at;    /* the read that would begin there fails… */
    int fail_with;     /* …with this, once; 0: none does */
    bool end_together; /* the end comes with the last bytes; else alone */
    size_t done;
    uint64_t calls;
    unsigned seed;
} hrt_drip;

#define HRT_DRIP_RANDOM SIZE_MAX

static inline ssize_t hrt_drip_read(void *self, void *buffer, size_t size, bool *ret_end)
{
    hrt_drip *drip = self;
    drip->calls++;
    if (drip->fail_with && drip->done >= drip->fail_at) {
        int error = drip->fail_with;
        drip->fail_with = 0;
        return error;
    }
    size_t length = drip->size - drip->done, step = drip->step;
    if (step == HRT_DRIP_RANDOM) {
        drip->seed = drip->seed * 1103515245u + 12345u;
        step = drip->seed >> 16 & 15;
        if (step == 0 && length)
            return 0; /* ask again */
    }
    if (step && length > step)
        length = step;
    if (length > size)
        length = size;
    if (length)
        memcpy(buffer, drip->data + drip->done, length);
    drip->done += length;
    *ret_end = drip->done == drip->size && (drip->end_together || length == 0);
    return (ssize_t)length;
}

/* Where chunks end up: `context` of hrt_sink_take(). */
typedef struct hrt_sink {
    char data[1 << 16];
    size_t size;
    uint64_t chunks;
    uint64_t out_of_order; /* chunks that did not begin where the one before ended */
    uint64_t fail_chunk;   /* this one, from 1, is refused… */
    int fail_with;         /* …with this */
    size_t ends[1 << 12];  /* where each chunk ended */
} hrt_sink;

static inline int hrt_sink_take(void *context, const hr_chunk *chunk)
{
    hrt_sink *sink = context;
    if (sink->fail_chunk && sink->chunks + 1 == sink->fail_chunk)
        return sink->fail_with;
    if (chunk->offset != sink->size || chunk->index != sink->chunks)
        sink->out_of_order++;
    if (chunk->size > sizeof sink->data - sink->size)
        return -ENOBUFS;
    if (chunk->size)
        memcpy(sink->data + sink->size, chunk->data, chunk->size);
    sink->size += chunk->size;
    if (sink->chunks < sizeof sink->ends / sizeof *sink->ends)
        sink->ends[sink->chunks] = sink->size;
    sink->chunks++;
    return 0;
}

/* Whether a sink has exactly these bytes, in order. */
static inline bool hrt_sink_has(const hrt_sink *sink, const void *data, size_t size)
{
    return sink->out_of_order == 0 && sink->size == size && (size == 0 || memcmp(sink->data, data, size) == 0);
}

/* Fills memory with lines of many lengths, the last one without an end; always the same. */
static inline void hrt_fill_lines(char *data, size_t size)
{
    unsigned seed = 7;
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1103515245u + 12345u;
        data[i] = (seed >> 16) % 23 == 0 ? '\n' : (char)('a' + (seed >> 16) % 26);
    }
    if (size)
        data[size - 1] = 'z';
}

#endif
