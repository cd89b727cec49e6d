/* SPDX-License-Identifier: Apache-2.0 */
/* A cancelled thread leaves nothing behind: no lock, no half-done work, no byte. Each call is made by a thread that has
 * been cancelled already, so that the first cancellation point in it takes effect. A call without one ends all the
 * same. A test that hangs is ended by SIGALRM. test_cancel_waits.c has the calls that are cancellation points. */
#include "guard/cancelled.h"
#include "support/cmocka.h"

#include "base/uncancelled.h"
#include "os/clock.h"
#include "os/file.h"

#include <errno.h>
#include <headroom/headroom.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int nowhere; /* /dev/null */
static char path_1[sizeof path + 2], other[sizeof path + 1], other_1[sizeof path + 3];

/* ── calls that are no cancellation points ──────────────────────────────────────────────────────────────────────── */

static void check(void)
{
    hr_guard_check(guard);
}

static void read_all(void)
{
    hr_figures figures;
    hr_ledger ledgers[HR_LEDGERS_MAX];
    size_t count;
    hr_guard_read(guard, &figures);
    hr_guard_ledgers(guard, ledgers, HR_LEDGERS_MAX, &count);
}

/* To every level and back, and once beyond. */
static void charge(void)
{
    if (hr_budget_charge(budget, LIMIT / 100 * 99) != 0)
        return;
    if (hr_budget_charge(budget, LIMIT / 10) == 0)
        hr_budget_uncharge(budget, LIMIT / 10);
    hr_budget_uncharge(budget, LIMIT / 100 * 99);
}

static void allocate(void)
{
    void *small = hr_alloc(budget, 1000), *large = hr_alloc(budget, LIMIT / 10 * 9);
    hr_free(small);
    hr_free(large);
}

static void relieve(void)
{
    hr_relieve(guard, 1000);
}

static void clean(void)
{
    hr_cleanup(guard);
    hr_purge();
}

static void admit(void)
{
    hr_request request = {.bytes = LIMIT / 100 * 94, .priority = 255, .budget = budget};
    hr_ticket ticket;
    if (hr_admit(guard, &request, &ticket) == HR_ADMITTED)
        hr_ticket_release(&ticket);
}

static void limit(void)
{
    hr_budget_set_limit(hr_guard_root(guard), LIMIT);
}

static int visit(void *context, hr_budget *visited, const hr_budget_figures *figures)
{
    (void)context, (void)visited, (void)figures;
    come_by_a_cancellation_point();
    return 0;
}

static void walk(void)
{
    hr_budget_walk(guard, visit, NULL);
}

static void monitor(void)
{
    if (hr_guard_start(guard, 1000000) == 0)
        hr_guard_stop(guard);
}

static int visit_entry(void *context, const hr_history_entry *entry)
{
    (void)context, (void)entry;
    come_by_a_cancellation_point();
    return 0;
}

static void report(void)
{
    hr_report_write(guard, HR_JSON, nowhere);
    int error = hr_history_file_visit(path, visit_entry, NULL, NULL);
    (void)error;
}

/* Opens the history of another one, and writes more than half of it may hold. */
static void open_guard(void)
{
    hr_guard *another;
    hr_guard_options options = {.limit_bytes = LIMIT, .history_file = other, .history_file_bytes = 64 << 10};
    if (hr_guard_new(&options, &another) != 0)
        return;
    hr_guard_fd(another);
    for (int i = 0; i < 300; i++)
        hr_guard_check(another);
    hr_guard_free(another);
}

/* The second time there is a history to go on with. */
static void open_another(void)
{
    open_guard();
    open_guard();
}

static void set_cancel(void)
{
    hr_cancel *cancel;
    if (hr_cancel_new(&cancel) != 0)
        return;
    hr_cancel_set(cancel);
    hr_cancel_clear(cancel);
    hr_cancel_free(cancel);
}

static void open_folder(void)
{
    hr_folder *folder;
    if (hr_folder_new("/proc/self", &folder) == 0)
        hr_folder_free(folder);
}

static void survey(void)
{
    hr_survey *found;
    if (hr_survey_new(NULL, &found) == 0)
        hr_survey_free(found);
}

static int take(void *context, const void *items, size_t count)
{
    (void)context, (void)items, (void)count;
    come_by_a_cancellation_point();
    return 0;
}

static void batch(void)
{
    hr_batch *batch;
    hr_batch_options options = {
        .item_bytes = 8, .items_max = 4, .age_max_ns = 1000000, .on_flush = take, .budget = budget};
    if (hr_batch_new(&options, &batch) != 0)
        return;
    hr_batch_fd(batch);
    for (int i = 0; i < 6; i++)
        if (hr_batch_add(batch, "an item") != 0)
            break;
    int error = hr_batch_free(batch);
    (void)error;
}

static int construct(void *object, void *context)
{
    (void)object, (void)context;
    come_by_a_cancellation_point();
    return 0;
}

static void reset(void *object, void *context)
{
    (void)object, (void)context;
    come_by_a_cancellation_point();
}

static void pool(void)
{
    hr_object_pool *objects;
    hr_object_pool_options options = {
        .size = 8192, .budget = budget, .construct = construct, .reset = reset, .destroy = reset};
    if (hr_object_pool_new(guard, &options, &objects) != 0)
        return;
    void *one = hr_object_pool_get(objects), *another = hr_object_pool_get(objects);
    hr_object_pool_put(objects, one);
    hr_object_pool_trim(objects); /* one by one, since not all are there */
    hr_object_pool_put(objects, another);
    hr_object_pool_free(objects);
}

static int cancel_oneself(void *context, hr_chunk *chunk)
{
    (void)context, (void)chunk;
    pthread_cancel(pthread_self());
    return 0;
}

