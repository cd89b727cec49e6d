/* SPDX-License-Identifier: Apache-2.0 */
/* The cost of a refusal: how often it reads the gauges and takes the tree's lock. It did so five and 21 times. */
#include "support/cmocka.h"
#include "support/world.h"

#include "base/checked.h"
#include "guard/environment.h"
#include "guard/rooms.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

static hrt_world world;
static hr_guard *guard;
static hr_budget *root;
static _Atomic unsigned readings, locks;

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
void __real_hri_gauge_read(hri_gauge *gauge, unsigned how, hri_reading *reading);
void __wrap_hri_gauge_read(hri_gauge *gauge, unsigned how, hri_reading *reading);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    locks += guard && mutex == &guard->tree.lock;
    return __real_pthread_mutex_lock(mutex);
}

void __wrap_hri_gauge_read(hri_gauge *gauge, unsigned how, hri_reading *reading)
{
    readings++;
    __real_hri_gauge_read(gauge, how, reading);
}

static void make_guard(hr_guard_options options)
{
    hri_environment environment = {world.root, &world.clock};
    options.interval_ns = -1;
    assert_int_equal(hri_guard_new_in(&environment, &options, &guard), 0);
    root = hr_guard_root(guard);
}

static int set_up(void **state)
{
    (void)state;
    hrt_world_new(&world);
    hrt_world_set_process(&world, 1 * MIB, 20480 * MIB);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(root, &figures), 0);
    hr_budget_uncharge(root, figures.used_bytes);
    hr_guard_free(guard);
    guard = NULL;
    hrt_world_free(&world);
    return 0;
}

/* Tries a charge again, since the first refusal may change the level. */
static void count_a_refused_charge(uint64_t bytes)
{
    assert_int_equal(hr_budget_charge(root, bytes), -EDQUOT);
    readings = locks = 0;
    assert_int_equal(hr_budget_charge(root, bytes), -EDQUOT);
}

static void a_refusal_by_the_kernels_limit_reads_once(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 50 * MIB, 0);
    make_guard((hr_guard_options){0});
    count_a_refused_charge(60 * MIB);
    assert_int_equal(readings, 1);
    assert_in_range(locks, 1, 6);
}

static void so_does_one_at_critical(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 97 * MIB, 0);
    make_guard((hr_guard_options){0});
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    count_a_refused_charge(4 * MIB);
    assert_in_range(readings, 1, 2);
    assert_in_range(locks, 1, 6);
}

static void a_refusal_by_a_limit_that_people_set_reads_nothing(void **state)
{
    (void)state;
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_budget_charge(root, 60 * MIB), 0);
    count_a_refused_charge(60 * MIB);
    assert_int_equal(readings, 0);
    assert_in_range(locks, 1, 6);
}

static void a_request_that_is_refused_reads_once(void **state)
{
    (void)state;
    hr_ticket ticket;
    hrt_world_set_group(&world, 100 * MIB, 50 * MIB, 0);
    make_guard((hr_guard_options){0});
    for (int i = 0; i < 2; i++) {
        readings = locks = 0;
        assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 45 * MIB}, &ticket), HR_REFUSED_TOO_LARGE);
    }
    assert_int_equal(readings, 1);
    assert_in_range(locks, 1, 6);
}

static uint64_t give_a_little(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)want_bytes, (void)deadline_ns;
    uint64_t *bytes = context, given = *bytes;
    *bytes = 0;
    return given;
}

static void relief_that_is_not_enough_is_read_after_once(void **state)
{
    (void)state;
    uint64_t bytes = MIB;
    hr_reclaimer node = {.name = "little", .reclaim = give_a_little, .context = &bytes};
    hrt_world_set_group(&world, 100 * MIB, 50 * MIB, 0);
    make_guard((hr_guard_options){0});
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    readings = 0;
    assert_int_equal(hr_budget_charge(root, 60 * MIB), -EDQUOT);
    assert_int_equal(bytes, 0);
    assert_int_equal(readings, 2);
    hr_reclaimer_remove(guard, &node);
}

