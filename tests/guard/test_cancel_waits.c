/* SPDX-License-Identifier: Apache-2.0 */
/* Waits are cancellation points: a cancelled thread leaves the queue, and the next one is served. A test that hangs is
 * ended by SIGALRM. */
#include "support/cmocka.h"

#include "budget/accounts.h"
#include "budget/section.h"
#include "budget/wait.h"
#include "guard/rooms.h"

#include "guard/cancelled.h" /* after those, which have parameters of its names */

#include <headroom/headroom.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static void relieve(void)
{
    hr_relieve(guard, 1000);
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
    (void)context, (void)items, (void)count;
    usleep(20000);
    return 0;
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

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wait_for_room_can_be_cancelled),
        TEST(who_stands_behind_a_cancelled_one_is_served),
        TEST(what_a_cancelled_one_was_granted_goes_to_the_next),
        TEST(a_wait_for_a_level_can_be_cancelled),
        TEST(a_wait_for_a_turn_ends),
        TEST(a_wait_for_a_flush_ends),
        TEST(a_wait_for_a_pipe_can_be_cancelled),
    };
    char older[sizeof path + 2];
    close(mkstemp(path));
    snprintf(older, sizeof older, "%s.1", path);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    unlink(older);
    return failed;
}
