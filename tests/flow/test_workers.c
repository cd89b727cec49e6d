/* SPDX-License-Identifier: Apache-2.0 */
/* Workers: nothing lost or doubled, in order where that was asked for, stopped by the first error, by cancellation and
 * by nothing else. ThreadSanitizer runs this too. */
#include "support/cmocka.h"
#include "support/drip.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SIZE 60000

static char input[SIZE];
static hrt_sink sink;
static _Atomic uint64_t sum, calls;
static _Atomic int running, running_most;

static int set_up(void **state)
{
    (void)state;
    memset(&sink, 0, sizeof sink);
    hrt_fill_lines(input, SIZE);
    atomic_store(&sum, 0);
    atomic_store(&calls, 0);
    atomic_store(&running_most, 0);
    return 0;
}

/* Some time of its own for each chunk, different for each. */
static void dawdle(uint64_t index)
{
    unsigned ns = (unsigned)(index * 2654435761u) % 200000;
    nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

static int work_for_a_while(void *context, hr_chunk *chunk)
{
    (void)context;
    int now = atomic_fetch_add(&running, 1) + 1, most = atomic_load(&running_most);
    while (now > most && !atomic_compare_exchange_weak(&running_most, &most, now))
        ;
    dawdle(chunk->index);
    chunk->result = (void *)(uintptr_t)(chunk->index + 1);
    atomic_fetch_sub(&running, 1);
    return 0;
}

static int take_in_order(void *context, const hr_chunk *chunk)
{
    if (chunk->result && (uintptr_t)chunk->result != chunk->index + 1)
        return -EBADF;
    if (!chunk->result)
        dawdle(chunk->index);
    return hrt_sink_take(context, chunk); /* not locked: ThreadSanitizer sees two at once */
}

static void ordered_output_equals_input(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 6; workers++) {
        for (unsigned buffers = 1; buffers <= 8; buffers += 3) {
            hr_stream_options options = {
                .reader = hr_reader_memory(input, SIZE),
                .buffer_bytes = 4096,
                .workers = workers,
                .buffers = buffers,
                .ordered = true,
                .delimiter = buffers & 1 ? '\n' : 0,
                .on_work = workers & 1 ? work_for_a_while : NULL,
                .on_chunk = take_in_order,
                .context = &sink,
            };
            hr_stream_result result;
            memset(&sink, 0, sizeof sink);
            assert_int_equal(hr_stream_run(&options, &result), 0);
            assert_true(hrt_sink_has(&sink, input, SIZE));
            assert_int_equal(result.workers, workers);
            assert_int_equal(result.bytes, SIZE);
            assert_true(result.buffers_peak_bytes <= (uint64_t)buffers * 4096); /* never more than asked for */
        }
    }
    assert_true(atomic_load(&running_most) >= 2); /* and on_work did run on several at once */
}

static int change_chunk(void *context, hr_chunk *chunk)
{
    (void)context;
    chunk->data = "ab";
    chunk->size = 2;
    return 0;
}

static int take_changed(void *context, const hr_chunk *chunk)
{
    (void)context;
    atomic_fetch_add(&sum, chunk->size == 2 && memcmp(chunk->data, "ab", 2) == 0);
    return 0;
}

static void work_may_give_something_else_on(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers <= 2; workers++) {
        hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                     .buffer_bytes = 4096,
                                     .delimiter = '\n',
                                     .workers = workers,
                                     .on_work = change_chunk,
                                     .on_chunk = take_changed};
        hr_stream_result result;
        atomic_store(&sum, 0);
        assert_int_equal(hr_stream_run(&options, &result), 0);
        assert_int_equal(atomic_load(&sum), result.chunks);
        assert_int_equal(result.bytes, SIZE); /* of the input */
        assert_int_equal(result.offset, SIZE);
    }
}

static int add_up(void *context, const hr_chunk *chunk)
{
    (void)context;
    uint64_t mine = 0;
    for (size_t i = 0; i < chunk->size; i++)
        mine += ((const unsigned char *)chunk->data)[i] * (chunk->offset + i + 1);
    dawdle(chunk->index);
    atomic_fetch_add(&sum, mine);
    return 0;
}

