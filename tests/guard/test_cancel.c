/* SPDX-License-Identifier: Apache-2.0 */
/* A cancelled thread leaves nothing behind: no lock, no half-done work, no byte. Each call is made by a thread that has
 * been cancelled already, so that the first cancellation point in it takes effect: a call that is none ends all the
 * same. What hangs is ended by SIGALRM. */
#include "support/cmocka.h"

#include "base/uncancelled.h"
#include "budget/accounts.h"
#include "budget/section.h"
#include "budget/wait.h"
#include "guard/rooms.h"
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

#define LIMIT 1000000
#define SECONDS_TO_HANG 20

static hr_guard *guard;
static hr_budget *budget;
static int nowhere; /* /dev/null */
static char path[] = "/tmp/headroom-cancel-XXXXXX";
static char path_1[sizeof path + 2], other[sizeof path + 1], other_1[sizeof path + 3];

/* What a callback does that would end a thread whose cancellation is pending. */
static void come_by_a_cancellation_point(void)
{
    usleep(1);
}

static uint64_t reclaim(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)want_bytes, (void)deadline_ns;
    come_by_a_cancellation_point();
    return 0;
}

static void on_level(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context, (void)from, (void)to, (void)figures;
    come_by_a_cancellation_point();
}

static hr_reclaimer reclaimer = {.name = "nothing", .reclaim = reclaim};

static int set_up(void **state)
{
    (void)state;
    hr_guard_options options = {
        .limit_bytes = LIMIT,
        .interval_ns = -1,
        .dwell_ns = -1,
        .on_level = on_level,
        .history_file = path,
    };
    alarm(SECONDS_TO_HANG);
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "b", HR_NONE, &budget), 0);
    assert_int_equal(hr_reclaimer_add(guard, &reclaimer), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hr_reclaimer_remove(guard, &reclaimer);
    assert_int_equal(hr_budget_free(budget), 0);
    hr_guard_free(guard);
    alarm(0);
    return 0;
}

/* The guard works, for all that its accounts hold. */
static void assert_whole(uint64_t used_bytes)
{
    hr_budget_figures figures;
    hr_guard_check(guard);
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    assert_int_equal(figures.used_bytes, used_bytes);
    assert_int_equal(figures.promised_bytes, 0);
    assert_int_equal(figures.waiting, 0);
    assert_int_equal(hr_budget_charge(budget, LIMIT - used_bytes), 0);
    hr_budget_uncharge(budget, LIMIT - used_bytes);
    hr_relieve(guard, 1);
}

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

struct cancelled {
    void (*call)(void);
    atomic_bool ended;
};

static void *call_cancelled(void *context)
{
    struct cancelled *cancelled = context;
    pthread_cancel(pthread_self());
    cancelled->call();
    cancelled->ended = true;
    pthread_testcancel();
    return NULL;
}

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

/* ── waits ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void join_cancelled(pthread_t thread)
{
    void *result;
    pthread_join(thread, &result);
    assert_ptr_equal(result, PTHREAD_CANCELED);
}

static void *wait_for_room(void *context)
{
    int error = hr_budget_charge_wait(budget, *(uint64_t *)context, -1);
    return (void *)(intptr_t)error;
}

/* Starts a thread that waits for room, and goes on once it stands in the queue. */
static pthread_t begin_wait(uint64_t *bytes)
{
    pthread_t thread;
    hr_budget_figures before, now;
    assert_int_equal(hr_budget_read(budget, &before), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_room, bytes), 0);
    do {
        sched_yield();
        assert_int_equal(hr_budget_read(budget, &now), 0);
    } while (now.waiting == before.waiting);
    return thread;
}

static void a_wait_for_room_can_be_cancelled(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_charge(budget, LIMIT), 0);
    pthread_t thread = begin_wait(&(uint64_t){LIMIT});
    pthread_cancel(thread);
    join_cancelled(thread);
    hr_budget_uncharge(budget, LIMIT);
    assert_whole(0);
}

