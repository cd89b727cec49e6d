/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed input for tests. */
#ifndef HRT_SUPPORT_PACK_H
#define HRT_SUPPORT_PACK_H

#include "support/cmocka.h"

#include <headroom/compressed.h>
#include <string.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

/* Packs `size` bytes as one whole. Gives its length. */
static inline size_t hrt_pack(hr_codec codec, unsigned char *to, size_t room, const char *from, size_t size)
{
    (void)room, (void)size;
#ifdef HAVE_ZLIB
    if (codec == HR_CODEC_GZIP) {
        z_stream stream = {0};
        assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        stream.next_in = (unsigned char *)(uintptr_t)from, stream.avail_in = (unsigned)size;
        stream.next_out = to, stream.avail_out = (unsigned)room;
        assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
        size_t length = stream.total_out;
        deflateEnd(&stream);
        return length;
    }
#endif
#ifdef HAVE_ZSTD
    if (codec == HR_CODEC_ZSTD)
        return ZSTD_compress(to, room, from, size, 3);
#endif
    assert_int_equal(codec, HR_CODEC_PLAIN);
    memcpy(to, from, size);
    return size;
}

#endif
