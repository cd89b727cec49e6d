/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's program that uses the installed libheadroom-compressed: one source for C11, C17 and C++17. */
#include <headroom/compressed.h>
#include <headroom/headroom.h>

#include <stdio.h>
#include <string.h>

/* "headroom\n", packed by gzip and by zstd. */
static const unsigned char as_gzip[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03,
                                        0xcb, 0x48, 0x4d, 0x4c, 0x29, 0xca, 0xcf, 0xcf, 0xe5, 0x02,
                                        0x00, 0xc3, 0xb7, 0x47, 0xb4, 0x09, 0x00, 0x00, 0x00};
static const unsigned char as_zstd[] = {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x49, 0x00, 0x00, 0x68, 0x65,
                                        0x61, 0x64, 0x72, 0x6f, 0x6f, 0x6d, 0x0a, 0xbc, 0xb0, 0xe7, 0x05};

static int check(void *context, const hr_chunk *chunk)
{
    *(int *)context += chunk->size == 9 && memcmp(chunk->data, "headroom\n", 9) == 0;
    return 0;
}

/* 0: it came out as it was. `codec` has to be found out. */
static int unpack(hr_guard *guard, hr_codec codec, const void *packed, size_t size)
{
    hr_decoder_options options;
    hr_decoder *decoder;
    memset(&options, 0, sizeof options);
    options.reader = hr_reader_memory(packed, size);
    options.budget = hr_guard_root(guard);
    if (hr_decoder_new(&options, &decoder) != 0)
        return 1;
    hr_stream_options stream;
    int found = 0;
    memset(&stream, 0, sizeof stream);
    stream.reader = hr_reader_decoder(decoder);
    stream.delimiter = '\n';
    stream.guard = guard;
    stream.on_chunk = check;
    stream.context = &found;
    int error = hr_stream_run(&stream, NULL);
    hr_decoder_figures figures;
    if (hr_decoder_read(decoder, &figures) != 0 || figures.codec != codec)
        error = 2;
    if (error)
        printf("codec %d: %d, %s\n", (int)codec, error, figures.error);
    hr_decoder_free(decoder);
    return error ? error : found != 1;
}

int main(void)
{
    hr_guard *guard;
    if (hr_guard_new(NULL, &guard) != 0)
        return 1;
    int result = unpack(guard, HR_CODEC_PLAIN, "headroom\n", 9);
    if (!result && hr_codec_is_known(HR_CODEC_GZIP))
        result = unpack(guard, HR_CODEC_GZIP, as_gzip, sizeof as_gzip);
    if (!result && hr_codec_is_known(HR_CODEC_ZSTD))
        result = unpack(guard, HR_CODEC_ZSTD, as_zstd, sizeof as_zstd);
    hr_guard_free(guard);
    return result ? 1 : 0;
}
