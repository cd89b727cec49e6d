/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that are short of memory, in a world whose cgroup the test sets: fewer buffers, then one, then a pause. */
#include "support/cmocka.h"
#include "support/drip.h"
#include "support/world.h"

#include "guard/environment.h"

#include <headroom/headroom.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define SIZE 60000
#define MILLISECOND INT64_C(1000000)

static char input[SIZE];
static hrt_sink sink;
static hrt_world world;
static hr_guard *guard;
static bool degrading;

/* Relief that helps, but not enough: so the level stays degraded. */
static uint64_t relieve_a_little(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)want_bytes, (void)deadline_ns;
    if (!degrading)
        return 0;
    hrt_world_set_group(&world, 100 * MIB, 85 * MIB, 0);
    return 7 * MIB;
}

static hr_reclaimer reclaimer;

static int set_up(void **state)
{
    (void)state;
    memset(&sink, 0, sizeof sink);
    hrt_fill_lines(input, SIZE);
    hrt_world_new(&world);
    hrt_world_set_process(&world, 1 * MIB, 20480 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 10 * MIB, 0);
    hri_environment environment = {world.root, &world.clock};
    hr_guard_options options = {.interval_ns = -1, .purge_interval_ns = -1};
    if (hri_guard_new_in(&environment, &options, &guard) != 0)
        return -1;
    reclaimer = (hr_reclaimer){.name = "a little", .reclaim = relieve_a_little};
    return hr_reclaimer_add(guard, &reclaimer);
}

static int tear_down(void **state)
{
    (void)state;
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    assert_int_equal(figures.used_bytes, 0); /* all buffers are back */
    hr_reclaimer_remove(guard, &reclaimer);
    hr_guard_free(guard);
    hrt_world_free(&world);
    return 0;
}

static void set_level(hr_level level)
{
    const uint64_t use[] = {10, 85, 92, 98};
    degrading = level == HR_DEGRADED;
    hrt_world_set_group(&world, 100 * MIB, use[level] * MIB, 0);
    assert_int_equal(hr_guard_check(guard), level);
}

static int take_and_check_the_charge(void *context, const hr_chunk *chunk)
{
    hr_budget_figures figures;
    if (hr_budget_read(hr_guard_root(guard), &figures) != 0 || figures.used_bytes < 4096 || figures.used_bytes % 4096)
        return -EDOM;
    return hrt_sink_take(context, chunk);
}

static uint64_t peak_at(hr_level level)
{
    hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                 .buffer_bytes = 4096,
                                 .workers = 2,
                                 .buffers = 8,
                                 .ordered = true,
                                 .guard = guard,
                                 .on_chunk = take_and_check_the_charge,
                                 .context = &sink};
    hr_stream_result result;
    memset(&sink, 0, sizeof sink);
    set_level(level);
    assert_int_equal(hr_stream_run(&options, &result), 0);
    assert_true(hrt_sink_has(&sink, input, SIZE));
    return result.buffers_peak_bytes / 4096;
}

static void read_ahead_shrinks_with_the_level(void **state)
{
    (void)state;
    assert_true(peak_at(HR_NORMAL) <= 8);
    assert_true(peak_at(HR_WARNING) <= 4);
    assert_int_equal(peak_at(HR_DEGRADED), 1);
}

/* Buffers that were there go when the level rises. */
static int rise_at_fifth(void *context, const hr_chunk *chunk)
{
    if (chunk->index == 5)
        set_level(HR_DEGRADED);
    hr_budget_figures figures;
    hr_budget_read(hr_guard_root(guard), &figures);
    if (chunk->index > 9 && figures.used_bytes > 4096)
        return -EDOM;
    return hrt_sink_take(context, chunk);
}

static void buffers_are_given_back_when_the_level_rises(void **state)
{
    (void)state;
    hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                 .buffer_bytes = 4096,
                                 .workers = 1,
                                 .buffers = 4,
                                 .ordered = true,
                                 .guard = guard,
                                 .on_chunk = rise_at_fifth,
                                 .context = &sink};
    assert_int_equal(hr_stream_run(&options, NULL), 0);
    assert_true(hrt_sink_has(&sink, input, SIZE));
}

static int become_critical_at_third(void *context, const hr_chunk *chunk)
{
    if (chunk->index == 3)
        set_level(HR_CRITICAL);
    return hrt_sink_take(context, chunk);
}

static void *recover_soon(void *argument)
{
    usleep(100000); /* the stream has begun by then */
    set_level(HR_NORMAL);
    return argument;
}

