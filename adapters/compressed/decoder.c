/* SPDX-License-Identifier: Apache-2.0 */
/* A buffer of input, an engine that unpacks it, and the rule of what may end where. Input that ends inside a whole is
 * damaged, and a whole may follow another.
 *
 * Bytes that were unpacked before an error are handed on first; then the error stays, since an engine cannot be gone on
 * with.
 */
#include "engine.h"

#include <errno.h>
#include <headroom/budget.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES ((size_t)64 << 10)
#define WINDOW_MAX_BYTES (UINT64_C(8) << 20)

struct hr_decoder {
    hr_decoder_options options;
    const engine *engine;
    void *state;
    engine_memory memory;
    unsigned char *input;
    size_t at, length; /* of what is not unpacked yet */
    bool input_ended;
    bool begun;   /* the kind is known */
    bool inside;  /* a whole has begun and not ended */
    bool pending; /* the engine had no room for all that it has unpacked */
    int error;    /* of the engine, once it was handed on */
    hr_decoder_figures figures;
};

void *engine_alloc(engine_memory *memory, size_t size)
{
    void *block = memory->budget ? hr_alloc(memory->budget, size) : malloc(size);
    if (!block)
        memory->error = memory->budget && errno == EDQUOT ? -EDQUOT : -ENOMEM;
    return block;
}

void engine_free(engine_memory *memory, void *block)
{
    if (memory->budget)
        hr_free(block);
    else
        free(block);
}

bool hr_codec_is_known(hr_codec codec)
{
    switch (codec) {
    case HR_CODEC_AUTO:
    case HR_CODEC_PLAIN:
        return true;
    case HR_CODEC_GZIP:
#ifdef HAVE_ZLIB
        return true;
#else
        return false;
#endif
    case HR_CODEC_ZSTD:
#ifdef HAVE_ZSTD
        return true;
#else
        return false;
#endif
    default:
        return false;
    }
}

static const engine *engine_of(hr_codec codec)
{
#ifdef HAVE_ZLIB
    if (codec == HR_CODEC_GZIP)
        return &engine_gzip;
#endif
#ifdef HAVE_ZSTD
    if (codec == HR_CODEC_ZSTD)
        return &engine_zstd;
#endif
    (void)codec;
    return NULL;
}

int hr_decoder_new(const hr_decoder_options *options, hr_decoder **ret_decoder)
{
    if (!options || !ret_decoder || !options->reader.kind_ || (unsigned)options->codec > HR_CODEC_ZSTD)
        return -EINVAL;
    if (!hr_codec_is_known(options->codec))
        return -ENOTSUP;
    hr_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return -ENOMEM;
    decoder->options = *options;
    if (decoder->options.input_bytes < MAGIC_BYTES)
        decoder->options.input_bytes = options->input_bytes ? MAGIC_BYTES : INPUT_BYTES;
    if (!options->window_max_bytes)
        decoder->options.window_max_bytes = WINDOW_MAX_BYTES;
    decoder->memory.budget = options->budget;
    decoder->figures.error = "";
    decoder->input = engine_alloc(&decoder->memory, decoder->options.input_bytes);
    if (!decoder->input) {
        int error = decoder->memory.error;
        free(decoder);
        return error;
    }
    *ret_decoder = decoder;
    return 0;
}

void hr_decoder_free(hr_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->state)
        decoder->engine->close(decoder->state);
    engine_free(&decoder->memory, decoder->input);
    free(decoder);
}

/* Reads on behind what is left. Gives 0 or a negative errno. */
static int refill(hr_decoder *decoder)
{
    if (decoder->at)
        memmove(decoder->input, decoder->input + decoder->at, decoder->length);
    decoder->at = 0;
    ssize_t got = hr_reader_read(&decoder->options.reader, decoder->options.cancel, decoder->input + decoder->length,
                                 decoder->options.input_bytes - decoder->length, &decoder->input_ended);
    if (got < 0)
        return (int)got;
    decoder->length += (size_t)got;
    return 0;
}

