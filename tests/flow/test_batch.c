/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: flushed by items, bytes or age, whichever comes first; nothing lost, doubled or out of order, whatever
 * fails. */
#include "support/cmocka.h"
#include "support/world.h"

#include "guard/environment.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MILLISECOND INT64_C(1000000)

/* Where items end up. */
static struct {
    int items[4096];
    size_t count;
    size_t sizes[512]; /* of the flushes */
    size_t flushes;
    int fail_with; /* every flush, until it is 0 */
    pthread_t thread;
} taken;

static hr_batch *batch;

static int take(void *context, const void *items, size_t count)
{
    (void)context;
    taken.thread = pthread_self();
    if (taken.fail_with)
        return taken.fail_with;
    memcpy(taken.items + taken.count, items, count * sizeof(int));
    taken.count += count;
    taken.sizes[taken.flushes++ % 512] = count;
    return 0;
}

static void make(hr_batch_options options)
{
    memset(&taken, 0, sizeof taken);
    options.item_bytes = sizeof(int);
    if (!options.on_flush)
        options.on_flush = take;
    assert_int_equal(hr_batch_new(&options, &batch), 0);
}

static int add(int number)
{
    return hr_batch_add(batch, &number);
}

static void assert_in_order(int count)
{
    assert_int_equal(taken.count, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(taken.items[i], i);
}

static hr_batch_figures figures(void)
{
    hr_batch_figures read;
    assert_int_equal(hr_batch_read(batch, &read), 0);
    return read;
}

static void groups_of_items_and_the_rest_at_the_end(void **state)
{
    (void)state;
    make((hr_batch_options){.items_max = 10});
    for (int i = 0; i < 37; i++)
        assert_int_equal(add(i), 0);
    assert_int_equal(taken.flushes, 3);
    assert_int_equal(figures().items, 7);
    assert_int_equal(hr_batch_free(batch), 0);
    assert_in_order(37);
    assert_int_equal(taken.sizes[3], 7);
}

/* Regression, strategy 7: in the source a failing batch has no way to report, and nothing can be retried. */
static void source_7_a_failed_flush_keeps_its_items_and_says_so(void **state)
{
    (void)state;
    make((hr_batch_options){.items_max = 4});
    taken.fail_with = -EPIPE;
    for (int i = 0; i < 3; i++)
        assert_int_equal(add(i), 0);
    assert_int_equal(add(3), -EPIPE);   /* kept, with the flush's error */
    assert_int_equal(add(4), -ENOBUFS); /* full: not taken */
    assert_int_equal(hr_batch_flush(batch), -EPIPE);
    assert_int_equal(hr_batch_free(batch), -EBUSY); /* nothing is lost by freeing either */
    hr_batch_figures now = figures();
    assert_int_equal(now.items, 4);
    assert_int_equal(now.failed, 3);
    assert_int_equal(now.last_error, -EPIPE);
    assert_int_equal(now.refused, 1);
    assert_int_equal(taken.count, 0);
    taken.fail_with = 0; /* the caller tries again, and all come once, in order */
    assert_int_equal(hr_batch_flush(batch), 0);
    assert_int_equal(add(4), 0);
    assert_int_equal(hr_batch_free(batch), 0);
    assert_in_order(5);
}

static void what_cannot_be_handed_on_can_be_dropped(void **state)
{
    (void)state;
    make((hr_batch_options){.items_max = 4});
    taken.fail_with = 5;
    assert_int_equal(add(1), 0);
    assert_int_equal(hr_batch_flush(batch), -EINVAL); /* it is no errno */
    assert_int_equal(hr_batch_clear(batch), 1);
    assert_int_equal(hr_batch_free(batch), 0);
    assert_int_equal(taken.count, 0);
}

static void groups_of_bytes(void **state)
{
    (void)state;
    make((hr_batch_options){.items_max = 100, .bytes_max = 1000});
    int number = 0;
    for (; number < 9; number++)
        assert_int_equal(hr_batch_add_sized(batch, &number, 110), 0);
    assert_int_equal(taken.flushes, 0);
    assert_int_equal(figures().bytes, 990);
    assert_int_equal(hr_batch_add_sized(batch, &number, 10), 0);
    assert_int_equal(taken.sizes[0], 10);
    assert_int_equal(figures().bytes, 0);
    assert_int_equal(hr_batch_free(batch), 0);
    make((hr_batch_options){.bytes_max = 8 * sizeof(int)}); /* without a weight it is the item's own size */
    for (int i = 0; i < 16; i++)
        assert_int_equal(add(i), 0);
    assert_int_equal(taken.flushes, 2);
    assert_int_equal(hr_batch_free(batch), 0);
}

/* ── by age ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void by_age_in_a_loop_of_the_callers(void **state)
{
    (void)state;
    make((hr_batch_options){.age_max_ns = 20 * MILLISECOND});
    int fd = hr_batch_fd(batch);
    assert_true(fd >= 0);
    assert_int_equal(hr_batch_fd(batch), fd);
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&asked, 1, 40), 0); /* nothing is kept */
    assert_int_equal(add(0), 0);
    assert_int_equal(hr_batch_flush_aged(batch), 0); /* not yet */
    assert_int_equal(taken.count, 0);
    assert_int_equal(poll(&asked, 1, 2000), 1);
    assert_int_equal(hr_batch_flush_aged(batch), 0);
    assert_in_order(1);
    assert_int_equal(poll(&asked, 1, 0), 0);
    taken.fail_with = -EIO; /* tried again, but not at once */
    assert_int_equal(add(1), 0);
    assert_int_equal(poll(&asked, 1, 2000), 1);
    assert_int_equal(hr_batch_flush_aged(batch), -EIO);
    assert_int_equal(poll(&asked, 1, 0), 0);
    taken.fail_with = 0;
    assert_int_equal(poll(&asked, 1, 2000), 1);
    assert_int_equal(hr_batch_flush_aged(batch), 0);
    assert_in_order(2);
    assert_int_equal(hr_batch_free(batch), 0);
    make((hr_batch_options){0});
    assert_int_equal(hr_batch_fd(batch), -EINVAL);
    assert_int_equal(hr_batch_free(batch), 0);
}