static void at_critical_it_pauses_until_the_level_falls(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers <= 2; workers++) {
        hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                     .buffer_bytes = 4096,
                                     .workers = workers,
                                     .ordered = true,
                                     .guard = guard,
                                     .on_chunk = hrt_sink_take,
                                     .context = &sink};
        pthread_t thread;
        hr_stream_result result;
        memset(&sink, 0, sizeof sink);
        set_level(HR_CRITICAL);
        assert_int_equal(pthread_create(&thread, NULL, recover_soon, NULL), 0);
        assert_int_equal(hr_stream_run(&options, &result), 0);
        pthread_join(thread, NULL);
        assert_int_equal(result.pauses, 1);
        assert_true(result.paused_ns >= 10 * MILLISECOND);
        assert_true(hrt_sink_has(&sink, input, SIZE));
    }
}

/* A pipe cannot be read twice: what was read when the time was over must still be there. */
static void a_pause_that_takes_too_long_can_be_gone_on_from(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers <= 2; workers++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], input, SIZE), SIZE);
        close(ends[1]);
        hr_stream_options options = {.reader = hr_reader_fd(ends[0]),
                                     .buffer_bytes = 4096,
                                     .workers = workers,
                                     .ordered = true,
                                     .delimiter = '\n',
                                     .guard = guard,
                                     .pause_max_ns = 10 * MILLISECOND,
                                     .on_chunk = become_critical_at_third,
                                     .context = &sink};
        hr_stream *stream;
        hr_stream_result result;
        memset(&sink, 0, sizeof sink);
        set_level(HR_NORMAL);
        assert_int_equal(hr_stream_new(&options, &stream), 0);
        assert_int_equal(hr_stream_continue(stream, &result), -ETIMEDOUT);
        assert_true(sink.chunks >= 4 && sink.chunks < 15);
        assert_int_equal(result.offset, sink.size);
        assert_int_equal(result.pauses, 1);
        assert_true(result.paused_ns >= 10 * MILLISECOND);
        assert_true(hrt_sink_has(&sink, input, sink.size));
        hr_budget_figures figures;
        hr_budget_read(hr_guard_root(guard), &figures);
        assert_true(figures.used_bytes <= 4096); /* nothing is held but what was read and not processed */
        set_level(HR_NORMAL);
        assert_int_equal(hr_stream_continue(stream, &result), 0);
        assert_true(hrt_sink_has(&sink, input, SIZE));
        hr_stream_free(stream);
        close(ends[0]);
    }
}

static void a_pause_can_be_cancelled(void **state)
{
    (void)state;
    hr_cancel *cancel;
    assert_int_equal(hr_cancel_new(&cancel), 0);
    set_level(HR_CRITICAL);
    hr_cancel_set(cancel);
    hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                 .guard = guard,
                                 .pause_max_ns = -1,
                                 .on_chunk = hrt_sink_take,
                                 .context = &sink,
                                 .cancel = cancel};
    hr_stream_result result;
    assert_int_equal(hr_stream_run(&options, &result), -ECANCELED);
    assert_int_equal(result.offset, 0);
    hr_cancel_free(cancel);
}

/* A budget that has room for fewer buffers than were asked for slows a stream down, and does not end it. */
static void what_the_budget_does_not_give_is_done_without(void **state)
{
    (void)state;
    hr_budget *small, *none;
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "small", 2 * 4096, &small), 0);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "none", 100, &none), 0);
    hr_stream_options options = {.reader = hr_reader_memory(input, SIZE),
                                 .buffer_bytes = 4096,
                                 .workers = 3,
                                 .buffers = 6,
                                 .ordered = true,
                                 .budget = small,
                                 .delimiter = '\n',
                                 .on_chunk = hrt_sink_take,
                                 .context = &sink};
    hr_stream_result result;
    assert_int_equal(hr_stream_run(&options, &result), 0);
    assert_true(hrt_sink_has(&sink, input, SIZE));
    assert_true(result.buffers_peak_bytes <= 2 * 4096);
    options.budget = none;
    for (options.workers = 0; options.workers <= 2; options.workers++) {
        assert_int_equal(hr_stream_run(&options, &result), -EDQUOT);
        assert_int_equal(result.offset, 0);
    }
    assert_int_equal(hr_budget_free(small), 0);
    assert_int_equal(hr_budget_free(none), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(read_ahead_shrinks_with_the_level, set_up, tear_down),
        cmocka_unit_test_setup_teardown(buffers_are_given_back_when_the_level_rises, set_up, tear_down),
        cmocka_unit_test_setup_teardown(at_critical_it_pauses_until_the_level_falls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pause_that_takes_too_long_can_be_gone_on_from, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pause_can_be_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_budget_does_not_give_is_done_without, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