static uint64_t give_slowly(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)want_bytes, (void)deadline_ns;
    uint64_t *held_bytes = context, given = hri_min(*held_bytes, MIB);
    world.now_ns += 100 * HRI_MILLISECOND;
    *held_bytes -= given;
    hr_budget_uncharge(root, given);
    return given;
}

/* Prevents a refusal after half a second while a slow reclaimer still gives. */
static void relief_goes_on_while_the_demand_comes_nearer(void **state)
{
    (void)state;
    uint64_t held_bytes = 80 * MIB;
    hr_reclaimer node = {.name = "slow", .reclaim = give_slowly, .context = &held_bytes};
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    assert_int_equal(hr_budget_charge(root, held_bytes), 0);
    assert_int_equal(hr_budget_charge(root, 90 * MIB), 0); /* after seven seconds of the clock */
    assert_in_range(held_bytes, 0, 10 * MIB);
    hr_reclaimer_remove(guard, &node);
}

struct holder {
    hr_budget *budget;
    uint64_t held_bytes;
    unsigned calls;
};

static uint64_t give_what_is_wanted(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)deadline_ns;
    struct holder *holder = context;
    uint64_t given = hri_min(holder->held_bytes, want_bytes);
    holder->calls++;
    holder->held_bytes -= given;
    hr_budget_uncharge(holder->budget, given);
    return given;
}

/* Prevents: after a limit was lowered, a charge of 1,000 bytes asked a reclaimer 70,000 times for 1,000 bytes, and was
 * refused with 230 MiB to give. */
static void a_budget_over_its_limit_is_relieved_of_all_of_it(void **state)
{
    (void)state;
    struct holder holder = {.held_bytes = 300 * MIB};
    hr_budget_figures figures;
    make_guard((hr_guard_options){.limit_bytes = 1000 * MIB});
    assert_int_equal(hr_budget_new(root, "lowered", HR_NONE, &holder.budget), 0);
    hr_reclaimer node = {.name = "holder", .reclaim = give_what_is_wanted, .context = &holder, .budget = holder.budget};
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    assert_int_equal(hr_budget_charge(holder.budget, holder.held_bytes), 0);
    hr_budget_set_limit(holder.budget, 10 * MIB);
    assert_int_equal(hr_budget_charge(holder.budget, 1000), 0);
    assert_in_range(holder.calls, 1, 3);
    assert_int_equal(hr_budget_read(holder.budget, &figures), 0);
    assert_in_range(figures.used_bytes, 9 * MIB, 10 * MIB);
    hr_reclaimer_remove(guard, &node);
    hr_budget_uncharge(holder.budget, figures.used_bytes);
    hr_budget_free(holder.budget);
}

static uint64_t promise_and_give_nothing(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)deadline_ns;
    ++*(unsigned *)context;
    world.now_ns += 100 * HRI_MILLISECOND;
    return want_bytes;
}

static void relief_that_gains_nothing_ends(void **state)
{
    (void)state;
    unsigned calls = 0;
    hr_reclaimer node = {.name = "liar", .reclaim = promise_and_give_nothing, .context = &calls};
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    assert_int_equal(hr_budget_charge(root, 80 * MIB), 0);
    assert_int_equal(hr_budget_charge(root, 90 * MIB), -EDQUOT);
    assert_in_range(calls, 1, 100);
    hr_reclaimer_remove(guard, &node);
}

/* A reading shows room, and no other thread can be granted it before the demand that asked for the reading. */
static void a_grant_that_is_due_reads_once(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 50 * MIB, 0);
    make_guard((hr_guard_options){0});
    readings = locks = 0;
    assert_int_equal(hr_budget_charge(root, 20 * MIB), 0); /* beyond an eighth of what is left */
    assert_int_equal(readings, 1);
    assert_in_range(locks, 1, 3);
}

