/* SPDX-License-Identifier: Apache-2.0 */
/* hr_reader_decoder(): any input, as gzip or zlib, zstd or either, comes to an end. Its output does not
 * depend on how reads cut it nor on the size of buffers. The input's first byte is the codec, the second the size of
 * the input's buffer. The third is the seed by which reads are cut and how much is asked for; the rest is compressed.
 *
 * The oracles are the decoder itself with all of the input in its buffer, and zlib and libzstd on all of the input.
 * Of damaged input only the common part of both outputs is compared. zstd unpacks a frame that is there whole in one
 * step, and then gives nothing of one that is damaged.
 */
#include "fuzz.h"

#include <headroom/compressed.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define OUT_BYTES ((size_t)1 << 18) /* of a bomb no more is looked at */
#define WINDOW_BYTES ((uint64_t)1 << 20)

typedef struct feed {
    const uint8_t *data;
    size_t size;
    unsigned seed; /* 0: all at once */
} feed;

static size_t draw(unsigned *seed, size_t most)
{
    *seed = *seed * 1103515245u + 12345u;
    return 1 + (*seed >> 16) % most;
}

static ssize_t read_feed(void *self, void *buffer, size_t size, bool *ret_end)
{
    feed *from = self;
    size_t most = from->size < size ? from->size : size;
    size_t length = from->seed && most ? draw(&from->seed, most < 64 ? most : 64) : most;
    if (length)
        memcpy(buffer, from->data, length);
    from->data += length;
    from->size -= length;
    *ret_end = from->size == 0 && (from->seed & 256) == 0; /* with the last bytes, or behind them */
    if (length == 0)
        *ret_end = true;
    return (ssize_t)length;
}

typedef struct result {
    char *out;
    size_t size;
    int error;
} outcome;

#ifdef HAVE_ZLIB
/* Wholes behind one another, each with zeros behind it. */
static outcome unpack_gzip(const uint8_t *data, size_t size)
{
    outcome result = {.out = malloc(OUT_BYTES)};
    z_stream stream = {.next_in = (uint8_t *)(uintptr_t)data, .avail_in = (unsigned)size};
    stream.next_out = (uint8_t *)result.out, stream.avail_out = OUT_BYTES;
    if (!result.out || inflateInit2(&stream, 15 + 32) != Z_OK)
        abort();
    while (stream.avail_in && stream.avail_out && !result.error) {
        if (inflate(&stream, Z_SYNC_FLUSH) != Z_STREAM_END) {
            result.error = stream.avail_out ? -EBADMSG : 0; /* it is damaged, ends too soon, or is a bomb */
            break;
        }
        while (stream.avail_in && *stream.next_in == 0)
            stream.next_in++, stream.avail_in--;
        inflateReset(&stream);
    }
    result.size = OUT_BYTES - stream.avail_out;
    inflateEnd(&stream);
    return result;
}
#endif

#ifdef HAVE_ZSTD
/* Of the versions that libzstd knows the decoder takes those from 1.0 on, and frames to be passed over. */
static bool begins_frame(const uint8_t *data, size_t size)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd}, passed_over[] = {0x2a, 0x4d, 0x18};
    return size >= 4 && (memcmp(data, magic, 4) == 0 || (data[0] >> 4 == 5 && memcmp(data + 1, passed_over, 3) == 0));
}

static outcome unpack_zstd(const uint8_t *data, size_t size)
{
    outcome result = {.out = malloc(OUT_BYTES)};
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!result.out || !context)
        abort();
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, 20);
    ZSTD_inBuffer in = {data, size, 0};
    ZSTD_outBuffer out = {result.out, OUT_BYTES, 0};
    size_t left = 0;
    while (in.pos < in.size && out.pos < out.size && !result.error) {
        if (left == 0 && !begins_frame(data + in.pos, in.size - in.pos)) {
            result.error = -EBADMSG;
            break;
        }
        left = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(left))
            result.error = -EBADMSG;
        else
            result.size = out.pos;
    }
    if (left && result.size < OUT_BYTES)
        result.error = -EBADMSG;
    ZSTD_freeDCtx(context);
    return result;
}
#endif

