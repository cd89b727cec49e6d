/* SPDX-License-Identifier: Apache-2.0 */
/* Rooms that keep memory are asked for it like any reclaimer, and their locks come through a fork. */
#include "support/cmocka.h"

#include "base/yield.h"
#include "budget/budget.h"

#include <headroom/guard.h>
#include <headroom/relief.h>
#include <sys/wait.h>
#include <unistd.h>

struct holder {
    hri_yielder yielder;
    hri_yielders *yielders;
    hr_budget *budget;
    pthread_mutex_t lock;
    uint64_t held_bytes;
    unsigned order; /* of its first call among all calls; pools are asked once more at the end */
};

static unsigned calls;

static uint64_t yield(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)deadline_ns;
    struct holder *holder = context;
    pthread_mutex_lock(&holder->lock);
    uint64_t bytes = want_bytes < holder->held_bytes ? want_bytes : holder->held_bytes;
    holder->held_bytes -= bytes;
    calls++;
    holder->order = holder->order ? holder->order : calls;
    pthread_mutex_unlock(&holder->lock);
    hr_budget_uncharge(holder->budget, bytes);
    return bytes;
}

static void fork_locks(void *context, hri_fork moment)
{
    struct holder *holder = context;
    hri_fork_lock(&holder->lock, moment);
}

static hr_guard *make_guard(void)
{
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = 10 * MIB, .interval_ns = -1, .purge_interval_ns = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    return guard;
}

static void open_holder(struct holder *holder, hr_budget *budget, int priority, uint64_t bytes)
{
    *holder = (struct holder){
        .yielder =
            {
                .name = "holder",
                .priority = priority,
                .budget = budget,
                .yield = yield,
                .fork = fork_locks,
                .context = holder,
            },
        .yielders = budget->tree->yielders,
        .budget = budget,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .held_bytes = bytes,
    };
    assert_int_equal(hr_budget_charge(budget, bytes), 0);
    assert_int_equal(hri_yielders_add(holder->yielders, &holder->yielder), 0);
}

static void close_holder(struct holder *holder)
{
    hri_yielders_remove(holder->yielders, &holder->yielder);
    hr_budget_uncharge(holder->budget, holder->held_bytes);
}

static void asked_in_order_for_what_is_short(void **state)
{
    (void)state;
    hr_guard *guard = make_guard();
    hr_budget *budget;
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "small", MIB, &budget), 0);
    struct holder cached, idle;
    open_holder(&cached, budget, HRI_YIELD_CACHED, MIB / 2);
    open_holder(&idle, budget, HRI_YIELD_IDLE, MIB / 4);
    calls = 0;
    assert_int_equal(hr_budget_charge(budget, MIB * 5 / 8), 0);
    assert_int_equal(idle.held_bytes, 0);
    assert_true(idle.order < cached.order);
    assert_int_equal(cached.held_bytes, MIB * 3 / 8);
    hr_budget_uncharge(budget, MIB * 5 / 8);
    close_holder(&cached);
    close_holder(&idle);
    assert_int_equal(hr_budget_free(budget), 0);
    hr_guard_free(guard);
}

static void sees_the_level(void **state)
{
    (void)state;
    hr_guard *guard = make_guard();
    hr_budget *root = hr_guard_root(guard);
    assert_int_equal(hri_yielders_level(root->tree->yielders), HR_NORMAL);
    assert_int_equal(hr_budget_charge(root, 85 * MIB / 10), 0);
    assert_int_equal(hri_yielders_level(root->tree->yielders), HR_WARNING);
    hr_budget_uncharge(root, 85 * MIB / 10);
    hr_guard_free(guard);
}

/* A holder whose lock another thread had at the fork would hang in the child for ever. */
static void locks_come_through_a_fork(void **state)
{
    (void)state;
    hr_guard *guard = make_guard();
    struct holder holder;
    open_holder(&holder, hr_guard_root(guard), HRI_YIELD_CACHED, 4 * MIB);
    pid_t child = fork();
    if (child == 0) {
        bool yields = hr_relieve(guard, MIB) == MIB;
        _exit(yields && pthread_mutex_trylock(&holder.lock) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(hr_relieve(guard, MIB), MIB);
    close_holder(&holder);
    hr_guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asked_in_order_for_what_is_short),
        cmocka_unit_test(sees_the_level),
        cmocka_unit_test(locks_come_through_a_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