static int take_chunk(void *context, const hr_chunk *chunk)
{
    come_by_a_cancellation_point();
    *(_Atomic size_t *)context += chunk->size;
    return 0;
}

#define PIPED_BYTES 20000

/* Gives what is to be read of a pipe that holds PIPED_BYTES. */
static int open_pipe(void)
{
    HRI_UNCANCELLED;
    static const char bytes[PIPED_BYTES];
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || write(ends[1], bytes, sizeof bytes) != sizeof bytes)
        abort();
    close(ends[1]);
    return ends[0];
}

static void stream_with(unsigned workers, hr_work_fn *on_work)
{
    _Atomic size_t sum = 0;
    int fd = open_pipe();
    hr_stream_options options = {
        .reader = hr_reader_fd(fd),
        .buffer_bytes = 4096,
        .workers = workers,
        .budget = budget,
        .on_chunk = take_chunk,
        .on_work = on_work,
        .context = &sum,
    };
    int error = hr_stream_run(&options, NULL);
    if (error ? error != -EDQUOT : sum != PIPED_BYTES)
        abort();
    hri_file_close(fd);
}

static void stream(void)
{
    stream_with(0, NULL);
    stream_with(2, NULL);
}

static void (*const calls[])(void) = {
    check, read_all, charge, allocate, relieve,      clean,  admit,      limit,       walk,
    batch, pool,     stream, report,   open_another, survey, set_cancel, open_folder, monitor,
};
#define CALLS (sizeof calls / sizeof calls[0])
#define SOLO 1 /* of the last: one at a time */

static void a_call_ends_before_its_thread(void **state)
{
    (void)state;
    for (size_t i = 0; i < CALLS; i++) {
        struct cancelled cancelled = {.call = calls[i]};
        pthread_t thread;
        void *result;
        assert_int_equal(pthread_create(&thread, NULL, call_cancelled, &cancelled), 0);
        pthread_join(thread, &result);
        if (!cancelled.ended)
            fail_msg("call %zu is a cancellation point", i);
        assert_ptr_equal(result, PTHREAD_CANCELED);
        assert_whole(0);
    }
}

/* ── the library's own threads ──────────────────────────────────────────────────────────────────────────────────── */

static void a_worker_cannot_be_cancelled_by_its_callback(void **state)
{
    (void)state;
    stream_with(2, cancel_oneself);
    assert_whole(0);
}

static int take_on_monitor(void *context, const void *items, size_t count)
{
    (void)items, (void)count;
    ++*(_Atomic unsigned *)context;
    pthread_cancel(pthread_self());
    return 0;
}

/* The monitor would be gone, and the second item wait for ever. */
static void a_monitor_cannot_be_cancelled_by_its_callback(void **state)
{
    (void)state;
    hr_batch *batch;
    _Atomic unsigned flushes = 0;
    hr_batch_options options = {
        .item_bytes = 8, .age_max_ns = 1000000, .guard = guard, .on_flush = take_on_monitor, .context = &flushes};
    assert_int_equal(hr_guard_start(guard, 1000000), 0);
    assert_int_equal(hr_batch_new(&options, &batch), 0);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(hr_batch_add(batch, "an item"), 0);
        while (flushes < i)
            usleep(100);
    }
    assert_int_equal(hr_batch_free(batch), 0);
    assert_int_equal(hr_guard_stop(guard), 0);
    assert_whole(0);
}

/* ── at any instant ─────────────────────────────────────────────────────────────────────────────────────────────── */

static void wait_a_while(void)
{
    if (hr_budget_charge_wait(budget, LIMIT / 2, 100000) == 0)
        hr_budget_uncharge(budget, LIMIT / 2);
    (void)hr_guard_wait(guard, HR_NORMAL, 1000);
}

static void *call_again_and_again(void *context)
{
    struct cancelled *cancelled = context;
    for (;;) {
        cancelled->call();
        cancelled->ended = true;
        pthread_testcancel();
    }
    return NULL;
}

static void no_instant_is_a_bad_one(void **state)
{
    (void)state;
    enum {
        THREADS = 3
    };
    int64_t end_ns = hri_clock_now(&hri_os_clock) + 2 * HRI_SECOND;
    srand(1);
    for (unsigned round = 0; hri_clock_now(&hri_os_clock) < end_ns; round++) {
        struct cancelled cancelled[THREADS];
        pthread_t threads[THREADS];
        for (int i = 0; i < THREADS; i++) {
            size_t which = (size_t)rand() % (CALLS - SOLO + 2);
            cancelled[i] = (struct cancelled){.call = which < CALLS - SOLO ? calls[which] : wait_a_while};
            assert_int_equal(pthread_create(&threads[i], NULL, call_again_and_again, &cancelled[i]), 0);
        }
        usleep((unsigned)rand() % 1000);
        for (int i = 0; i < THREADS; i++)
            pthread_cancel(threads[i]);
        for (int i = 0; i < THREADS; i++)
            join_cancelled(threads[i]);
        assert_whole(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_call_ends_before_its_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_worker_cannot_be_cancelled_by_its_callback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_monitor_cannot_be_cancelled_by_its_callback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_instant_is_a_bad_one, set_up, tear_down),
    };
    int fd = mkstemp(path);
    close(fd);
    snprintf(path_1, sizeof path_1, "%s.1", path);
    snprintf(other, sizeof other, "%s-", path);
    snprintf(other_1, sizeof other_1, "%s-.1", path);
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    close(nowhere);
    const char *const files[] = {path, path_1, other, other_1};
    for (int i = 0; i < 4; i++)
        unlink(files[i]);
    return failed;
}