static void who_stands_behind_a_cancelled_one_is_served(void **state)
{
    (void)state;
    void *result;
    assert_int_equal(hr_budget_charge(budget, LIMIT), 0);
    pthread_t first = begin_wait(&(uint64_t){LIMIT}), second = begin_wait(&(uint64_t){LIMIT / 2});
    pthread_cancel(first);
    join_cancelled(first);
    hr_budget_uncharge(budget, LIMIT);
    pthread_join(second, &result);
    assert_null(result);
    hr_budget_uncharge(budget, LIMIT / 2);
    assert_whole(0);
}

/* The lock is held from before the cancellation until after the grant, so the waiter finds both when it comes. */
static void what_a_cancelled_one_was_granted_goes_to_the_next(void **state)
{
    (void)state;
    void *result;
    assert_int_equal(hr_budget_charge(budget, LIMIT), 0);
    pthread_t first = begin_wait(&(uint64_t){LIMIT}), second = begin_wait(&(uint64_t){LIMIT});
    hri_section section = hri_section_enter_tree(&guard->tree);
    pthread_cancel(first);
    usleep(10000);
    hri_path_give(budget, LIMIT);
    hri_wait_serve(&guard->tree);
    hri_section_leave(&section);
    join_cancelled(first);
    pthread_join(second, &result);
    assert_null(result);
    hr_budget_uncharge(budget, LIMIT);
    assert_whole(0);
}

static void *wait_for_level(void *context)
{
    hr_guard_wait(guard, HR_NORMAL, -1);
    return context;
}

static void a_wait_for_a_level_can_be_cancelled(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(hr_budget_charge(budget, LIMIT / 100 * 99), 0);
    assert_true(hr_guard_level(guard) > HR_NORMAL);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_level, NULL), 0);
    usleep(20000);
    pthread_cancel(thread);
    join_cancelled(thread);
    hr_budget_uncharge(budget, LIMIT / 100 * 99);
    assert_whole(0);
}

/* Each waits for the other's call of the same node, or runs it. */
static void a_wait_for_a_turn_ends(void **state)
{
    (void)state;
    struct cancelled cancelled[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        cancelled[i] = (struct cancelled){.call = relieve};
        assert_int_equal(pthread_create(&threads[i], NULL, call_cancelled, &cancelled[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        join_cancelled(threads[i]);
        assert_true(cancelled[i].ended);
    }
    assert_whole(0);
}

static hr_batch *shared;

static int take_slowly(void *context, const void *items, size_t count)
{
    usleep(20000);
    return take(context, items, count);
}

static void flush(void)
{
    (void)hr_batch_flush(shared);
}

/* One flushes, the other waits for it; both are cancelled. */
static void a_wait_for_a_flush_ends(void **state)
{
    (void)state;
    struct cancelled cancelled[2] = {{.call = flush}, {.call = flush}};
    pthread_t threads[2];
    hr_batch_figures figures;
    hr_batch_options options = {.item_bytes = 8, .on_flush = take_slowly, .budget = budget};
    assert_int_equal(hr_batch_new(&options, &shared), 0);
    assert_int_equal(hr_batch_add(shared, "an item"), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_cancelled, &cancelled[i]), 0);
    for (int i = 0; i < 2; i++) {
        join_cancelled(threads[i]);
        assert_true(cancelled[i].ended);
    }
    assert_int_equal(hr_batch_read(shared, &figures), 0);
    assert_int_equal(figures.flushed, 1);
    assert_int_equal(hr_batch_free(shared), 0);
    assert_whole(0);
}

static void *read_empty_pipe(void *context)
{
    hr_reader reader = hr_reader_fd(*(int *)context);
    char byte;
    bool end;
    ssize_t got = hr_reader_read(&reader, NULL, &byte, 1, &end);
    return (void *)(intptr_t)got;
}

static void a_wait_for_a_pipe_can_be_cancelled(void **state)
{
    (void)state;
    int ends[2];
    pthread_t thread;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_empty_pipe, &ends[0]), 0);
    usleep(1000);
    pthread_cancel(thread);
    join_cancelled(thread);
    close(ends[0]);
    close(ends[1]);
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
        cmocka_unit_test_setup_teardown(a_wait_for_room_can_be_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_stands_behind_a_cancelled_one_is_served, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_cancelled_one_was_granted_goes_to_the_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_for_a_level_can_be_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_for_a_turn_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_for_a_flush_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_for_a_pipe_can_be_cancelled, set_up, tear_down),
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
