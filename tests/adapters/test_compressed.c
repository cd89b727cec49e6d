/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed input: whole whatever the cuts, and damage is an error, never silence. */
#include "support/cmocka.h"
#include "support/drip.h"
#include "support/pack.h"

#include <headroom/headroom.h>

#define SIZE 40000

static char input[SIZE];
static unsigned char packed[2 * SIZE];
static hrt_sink sink;
static hr_decoder_figures figures; /* of the last one */

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
    assert_int_equal(hr_decoder_read(decoder, &figures), 0);
    assert_int_equal(figures.error[0] != '\0', error && error != -EIO);
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
        size_t half = hrt_pack(codecs[codec], packed, sizeof packed, input, SIZE / 2);
        size_t size = half + hrt_pack(codecs[codec], packed + half, sizeof packed - half, input + SIZE / 2, SIZE / 2);
        for (size_t i = 0; i < 2 * sizeof steps / sizeof *steps; i++) { /* two wholes behind one another are one */
            hrt_drip drip = {.data = (char *)packed, .size = size, .step = steps[i / 2], .end_together = i & 1};
            hr_stream_result result;
            hr_decoder_options options = {.input_bytes = i & 1 ? 5 : 0, .codec = i & 1 ? codecs[codec] : HR_CODEC_AUTO};
            assert_int_equal(unpack(&drip, options, &result), 0);
            assert_true(hrt_sink_has(&sink, input, SIZE));
            assert_int_equal(result.offset, SIZE);
            assert_int_equal(figures.codec, codecs[codec]);
            assert_int_equal(figures.in_bytes, size);
            assert_int_equal(figures.out_bytes, SIZE);
            assert_int_equal(figures.wholes, codecs[codec] == HR_CODEC_PLAIN ? 0 : 2);
        }
    }
}

