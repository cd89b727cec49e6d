/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of those who can yield: following a level runs the user's code, and so with no lock held. */
#include "support/cmocka.h"

#include "base/yield.h"

#include <stdatomic.h>
#include <unistd.h>

static hri_yielders yielders;
static hri_yielder first, second;
static unsigned called, seen;

static int connect_one(void *context, hri_yielder *yielder)
{
    (void)context, (void)yielder;
    return 0;
}

static void disconnect_one(void *context, hri_yielder *yielder)
{
    (void)context, (void)yielder;
}

static void read_one(void *context, uint64_t *values)
{
    (void)context, (void)values;
}

static const hri_yielder_kind kind = {.noun = "thing", .read = read_one};

static void add(hri_yielder *yielder, void (*level)(void *context, hr_level level, bool changed))
{
    *yielder = (hri_yielder){.name = "one", .kind = &kind, .level = level, .context = yielder};
    assert_int_equal(hri_yielders_add(&yielders, yielder), 0);
}

static int set_up(void **state)
{
    (void)state;
    yielders = (hri_yielders){.connect = connect_one, .disconnect = disconnect_one};
    called = seen = 0;
    alarm(20); /* a lock that is held shows by waiting for ever */
    return hri_yielders_init(&yielders);
}

static int tear_down(void **state)
{
    (void)state;
    alarm(0);
    hri_yielders_destroy(&yielders);
    return 0;
}

static void count_level(void *context, hr_level level, bool changed)
{
    (void)context, (void)level, (void)changed;
    called++;
}

static void see(void *visitor, const char *name, const uint64_t *values)
{
    (void)visitor, (void)name, (void)values;
    seen++;
}

static void visit_and_remove_the_next(void *context, hr_level level, bool changed)
{
    count_level(context, level, changed);
    hri_yielders_each(&yielders, &kind, see, NULL);
    if (called == 1)
        hri_yielders_remove(&yielders, &first);
}

static void a_call_may_visit_and_change_the_registry(void **state)
{
    (void)state;
    add(&first, count_level);
    add(&second, visit_and_remove_the_next); /* the newest is called first */
    hri_yielders_follow(&yielders, HR_WARNING, true);
    assert_int_equal(called, 1);
    assert_int_equal(seen, 2);
    hri_yielders_follow(&yielders, HR_NORMAL, true);
    assert_int_equal(called, 2);
    hri_yielders_remove(&yielders, &second);
    assert_null(hri_yielders_left(&yielders));
}

static void remove_itself(void *context, hr_level level, bool changed)
{
    count_level(context, level, changed);
    hri_yielders_remove(&yielders, context);
}

static void a_call_may_remove_its_own(void **state)
{
    (void)state;
    add(&first, count_level);
    add(&second, remove_itself);
    hri_yielders_follow(&yielders, HR_WARNING, true);
    assert_int_equal(called, 2);
    hri_yielders_remove(&yielders, &first);
}

static atomic_bool inside, leave, removed;

static void stay(void *context, hr_level level, bool changed)
{
    count_level(context, level, changed);
    atomic_store(&inside, true);
    while (!atomic_load(&leave))
        usleep(1000);
    assert_false(atomic_load(&removed));
}

static void *follow(void *context)
{
    hri_yielders_follow(&yielders, HR_WARNING, true);
    return context;
}

static void *remove_first(void *context)
{
    hri_yielders_remove(&yielders, &first);
    atomic_store(&removed, true);
    return context;
}

static void removal_waits_for_a_call_that_is_running(void **state)
{
    (void)state;
    pthread_t following, removing;
    add(&first, stay);
    assert_int_equal(pthread_create(&following, NULL, follow, NULL), 0);
    while (!atomic_load(&inside))
        usleep(1000);
    assert_int_equal(pthread_create(&removing, NULL, remove_first, NULL), 0);
    while (hri_yielders_left(&yielders))
        usleep(1000);
    usleep(20000);
    assert_false(atomic_load(&removed));
    atomic_store(&leave, true);
    pthread_join(following, NULL);
    pthread_join(removing, NULL);
    assert_true(atomic_load(&removed));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_may_visit_and_change_the_registry),
        TEST(a_call_may_remove_its_own),
        TEST(removal_waits_for_a_call_that_is_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
