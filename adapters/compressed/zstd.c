/* SPDX-License-Identifier: Apache-2.0 */
#define ZSTD_STATIC_LINKING_ONLY /* for an allocator of our own */
#include "engine.h"

#include <errno.h>
#include <zstd.h>
#include <zstd_errors.h>

static void *allocate(void *opaque, size_t size)
{
    return engine_alloc(opaque, size);
}

static void release(void *opaque, void *block)
{
    engine_free(opaque, block);
}

static void *zstd_open(const hr_decoder_options *options, int *ret_error)
{
    ZSTD_customMem memory = {allocate, release, options->budget};
    ZSTD_DCtx *context = ZSTD_createDCtx_advanced(memory);
    if (!context) {
        *ret_error = errno == EDQUOT ? -EDQUOT : -ENOMEM;
        return NULL;
    }
    (void)ZSTD_DCtx_setMaxWindowSize(context, (size_t)options->window_max_bytes);
    return context;
}

static int zstd_decode(void *self, engine_io *io, bool *ret_ended)
{
    ZSTD_inBuffer in = {io->in, io->in_size, 0};
    ZSTD_outBuffer out = {io->out, io->out_size, 0};
    size_t result = ZSTD_decompressStream(self, &out, &in);
    io->in_size -= in.pos;
    io->out_size -= out.pos;
    if (!ZSTD_isError(result)) {
        *ret_ended = result == 0;
        return 0;
    }
    switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_frameParameter_windowTooLarge:
        return -EFBIG;
    case ZSTD_error_memory_allocation:
        return errno == EDQUOT ? -EDQUOT : -ENOMEM;
    default:
        return -EBADMSG;
    }
}

static void zstd_close(void *self)
{
    ZSTD_freeDCtx(self);
}

const engine engine_zstd = {zstd_open, zstd_decode, zstd_close};
