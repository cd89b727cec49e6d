/* SPDX-License-Identifier: Apache-2.0 */
/* Flow's buffers cost what they hold, to the byte, and what a stream does not use is there for whoever is short. */
#include "support/cmocka.h"
#include "support/drip.h"

#include "flow/buffers.h"

#include <headroom/headroom.h>
#include <sched.h>
#include <stdatomic.h>

#define PAGE 4096
#define COUNT 6

static hr_guard *guard;
static hr_budget *budget;

static int set_up(void **state)
{
    (void)state;
    hr_guard_options options = {.limit_bytes = 64 * MIB, .interval_ns = -1, .dwell_ns = -1};
    int error = hr_guard_new(&options, &guard);
    return error ? error : hr_budget_new(hr_guard_root(guard), "flow", COUNT * PAGE, &budget);
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_free(budget), 0); /* so nothing is held any more */
    hr_figures figures;
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.faults, 0);
    hr_guard_free(guard);
    return 0;
}

static uint64_t used_bytes(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    return figures.used_bytes;
}

/* `payer` has room for exactly COUNT buffers. */
static void take_all_and_one_more(hr_budget *payer)
{
    hri_buffers buffers;
    void *buffer[COUNT], *more;
    assert_int_equal(hri_buffers_init(&buffers, payer, "test", PAGE - 5), 0);
    assert_int_equal(buffers.bytes, PAGE);
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(hri_buffer_get(&buffers, i & 1, &buffer[i]), 0);
        assert_int_equal((uintptr_t)buffer[i] % PAGE, 0);
        memset(buffer[i], (int)i, PAGE);
        assert_int_equal(used_bytes(), payer ? (i + 1) * PAGE : 0);
    }
    if (payer) {
        assert_int_equal(hri_buffer_get(&buffers, true, &more), -EDQUOT);
        assert_int_equal(hri_buffer_get(&buffers, false, &more), -EDQUOT);
    }
    for (unsigned i = 0; i < COUNT; i++)
        hri_buffer_put(&buffers, buffer[i]);
    assert_int_equal(used_bytes(), payer ? COUNT * PAGE : 0);
    assert_int_equal(hri_buffers_peak_bytes(&buffers), COUNT * PAGE);
    hri_buffers_destroy(&buffers);
    assert_int_equal(used_bytes(), 0);
}

static void buffers_cost_what_they_hold(void **state)
{
    (void)state;
    take_all_and_one_more(budget);
    take_all_and_one_more(NULL);
    hri_buffers buffers;
    assert_int_equal(hri_buffers_init(&buffers, budget, "test", 0), -EINVAL);
    assert_int_equal(hri_buffers_init(&buffers, budget, "test", SIZE_MAX), -EINVAL);
}

static void narrowing_leaves_what_is_out(void **state)
{
    (void)state;
    hri_buffers buffers;
    void *out, *idle;
    assert_int_equal(hri_buffers_init(&buffers, budget, "test", PAGE), 0);
    assert_int_equal(hri_buffer_get(&buffers, false, &out), 0);
    assert_int_equal(hri_buffer_get(&buffers, false, &idle), 0);
    memcpy(out, "data", 5);
    hri_buffer_put(&buffers, idle);
    hri_buffers_narrow(&buffers, 2);
    assert_int_equal(used_bytes(), 2 * PAGE);
    hri_buffers_narrow(&buffers, 0);
    assert_int_equal(used_bytes(), PAGE);
    assert_string_equal(out, "data");
    hri_buffer_put(&buffers, out);
    hri_buffers_destroy(&buffers);
}

static _Atomic uint64_t done; /* chunks */
static _Atomic bool waiting;

/* Takes nothing before COUNT chunks are there. */
static int take_when_all_are_there(void *context, const hr_chunk *chunk)
{
    (void)context, (void)chunk;
    while (waiting)
        sched_yield();
    atomic_fetch_add(&done, 1);
    return 0;
}