static sem_t called, go;

static uint64_t give_when_told(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)want_bytes, (void)deadline_ns;
    uint64_t *held_bytes = context, given = *held_bytes;
    sem_post(&called);
    if (given > 0)
        sem_wait(&go);
    *held_bytes = 0;
    hr_budget_uncharge(root, given);
    return given;
}

static void *charge_20_mib(void *context)
{
    (void)context;
    return (void *)(intptr_t)hr_budget_charge(root, 20 * MIB);
}

/* Prevents a refusal although there is enough: the reclaimer that has it is being called by another thread, which has
 * no processor for several deadlines. */
static void a_reclaimer_that_another_thread_calls_is_waited_for(void **state)
{
    (void)state;
    uint64_t held_bytes = 90 * MIB;
    hr_reclaimer node = {.name = "busy", .reclaim = give_when_told, .context = &held_bytes};
    pthread_t threads[2];
    void *error;
    assert_int_equal(sem_init(&called, 0, 0) | sem_init(&go, 0, 0), 0);
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_budget_charge(root, held_bytes), 0);
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    assert_int_equal(pthread_create(&threads[0], NULL, charge_20_mib, NULL), 0);
    sem_wait(&called);
    assert_int_equal(pthread_create(&threads[1], NULL, charge_20_mib, NULL), 0);
    usleep(10 * HRI_RELIEF_DEADLINE_NS / 1000);
    sem_post(&go);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &error);
        assert_null(error);
    }
    hr_reclaimer_remove(guard, &node);
}

static int lost_at, clock_readings;

/* Loses the processor for 25 ms before one of its readings. */
static int64_t read_and_lose(void *context)
{
    (void)context;
    world.now_ns += clock_readings++ == lost_at ? 25 * HRI_MILLISECOND : 0;
    return world.now_ns;
}

static uint64_t give_all(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)want_bytes;
    uint64_t *held_bytes = context, given = world.now_ns < deadline_ns ? *held_bytes : 0;
    *held_bytes -= given;
    hr_budget_uncharge(root, given);
    return given;
}

/* Prevents a refusal by a round in which nobody was asked, since the time was up before it began. */
static void wherever_the_processor_is_lost_all_are_asked(void **state)
{
    (void)state;
    uint64_t held_bytes = 0;
    hr_reclaimer node = {.name = "ready", .reclaim = give_all, .context = &held_bytes};
    static hri_clock clock = {read_and_lose, NULL};
    hri_environment environment = {world.root, &clock};
    lost_at = -1;
    assert_int_equal(
        hri_guard_new_in(&environment, &(hr_guard_options){.limit_bytes = 100 * MIB, .interval_ns = -1}, &guard), 0);
    root = hr_guard_root(guard);
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    for (int at = 0; at < 16; at++) {
        held_bytes = 100 * MIB;
        assert_int_equal(hr_budget_charge(root, held_bytes), 0);
        lost_at = at;
        clock_readings = 0;
        assert_int_equal(hr_budget_charge(root, MIB), 0);
        lost_at = -1;
        hr_budget_uncharge(root, MIB);
    }
    hr_reclaimer_remove(guard, &node);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_refusal_by_the_kernels_limit_reads_once),
        TEST(so_does_one_at_critical),
        TEST(a_refusal_by_a_limit_that_people_set_reads_nothing),
        TEST(a_request_that_is_refused_reads_once),
        TEST(relief_that_is_not_enough_is_read_after_once),
        TEST(a_grant_that_is_due_reads_once),
        TEST(a_budget_over_its_limit_is_relieved_of_all_of_it),
        TEST(relief_goes_on_while_the_demand_comes_nearer),
        TEST(relief_that_gains_nothing_ends),
        TEST(a_reclaimer_that_another_thread_calls_is_waited_for),
        TEST(wherever_the_processor_is_lost_all_are_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