static void unordered_loses_and_doubles_nothing(void **state)
{
    (void)state;
    uint64_t expected = 0;
    for (size_t i = 0; i < SIZE; i++)
        expected += (unsigned char)input[i] * (uint64_t)(i + 1);
    for (unsigned workers = 1; workers <= 8; workers += 3) {
        hrt_drip drip = {.data = input, .size = SIZE, .step = 3000};
        hr_stream_options options = {.reader = hr_reader_custom(hrt_drip_read, &drip),
                                     .buffer_bytes = 4096,
                                     .workers = workers,
                                     .on_chunk = add_up};
        hr_stream_result result;
        atomic_store(&sum, 0);
        assert_int_equal(hr_stream_run(&options, &result), 0);
        assert_int_equal(atomic_load(&sum), expected);
        assert_int_equal(result.bytes, SIZE);
    }
}

/* A callback that fails at every chunk in turn: what the result says was taken was taken. */
static void the_first_error_stops_everything(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers <= 3; workers++) {
        for (uint64_t fail_chunk = 1; fail_chunk <= 15; fail_chunk++) {
            memset(&sink, 0, sizeof sink);
            sink.fail_chunk = fail_chunk, sink.fail_with = -EPERM;
            hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                         .buffer_bytes = 4096,
                                         .workers = workers,
                                         .ordered = true,
                                         .delimiter = '\n',
                                         .on_chunk = hrt_sink_take,
                                         .context = &sink};
            hr_stream *stream;
            hr_stream_result result;
            assert_int_equal(hr_stream_new(&options, &stream), 0);
            assert_int_equal(hr_stream_continue(stream, &result), -EPERM);
            assert_int_equal(result.chunks, fail_chunk - 1);
            assert_int_equal(result.offset, sink.size);
            assert_true(hrt_sink_has(&sink, input, sink.size));
            assert_int_equal(hr_stream_continue(stream, &result), -ESTALE);
            assert_int_equal(result.offset, sink.size);
            hr_stream_free(stream);
        }
    }
}

static int fail_at_third(void *context, const hr_chunk *chunk)
{
    (void)context;
    atomic_fetch_add(&calls, 1);
    return chunk->index == 2 ? 77 : 0;
}

/* Regression: a reader that waits for a pipe must hear of a worker's error, though nothing more comes. */
static void an_error_wakes_a_reader_that_waits(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    hr_stream_options options = {
        .reader = hr_reader_fd(ends[0]), .buffer_bytes = 4096, .workers = 2, .on_chunk = fail_at_third};
    assert_int_equal(write(ends[1], input, 3 * 4096), 3 * 4096);
    hr_stream_result result;
    assert_int_equal(hr_stream_run(&options, &result), 77); /* a number of the caller's own comes back as it is */
    assert_true(result.offset <= 2 * 4096);
    close(ends[0]);
    close(ends[1]);
}

/* Results of on_work that are out: made, and neither taken nor dropped. */
static _Atomic int results_out;
static uint64_t fail_index; /* HR_NONE: nowhere */
static hr_cancel *work_cancel;

static int make_result(void *context, hr_chunk *chunk)
{
    if (chunk->index == fail_index && context)
        return -EPERM;
    if (chunk->index % 5 == 4 && fail_index == HR_NONE)
        hr_cancel_set(work_cancel);
    dawdle(chunk->index);
    chunk->result = malloc(1);
    atomic_fetch_add(&results_out, 1);
    return chunk->result ? 0 : -ENOMEM;
}

static int take_result(void *context, const hr_chunk *chunk)
{
    free(chunk->result);
    atomic_fetch_sub(&results_out, 1);
    return chunk->index == fail_index && !context ? -EPERM : 0;
}

static void drop_result(void *context, const hr_chunk *chunk)
{
    (void)context;
    free(chunk->result);
    atomic_fetch_sub(&results_out, 1);
    atomic_fetch_add(&calls, 1);
}