static void input_that_ends_too_soon_is_an_error(void **state)
{
    (void)state;
    for (size_t codec = 1; codec < 3; codec++) {
        if (!hr_codec_is_known(codecs[codec]))
            continue;
        size_t size = hrt_pack(codecs[codec], packed, sizeof packed, input, SIZE);
        for (size_t cut = 4; cut < size; cut += 97) {
            hrt_drip drip = {.data = (char *)packed, .size = cut, .step = 100, .end_together = cut & 1};
            hr_stream_result result;
            assert_int_equal(unpack(&drip, (hr_decoder_options){.codec = codecs[codec]}, &result), -EBADMSG);
            assert_true(hrt_sink_has(&sink, input, (size_t)result.offset));
            assert_non_null(strstr(figures.error, "cut off"));
            assert_true(figures.in_bytes == cut && figures.out_bytes == result.offset && figures.wholes == 0);
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

/* Bytes that were unpacked before the damage are handed on, so that the offset reached is where the good part ends. */
static void what_comes_before_the_damage_is_handed_on(void **state)
{
    (void)state;
    for (size_t codec = 1; codec < 3; codec++) {
        if (!hr_codec_is_known(codecs[codec]))
            continue;
        const char *const behind[] = {"garbage", "\x1f\x8b and no header", "x"};
        for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
            size_t size = hrt_pack(codecs[codec], packed, sizeof packed, input, SIZE);
            size_t length = strlen(behind[i]);
            memcpy(packed + size, behind[i], length);
            for (unsigned one_by_one = 0; one_by_one < 2; one_by_one++) {
                hrt_drip drip = {.data = (char *)packed, .size = size + length, .step = one_by_one};
                hr_stream_result result;
                assert_int_equal(unpack(&drip, (hr_decoder_options){0}, &result), -EBADMSG);
                assert_int_equal(result.offset, SIZE);
                if (length > 1) /* a single byte may be the first of something */
                    assert_non_null(strstr(figures.error, "what follows the end"));
                assert_true(hrt_sink_has(&sink, input, SIZE));
                assert_true(figures.wholes == 1 && figures.in_bytes >= size && figures.in_bytes <= size + length);
            }
        }
    }
}

#ifdef HAVE_ZLIB
static void gzips_own_ways(void **state)
{
    (void)state;
    hr_stream_result result;
    size_t size = hrt_pack(HR_CODEC_GZIP, packed, sizeof packed, input, SIZE);
    packed[size - 6] ^= 1; /* its checksum: all is there, and the end says that something is wrong */
    hrt_drip drip = {.data = (char *)packed, .size = size};
    assert_int_equal(unpack(&drip, (hr_decoder_options){0}, &result), -EBADMSG);
    assert_int_equal(result.offset, SIZE);
    assert_string_equal(figures.error, "incorrect data check");
    packed[size - 6] ^= 1;
    memset(packed + size, 0, 1000); /* padding, and another one behind it */
    size_t all = size + 1000 + hrt_pack(HR_CODEC_GZIP, packed + size + 1000, 10000, "more", 4);
    for (size_t end = size + 1; end <= all; end = end < size + 1000 ? size + 1000 : end < all ? all : all + 1) {
        for (size_t step = 0; step < 3; step++) {
            drip = (hrt_drip){.data = (char *)packed, .size = end, .step = step};
            assert_int_equal(unpack(&drip, (hr_decoder_options){0}, &result), 0);
            assert_int_equal(result.offset, SIZE + (end == all ? 4 : 0));
            assert_int_equal(figures.wholes, end == all ? 2 : 1);
            assert_int_equal(figures.in_bytes, end);
        }
    }
    unsigned long zlib_size = sizeof packed; /* zlib without gzip's header */
    assert_int_equal(compress2(packed, &zlib_size, (const Bytef *)(const void *)input, SIZE, 6), Z_OK);
    drip = (hrt_drip){.data = (char *)packed, .size = zlib_size};
    assert_int_equal(unpack(&drip, (hr_decoder_options){0}, &result), 0);
    assert_true(hrt_sink_has(&sink, input, SIZE));
    drip = (hrt_drip){.data = "x^2 is a text", .size = 13};
    assert_int_equal(unpack(&drip, (hr_decoder_options){0}, &result), 0);
    assert_true(hrt_sink_has(&sink, "x^2 is a text", 13));
    drip.done = 0;
    assert_int_equal(unpack(&drip, (hr_decoder_options){.codec = HR_CODEC_GZIP}, &result), -EBADMSG);
}
#endif

#ifdef HAVE_ZSTD
static void a_window_larger_than_allowed_is_refused(void **state)
{
    (void)state;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 24);
    ZSTD_inBuffer in = {input, SIZE, 0};
    ZSTD_outBuffer out = {packed, sizeof packed, 0};
    assert_false(
        ZSTD_isError(ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue))); /* the size is not known yet */
    assert_int_equal(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(context);
    hrt_drip drip = {.data = (char *)packed, .size = out.pos};
    hr_stream_result result;
    assert_int_equal(unpack(&drip, (hr_decoder_options){0}, &result), -EFBIG);
    assert_non_null(strstr(figures.error, "window_max_bytes"));
    drip.done = 0;
    assert_int_equal(unpack(&drip, (hr_decoder_options){.window_max_bytes = 16 << 20}, &result), 0);
    assert_true(hrt_sink_has(&sink, input, SIZE));
}
#endif

/* A reader that has nothing yet, many times, in the middle of a whole. */
static ssize_t hesitate(void *self, void *buffer, size_t size, bool *ret_end)
{
    hrt_drip *drip = self;
    return drip->calls++ % 50 ? 0 : hrt_drip_read(drip, buffer, size, ret_end);
}

static void waiting_is_no_damage(void **state)
{
    (void)state;
    for (size_t codec = 1; codec < 3; codec++) {
        if (!hr_codec_is_known(codecs[codec]))
            continue;
        hrt_drip drip = {.data = (char *)packed, .step = 977};
        drip.size = hrt_pack(codecs[codec], packed, sizeof packed, input, 8192); /* two full buffers */
        hr_decoder *decoder;
        hr_decoder_options options = {.reader = hr_reader_custom(hesitate, &drip)};
        assert_int_equal(hr_decoder_new(&options, &decoder), 0);
        memset(&sink, 0, sizeof sink);
        hr_stream_options stream = {
            .reader = hr_reader_decoder(decoder), .buffer_bytes = 4096, .on_chunk = hrt_sink_take, .context = &sink};
        assert_int_equal(hr_stream_run(&stream, NULL), 0);
        assert_true(hrt_sink_has(&sink, input, 8192));
        hr_decoder_free(decoder);
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
        hrt_drip drip = {.data = (char *)packed, .size = hrt_pack(codecs[codec], packed, sizeof packed, input, SIZE)};
        hr_stream_result result;
        assert_int_equal(unpack(&drip, (hr_decoder_options){.budget = hr_guard_root(guard)}, &result), 0);
        hr_budget_figures budget;
        assert_int_equal(hr_budget_read(hr_guard_root(guard), &budget), 0);
        assert_int_equal(budget.used_bytes, 0);
        assert_true(budget.total_bytes > 64 << 10);
        drip.done = 0; /* too small a budget is an error, not a crash */
        assert_int_equal(unpack(&drip, (hr_decoder_options){.budget = small}, &result), -EDQUOT);
    }
    assert_int_equal(hr_budget_free(small), 0);
    hr_guard_free(guard);
}

#ifdef HAVE_ZSTD
/* libzstd says of a frame of version 0.7 that is damaged that all of the buffer was written: such versions are
 * refused. */
static void a_frame_of_an_old_version_gives_nothing(void **state)
{
    (void)state;
    static const unsigned char old[] = {0x27, 0xb5, 0x2f, 0xfd, 4, 0x48, 0x4d, 4, 0, 0xf4, 0xff, 0x69, 0x6e, 0x33};
    hrt_drip drip = {.data = (const char *)old, .size = sizeof old};
    hr_stream_result result;
    assert_int_equal(unpack(&drip, (hr_decoder_options){.codec = HR_CODEC_ZSTD}, &result), -EBADMSG);
    assert_int_equal(result.offset, 0);
    assert_non_null(strstr(figures.error, "before 1.0"));
}
#endif

static void what_is_no_decoder(void **state)
{
    (void)state;
    hr_decoder *decoder;
    assert_int_equal(hr_decoder_new(NULL, &decoder), -EINVAL);
    hr_reader nothing = hr_reader_memory("", 0);
    assert_int_equal(hr_decoder_new(&(hr_decoder_options){.reader = nothing, .codec = 9}, &decoder), -EINVAL);
    assert_int_equal(hr_decoder_new(&(hr_decoder_options){0}, &decoder), -EINVAL); /* no reader */
    assert_false(hr_codec_is_known(9));
    assert_int_equal(hr_decoder_read(NULL, &figures), -EINVAL);
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
        cmocka_unit_test(what_comes_before_the_damage_is_handed_on),
#ifdef HAVE_ZLIB
        cmocka_unit_test(gzips_own_ways),
#endif
#ifdef HAVE_ZSTD
        cmocka_unit_test(a_window_larger_than_allowed_is_refused),
        cmocka_unit_test(a_frame_of_an_old_version_gives_nothing),
#endif
        cmocka_unit_test(waiting_is_no_damage),
        cmocka_unit_test(all_memory_is_charged),
        cmocka_unit_test(what_is_no_decoder),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
