/* SPDX-License-Identifier: Apache-2.0 */
/* Looks: the files that each occasion reads, and the lease that comes of it, in a world whose files say what the test
 * writes. */
#include "support/cmocka.h"
#include "support/world.h"

#include "base/lock.h"
#include "budget/grant.h"
#include "budget/stock.h"
#include "gauge/watcher.h"

#include <pthread.h>
#include <stdatomic.h>

#define LIMIT (100 * MIB)
#define GIB (1024 * MIB)

static hrt_world world;
static atomic_uint clock_reads;
static hri_clock clock_of_world;
static hri_budget_tree tree;
static hri_watcher watcher;
static unsigned change_count;
static hr_level changes[8];

static int64_t count_and_read(void *context)
{
    atomic_fetch_add(&clock_reads, 1);
    return hri_clock_now(context);
}

static void note_change(void *context, hr_level from, hr_level to)
{
    (void)context, (void)from;
    changes[change_count++] = to;
}

static int set_up(void **state)
{
    (void)state;
    hri_stocks_allowed = false;
    change_count = 0;
    hrt_world_new(&world);
    clock_of_world = (hri_clock){count_and_read, &world.clock};
    hrt_world_set_process(&world, 10 * MIB, 1000 * MIB);
    hrt_world_set_group(&world, LIMIT, 30 * MIB, 0);
    hri_watcher_options options = {.root = world.root, .clock = &clock_of_world, .tree = &tree, .changed = note_change};
    assert_int_equal(hri_level_rules_fit(&options.rules), 0);
    assert_int_equal(hri_budget_tree_init(&tree, HR_NONE, &(hri_budget_hooks){0}), 0);
    return hri_watcher_init(&watcher, &options);
}

static int tear_down(void **state)
{
    (void)state;
    hri_watcher_destroy(&watcher);
    hri_budget_tree_destroy(&tree);
    hrt_world_free(&world);
    return 0;
}

static uint64_t free_now(hri_occasion occasion)
{
    hri_watcher_sample(&watcher, occasion);
    assert_int_equal(tree.lease.free_bytes, watcher.lease.free_bytes); /* the tree has been told */
    return tree.lease.free_bytes;
}

static void the_lease_is_what_the_limit_leaves_beside_use_and_margin(void **state)
{
    (void)state;
    assert_true(watcher.margin_bytes >= 1 * MIB && watcher.margin_bytes <= LIMIT / 8 + 128 * KIB);
    assert_int_equal(tree.lease.free_bytes, LIMIT - 30 * MIB - watcher.margin_bytes);
    uint64_t eighth = tree.lease.free_bytes / 8, half = watcher.margin_bytes / 2;
    assert_int_equal(tree.lease.look_bytes, eighth > half ? eighth : half);
    assert_int_equal(tree.kernel_limit_bytes, LIMIT);
}

/* Prevents that room is granted twice: the group's use does not show bytes that nobody has touched yet. */
static void what_is_granted_and_not_touched_is_not_free(void **state)
{
    (void)state;
    uint64_t margin_before = watcher.margin_bytes;
    hri_demand promise = {.budget = &tree.root, .bytes = 20 * MIB, .promise = true};
    assert_true(hri_budget_promise(&promise));
    free_now(HRI_ON_TIME);
    world.now_ns += 3 * HRI_SECOND; /* by then no surprise is held back */
    uint64_t free_bytes = free_now(HRI_ON_TIME);
    assert_int_equal(free_bytes, LIMIT - 30 * MIB - 20 * MIB - watcher.margin_bytes);
    assert_int_equal(watcher.margin_bytes - margin_before, 20 * MIB / 512); /* their page tables */
    hri_budget_unpromise(&tree.root, 20 * MIB);
}

/* Does a look on an occasion, `age_ns` after the last reading, read the gauges? */
static bool reads(hri_occasion occasion, int64_t age_ns)
{
    hri_watcher_sample(&watcher, HRI_ON_TIME);
    world.now_ns += age_ns;
    int64_t before_ns = watcher.reading.time_ns;
    hri_watcher_sample(&watcher, occasion);
    if (age_ns > 0)
        return watcher.reading.time_ns > before_ns;
    hrt_world_set_group(&world, LIMIT, watcher.reading.groups[0].use_bytes + 4096, 0);
    uint64_t use_bytes = watcher.reading.groups[0].use_bytes;
    hri_watcher_sample(&watcher, occasion);
    return watcher.reading.groups[0].use_bytes > use_bytes;
}