static void wait_for_count(uint64_t count)
{
    for (int i = 0; i < 2000 && figures().flushed < count; i++)
        usleep(1000);
    assert_int_equal(figures().flushed, count);
}

static void by_age_on_the_guards_monitor(void **state)
{
    (void)state;
    hr_guard *guard;
    assert_int_equal(
        hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = 60000 * MILLISECOND}, &guard), 0);
    make((hr_batch_options){.age_max_ns = 10 * MILLISECOND, .guard = guard});
    for (int round = 0; round < 3; round++) { /* long before the monitor would have come by itself */
        assert_int_equal(add(2 * round), 0);
        assert_int_equal(add(2 * round + 1), 0);
        wait_for_count((uint64_t)round * 2 + 2);
        assert_false(pthread_equal(taken.thread, pthread_self()));
    }
    hr_batch_figures now = figures();
    assert_int_equal(now.items, 0);
    assert_in_order(6);
    assert_int_equal(hr_batch_free(batch), 0);
    hr_budget_figures root;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &root), 0);
    assert_int_equal(root.used_bytes, 0);
    hr_guard_free(guard);
}

/* ── under pressure ─────────────────────────────────────────────────────────────────────────────────────────────── */

static void sizes_shrink_with_the_level(void **state)
{
    (void)state;
    hrt_world world;
    hr_guard *guard;
    hrt_world_new(&world);
    hrt_world_set_process(&world, 1 * MIB, 20480 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 10 * MIB, 0);
    hri_environment environment = {world.root, &world.clock};
    hr_guard_options options = {.interval_ns = -1, .purge_interval_ns = -1};
    assert_int_equal(hri_guard_new_in(&environment, &options, &guard), 0);
    make((hr_batch_options){.items_max = 16, .guard = guard, .age_max_ns = 5 * MILLISECOND});
    const struct {
        uint64_t use;
        hr_level level;
        size_t items;
    } steps[] = {{10, HR_NORMAL, 16}, {85, HR_WARNING, 8}, {98, HR_CRITICAL, 2}, {10, HR_NORMAL, 16}};
    int next = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        hrt_world_set_group(&world, 100 * MIB, steps[i].use * MIB, 0);
        assert_int_equal(hr_guard_check(guard), steps[i].level);
        size_t flushes = taken.flushes;
        while (taken.flushes == flushes)
            assert_int_equal(add(next++), 0);
        assert_int_equal(taken.sizes[flushes], steps[i].items);
    }
    assert_int_equal(add(next++), 0); /* its age is that of the guard's clock */
    world.now_ns += 4 * MILLISECOND;
    assert_int_equal(figures().age_ns, 4 * MILLISECOND);
    assert_int_equal(hr_batch_flush_aged(batch), 0);
    assert_int_equal(figures().items, 1);
    world.now_ns += 1 * MILLISECOND;
    assert_int_equal(hr_batch_flush_aged(batch), 0);
    assert_int_equal(figures().items, 0);
    assert_in_order(next);
    assert_int_equal(hr_batch_free(batch), 0);
    hr_guard_free(guard);
    hrt_world_free(&world);
}

