/* SPDX-License-Identifier: Apache-2.0 */
/* Records stay whole across buffers; those that do not fit are an error at their offset, or come in pieces. The
 * splitter alone is held against a simpler one by fuzz/fuzz_splitter.c. */
#include "support/cmocka.h"
#include "support/drip.h"

#define PAGE 4096

static char input[12 * PAGE];
static hrt_sink sink;

static int set_up(void **state)
{
    (void)state;
    memset(&sink, 0, sizeof sink);
    hrt_fill_lines(input, sizeof input);
    return 0;
}

static int run(hr_stream_options options, size_t size, hr_stream_result *ret_result)
{
    hrt_drip drip = {.data = input, .size = size, .step = HRT_DRIP_RANDOM, .seed = (unsigned)size};
    options.reader = hr_reader_custom(hrt_drip_read, &drip);
    options.buffer_bytes = PAGE;
    if (!options.on_chunk)
        options.on_chunk = hrt_sink_take;
    options.context = &sink;
    memset(&sink, 0, sizeof sink);
    return hr_stream_run(&options, ret_result);
}

static void assert_cut_behind(char delimiter)
{
    for (size_t i = 0; i + 1 < sink.chunks; i++)
        assert_int_equal(input[sink.ends[i] - 1], delimiter);
}

static void lines(void **state)
{
    (void)state;
    hr_stream_result result;
    for (unsigned workers = 0; workers < 3; workers++) {
        hr_stream_options options = {.delimiter = '\n', .workers = workers, .ordered = true};
        assert_int_equal(run(options, sizeof input, &result), 0);
        assert_true(hrt_sink_has(&sink, input, sizeof input)); /* the last line, which has no end, too */
        assert_cut_behind('\n');
    }
    assert_int_equal(run((hr_stream_options){.delimiter = '\n'}, 0, &result), 0);
    assert_int_equal(sink.chunks, 0);
}

static void texts_that_end_in_nul(void **state)
{
    (void)state;
    hr_stream_result result;
    for (size_t i = 0; i < sizeof input; i++)
        if (input[i] == '\n')
            input[i] = '\0';
    assert_int_equal(run((hr_stream_options){.delimiter = HR_DELIMITER_NUL}, sizeof input, &result), 0);
    assert_true(hrt_sink_has(&sink, input, sizeof input));
    assert_cut_behind('\0');
}

static void records_of_one_size(void **state)
{
    (void)state;
    hr_stream_result result;
    assert_int_equal(run((hr_stream_options){.record_bytes = 100}, 20000, &result), 0);
    assert_true(hrt_sink_has(&sink, input, 20000));
    for (size_t i = 0; i < sink.chunks; i++)
        assert_int_equal(sink.ends[i] % 100, 0);
    assert_int_equal(run((hr_stream_options){.record_bytes = 100}, 20001, &result), -EBADMSG);
    assert_int_equal(result.offset, 20000);
    assert_true(hrt_sink_has(&sink, input, 20000)); /* what was whole was processed */
}

static void put_length(size_t at, uint32_t length)
{
    for (int i = 0; i < 4; i++)
        input[at + (size_t)i] = (char)(length >> (24 - 8 * i));
}

static void records_with_their_length_before_them(void **state)
{
    (void)state;
    hr_stream_result result;
    size_t size = 0;
    for (uint32_t length = 0; size + length + 4 < sizeof input; length = (length + 377) % (PAGE - 3)) {
        put_length(size, length);
        size += 4 + length;
    }
    hr_stream_options options = {.on_frame = hr_frame_length32};
    assert_int_equal(run(options, size, &result), 0);
    assert_true(hrt_sink_has(&sink, input, size));
    put_length(size, 10);
    assert_int_equal(run(options, size + 4, &result), -EBADMSG); /* the end is missing */
    assert_int_equal(result.offset, size);
    assert_true(hrt_sink_has(&sink, input, size));
}

static ssize_t refuse_frames(void *context, const void *data, size_t size)
{
    (void)context, (void)size;
    return *(const char *)data == '!' ? -EPROTO : 10;
}

/* A negative number whose low 32 bits are 0 passed for success, and the stream never ended. */
static ssize_t answer_no_errno(void *context, const void *data, size_t size)
{
    (void)context, (void)data, (void)size;
    return sizeof(ssize_t) > 4 ? -((ssize_t)1 << 32) : -5000;
}

static void what_a_frame_function_refuses(void **state)
{
    (void)state;
    hr_stream_result result;
    memset(input, 'x', sizeof input);
    input[250] = '!';
    assert_int_equal(run((hr_stream_options){.on_frame = refuse_frames}, 1000, &result), -EPROTO);
    assert_int_equal(result.offset, 250);
    assert_true(hrt_sink_has(&sink, input, 250));
    assert_int_equal(run((hr_stream_options){.on_frame = answer_no_errno}, 1000, &result), -EINVAL);
}

static void a_record_that_does_not_fit_says_where(void **state)
{
    (void)state;
    hr_stream_result result;
    for (unsigned workers = 0; workers < 3; workers++) {
        memset(input, 'x', sizeof input);
        input[99] = input[1099] = '\n';
        hr_stream_options options = {.delimiter = '\n', .workers = workers, .ordered = true};
        assert_int_equal(run(options, sizeof input, &result), -EMSGSIZE);
        assert_int_equal(result.offset, 1100);
        assert_true(hrt_sink_has(&sink, input, 1100));
        input[1099 + PAGE] = '\n'; /* now it just fits */
        assert_int_equal(run(options, 1100 + PAGE, &result), 0);
        assert_true(hrt_sink_has(&sink, input, 1100 + PAGE));
    }
    assert_int_equal(run((hr_stream_options){.record_bytes = PAGE + 1}, sizeof input, &result), -EMSGSIZE);
    assert_int_equal(result.offset, 0);
    put_length(0, PAGE);
    assert_int_equal(run((hr_stream_options){.on_frame = hr_frame_length32}, sizeof input, &result), -EMSGSIZE);
}

