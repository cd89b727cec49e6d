/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a charge in a signal handler that has interrupted malloc() waits for a lock that a fork of another thread
 * holds, while the fork waits for malloc()'s. tests/kills/signal_fork.c does that to the whole library. */
#include "budget/gate.h"
#include "budget/budget.h"
#include "os/clock.h"
#include "support/cmocka.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static hri_budget_tree tree;

static int set_up(void **state)
{
    (void)state;
    return hri_budget_tree_init(&tree, 1000, &(hri_budget_hooks){0});
}

static int tear_down(void **state)
{
    (void)state;
    hri_budget_tree_destroy(&tree);
    return 0;
}

/* ── beside a fork ──────────────────────────────────────────────────────────────────────────────────────────────── */

static atomic_int moment; /* 1: the fork has its locks; 2: it may end */

static void *fork_for_a_while(void *unused)
{
    (void)unused;
    hri_gate_fork(HRI_FORK_BEFORE);
    hri_budget_tree_fork(&tree, HRI_FORK_BEFORE);
    atomic_store(&moment, 1);
    while (atomic_load(&moment) != 2)
        usleep(1000);
    hri_budget_tree_fork(&tree, HRI_FORK_PARENT);
    hri_gate_fork(HRI_FORK_PARENT);
    return NULL;
}

typedef struct two_charges {
    int first, second;
    int64_t first_ns, second_ns;
} two_charges;

static void charge_twice(two_charges *attempts)
{
    int64_t begin_ns = hri_clock_now(&hri_os_clock);
    attempts->first = hr_budget_try_charge(&tree.root, 10);
    int64_t then_ns = hri_clock_now(&hri_os_clock);
    attempts->second = hr_budget_try_charge(&tree.root, 10);
    attempts->first_ns = then_ns - begin_ns;
    attempts->second_ns = hri_clock_now(&hri_os_clock) - then_ns;
    hr_budget_uncharge(&tree.root, 5);
}

static void a_charge_waits_for_a_fork_once_and_takes_no_lock(void **state)
{
    (void)state;
    two_charges attempts;
    pthread_t thread;
    assert_int_equal(hr_budget_charge(&tree.root, 5), 0);
    atomic_store(&moment, 0);
    assert_int_equal(pthread_create(&thread, NULL, fork_for_a_while, NULL), 0);
    while (atomic_load(&moment) != 1)
        usleep(1000);
    charge_twice(&attempts);
    atomic_store(&moment, 2);
    pthread_join(thread, NULL);
    assert_int_equal(attempts.first, -EAGAIN);
    assert_int_equal(attempts.second, -EAGAIN);
    assert_true(attempts.first_ns >= 100 * HRI_MILLISECOND);
    assert_true(attempts.second_ns < attempts.first_ns);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(&tree.root, &figures), 0);
    assert_int_equal(figures.used_bytes, 0); /* the 5 bytes came back late */
    charge_twice(&attempts);
    assert_int_equal(attempts.first, 0);
    assert_int_equal(attempts.second, 0);
    hr_budget_uncharge(&tree.root, 15);
}

static void *end_the_fork_soon(void *unused)
{
    (void)unused;
    hri_gate_fork(HRI_FORK_BEFORE);
    usleep(20000);
    hri_gate_fork(HRI_FORK_PARENT);
    return NULL;
}

static void a_charge_beside_a_short_fork_is_granted(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_the_fork_soon, NULL), 0);
    usleep(5000);
    assert_int_equal(hr_budget_try_charge(&tree.root, 10), 0);
    pthread_join(thread, NULL);
    hr_budget_uncharge(&tree.root, 10);
}

/* ── calls that are inside ──────────────────────────────────────────────────────────────────────────────────────── */

static atomic_bool closed;

static void *fork_once(void *unused)
{
    (void)unused;
    hri_gate_fork(HRI_FORK_BEFORE);
    atomic_store(&closed, true);
    hri_gate_fork(HRI_FORK_PARENT);
    return NULL;
}

static void a_fork_waits_for_calls_that_are_inside(void **state)
{
    (void)state;
    pthread_t thread;
    atomic_store(&closed, false);
    assert_true(hri_gate_try_enter());
    assert_int_equal(pthread_create(&thread, NULL, fork_once, NULL), 0);
    usleep(20000);
    assert_false(atomic_load(&closed));
    assert_true(hri_gate_enter()); /* a handler of the thread that is inside: the fork waits for both */
    hri_gate_leave();
    assert_false(atomic_load(&closed));
    hri_gate_leave();
    pthread_join(thread, NULL);
    assert_true(atomic_load(&closed));
}

static void a_fork_does_not_wait_for_its_own_thread(void **state)
{
    (void)state;
    assert_true(hri_gate_try_enter());
    hri_gate_fork(HRI_FORK_BEFORE);
    hri_gate_fork(HRI_FORK_CHILD);
    hri_gate_leave();
    assert_true(hri_gate_try_enter());
    hri_gate_leave();
}

/* ── handlers of the thread that forks ──────────────────────────────────────────────────────────────────────────── */

static volatile sig_atomic_t answer;

static void charge_in_handler(int number)
{
    (void)number;
    answer = hr_budget_try_charge(&tree.root, 10);
    hr_budget_uncharge(&tree.root, 5);
}

static void a_handler_of_the_thread_that_forks_does_not_wait(void **state)
{
    (void)state;
    assert_int_equal(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = charge_in_handler}, NULL), 0);
    assert_int_equal(hr_budget_charge(&tree.root, 5), 0);
    hri_gate_fork(HRI_FORK_BEFORE);
    hri_budget_tree_fork(&tree, HRI_FORK_BEFORE);
    int64_t begin_ns = hri_clock_now(&hri_os_clock);
    raise(SIGUSR1);
    int64_t took_ns = hri_clock_now(&hri_os_clock) - begin_ns;
    hri_budget_tree_fork(&tree, HRI_FORK_PARENT);
    hri_gate_fork(HRI_FORK_PARENT);
    assert_int_equal(answer, -EAGAIN);
    assert_true(took_ns < 100 * HRI_MILLISECOND);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(&tree.root, &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_charge_waits_for_a_fork_once_and_takes_no_lock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_charge_beside_a_short_fork_is_granted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fork_waits_for_calls_that_are_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fork_does_not_wait_for_its_own_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_handler_of_the_thread_that_forks_does_not_wait, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
