/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for room: who is served when, who may pass whom, how long it took. */
#include "support/cmocka.h"

#include "budget/budget.h"
#include "budget/wait.h"
#include "os/clock.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define LIMIT 1000

static hri_budget_tree tree;
static hr_budget *root;

static int set_up(void **state)
{
    (void)state;
    root = &tree.root;
    return hri_budget_tree_init(&tree, LIMIT, &(hri_budget_hooks){0});
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(tree.root.used_bytes, 0);
    hri_budget_tree_destroy(&tree);
    return 0;
}

static hr_budget_figures read_figures(hr_budget *budget)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    return figures;
}

/* Somebody who waits. */
struct waiter {
    pthread_t thread;
    hr_budget *budget;
    uint64_t bytes;
    int64_t timeout_ns;
    int result;
    unsigned place; /* in the order of those that were granted; 0: was not */
};

static _Atomic unsigned served;

static void *wait_for_room(void *context)
{
    struct waiter *waiter = context;
    waiter->result = hr_budget_charge_wait(waiter->budget, waiter->bytes, waiter->timeout_ns);
    if (waiter->result == 0)
        waiter->place = ++served;
    return NULL;
}

/* Starts one, and goes on once it waits. */
static void begin(struct waiter *waiter)
{
    uint64_t before = read_figures(root).waiting;
    waiter->result = 1;
    assert_int_equal(pthread_create(&waiter->thread, NULL, wait_for_room, waiter), 0);
    while (read_figures(root).waiting == before)
        usleep(100);
}

static void end(struct waiter *waiter)
{
    pthread_join(waiter->thread, NULL);
    if (waiter->result == 0)
        hr_budget_uncharge(waiter->budget, waiter->bytes);
}

static void first_come_first_served(void **state)
{
    (void)state;
    struct waiter waiters[4];
    served = 0;
    assert_int_equal(hr_budget_charge(root, LIMIT), 0);
    for (int i = 0; i < 4; i++) {
        waiters[i] = (struct waiter){.budget = root, .bytes = LIMIT, .timeout_ns = -1};
        begin(&waiters[i]);
    }
    assert_int_equal(read_figures(root).waiting, 4);
    hr_budget_uncharge(root, LIMIT);
    for (int i = 0; i < 4; i++) {
        end(&waiters[i]);
        assert_int_equal(waiters[i].place, i + 1);
    }
    hr_budget_figures figures = read_figures(root);
    assert_int_equal(figures.waiting, 0);
    assert_int_equal(figures.waits, 4);
    assert_true(figures.wait_longest_ns > 0);
}

/* Small ones that fit pass a large one a bounded number of times; then they stand back, and it is served. */
static void small_ones_pass_a_large_one_sixteen_times(void **state)
{
    (void)state;
    enum {
        SMALL = HRI_WAIT_PASSES_MAX + 4
    };
    struct waiter large = {.budget = root, .bytes = 600, .timeout_ns = -1}, small[SMALL];
    served = 0;
    assert_int_equal(hr_budget_charge(root, LIMIT), 0);
    begin(&large);
    for (int i = 0; i < SMALL; i++) {
        small[i] = (struct waiter){.budget = root, .bytes = 1, .timeout_ns = -1};
        begin(&small[i]);
    }
    for (int i = 0; i < SMALL; i++)
        hr_budget_uncharge(root, 1); /* room for one more each time */
    while (served < HRI_WAIT_PASSES_MAX)
        usleep(100);
    usleep(20 * 1000);
    assert_int_equal(served, HRI_WAIT_PASSES_MAX);
    assert_int_equal(read_figures(root).waiting, 1 + SMALL - HRI_WAIT_PASSES_MAX);
    assert_int_equal(hr_budget_try_charge(root, 1),
                     0); /* who does not wait is not refused for the sake of those who do */
    hr_budget_uncharge(root, 1);
    hr_budget_uncharge(root, LIMIT - SMALL);
    end(&large);
    assert_int_equal(large.result, 0);
    for (int i = 0; i < SMALL; i++)
        end(&small[i]);
    assert_int_equal(served, SMALL + 1);
}

static _Atomic bool stop;

