/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed input: whole whatever the cuts, and damage is an error, never silence. */
#include "support/cmocka.h"
#include "support/drip.h"

#include <headroom/compressed.h>
#include <headroom/headroom.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define SIZE 40000

static char input[SIZE];
static unsigned char packed[2 * SIZE];
static hrt_sink sink;

static size_t pack(hr_codec codec, unsigned char *to, size_t room, const char *from, size_t size)
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

static int unpack(hrt_drip *drip, hr_decoder_options options, hr_stream_result *ret_result)
{
    hr_decoder *decoder;
    options.reader = hr_reader_custom(hrt_drip_read, drip);
    memset(&sink, 0, sizeof sink);
    int error = hr_decoder_new(&options, &decoder);
    if (error)
        return error;
    hr_stream_options stream = {
        .reader = hr_reader_decoder(decoder), .buffer_bytes = 4096, .on_chunk = hrt_sink_take, .context = &sink};
    error = hr_stream_run(&stream, ret_result);
    hr_decoder_free(decoder);
    return error;
}

static const hr_codec codecs[] = {HR_CODEC_PLAIN, HR_CODEC_GZIP, HR_CODEC_ZSTD};

static void whole_whatever_the_cuts(void **state)
{
    (void)state;
    const size_t steps[] = {1, 3, 1000, 0, HRT_DRIP_RANDOM};
    for (size_t codec = 0; codec < 3; codec++) {
        if (!hr_codec_is_known(codecs[codec])) {
            print_message("codec %zu is not built in\n", codec);
            continue;
        }
        size_t half = pack(codecs[codec], packed, sizeof packed, input, SIZE / 2);
        size_t size = half + pack(codecs[codec], packed + half, sizeof packed - half, input + SIZE / 2, SIZE / 2);
        for (size_t i = 0; i < 2 * sizeof steps / sizeof *steps; i++) { /* two wholes behind one another are one */
            hrt_drip drip = {.data = (char *)packed, .size = size, .step = steps[i / 2], .end_together = i & 1};
            hr_stream_result result;
            hr_decoder_options options = {.input_bytes = i & 1 ? 5 : 0, .codec = i & 1 ? codecs[codec] : HR_CODEC_AUTO};
            assert_int_equal(unpack(&drip, options, &result), 0);
            assert_true(hrt_sink_has(&sink, input, SIZE));
            assert_int_equal(result.offset, SIZE);
        }
    }
}

static void input_that_ends_too_soon_is_an_error(void **state)
{
    (void)state;
    for (size_t codec = 1; codec < 3; codec++) {
        if (!hr_codec_is_known(codecs[codec]))
            continue;
        size_t size = pack(codecs[codec], packed, sizeof packed, input, SIZE);
        for (size_t cut = 4; cut < size; cut += 97) {
            hrt_drip drip = {.data = (char *)packed, .size = cut, .step = 100, .end_together = cut & 1};
            hr_stream_result result;
            assert_int_equal(unpack(&drip, (hr_decoder_options){.codec = codecs[codec]}, &result), -EBADMSG);
            assert_true(hrt_sink_has(&sink, input, (size_t)result.offset));
        }
        for (size_t at = 12; at < size; at += 331) { /* damaged: found by the data, or by the checksum at the end */
            packed[at] ^= 0x55;
            hrt_drip drip = {.data = (char *)packed, .size = size};
            hr_stream_result result;
            int error = unpack(&drip, (hr_decoder_options){.codec = codecs[codec]}, &result);
            assert_true(error == -EBADMSG || error == -EFBIG || codecs[codec] == HR_CODEC_ZSTD);
            packed[at] ^= 0x55;
        }
        hrt_drip drip = {.data = (char *)packed, .size = size, .fail_at = size / 2, .step = 50, .fail_with = -EIO};
        hr_stream_result result;
        assert_int_equal(unpack(&drip, (hr_decoder_options){0}, &result), -EIO);
    }
}

static void all_memory_is_charged(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_budget *small;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard), 0);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "small", 80000, &small), 0);
    for (size_t codec = 1; codec < 3; codec++) {
        if (!hr_codec_is_known(codecs[codec]))
            continue;
        hrt_drip drip = {.data = (char *)packed, .size = pack(codecs[codec], packed, sizeof packed, input, SIZE)};
        hr_stream_result result;
        assert_int_equal(unpack(&drip, (hr_decoder_options){.budget = hr_guard_root(guard)}, &result), 0);
        hr_budget_figures figures;
        assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
        assert_int_equal(figures.used_bytes, 0);
        assert_true(figures.total_bytes > 64 << 10);
        drip.done = 0; /* too small a budget is an error, not a crash */
        assert_int_equal(unpack(&drip, (hr_decoder_options){.budget = small}, &result), -EDQUOT);
    }
    assert_int_equal(hr_budget_free(small), 0);
    hr_guard_free(guard);
}

static void what_is_no_decoder(void **state)
{
    (void)state;
    hr_decoder *decoder;
    assert_int_equal(hr_decoder_new(NULL, &decoder), -EINVAL);
    assert_int_equal(hr_decoder_new(&(hr_decoder_options){.codec = 9}, &decoder), -EINVAL);
    assert_false(hr_codec_is_known(9));
    hr_decoder_free(NULL);
    for (size_t size = 0; size < 4; size++) { /* too short to be of a kind: plain */
        hrt_drip drip = {.data = "abc", .size = size};
        hr_stream_result result;
        assert_int_equal(unpack(&drip, (hr_decoder_options){0}, &result), 0);
        assert_true(hrt_sink_has(&sink, "abc", size));
    }
}

static int set_up(void **state)
{
    (void)state;
    hrt_fill_lines(input, SIZE);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_whatever_the_cuts),
        cmocka_unit_test(input_that_ends_too_soon_is_an_error),
        cmocka_unit_test(all_memory_is_charged),
        cmocka_unit_test(what_is_no_decoder),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