/* Regression: what on_work had made of chunks whose turn never came was nobody's. */
static void results_are_taken_or_dropped(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 15 * 2 * 2 * 3; how++) {
        unsigned workers = how % 3 * 3;
        bool ordered = how / 3 % 2, work_fails = how / 6 % 2;
        fail_index = how / 12;
        hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                     .buffer_bytes = 4096,
                                     .workers = workers,
                                     .ordered = ordered,
                                     .on_work = make_result,
                                     .on_chunk = take_result,
                                     .on_drop = drop_result,
                                     .context = work_fails ? &results_out : NULL};
        assert_int_equal(hr_stream_run(&options, NULL), -EPERM);
        assert_int_equal(atomic_load(&results_out), 0);
    }
    assert_true(atomic_load(&calls) > 0);
}

static void results_of_cancelled_runs_are_taken_or_dropped(void **state)
{
    (void)state;
    assert_int_equal(hr_cancel_new(&work_cancel), 0);
    fail_index = HR_NONE;
    for (unsigned how = 0; how < 3 * 2 * 2; how++) {
        bool drops = how & 1;
        hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                     .buffer_bytes = 4096,
                                     .workers = how / 4 * 3,
                                     .ordered = how & 2,
                                     .on_work = make_result,
                                     .on_chunk = drops ? NULL : take_result, /* then all are dropped */
                                     .on_drop = drop_result,
                                     .cancel = work_cancel};
        hr_stream *stream;
        hr_stream_result result;
        int error;
        atomic_store(&calls, 0);
        assert_int_equal(hr_stream_new(&options, &stream), 0);
        while ((error = hr_stream_continue(stream, &result)) == -ECANCELED) {
            assert_int_equal(atomic_load(&results_out), 0);
            hr_cancel_clear(work_cancel);
        }
        assert_int_equal(error, 0);
        assert_int_equal(atomic_load(&results_out), 0);
        assert_int_equal(atomic_load(&calls), drops ? result.chunks : 0);
        hr_stream_free(stream);
        hr_cancel_clear(work_cancel);
    }
    hr_cancel_free(work_cancel);
}

/* ── cancellation ───────────────────────────────────────────────────────────────────────────────────────────────── */

static hr_cancel *cancel;

static void cancel_in_handler(int number)
{
    (void)number;
    hr_cancel_set(cancel);
}

static _Atomic bool line_taken;

static int take_line(void *context, const hr_chunk *chunk)
{
    int error = hrt_sink_take(context, chunk);
    line_taken = true;
    return error;
}

static void *cancel_soon(void *argument)
{
    pthread_t *whom = argument;
    while (!line_taken)
        usleep(100);
    usleep(20000); /* so that it waits for more */
    if (whom)
        pthread_kill(*whom, SIGUSR1);
    else
        hr_cancel_set(cancel);
    return NULL;
}

static void cancel_ends_a_wait(void **state)
{
    (void)state;
    pthread_t self = pthread_self(), thread;
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = cancel_in_handler}, NULL);
    assert_int_equal(hr_cancel_new(&cancel), 0);
    for (unsigned how = 0; how < 6; how++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], "a line\nnot yet", 14), 14);
        hr_stream_options options = {.reader = hr_reader_fd(ends[0]),
                                     .workers = how / 2,
                                     .ordered = true,
                                     .delimiter = '\n',
                                     .on_chunk = take_line,
                                     .context = &sink,
                                     .cancel = cancel};
        hr_stream *stream;
        hr_stream_result result;
        memset(&sink, 0, sizeof sink);
        line_taken = false;
        assert_int_equal(hr_stream_new(&options, &stream), 0);
        pthread_create(&thread, NULL, cancel_soon, how & 1 ? &self : NULL);
        assert_int_equal(hr_stream_continue(stream, &result), -ECANCELED);
        pthread_join(thread, NULL);
        assert_int_equal(result.offset, 7);
        assert_int_equal(hr_stream_continue(stream, &result), -ECANCELED); /* it stays set */
        hr_cancel_clear(cancel);
        assert_int_equal(write(ends[1], " but now\n", 9), 9);
        close(ends[1]);
        assert_int_equal(hr_stream_continue(stream, &result), 0); /* and what was read is still there */
        assert_true(hrt_sink_has(&sink, "a line\nnot yet but now\n", 23));
        hr_stream_free(stream);
        close(ends[0]);
    }
    hr_cancel_free(cancel);
}

static int cancel_at_fourth(void *context, const hr_chunk *chunk)
{
    if (chunk->index == 3)
        hr_cancel_set(cancel);
    dawdle(chunk->index);
    return hrt_sink_take(context, chunk);
}

