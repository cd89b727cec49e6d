/* SPDX-License-Identifier: Apache-2.0 */
/* Batches across forks: what the parent keeps it flushes, once, and the child has a batch that works, at whatever
 * moment. */
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static struct {
    int items[64];
    size_t count;
    bool fork; /* in the next flush */
    pid_t child;
} taken;

static hr_batch *batch;
static hr_guard *guard;

static int take(void *context, const void *items, size_t count)
{
    (void)context;
    if (taken.fork) {
        taken.fork = false;
        taken.child = fork();
        if (taken.child == 0) {
            alarm(20);
            return -EIO; /* of items that are the parent's: it does not matter */
        }
    }
    for (size_t i = 0; i < count; i++)
        taken.items[taken.count++ % 64] = ((const int *)items)[i];
    return 0;
}

static void make(bool guarded)
{
    memset(&taken, 0, sizeof taken);
    hr_batch_options options = {.item_bytes = sizeof(int),
                                .items_max = 8,
                                .age_max_ns = INT64_C(60000000000),
                                .on_flush = take,
                                .guard = guarded ? guard : NULL};
    assert_int_equal(hr_batch_new(&options, &batch), 0);
}

static int set_up(void **state)
{
    (void)state;
    return hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = 1000000}, &guard);
}

static int tear_down(void **state)
{
    (void)state;
    hr_guard_free(guard);
    return 0;
}

static int status_of(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* In a child: the batch is empty and does all that a batch does. Gives an exit status. */
static int use(void)
{
    hr_batch_figures figures;
    memset(&taken, 0, sizeof taken);
    if (hr_batch_read(batch, &figures) != 0 || figures.items != 0 || figures.bytes != 0 || figures.added != 0)
        return 1;
    for (int i = 100; i < 111; i++) /* eight are flushed */
        if (hr_batch_add(batch, &i) != 0)
            return 2;
    if (taken.count != 8 || taken.items[0] != 100 || taken.items[7] != 107)
        return 3;
    if (hr_batch_flush_aged(batch) != 0 || taken.count != 8 || hr_batch_fd(batch) < 0)
        return 4;
    if (hr_batch_flush(batch) != 0 || taken.count != 11 || taken.items[10] != 110)
        return 5;
    return hr_batch_free(batch) == 0 ? 0 : 6;
}

static void the_child_has_an_empty_one_that_works(void **state)
{
    (void)state;
    for (int guarded = 0; guarded < 2; guarded++) {
        make(guarded);
        for (int i = 0; i < 5; i++)
            assert_int_equal(hr_batch_add(batch, &i), 0);
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit(use());
        }
        assert_int_equal(status_of(child), 0);
        assert_int_equal(hr_batch_free(batch), 0);
        assert_int_equal(taken.count, 5); /* the parent's, once */
        assert_int_equal(taken.items[4], 4);
    }
}

/* A child that sets its timer, or clears it, must not do so to the parent's. */
static void the_parents_descriptor_is_left_alone(void **state)
{
    (void)state;
    memset(&taken, 0, sizeof taken);
    hr_batch_options options = {.item_bytes = sizeof(int), .age_max_ns = 1, .on_flush = take};
    assert_int_equal(hr_batch_new(&options, &batch), 0);
    struct pollfd ready = {.fd = hr_batch_fd(batch), .events = POLLIN};
    int item = 7;
    assert_int_equal(hr_batch_add(batch, &item), 0);
    assert_int_equal(poll(&ready, 1, -1), 1);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(hr_batch_flush(batch) == 0 && taken.count == 0 && hr_batch_free(batch) == 0 ? 0 : 1);
    }
    assert_int_equal(status_of(child), 0);
    assert_int_equal(poll(&ready, 1, 0), 1); /* readable still */
    assert_int_equal(hr_batch_flush_aged(batch), 0);
    assert_int_equal(taken.count, 1);
    assert_int_equal(hr_batch_free(batch), 0);
}

static void a_flush_may_fork(void **state)
{
    (void)state;
    make(true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(hr_batch_add(batch, &i), 0);
    taken.fork = true;
    int error = hr_batch_flush(batch);
    if (taken.child == 0)
        _exit(error == 0 ? use() : 9);
    assert_int_equal(error, 0);
    assert_int_equal(status_of(taken.child), 0);
    assert_int_equal(taken.count, 3);
    assert_int_equal(hr_batch_free(batch), 0);
}

/* ── a fork at any moment ───────────────────────────────────────────────────────────────────────────────────────── */

static atomic_bool stop;

static int ignore(void *context, const void *items, size_t count)
{
    (void)context, (void)items, (void)count;
    return 0;
}

static void *add_and_flush(void *argument)
{
    for (int i = 0; !atomic_load(&stop); i++) {
        (void)!hr_batch_add(batch, &i);
        if (i % 5 == 0)
            hr_batch_flush(batch);
    }
    return argument;
}

static int use_quietly(void)
{
    hr_batch_figures figures;
    int item = 1;
    if (hr_batch_add(batch, &item) != 0 || hr_batch_flush(batch) != 0 || hr_batch_read(batch, &figures) != 0)
        return 1;
    return figures.added == 1 && figures.flushed == 1 && hr_batch_free(batch) == 0 ? 0 : 2;
}

static void a_fork_at_any_moment_leaves_no_lock_behind(void **state)
{
    (void)state;
    if (SANITIZED) {
        print_message("skipped: this sanitizer is not made for forks of many threads\n");
        skip();
    }
    hr_batch_options options = {
        .item_bytes = sizeof(int), .items_max = 8, .age_max_ns = 1000, .on_flush = ignore, .guard = guard};
    pthread_t threads[2];
    assert_int_equal(hr_batch_new(&options, &batch), 0);
    atomic_store(&stop, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_flush, NULL), 0);
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit(use_quietly());
        }
        assert_int_equal(status_of(child), 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(hr_batch_free(batch), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_child_has_an_empty_one_that_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_parents_descriptor_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flush_may_fork, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fork_at_any_moment_leaves_no_lock_behind, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
