/* SPDX-License-Identifier: Apache-2.0 */
/* Streams with their Nth call for memory, mappings, descriptors or threads failing: an error, or the whole input. */
#include "support/cmocka.h"
#include "support/drip.h"
#include "support/fault.h"

#include <headroom/headroom.h>

#define SIZE 30000

static char input[SIZE];
static hrt_sink sink;
static hr_guard *guard;

static bool is_shortage(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN;
}

static void stream_lines(void *context)
{
    hr_stream_options options = *(const hr_stream_options *)context;
    hr_cancel *cancel = NULL;
    int error = hr_cancel_new(&cancel);
    assert_true(!error || (hrt_fault_failed() > 0 && is_shortage(error)));
    options.cancel = cancel;
    options.reader = hr_reader_memory(input, SIZE);
    hr_stream_result result;
    memset(&sink, 0, sizeof sink);
    error = hr_stream_run(&options, &result);
    assert_true(!error || (hrt_fault_failed() > 0 && is_shortage(error)));
    assert_int_equal(result.offset, sink.size);
    assert_true(hrt_sink_has(&sink, input, error ? sink.size : SIZE));
    hr_cancel_free(cancel);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
}

static void streams(void **state)
{
    (void)state;
    hr_stream_options options = {
        .buffer_bytes = 4096, .delimiter = '\n', .guard = guard, .on_chunk = hrt_sink_take, .context = &sink};
    assert_true(hrt_each_fault(stream_lines, &options) >= 6);
    options.workers = 3, options.ordered = true; /* fewer threads, fewer buffers, or all on the caller's thread */
    assert_true(hrt_each_fault(stream_lines, &options) >= 12);
}

static void open_folder(void *context)
{
    (void)context;
    hr_folder *folder = NULL;
    int error = hr_folder_new("/proc/self/task", &folder);
    assert_true(!error || (hrt_fault_failed() > 0 && is_shortage(error)));
    hr_folder_free(folder);
}

static void folders(void **state)
{
    (void)state;
    assert_true(hrt_each_fault(open_folder, NULL) >= 4);
}

static int take_items(void *context, const void *items, size_t count)
{
    (void)items;
    *(size_t *)context += count;
    return 0;
}

static void add_items(void *context)
{
    (void)context;
    size_t taken = 0;
    hr_batch_options options = {.item_bytes = 4,
                                .items_max = 3,
                                .age_max_ns = 1000000000,
                                .on_flush = take_items,
                                .context = &taken,
                                .guard = guard};
    hr_batch *batch = NULL;
    int error = hr_batch_new(&options, &batch);
    assert_true(!error || (hrt_fault_failed() > 0 && is_shortage(error)));
    if (error)
        return;
    int fd = hr_batch_fd(batch);
    assert_true(fd >= 0 || (hrt_fault_failed() > 0 && is_shortage(fd)));
    for (int i = 0; i < 7; i++)
        assert_int_equal(hr_batch_add(batch, &i), 0); /* takes no memory */
    assert_int_equal(hr_batch_free(batch), 0);
    assert_int_equal(taken, 7);
}

static void batches(void **state)
{
    (void)state;
    assert_true(hrt_each_fault(add_items, NULL) >= 6);
}

static int set_up(void **state)
{
    (void)state;
    hrt_fill_lines(input, SIZE);
    return hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard);
}

static int tear_down(void **state)
{
    (void)state;
    hr_guard_free(guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams),
        cmocka_unit_test(folders),
        cmocka_unit_test(batches),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