static void cancelled_streams_can_go_on(void **state)
{
    (void)state;
    assert_int_equal(hr_cancel_new(&cancel), 0);
    for (unsigned workers = 0; workers <= 4; workers++) {
        hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                     .buffer_bytes = 4096,
                                     .workers = workers,
                                     .ordered = true,
                                     .on_work = work_for_a_while,
                                     .on_chunk = cancel_at_fourth,
                                     .context = &sink,
                                     .cancel = cancel};
        hr_stream *stream;
        hr_stream_result result;
        memset(&sink, 0, sizeof sink);
        assert_int_equal(hr_stream_new(&options, &stream), 0);
        assert_int_equal(hr_stream_continue(stream, &result), -ECANCELED);
        assert_true(result.chunks >= 4 && result.chunks < SIZE / 4096);
        assert_int_equal(result.offset, sink.size);
        hr_cancel_clear(cancel);
        assert_int_equal(hr_stream_continue(stream, &result), 0);
        assert_true(hrt_sink_has(&sink, input, SIZE));
        assert_int_equal(result.chunks, sink.chunks);
        assert_int_equal(hr_stream_continue(stream, &result), 0); /* nothing is left */
        hr_stream_free(stream);
    }
    hr_cancel_free(cancel);
    hr_cancel_free(NULL);
    assert_int_equal(hr_cancel_new(NULL), -EINVAL);
    hr_cancel_set(NULL);
    hr_cancel_clear(NULL);
    assert_false(hr_cancel_is_set(NULL));
}

/* ── progress ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static struct {
    hr_progress last;
    unsigned reports;
} seen;

static void note_progress(void *context, const hr_progress *progress)
{
    (void)context;
    assert_true(progress->bytes >= seen.last.bytes);
    assert_true(progress->share >= seen.last.share || seen.reports == 0);
    seen.last = *progress;
    seen.reports++;
}

static void progress_is_told(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers <= 2; workers++) {
        memset(&seen, 0, sizeof seen);
        hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                     .buffer_bytes = 4096,
                                     .workers = workers,
                                     .on_chunk = add_up,
                                     .on_progress = note_progress,
                                     .progress_interval_ns = -1};
        assert_int_equal(hr_stream_run(&options, NULL), 0);
        assert_int_equal(seen.reports, (SIZE + 4095) / 4096 + 1);
        assert_true(seen.last.bytes_per_s > 0); /* regression: nothing came since the call before */
        assert_int_equal(seen.last.bytes, SIZE);
        assert_int_equal(seen.last.offset, SIZE);
        assert_true(seen.last.share >= 0.999999 && seen.last.elapsed_ns > 0);
    }
    memset(&seen, 0, sizeof seen); /* once at the end, if it is short; with no size no share */
    hrt_drip drip = {.data = input, .size = SIZE};
    hr_stream_options options = {
        .reader = hr_reader_custom(hrt_drip_read, &drip), .on_chunk = add_up, .on_progress = note_progress};
    assert_int_equal(hr_stream_run(&options, NULL), 0);
    assert_int_equal(seen.reports, 1);
    assert_true(seen.last.share < 0);
    memset(&seen, 0, sizeof seen);
    options.reader = hr_reader_memory(NULL, 0); /* all of nothing */
    assert_int_equal(hr_stream_run(&options, NULL), 0);
    assert_true(seen.last.share >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ordered_output_equals_input, set_up),
        cmocka_unit_test_setup(work_may_give_something_else_on, set_up),
        cmocka_unit_test_setup(unordered_loses_and_doubles_nothing, set_up),
        cmocka_unit_test_setup(the_first_error_stops_everything, set_up),
        cmocka_unit_test_setup(results_are_taken_or_dropped, set_up),
        cmocka_unit_test_setup(results_of_cancelled_runs_are_taken_or_dropped, set_up),
        cmocka_unit_test_setup(an_error_wakes_a_reader_that_waits, set_up),
        cmocka_unit_test_setup(cancel_ends_a_wait, set_up),
        cmocka_unit_test_setup(cancelled_streams_can_go_on, set_up),
        cmocka_unit_test_setup(progress_is_told, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
