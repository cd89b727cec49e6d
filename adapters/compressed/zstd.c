/* SPDX-License-Identifier: Apache-2.0 */
#define ZSTD_STATIC_LINKING_ONLY /* for an allocator of our own */
#include "engine.h"

#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

typedef struct state {
    ZSTD_DCtx *context;
    engine_memory *memory;
    bool again; /* a whole has ended */
} state;

static void *allocate(void *opaque, size_t size)
{
    return engine_alloc(opaque, size);
}

static void release(void *opaque, void *block)
{
    engine_free(opaque, block);
}

static void *zstd_open(engine_memory *memory, const hr_decoder_options *options)
{
    state *self = engine_alloc(memory, sizeof *self);
    if (!self)
        return NULL;
    ZSTD_customMem hooks = {allocate, release, memory};
    *self = (state){.context = ZSTD_createDCtx_advanced(hooks), .memory = memory};
    if (!self->context) {
        engine_free(memory, self);
        return NULL;
    }
    (void)ZSTD_DCtx_setMaxWindowSize(self->context, (size_t)options->window_max_bytes);
    return self;
}

static int zstd_decode(void *opaque, engine_io *io, bool *ret_ended, const char **ret_text)
{
    state *self = opaque;
    ZSTD_inBuffer in = {io->in, io->in_size, 0};
    ZSTD_outBuffer out = {io->out, io->out_size, 0};
    size_t result = ZSTD_decompressStream(self->context, &out, &in);
    io->in_size -= in.pos;
    *ret_ended = result == 0;
    io->wholes += *ret_ended;
    self->again |= *ret_ended;
    if (!ZSTD_isError(result)) {
        io->out_size -= out.pos;
        return 0;
    }
    /* What stands in `out` after an error is not to be relied on: for frames of old versions it is the whole buffer. */
    *ret_text = ZSTD_getErrorName(result);
    switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_frameParameter_windowTooLarge:
        *ret_text = "it needs a larger window to be unpacked than window_max_bytes allows";
        return -EFBIG;
    case ZSTD_error_memory_allocation:
        *ret_text = "no memory for the window";
        return self->memory->error ? self->memory->error : -ENOMEM;
    case ZSTD_error_prefix_unknown:
        if (self->again)
            *ret_text = "what follows the end of the compressed data is not compressed data";
        return -EBADMSG;
    default:
        return -EBADMSG;
    }
}

static void zstd_close(void *opaque)
{
    state *self = opaque;
    ZSTD_freeDCtx(self->context);
    engine_free(self->memory, self);
}

const engine engine_zstd = {zstd_open, zstd_decode, zstd_close};