/* Prevents readings that nobody needs, and decisions by figures that are too old. */
static void each_occasion_reads_what_it_needs(void **state)
{
    (void)state;
    static const bool always[HRI_OCCASIONS] = {
        [HRI_ON_TIME] = true,     [HRI_ON_CHECK] = true,    [HRI_ON_SHORTAGE] = true, [HRI_ON_RETURN] = true,
        [HRI_ON_CROSSING] = true, [HRI_ON_RELIEVED] = true, [HRI_ON_CHECKED] = true};
    static const bool if_old[HRI_OCCASIONS] = {[HRI_ON_REQUEST] = true, [HRI_ON_RECEDING] = true};
    for (hri_occasion i = 0; i < HRI_OCCASIONS; i++) {
        assert_int_equal(reads(i, 0), always[i]);
        assert_int_equal(reads(i, 99 * HRI_MILLISECOND), always[i]);
        assert_int_equal(reads(i, 100 * HRI_MILLISECOND), always[i] || if_old[i]);
    }
    hrt_world_set_group(&world, LIMIT, 85 * MIB, 0); /* above normal a millisecond is old */
    for (hri_occasion i = 0; i < HRI_OCCASIONS; i++) {
        assert_int_equal(reads(i, HRI_MILLISECOND - 1), always[i]);
        assert_int_equal(reads(i, HRI_MILLISECOND), always[i] || if_old[i]);
    }
}

/* Of all looks only hr_guard_check() insists on the host's figures, which cost most. */
static void only_a_check_reads_the_host_again(void **state)
{
    (void)state;
    hrt_world_set_process(&world, 10 * MIB, 500 * MIB);
    for (hri_occasion i = 0; i < HRI_OCCASIONS; i++) {
        if (i == HRI_ON_CHECK)
            continue;
        hri_watcher_sample(&watcher, i);
        assert_int_equal(watcher.reading.host.available_bytes, 1000 * MIB);
    }
    hri_watcher_sample(&watcher, HRI_ON_CHECK);
    assert_int_equal(watcher.reading.host.available_bytes, 500 * MIB);
}

/* Prevents grants by a reading of the host that others have spent: it goes on being spent until it is made again. */
static void an_old_reading_of_the_host_is_a_lease_too(void **state)
{
    (void)state;
    hrt_world_set_process(&world, 10 * MIB, 20 * MIB);
    assert_int_equal(free_now(HRI_ON_CHECK), 20 * MIB);
    assert_int_equal(hr_budget_charge(&tree.root, 1 * MIB), 0);
    hrt_world_set_process(&world, 11 * MIB, 60 * MIB);
    world.now_ns += HRI_MILLISECOND;
    assert_int_equal(free_now(HRI_ON_TIME), 19 * MIB); /* it has not been read again */
    assert_int_equal(hr_budget_charge(&tree.root, 2 * MIB), 0);
    hrt_world_set_process(&world, 13 * MIB, 40 * MIB);
    world.now_ns += HRI_MILLISECOND;
    assert_int_equal(free_now(HRI_ON_TIME), 40 * MIB); /* an eighth is spent */
    hr_budget_uncharge(&tree.root, 3 * MIB);
}

/* Prevents a kill by memory that nobody grants: as much as came without a grant may come once more. */
static void a_surprise_is_held_back_for_a_second(void **state)
{
    (void)state;
    world.now_ns += 10 * HRI_MILLISECOND;
    hrt_world_set_group(&world, LIMIT, 34 * MIB, 0);
    assert_int_equal(free_now(HRI_ON_TIME) + watcher.margin_bytes, LIMIT - 34 * MIB - 4 * MIB);
    world.now_ns += 900 * HRI_MILLISECOND;
    assert_int_equal(free_now(HRI_ON_TIME) + watcher.margin_bytes, LIMIT - 34 * MIB - 4 * MIB);
    world.now_ns += 2 * HRI_SECOND;
    assert_int_equal(free_now(HRI_ON_TIME) + watcher.margin_bytes, LIMIT - 34 * MIB);
    hrt_world_set_group(&world, LIMIT, 64 * MIB, 0); /* a sixteenth of the limit at the most */
    assert_int_equal(free_now(HRI_ON_TIME) + watcher.margin_bytes, LIMIT - 64 * MIB - LIMIT / 16);
}