/* ── from many threads ──────────────────────────────────────────────────────────────────────────────────────────── */

#define THREADS 4
#define EACH 600

static _Atomic int flaky; /* counts calls of on_flush: every third fails */

static int take_at_times(void *context, const void *items, size_t count)
{
    if (atomic_fetch_add(&flaky, 1) % 3 == 2)
        return -EAGAIN;
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    return take(context, items, count); /* not locked: ThreadSanitizer sees two at once */
}

static void *add_many(void *argument)
{
    int base = (int)(intptr_t)argument * EACH;
    for (int i = 0; i < EACH; i++) {
        int error = add(base + i);
        while (error == -ENOBUFS) {
            (void)hr_batch_flush(batch);
            error = add(base + i);
        }
        if (error && error != -EAGAIN)
            return argument;
    }
    return NULL;
}

static void many_threads_lose_and_double_nothing(void **state)
{
    (void)state;
    make((hr_batch_options){.items_max = 7, .on_flush = take_at_times});
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, (void *)(intptr_t)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    while (hr_batch_free(batch) != 0)
        ;
    assert_int_equal(taken.count, THREADS * EACH);
    int next[THREADS] = {0};
    for (size_t i = 0; i < taken.count; i++) { /* each thread's in its order */
        int thread = taken.items[i] / EACH;
        assert_int_equal(taken.items[i] % EACH, next[thread]++);
    }
}

static int add_inside(void *context, const void *items, size_t count)
{
    int error = take(context, items, count);
    if (taken.flushes == 1) {
        assert_int_equal(hr_batch_flush(batch), -EDEADLK);
        assert_int_equal(hr_batch_clear(batch), 0);
        assert_int_equal(hr_batch_free(batch), -EBUSY);
        assert_int_equal(add(4), -ENOBUFS); /* what is being flushed still has its place */
    }
    return error;
}

static void on_flush_may_not_flush(void **state)
{
    (void)state;
    make((hr_batch_options){.items_max = 4, .on_flush = add_inside});
    for (int i = 0; i < 4; i++)
        assert_int_equal(add(i), 0);
    assert_int_equal(hr_batch_free(batch), 0);
    assert_in_order(4);
}

static void what_is_no_batch(void **state)
{
    (void)state;
    hr_batch_options options = {.item_bytes = 4};
    assert_int_equal(hr_batch_new(&options, &batch), -EINVAL); /* nobody takes */
    options = (hr_batch_options){.on_flush = take};
    assert_int_equal(hr_batch_new(&options, &batch), -EINVAL);
    options = (hr_batch_options){.on_flush = take, .item_bytes = SIZE_MAX / 2, .items_max = 9};
    assert_int_equal(hr_batch_new(&options, &batch), -EINVAL);
    assert_int_equal(hr_batch_add(NULL, &options), -EINVAL);
    assert_int_equal(hr_batch_flush(NULL), -EINVAL);
    assert_int_equal(hr_batch_free(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_of_items_and_the_rest_at_the_end),
        cmocka_unit_test(source_7_a_failed_flush_keeps_its_items_and_says_so),
        cmocka_unit_test(what_cannot_be_handed_on_can_be_dropped),
        cmocka_unit_test(groups_of_bytes),
        cmocka_unit_test(by_age_in_a_loop_of_the_callers),
        cmocka_unit_test(by_age_on_the_guards_monitor),
        cmocka_unit_test(sizes_shrink_with_the_level),
        cmocka_unit_test(many_threads_lose_and_double_nothing),
        cmocka_unit_test(on_flush_may_not_flush),
        cmocka_unit_test(what_is_no_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