/* The read behind them waits until they are taken, then stands for a long wait, in which somebody else is short. */
static ssize_t read_slowly(void *self, void *buffer, size_t size, bool *ret_end)
{
    uint64_t *calls = self;
    memset(buffer, 'x', size);
    if (*calls == COUNT - 1)
        waiting = false;
    while (*calls >= COUNT && done < *calls)
        sched_yield();
    if (*calls ==
        COUNT + 1) { /* one buffer is being filled, and two chunks at most may not have been back at that time */
        assert_int_equal(hr_budget_charge(budget, (COUNT - 3) * PAGE), 0);
        hr_budget_uncharge(budget, (COUNT - 3) * PAGE);
    }
    *ret_end = ++*calls == 3 * COUNT;
    return (ssize_t)size;
}

static void what_a_stream_does_not_use_is_for_whoever_is_short(void **state)
{
    (void)state;
    uint64_t calls = 0;
    done = 0;
    waiting = true;
    hr_stream_options options = {.reader = hr_reader_custom(read_slowly, &calls),
                                 .buffer_bytes = PAGE,
                                 .buffers = COUNT,
                                 .workers = 1,
                                 .budget = budget,
                                 .on_chunk = take_when_all_are_there};
    hr_stream_result result;
    assert_int_equal(hr_stream_run(&options, &result), 0);
    assert_int_equal(result.offset, 3 * COUNT * PAGE);
    assert_int_equal(result.buffers_peak_bytes, COUNT * PAGE);
}

static char text[262144];

static const char *report(void)
{
    ssize_t length = hr_report_format(guard, HR_OPENMETRICS, text, sizeof text);
    assert_true(length > 0 && (size_t)length < sizeof text);
    return text;
}

static int find_the_stream(void *context, const hr_chunk *chunk)
{
    (void)context, (void)chunk;
    assert_non_null(strstr(report(), "headroom_pool_in_use_bytes{pool=\"stream\"} 4096\n"));
    return 0;
}

static int take_items(void *context, const void *items, size_t count)
{
    (void)context, (void)items, (void)count;
    return 0;
}

static void reports_show_them(void **state)
{
    (void)state;
    hr_stream_options options = {
        .reader = hr_reader_memory("x", 1), .buffer_bytes = PAGE, .budget = budget, .on_chunk = find_the_stream};
    assert_int_equal(hr_stream_run(&options, NULL), 0);
    assert_null(strstr(report(), "\"stream\""));
    hr_batch *batch;
    hr_batch_options batch_options = {.item_bytes = 8, .items_max = 600, .on_flush = take_items, .budget = budget};
    assert_int_equal(hr_batch_new(&batch_options, &batch), 0);
    assert_non_null(strstr(report(), "headroom_pool_in_use_bytes{pool=\"batch\"} 8192\n"));
    assert_int_equal(hr_batch_free(batch), 0);
}

/* Regression: the level of one guard was answered to, and another one's budget charged. */
static void a_budget_is_one_of_the_guards(void **state)
{
    (void)state;
    hr_guard *other;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &other), 0);
    hr_guard *guards[] = {NULL, guard, other};
    for (unsigned i = 0; i < 3; i++) {
        int expected = i == 2 ? -EINVAL : 0;
        hr_stream *stream;
        hr_stream_options options = {.reader = hr_reader_memory("x", 1), .budget = budget, .on_chunk = find_the_stream};
        options.guard = guards[i];
        assert_int_equal(hr_stream_new(&options, &stream), expected);
        hr_batch *batch;
        hr_batch_options batch_options = {.item_bytes = 8, .on_flush = take_items, .budget = budget};
        batch_options.guard = guards[i];
        assert_int_equal(hr_batch_new(&batch_options, &batch), expected);
        if (expected)
            continue;
        hr_stream_free(stream);
        assert_int_equal(hr_batch_free(batch), 0);
    }
    hr_guard_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(buffers_cost_what_they_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(narrowing_leaves_what_is_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_stream_does_not_use_is_for_whoever_is_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reports_show_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_budget_is_one_of_the_guards, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
