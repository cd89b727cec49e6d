/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed input for streams: gzip, zlib and zstd, unpacked as it is read. A library of its own
 * (-lheadroom-compressed, headroom::compressed), so that the others need neither zlib nor libzstd.
 *
 *     hr_decoder *decoder;
 *     int error = hr_decoder_new(&(hr_decoder_options){.reader = hr_reader_fd(fd)}, &decoder);
 *     hr_stream_options options = {.reader = hr_reader_decoder(decoder), .delimiter = '\n', ...};
 *     error = hr_stream_run(&options, &result);      // offsets are those of what is unpacked
 *     hr_decoder_figures figures;
 *     if (error && hr_decoder_read(decoder, &figures) == 0)
 *         fprintf(stderr, "byte %llu: %s\n", (unsigned long long)figures.in_bytes, figures.error);
 *     hr_decoder_free(decoder);
 */
#ifndef HEADROOM_COMPRESSED_H
#define HEADROOM_COMPRESSED_H

#include <headroom/flow.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hr_codec {
    HR_CODEC_AUTO,  /* by the first bytes; what is none of the others is plain, and zlib of levels 2 to 5 looks so */
    HR_CODEC_PLAIN, /* passed on as it is */
    HR_CODEC_GZIP,  /* or zlib; several behind one another are one, and zeros behind them are padding */
    HR_CODEC_ZSTD,  /* of versions from 1.0 on; several behind one another are one */
} hr_codec;

/* Zero means default everywhere. */
typedef struct hr_decoder_options {
    hr_reader reader; /* what is compressed */
    hr_codec codec;
    size_t input_bytes;        /* 64 KiB: the buffer for what is compressed */
    uint64_t window_max_bytes; /* 8 MiB: zstd input that needs more to be unpacked is refused (-EFBIG) */
    hr_budget *budget;         /* who pays for all memory of the decoder; NULL: nobody */
    hr_cancel *cancel;         /* ends a wait for input, as in hr_stream_options */
} hr_decoder_options;

typedef struct hr_decoder hr_decoder;

/* Says whether this library was built with a codec.
 *
 * threads  any
 */
HR_API bool hr_codec_is_known(hr_codec codec);

/* Makes a decoder. The kind of input that it has shows when it is read.
 *
 * returns  0; -EINVAL, also without a reader; -ENOTSUP for a codec that was not built in; -ENOMEM, -EDQUOT
 * threads  any
 * memory   allocates the input's buffer; the window (gzip 32 KiB, zstd at most window_max_bytes) when it is read first
 * undo     hr_decoder_free()
 */
HR_API HR_MUST_CHECK int hr_decoder_new(const hr_decoder_options *options, hr_decoder **ret_decoder);

/* Frees a decoder. NULL is fine.
 *
 * threads  any, as the last user of the decoder
 */
HR_API void hr_decoder_free(hr_decoder *decoder);

/* Reads what a decoder unpacks, once. It gives -EBADMSG where the input is damaged, ends too soon or has something else
 * behind it. It gives -EFBIG for a window that is too large, and -ENOTSUP for input of a codec that was not built in.
 * -ENOMEM, -EDQUOT and the reader's own errors are handed on. Bytes that were unpacked before come first, so the
 * stream's offset is where the damage is; they were not held against a checksum that stands behind them. Input of no
 * bytes is none, and no error.
 *
 * threads  any
 */
HR_API hr_reader hr_reader_decoder(hr_decoder *decoder);

/* How far a decoder is. */
typedef struct hr_decoder_figures {
    hr_codec codec;     /* HR_CODEC_AUTO: not known yet */
    uint64_t in_bytes;  /* unpacked: what is wrong stands here, or shortly before */
    uint64_t out_bytes; /* that came of them */
    uint64_t wholes;    /* gzip members, zlib streams or zstd frames that have ended */
    const char *error;  /* what was wrong with the input, in words; "" for nothing; valid as long as the decoder */
} hr_decoder_figures;

/* Reads the figures.
 *
 * returns  0; -EINVAL
 * threads  one at a time a decoder; not while a stream reads from it
 */
HR_API HR_MUST_CHECK int hr_decoder_read(const hr_decoder *decoder, hr_decoder_figures *ret_figures);

#ifdef __cplusplus
}
#endif

#endif