/* Gives one without bytes to look at where there is no oracle. */
static outcome ask_oracle(hr_codec codec, const uint8_t *data, size_t size)
{
#ifdef HAVE_ZLIB
    if (codec == HR_CODEC_GZIP)
        return unpack_gzip(data, size);
#endif
#ifdef HAVE_ZSTD
    if (codec == HR_CODEC_ZSTD)
        return unpack_zstd(data, size);
#endif
    outcome plain = {.out = malloc(OUT_BYTES), .size = size < OUT_BYTES ? size : OUT_BYTES};
    HRF_CHECK(codec == HR_CODEC_PLAIN && plain.out);
    if (plain.size)
        memcpy(plain.out, data, plain.size);
    return plain;
}

static void compare(outcome ours, outcome other)
{
    size_t both = ours.size < other.size ? ours.size : other.size;
    HRF_CHECK(both == 0 || memcmp(ours.out, other.out, both) == 0);
    if (both == OUT_BYTES)
        return; /* what follows was not looked at */
    HRF_CHECK((ours.error == 0) == (other.error == 0));
    HRF_CHECK(ours.error || ours.size == other.size);
}

/* Unpacks up to OUT_BYTES. `*codec` is known afterwards. */
static outcome unpack(hr_codec *codec, feed from, size_t input_bytes)
{
    outcome result = {.out = malloc(OUT_BYTES)};
    unsigned seed = from.seed;
    uint64_t in_bytes = from.size;
    hr_decoder_options options = {.reader = hr_reader_custom(read_feed, &from),
                                  .codec = *codec,
                                  .input_bytes = input_bytes,
                                  .window_max_bytes = WINDOW_BYTES};
    hr_decoder *decoder;
    if (!result.out || hr_decoder_new(&options, &decoder) != 0)
        abort();
    hr_reader reader = hr_reader_decoder(decoder);
    bool end = false;
    while (!end && result.size < OUT_BYTES) {
        size_t room = OUT_BYTES - result.size, length = seed ? draw(&seed, room < 300 ? room : 300) : room;
        char *part = malloc(length); /* a block of its own, so that a write behind it is found */
        if (!part)
            abort();
        ssize_t got = hr_reader_read(&reader, NULL, part, length, &end);
        HRF_CHECK(got <= (ssize_t)length);
        if (got > 0)
            memcpy(result.out + result.size, part, (size_t)got);
        free(part);
        if (got < 0) {
            result.error = (int)got;
            break;
        }
        result.size += (size_t)got;
    }
    hr_decoder_figures figures;
    HRF_CHECK(hr_decoder_read(decoder, &figures) == 0);
    HRF_CHECK(figures.out_bytes == result.size && figures.in_bytes <= in_bytes);
    HRF_CHECK((result.error != 0) == (*figures.error != '\0') || result.size == OUT_BYTES);
    HRF_CHECK(!end || figures.in_bytes == in_bytes);
    *codec = figures.codec;
    hr_decoder_free(decoder);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    hr_codec codec = (hr_codec)(data[0] % 4);
    if (!hr_codec_is_known(codec))
        return 0;
    hr_codec found = codec, found_cut = codec;
    outcome whole = unpack(&found, (feed){data + 3, size - 3, 0}, size);
    outcome cut = unpack(&found_cut, (feed){data + 3, size - 3, 1u + data[2]}, 1u + data[1]);
    HRF_CHECK(found == found_cut);
    outcome oracle = ask_oracle(found, data + 3, size - 3);
    compare(whole, cut);
    compare(whole, oracle);
    free(whole.out);
    free(cut.out);
    free(oracle.out);
    return 0;
}
