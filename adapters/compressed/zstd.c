/* SPDX-License-Identifier: Apache-2.0 */
#define ZSTD_STATIC_LINKING_ONLY /* for an allocator of our own */
#include "engine.h"

#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

typedef struct state {
    ZSTD_DCtx *context;
    engine_memory *memory;
    bool inside; /* a whole has begun and not ended */
    bool again;  /* one has ended */
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

/* Frames of versions before 1.0 are none: libzstd takes damaged ones for whole if they come in one piece. */
static int begin(const state *self, const engine_io *io, const char **ret_text)
{
    if (is_zstd(io->in))
        return 0;
    *ret_text = self->again ? "what follows the end of the compressed data is not compressed data"
                            : "it is not zstd, or of a version before 1.0";
    return -EBADMSG;
}

static int zstd_decode(void *opaque, engine_io *io, bool *ret_ended, const char **ret_text)
{
    state *self = opaque;
    *ret_ended = false;
    if (!self->inside && io->in_size < MAGIC_BYTES)
        return 0; /* it needs more input */
    int error = self->inside ? 0 : begin(self, io, ret_text);
    if (error)
        return error;
    ZSTD_inBuffer in = {io->in, io->in_size, 0};
    ZSTD_outBuffer out = {io->out, io->out_size, 0};
    size_t result = ZSTD_decompressStream(self->context, &out, &in);
    io->in_size -= in.pos;
    *ret_ended = result == 0;
    io->wholes += *ret_ended;
    self->inside = !*ret_ended;
    self->again |= *ret_ended;
    if (!ZSTD_isError(result)) {
        io->out_size -= out.pos;
        return 0;
    }
    /* The bytes in `out` after an error are not to be relied on. */
    *ret_text = ZSTD_getErrorName(result);
    switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_frameParameter_windowTooLarge:
        *ret_text = "it needs a larger window to be unpacked than window_max_bytes allows";
        return -EFBIG;
    case ZSTD_error_memory_allocation:
        *ret_text = "no memory for the window";
        return self->memory->error ? self->memory->error : -ENOMEM;
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
