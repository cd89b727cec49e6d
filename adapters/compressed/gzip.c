/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

struct state {
    z_stream stream;
    hr_budget *budget;
};

static void *allocate(void *opaque, unsigned items, unsigned size)
{
    return engine_alloc(opaque, (size_t)items * size);
}

static void release(void *opaque, void *block)
{
    engine_free(opaque, block);
}

static void *gzip_open(const hr_decoder_options *options, int *ret_error)
{
    struct state *state = engine_alloc(options->budget, sizeof *state);
    if (!state) {
        *ret_error = errno == EDQUOT ? -EDQUOT : -ENOMEM;
        return NULL;
    }
    *state = (struct state){.stream = {.zalloc = allocate, .zfree = release, .opaque = options->budget},
                            .budget = options->budget};
    if (inflateInit2(&state->stream, 15 + 32) == Z_OK) /* the largest window; gzip or zlib, as the header says */
        return state;
    *ret_error = errno == EDQUOT ? -EDQUOT : -ENOMEM;
    engine_free(options->budget, state);
    return NULL;
}

static int gzip_decode(void *self, engine_io *io, bool *ret_ended)
{
    z_stream *stream = &((struct state *)self)->stream;
    unsigned in = io->in_size < UINT_MAX ? (unsigned)io->in_size : UINT_MAX;
    unsigned out = io->out_size < UINT_MAX ? (unsigned)io->out_size : UINT_MAX;
    stream->next_in = (unsigned char *)(uintptr_t)io->in; /* read only, by its documentation */
    stream->avail_in = in;
    stream->next_out = io->out;
    stream->avail_out = out;
    int result = inflate(stream, Z_NO_FLUSH);
    io->in_size -= in - stream->avail_in;
    io->out_size -= out - stream->avail_out;
    if (result == Z_STREAM_END) {
        *ret_ended = true;
        return inflateReset(stream) == Z_OK ? 0 : -EBADMSG;
    }
    if (result == Z_MEM_ERROR)
        return errno == EDQUOT ? -EDQUOT : -ENOMEM;
    return result == Z_OK || result == Z_BUF_ERROR ? 0 : -EBADMSG;
}

static void gzip_close(void *self)
{
    struct state *state = self;
    inflateEnd(&state->stream);
    engine_free(state->budget, state);
}

const engine engine_gzip = {gzip_open, gzip_decode, gzip_close};