/* gzip: 1f 8b. zlib, by level: 78 01, 78 9c, 78 da; not 78 5e, which is how a text begins that says "x^2". zstd:
 * 28 b5 2f fd, or a frame that is to be passed over, 5x 2a 4d 18. */
static hr_codec guess(const unsigned char *bytes, size_t size)
{
    if (size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b)
        return HR_CODEC_GZIP;
    if (size >= 2 && bytes[0] == 0x78 && (bytes[1] == 0x01 || bytes[1] == 0x9c || bytes[1] == 0xda))
        return HR_CODEC_GZIP;
    if (size >= MAGIC_BYTES && is_zstd(bytes))
        return HR_CODEC_ZSTD;
    return HR_CODEC_PLAIN;
}

static int begin(hr_decoder *decoder)
{
    hr_codec codec = decoder->options.codec;
    while (codec == HR_CODEC_AUTO && decoder->length < MAGIC_BYTES && !decoder->input_ended) {
        int error = refill(decoder);
        if (error)
            return error;
    }
    if (codec == HR_CODEC_AUTO)
        codec = guess(decoder->input, decoder->length);
    decoder->figures.codec = codec;
    if (!hr_codec_is_known(codec)) {
        decoder->figures.error = "this library was built without its codec";
        return -ENOTSUP;
    }
    decoder->engine = engine_of(codec);
    if (decoder->engine)
        decoder->state = decoder->engine->open(&decoder->memory, &decoder->options);
    if (decoder->engine && !decoder->state) {
        decoder->figures.error = "no memory for the codec";
        return decoder->memory.error;
    }
    decoder->begun = true;
    return 0;
}

static void copy(engine_io *io)
{
    size_t length = io->in_size < io->out_size ? io->in_size : io->out_size;
    memcpy(io->out, io->in, length);
    io->in_size -= length;
    io->out_size -= length;
}

/* Unpacks what is in the buffer. Gives bytes, or a negative errno if there are none before what is wrong. */
static ssize_t unpack(hr_decoder *decoder, void *buffer, size_t size)
{
    engine_io io = {decoder->input + decoder->at, decoder->length, buffer, size, 0};
    if (decoder->engine) {
        bool ended = false;
        decoder->error = decoder->engine->decode(decoder->state, &io, &ended, &decoder->figures.error);
        decoder->figures.wholes += io.wholes;
        decoder->inside = !ended;
    } else {
        copy(&io);
    }
    size_t got = size - io.out_size;
    decoder->pending = decoder->inside && io.out_size == 0;
    decoder->at += decoder->length - io.in_size;
    decoder->figures.in_bytes += decoder->length - io.in_size;
    decoder->figures.out_bytes += got;
    decoder->length = io.in_size;
    return got || !decoder->error ? (ssize_t)got : decoder->error;
}

static ssize_t damaged(hr_decoder *decoder, const char *text)
{
    decoder->figures.error = text;
    return -EBADMSG;
}

static ssize_t read_unpacked(void *self, void *buffer, size_t size, bool *ret_end)
{
    hr_decoder *decoder = self;
    int error = decoder->begun ? decoder->error : begin(decoder);
    while (!error) {
        /* Without input an engine is only asked for what it has: zstd takes being asked in vain for damage. */
        size_t before = decoder->length;
        ssize_t got = before || decoder->pending ? unpack(decoder, buffer, size) : 0;
        if (got != 0)
            return got;
        if (decoder->length && decoder->length < before)
            continue;
        if (decoder->length == 0 && decoder->input_ended) {
            *ret_end = !decoder->inside;
            return decoder->inside ? damaged(decoder, "the input ends too soon: it was cut off") : 0;
        }
        if (decoder->input_ended || decoder->length == decoder->options.input_bytes)
            return damaged(decoder, "nothing can be made of the input");
        error = refill(decoder);
    }
    return error;
}

hr_reader hr_reader_decoder(hr_decoder *decoder)
{
    return hr_reader_custom(decoder ? read_unpacked : NULL, decoder);
}

int hr_decoder_read(const hr_decoder *decoder, hr_decoder_figures *ret_figures)
{
    if (!decoder || !ret_figures)
        return -EINVAL;
    *ret_figures = decoder->figures;
    return 0;
}