/* Takes a tenth again and again. */
static void *take_tenths(void *context)
{
    while (!stop) {
        assert_int_equal(hr_budget_charge_wait(root, LIMIT / 10, -1), 0);
        usleep(200);
        hr_budget_uncharge(root, LIMIT / 10);
    }
    return context;
}

/* Those who come while others wait stand behind them, even where they would fit: else they would pass without an
 * end. */
static void who_comes_later_stands_behind(void **state)
{
    (void)state;
    pthread_t threads[8];
    stop = false;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_tenths, NULL), 0);
    usleep(10 * 1000);
    struct waiter all = {.budget = root, .bytes = LIMIT, .timeout_ns = 20 * HRI_SECOND};
    all.result = hr_budget_charge_wait(all.budget, all.bytes, all.timeout_ns);
    if (all.result == 0)
        hr_budget_uncharge(root, LIMIT);
    stop = true;
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(all.result, 0);
}

static _Atomic uint64_t idle;

/* The bytes that became idle after a thread began to wait. */
static void free_idle(void *context, hri_demand *demand)
{
    (void)context;
    hr_budget_uncharge(root, atomic_exchange(&idle, 0));
    hri_budget_attempt(demand, false);
}

static void who_waits_asks_again_for_what_is_idle(void **state)
{
    (void)state;
    struct waiter waiter = {.budget = root, .bytes = 600, .timeout_ns = 20 * HRI_SECOND};
    tree.hooks.obtain = free_idle;
    idle = 0;
    assert_int_equal(hr_budget_charge(root, LIMIT), 0);
    begin(&waiter);
    idle = 700;
    end(&waiter);
    assert_int_equal(waiter.result, 0);
    assert_int_equal(read_figures(root).used_bytes, 300);
    hr_budget_uncharge(root, 300);
}

/* Those who want other room are not held up. */
static void a_full_budget_holds_up_nobody_beside_it(void **state)
{
    (void)state;
    hr_budget *full, *beside;
    assert_int_equal(hr_budget_new(root, "full", 100, &full), 0);
    assert_int_equal(hr_budget_new(root, "beside", 100, &beside), 0);
    struct waiter stuck = {.budget = full, .bytes = 100, .timeout_ns = -1};
    assert_int_equal(hr_budget_charge(full, 50), 0);
    begin(&stuck);
    for (int i = 0; i < 5 * HRI_WAIT_PASSES_MAX; i++) {
        assert_int_equal(hr_budget_charge_wait(beside, 100, 0), 0);
        hr_budget_uncharge(beside, 100);
    }
    assert_int_equal(read_figures(full).waiting, 1);
    assert_int_equal(read_figures(beside).waiting, 0);
    hr_budget_uncharge(full, 50);
    end(&stuck);
    assert_int_equal(stuck.result, 0);
    assert_int_equal(hr_budget_free(full), 0);
    assert_int_equal(hr_budget_free(beside), 0);
}

static void time_runs_out(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_charge(root, LIMIT), 0);
    int64_t start_ns = hri_clock_now(&hri_os_clock);
    assert_int_equal(hr_budget_charge_wait(root, 1, 30 * HRI_MILLISECOND), -ETIMEDOUT);
    assert_int_equal(read_figures(root).refused, 1);
    int64_t took_ns = hri_clock_now(&hri_os_clock) - start_ns;
    assert_true(took_ns >= 30 * HRI_MILLISECOND);
    hr_budget_figures figures = read_figures(root);
    assert_int_equal(figures.waits, 1);
    assert_true(figures.wait_longest_ns >= 30 * HRI_MILLISECOND && figures.wait_longest_ns <= took_ns);
    hr_refusal refusal;
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_int_equal(refusal.asked_bytes, 1);
    assert_int_equal(refusal.left_bytes, 0);
    hr_budget_uncharge(root, LIMIT);
}

/* A waiter that fits but stands back for one that was passed sixteen times, and times out. It was never short of
 * anything itself; its refusal named no budget, and counting it there crashed. */