/* Regression: which error it was hung on whether the reader told the end with the last bytes or behind them. */
static void too_long_comes_before_cut_off(void **state)
{
    (void)state;
    hrt_drip drip;
    hr_stream_options options = {.record_bytes = PAGE + 1,
                                 .buffer_bytes = PAGE,
                                 .reader = hr_reader_custom(hrt_drip_read, &drip),
                                 .on_chunk = hrt_sink_take,
                                 .context = &sink};
    for (int together = 0; together < 2; together++) {
        hr_stream_result result;
        drip = (hrt_drip){.data = input, .size = PAGE, .end_together = together};
        options.long_records_in_pieces = false;
        assert_int_equal(hr_stream_run(&options, &result), -EMSGSIZE);
        assert_int_equal(result.offset, 0);
        drip = (hrt_drip){.data = input, .size = PAGE - 1, .end_together = together};
        assert_int_equal(hr_stream_run(&options, &result), -EBADMSG);
        assert_int_equal(result.offset, 0);
        drip = (hrt_drip){.data = input, .size = PAGE, .end_together = together};
        options.long_records_in_pieces = true;
        memset(&sink, 0, sizeof sink);
        assert_int_equal(hr_stream_run(&options, &result), -EBADMSG);
        assert_int_equal(result.offset, PAGE); /* what there was of it was handed on */
    }
}

/* The chunks' flags as a text, beside the bytes: "<" starts, ">" ends. */
static char flags[256];

static int note_flags(void *context, const hr_chunk *chunk)
{
    snprintf(flags + strlen(flags), sizeof flags - strlen(flags), "%s-%s ", chunk->starts ? "<" : "",
             chunk->ends ? ">" : "");
    return hrt_sink_take(context, chunk);
}

static void or_comes_in_pieces(void **state)
{
    (void)state;
    hr_stream_result result;
    memset(input, 'x', sizeof input);
    input[99] = input[100 + 2 * PAGE + 49] = input[100 + 2 * PAGE + 199] = '\n';
    hr_stream_options options = {.delimiter = '\n', .long_records_in_pieces = true, .on_chunk = note_flags};
    flags[0] = '\0';
    assert_int_equal(run(options, 100 + 2 * PAGE + 200, &result), 0);
    assert_true(hrt_sink_has(&sink, input, 100 + 2 * PAGE + 200));
    assert_non_null(strstr(flags, "<-> <- "));                 /* the line before it whole, then its first piece */
    assert_string_equal(flags + strlen(flags) - 7, "-> <-> "); /* its last piece has a chunk of its own */

    put_length(0, 3 * PAGE);
    put_length(4 + 3 * PAGE, 5);
    options =
        (hr_stream_options){.on_frame = hr_frame_length32, .long_records_in_pieces = true, .on_chunk = note_flags};
    flags[0] = '\0';
    assert_int_equal(run(options, 4 + 3 * PAGE + 9, &result), 0);
    assert_true(hrt_sink_has(&sink, input, 4 + 3 * PAGE + 9));
    assert_int_equal(strncmp(flags, "<- ", 3), 0);
    assert_string_equal(flags + strlen(flags) - 7, "-> <-> ");

    flags[0] = '\0'; /* the end of the input ends a line too; that may show only after its last byte */
    input[100] = 'x';
    options = (hr_stream_options){.delimiter = '!', .long_records_in_pieces = true, .on_chunk = note_flags};
    assert_int_equal(run(options, PAGE, &result), 0);
    assert_true(hrt_sink_has(&sink, input, PAGE));
    assert_string_equal(flags, "<- -> ");
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    hr_stream_result result;
    const hr_stream_options wrong[] = {
        {.delimiter = -1},
        {.delimiter = 257},
        {.delimiter = '\n', .record_bytes = 5},
        {.delimiter = '\n', .on_frame = hr_frame_length32},
        {.workers = HR_WORKERS_MAX + 1},
        {.workers = 1, .buffers = HR_BUFFERS_MAX + 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(run(wrong[i], 100, &result), -EINVAL);
    assert_int_equal(hr_stream_run(&(hr_stream_options){.reader = hr_reader_memory("x", 1)}, NULL), -EINVAL);
    result.bytes = 7;
    assert_int_equal(hr_stream_run(NULL, &result), -EINVAL);
    assert_int_equal(result.bytes, 0); /* always written */
    assert_int_equal(hr_stream_continue(NULL, &result), -EINVAL);
    hr_stream_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines, set_up),
        cmocka_unit_test_setup(texts_that_end_in_nul, set_up),
        cmocka_unit_test_setup(records_of_one_size, set_up),
        cmocka_unit_test_setup(records_with_their_length_before_them, set_up),
        cmocka_unit_test_setup(what_a_frame_function_refuses, set_up),
        cmocka_unit_test_setup(a_record_that_does_not_fit_says_where, set_up),
        cmocka_unit_test_setup(too_long_comes_before_cut_off, set_up),
        cmocka_unit_test_setup(or_comes_in_pieces, set_up),
        cmocka_unit_test_setup(contradictions_are_refused, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