/* Prevents a callback in the midst of a charge: what quiet looks found is told later, in its order. */
static void quiet_looks_leave_their_changes_to_be_told_in_order(void **state)
{
    (void)state;
    hrt_world_set_group(&world, LIMIT, 85 * MIB, 0);
    assert_int_equal(hri_watcher_sample_quietly(&watcher, HRI_ON_TIME, NULL), HR_WARNING);
    hrt_world_set_group(&world, LIMIT, 92 * MIB, 0);
    assert_int_equal(hri_watcher_sample_quietly(&watcher, HRI_ON_TIME, NULL), HR_DEGRADED);
    assert_int_equal(change_count, 0);
    hri_watcher_tell(&watcher);
    assert_int_equal(change_count, 2);
    assert_int_equal(changes[0], HR_WARNING);
    assert_int_equal(changes[1], HR_DEGRADED);
    assert_true(tree.watched);
}

/* A handler that uncharges may have interrupted a thread that looks: it would wait for itself for ever. */
static void bytes_that_come_back_do_not_wait_for_a_look(void **state)
{
    (void)state;
    world.now_ns += HRI_SECOND;
    int64_t read_ns = watcher.reading.time_ns;
    hri_inner_lock(&watcher.lock);
    assert_int_equal(hri_watcher_sample_quietly(&watcher, HRI_ON_RECEDING, NULL), HR_NORMAL);
    hri_inner_unlock(&watcher.lock);
    assert_int_equal(watcher.reading.time_ns, read_ns);
}

static atomic_bool locked;

static void *look_for(void *demand)
{
    while (!locked)
        sched_yield();
    hri_watcher_sample_quietly(&watcher, HRI_ON_SHORTAGE, demand);
    return NULL;
}

/* Prevents a reading for each of the threads that run short at the same moment. */
static void threads_that_wait_for_a_reading_share_it(void **state)
{
    (void)state;
    pthread_t thread;
    hri_demand demand = {.budget = &tree.root, .bytes = MIB};
    int64_t read_ns = watcher.reading.time_ns;
    locked = false;
    assert_int_equal(pthread_create(&thread, NULL, look_for, &demand), 0);
    hri_inner_lock(&watcher.lock);
    unsigned before = clock_reads;
    locked = true;
    while (clock_reads == before) /* until it has come, and found the lock taken */
        sched_yield();
    __atomic_fetch_add(&world.now_ns, HRI_SECOND, __ATOMIC_RELAXED);
    atomic_store(&watcher.sampled_ns, world.now_ns); /* as a reading of this thread's would */
    hri_inner_unlock(&watcher.lock);
    pthread_join(thread, NULL);
    assert_int_equal(watcher.reading.time_ns, read_ns);
    assert_true(demand.granted);
    hr_budget_uncharge(&tree.root, MIB);
}

/* Half of what is left, at 4 GB/s: 4 GiB are half a second, or an eighth of a nanosecond a byte. */
static void the_monitor_looks_sooner_the_less_is_left(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 8 * GIB, 4 * GIB, 0);
    hri_watcher_sample(&watcher, HRI_ON_TIME);
    assert_int_equal(hri_watcher_pause(&watcher, 10 * HRI_SECOND), 4 * GIB / 8);
    assert_int_equal(hri_watcher_pause(&watcher, HRI_MILLISECOND), HRI_MILLISECOND); /* at most the interval */
    hrt_world_set_group(&world, LIMIT, 70 * MIB, 0);
    hri_watcher_sample(&watcher, HRI_ON_TIME);
    assert_int_equal(hri_watcher_pause(&watcher, 10 * HRI_SECOND), HRI_WATCHER_PAUSE_NS);
    hrt_world_set_group(&world, 8 * GIB, 7 * GIB, 0); /* above normal, however much is left */
    hri_watcher_sample(&watcher, HRI_ON_TIME);
    assert_int_equal(hri_watcher_pause(&watcher, 10 * HRI_SECOND), HRI_WATCHER_PAUSE_NS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(the_lease_is_what_the_limit_leaves_beside_use_and_margin),
        TEST(what_is_granted_and_not_touched_is_not_free),
        TEST(each_occasion_reads_what_it_needs),
        TEST(only_a_check_reads_the_host_again),
        TEST(an_old_reading_of_the_host_is_a_lease_too),
        TEST(a_surprise_is_held_back_for_a_second),
        TEST(quiet_looks_leave_their_changes_to_be_told_in_order),
        TEST(bytes_that_come_back_do_not_wait_for_a_look),
        TEST(threads_that_wait_for_a_reading_share_it),
        TEST(the_monitor_looks_sooner_the_less_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