static void time_runs_out_for_a_waiter_that_stands_back(void **state)
{
    (void)state;
    hr_budget *child;
    hr_refusal refusal;
    assert_int_equal(hr_budget_new(root, "child", HR_NONE, &child), 0);
    assert_int_equal(hr_budget_charge(root, 600), 0);
    struct waiter large = {.budget = root, .bytes = 800, .timeout_ns = -1};
    begin(&large);
    for (int i = 0; i < HRI_WAIT_PASSES_MAX; i++) {
        assert_int_equal(hr_budget_charge_wait(child, 100, HRI_SECOND), 0);
        hr_budget_uncharge(child, 100);
    }
    assert_int_equal(hr_budget_charge_wait(child, 100, 10 * HRI_MILLISECOND), -ETIMEDOUT);
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_string_equal(refusal.limit_name, "root"); /* where the room is that the other has a right to */
    assert_int_equal(refusal.asked_bytes, 100);
    assert_int_equal(refusal.left_bytes, 0);
    assert_int_equal(refusal.limit_bytes, LIMIT);
    assert_int_equal(read_figures(root).refused, 1); /* `large` waits still */
    hr_budget_uncharge(root, 600);
    end(&large);
    assert_int_equal(large.result, 0);
    assert_int_equal(hr_budget_free(child), 0);
}

/* The longest wait is known while it lasts: a stall must not show only when it is over. */
static void a_wait_that_lasts_is_seen(void **state)
{
    (void)state;
    struct waiter waiter = {.budget = root, .bytes = LIMIT, .timeout_ns = -1};
    assert_int_equal(hr_budget_charge(root, 1), 0);
    begin(&waiter);
    usleep(5000);
    hr_budget_figures figures = read_figures(root);
    assert_int_equal(figures.waits, 0);
    assert_int_equal(figures.waiting, 1);
    assert_true(figures.wait_longest_ns >= 5000 * HRI_MICROSECOND);
    hr_budget_uncharge(root, 1);
    end(&waiter);
}

static void whatever_makes_room_wakes(void **state)
{
    (void)state;
    hr_budget *child, *other;
    assert_int_equal(hr_budget_new(root, "child", 100, &child), 0);
    assert_int_equal(hr_budget_new(root, "other", HR_NONE, &other), 0);
    struct waiter waiter = {.budget = child, .bytes = 80, .timeout_ns = -1};
    assert_int_equal(hr_budget_charge(child, 100), 0);
    begin(&waiter);
    assert_int_equal(hr_budget_set_limit(child, 180), 0); /* a higher limit */
    end(&waiter);
    assert_int_equal(waiter.result, 0);
    assert_int_equal(hr_budget_set_limit(child, 100), 0);
    begin(&waiter);
    assert_int_equal(hr_budget_transfer(child, other, 90), 0); /* bytes that move away */
    end(&waiter);
    assert_int_equal(waiter.result, 0);
    hr_budget_uncharge(other, 90);
    assert_int_equal(hr_budget_set_reserve(other, 950), 0);
    begin(&waiter);
    assert_int_equal(hr_budget_set_reserve(other, 0), 0); /* a reserve that ends */
    end(&waiter);
    assert_int_equal(waiter.result, 0);
    assert_int_equal(hr_budget_set_reserve(other, 950), 0);
    begin(&waiter);
    assert_int_equal(hr_budget_free(other), 0); /* with a budget, too */
    end(&waiter);
    assert_int_equal(waiter.result, 0);
    assert_int_equal(hr_budget_new(root, "other", HR_NONE, &other), 0);
    assert_int_equal(hr_budget_set_limit(child, 100), 0);
    hr_budget_uncharge(child, 10);
    assert_int_equal(hr_budget_charge(child, 100), 0);
    begin(&waiter);
    assert_int_equal(hr_budget_set_limit(child, 79), 0); /* and what makes it hopeless */
    end(&waiter);
    assert_int_equal(waiter.result, -EDQUOT);
    hr_budget_uncharge(child, 100);
    assert_int_equal(hr_budget_free(child), 0);
    assert_int_equal(hr_budget_free(other), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_come_first_served),
        TEST(small_ones_pass_a_large_one_sixteen_times),
        TEST(who_comes_later_stands_behind),
        TEST(who_waits_asks_again_for_what_is_idle),
        TEST(a_full_budget_holds_up_nobody_beside_it),
        TEST(time_runs_out),
        TEST(time_runs_out_for_a_waiter_that_stands_back),
        TEST(a_wait_that_lasts_is_seen),
        TEST(whatever_makes_room_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
