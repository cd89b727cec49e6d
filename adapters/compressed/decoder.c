/* SPDX-License-Identifier: Apache-2.0 */
/* A buffer of input, an engine that unpacks it, and the rule of what may end where: input that ends inside a whole is
 * damaged, and a whole may follow another.
 */
#include "engine.h"

#include <errno.h>
#include <headroom/budget.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES ((size_t)64 << 10)
#define WINDOW_MAX_BYTES (UINT64_C(8) << 20)
#define MAGIC_BYTES 4 /* enough to tell the kinds apart */

struct hr_decoder {
    hr_decoder_options options;
    const engine *engine;
    void *state;
    unsigned char *input;
    size_t at, length; /* of what is not unpacked yet */
    bool input_ended;
    bool begun;  /* the kind is known */
    bool inside; /* a whole has begun and not ended */
};

void *engine_alloc(hr_budget *budget, size_t size)
{
    return budget ? hr_alloc(budget, size) : malloc(size);
}

void engine_free(hr_budget *budget, void *block)
{
    if (budget)
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
    if (!options || !ret_decoder || (unsigned)options->codec > HR_CODEC_ZSTD)
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
    decoder->input = engine_alloc(options->budget, decoder->options.input_bytes);
    if (!decoder->input) {
        int error = errno == EDQUOT ? -EDQUOT : -ENOMEM;
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
    engine_free(decoder->options.budget, decoder->input);
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

/* gzip: 1f 8b. zlib: its first two bytes are a multiple of 31, and the first says deflate with a window that exists. zstd:
 * 28 b5 2f fd, or a frame that is to be passed over, 5x 2a 4d 18. */
static hr_codec guess(const unsigned char *bytes, size_t size)
{
    if (size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b)
        return HR_CODEC_GZIP;
    if (size >= 2 && (bytes[0] & 0x8f) == 0x08 && (bytes[0] * 256 + bytes[1]) % 31 == 0 && bytes[0] == 0x78)
        return HR_CODEC_GZIP;
    if (size >= 4 && bytes[0] == 0x28 && bytes[1] == 0xb5 && bytes[2] == 0x2f && bytes[3] == 0xfd)
        return HR_CODEC_ZSTD;
    if (size >= 4 && (bytes[0] & 0xf0) == 0x50 && bytes[1] == 0x2a && bytes[2] == 0x4d && bytes[3] == 0x18)
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
    if (!hr_codec_is_known(codec))
        return -ENOTSUP;
    int error = 0;
    decoder->engine = engine_of(codec);
    if (decoder->engine)
        decoder->state = decoder->engine->open(&decoder->options, &error);
    decoder->begun = !error;
    return error;
}

/* Unpacks what is in the buffer. Gives bytes or a negative errno. */
static ssize_t unpack(hr_decoder *decoder, void *buffer, size_t size)
{
    engine_io io = {decoder->input + decoder->at, decoder->length, buffer, size};
    int error = 0;
    if (decoder->engine) {
        bool ended = false;
        error = decoder->engine->decode(decoder->state, &io, &ended);
        decoder->inside = !ended;
    } else {
        size_t length = io.in_size < size ? io.in_size : size;
        memcpy(buffer, io.in, length);
        io.in_size -= length;
        io.out_size -= length;
    }
    decoder->at += decoder->length - io.in_size;
    decoder->length = io.in_size;
    return error ? error : (ssize_t)(size - io.out_size);
}

static ssize_t read_unpacked(void *self, void *buffer, size_t size, bool *ret_end)
{
    hr_decoder *decoder = self;
    int error = decoder->begun ? 0 : begin(decoder);
    while (!error) {
        /* An engine that is inside may have more to give without more input. */
        size_t before = decoder->length;
        ssize_t got = before || decoder->inside ? unpack(decoder, buffer, size) : 0;
        if (got != 0)
            return got;
        if (decoder->length && decoder->length < before)
            continue;
        if (decoder->length == 0 && decoder->input_ended) {
            *ret_end = !decoder->inside;
            return decoder->inside ? -EBADMSG : 0;
        }
        if (decoder->input_ended || decoder->length == decoder->options.input_bytes)
            return -EBADMSG; /* there is input, and nothing is made of it */
        error = refill(decoder);
    }
    return error;
}

hr_reader hr_reader_decoder(hr_decoder *decoder)
{
    return hr_reader_custom(decoder ? read_unpacked : NULL, decoder);
}
