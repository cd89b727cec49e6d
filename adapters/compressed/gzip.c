/* SPDX-License-Identifier: Apache-2.0 */
/* gzip and zlib. Zeros behind a whole are padding, as of tapes and `dd conv=sync`, and are passed over, as gzip(1)
 * does. */
#include "engine.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

#define HEADER_BYTES 4 /* of a whole: by then it shows whether it is one */

typedef struct state {
    z_stream stream;
    engine_memory *memory;
    bool between; /* a whole has ended, and no other one begun */
    bool again;   /* it is not the first one */
} state;

static void *allocate(void *opaque, unsigned items, unsigned size)
{
    return engine_alloc(opaque, (size_t)items * size);
}

static void release(void *opaque, void *block)
{
    engine_free(opaque, block);
}

static void *gzip_open(engine_memory *memory, const hr_decoder_options *options)
{
    (void)options;
    state *self = engine_alloc(memory, sizeof *self);
    if (!self)
        return NULL;
    *self = (state){.stream = {.zalloc = allocate, .zfree = release, .opaque = memory}, .memory = memory};
    if (inflateInit2(&self->stream, 15 + 32) == Z_OK) /* the largest window; gzip or zlib, as the header says */
        return self;
    engine_free(memory, self);
    return NULL;
}

static void pass_over_padding(state *self, engine_io *io)
{
    while (self->between && io->in_size > 0 && *io->in == 0) {
        io->in++;
        io->in_size--;
    }
}

static int gzip_decode(void *opaque, engine_io *io, bool *ret_ended, const char **ret_text)
{
    state *self = opaque;
    z_stream *stream = &self->stream;
    pass_over_padding(self, io);
    *ret_ended = self->between;
    if (self->between && io->in_size == 0)
        return 0;
    unsigned in = io->in_size < UINT_MAX ? (unsigned)io->in_size : UINT_MAX;
    unsigned out = io->out_size < UINT_MAX ? (unsigned)io->out_size : UINT_MAX;
    stream->next_in = (unsigned char *)(uintptr_t)io->in; /* read only, by its documentation */
    stream->avail_in = in;
    stream->next_out = io->out;
    stream->avail_out = out;
    int result = inflate(stream, Z_NO_FLUSH);
    io->in_size -= in - stream->avail_in;
    io->out_size -= out - stream->avail_out;
    /* It is the header of another whole, or should be. */
    bool behind = self->again && stream->total_in <= HEADER_BYTES;
    *ret_ended = self->between = result == Z_STREAM_END && inflateReset(stream) == Z_OK;
    io->wholes += *ret_ended;
    self->again |= *ret_ended;
    if (*ret_ended || result == Z_OK || result == Z_BUF_ERROR)
        return 0;
    if (result == Z_MEM_ERROR) {
        *ret_text = "no memory for the window of 32 KiB";
        return self->memory->error;
    }
    *ret_text = behind                  ? "what follows the end of the compressed data is not compressed data"
                : result == Z_NEED_DICT ? "zlib: it was packed with a dictionary"
                : stream->msg           ? stream->msg
                                        : "zlib: damaged";
    return -EBADMSG;
}

static void gzip_close(void *opaque)
{
    state *self = opaque;
    inflateEnd(&self->stream);
    engine_free(self->memory, self);
}

const engine engine_gzip = {gzip_open, gzip_decode, gzip_close};
