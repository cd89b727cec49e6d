/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "budget/budget.h"
#include "os/clock.h"
#include "relief/reclaimers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static hri_reclaimers reclaimers;
static char calls[256]; /* the names of those that were called, in order */

struct giver {
    hr_reclaimer node;
    uint64_t has_bytes;
    uint64_t slice_bytes; /* what one call gives at most */
    uint64_t last_want;
    int64_t last_slice_ns;
};

static uint64_t give(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    struct giver *giver = context;
    strcat(calls, giver->node.name);
    giver->last_want = want_bytes;
    giver->last_slice_ns = deadline_ns - hri_clock_now(&hri_os_clock);
    uint64_t bytes = giver->has_bytes < giver->slice_bytes ? giver->has_bytes : giver->slice_bytes;
    giver->has_bytes -= bytes;
    return bytes;
}

static struct giver giver(const char *name, int priority, uint64_t has_bytes, uint64_t slice_bytes)
{
    return (struct giver){{.name = name, .priority = priority, .reclaim = give}, has_bytes, slice_bytes, 0, 0};
}

static void add(struct giver *giver)
{
    giver->node.context = giver;
    assert_int_equal(hri_reclaimers_add(&reclaimers, &giver->node), 0);
}

static uint64_t run(uint64_t want_bytes)
{
    hri_reclaim_goal goal = {.want_bytes = want_bytes, .deadline_ns = hri_clock_now(&hri_os_clock) + HRI_SECOND};
    return hri_reclaimers_run(&reclaimers, &goal);
}

static int set_up(void **state)
{
    (void)state;
    calls[0] = '\0';
    return hri_reclaimers_init(&reclaimers, &hri_os_clock);
}

static int tear_down(void **state)
{
    (void)state;
    reclaimers.first = NULL; /* the nodes lay on the stack of the case, which has ended */
    hri_reclaimers_destroy(&reclaimers);
    return 0;
}

static void the_lowest_priority_is_asked_first_and_each_as_long_as_it_gives(void **state)
{
    (void)state;
    struct giver cheap = giver("c", -1, 30, 10), idle = giver("i", 0, 100, 100), last = giver("l", 9, 100, 100);
    add(&last);
    add(&idle);
    add(&cheap);
    assert_int_equal(run(50), 130);
    assert_string_equal(calls, "cccci"); /* c until it gives nothing, then i, and l is spared */
    assert_int_equal(idle.last_want, 20);
    assert_true(idle.last_slice_ns <= 500 * HRI_MICROSECOND);
    assert_int_equal(cheap.node.freed_bytes_, 30);
}

static void equal_priorities_are_asked_in_the_order_of_registration(void **state)
{
    (void)state;
    struct giver a = giver("a", 0, 0, 0), b = giver("b", 0, 0, 0), c = giver("c", 0, 0, 0);
    add(&a);
    add(&b);
    add(&c);
    assert_int_equal(run(1), 0);
    assert_string_equal(calls, "abc");
}

static void the_janitor_asks_each_once_for_nothing_in_particular(void **state)
{
    (void)state;
    struct giver a = giver("a", 0, 100, 10), b = giver("b", 0, 5, 5);
    add(&a);
    add(&b);
    assert_int_equal(run(0), 15);
    assert_string_equal(calls, "ab");
    assert_int_equal(a.last_want, 0);
}

static void a_shortage_asks_only_inside_the_budget_that_bound(void **state)
{
    (void)state;
    hri_budget_tree tree;
    hr_budget *cache, *part, *other;
    assert_int_equal(hri_budget_tree_init(&tree, HR_NONE, &(hri_budget_hooks){0}), 0);
    assert_int_equal(hr_budget_new(&tree.root, "cache", HR_NONE, &cache), 0);
    assert_int_equal(hr_budget_new(cache, "part", HR_NONE, &part), 0);
    assert_int_equal(hr_budget_new(&tree.root, "other", HR_NONE, &other), 0);
    struct giver all = giver("r", 0, 0, 0), mine = giver("c", 0, 0, 0), below = giver("p", 0, 0, 0),
                 beside = giver("o", 0, 0, 0);
    mine.node.budget = cache;
    below.node.budget = part;
    beside.node.budget = other;
    add(&all);
    add(&mine);
    add(&below);
    add(&beside);
    hri_reclaim_goal goal = {.inside = cache, .want_bytes = 1, .deadline_ns = INT64_MAX};
    hri_reclaimers_run(&reclaimers, &goal);
    assert_string_equal(calls, "cp");
    calls[0] = '\0';
    goal.inside = &tree.root;
    hri_reclaimers_run(&reclaimers, &goal);
    assert_string_equal(calls, "rcpo");
    assert_int_equal(hr_budget_free(part), -EBUSY); /* it would be asked for after its end */
    hri_reclaimers_remove(&reclaimers, &mine.node);
    hri_reclaimers_remove(&reclaimers, &below.node);
    hri_reclaimers_remove(&reclaimers, &beside.node);
    assert_int_equal(hr_budget_free(part) | hr_budget_free(cache) | hr_budget_free(other), 0);
    hri_budget_tree_destroy(&tree);
}

static uint64_t give_for_ever(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)want_bytes, (void)deadline_ns;
    usleep(200);
    ++*(int *)context;
    return 1;
}

static void time_is_up_at_the_deadline(void **state)
{
    (void)state;
    int count = 0;
    hr_reclaimer node = {.name = "liar", .reclaim = give_for_ever, .context = &count};
    assert_int_equal(hri_reclaimers_add(&reclaimers, &node), 0);
    int64_t start_ns = hri_clock_now(&hri_os_clock);
    hri_reclaim_goal goal = {.want_bytes = HR_NONE, .deadline_ns = start_ns + 10 * HRI_MILLISECOND};
    uint64_t freed = hri_reclaimers_run(&reclaimers, &goal);
    assert_true(hri_clock_now(&hri_os_clock) >= goal.deadline_ns);
    assert_int_equal(freed, count);
    assert_true(count > 0 && count <= 60);
}

static void twice_is_refused_and_unknown_is_fine(void **state)
{
    (void)state;
    struct giver a = giver("a", 0, 0, 0);
    add(&a);
    assert_int_equal(hri_reclaimers_add(&reclaimers, &a.node), -EEXIST);
    hri_reclaimers_remove(&reclaimers, &a.node);
    hri_reclaimers_remove(&reclaimers, &a.node);
    assert_int_equal(run(1), 0);
    assert_string_equal(calls, "");
    add(&a); /* and back again */
    hri_reclaimers_remove(&reclaimers, &a.node);
}

/* Removes and frees itself from inside its own call. */
static uint64_t leave(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)want_bytes, (void)deadline_ns;
    hri_reclaimers_remove(&reclaimers, context);
    free(context);
    return 7;
}

static void a_reclaimer_may_remove_and_free_itself(void **state)
{
    (void)state;
    hr_reclaimer *node = malloc(sizeof *node);
    *node = (hr_reclaimer){.name = "leaver", .reclaim = leave, .context = node};
    assert_int_equal(hri_reclaimers_add(&reclaimers, node), 0);
    struct giver after = giver("a", 1, 5, 5);
    add(&after);
    assert_int_equal(run(100), 12);
    assert_string_equal(calls, "aa");
}

/* Relief from inside relief does nothing: a reclaimer that charges cannot recurse. */
static uint64_t recurse(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)want_bytes, (void)deadline_ns;
    assert_true(hri_reclaiming());
    ++*(int *)context;
    return run(100);
}

static void relief_does_not_recurse(void **state)
{
    (void)state;
    int count = 0;
    hr_reclaimer node = {.name = "again", .reclaim = recurse, .context = &count};
    assert_int_equal(hri_reclaimers_add(&reclaimers, &node), 0);
    assert_int_equal(run(1), 0);
    assert_int_equal(count, 1);
    assert_false(hri_reclaiming());
}

static _Atomic int inside, most_inside, done;

static uint64_t take_long(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)want_bytes, (void)deadline_ns;
    int now = ++inside;
    if (now > most_inside)
        most_inside = now;
    usleep(20000);
    inside--;
    done++;
    return 0;
}

static void *run_on_thread(void *context)
{
    (void)context;
    run(1);
    return NULL;
}

static void one_call_at_a_time_and_removal_waits_for_it(void **state)
{
    (void)state;
    hr_reclaimer node = {.name = "slow", .reclaim = take_long};
    pthread_t threads[3];
    assert_int_equal(hri_reclaimers_add(&reclaimers, &node), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_on_thread, NULL), 0);
    while (inside == 0)
        usleep(100);
    hri_reclaimers_remove(&reclaimers, &node);
    assert_int_equal(inside, 0);
    int finished = done;
    memset(&node, 0xAA, sizeof node); /* it is the caller's again */
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(most_inside, 1);
    assert_int_equal(done, finished);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_lowest_priority_is_asked_first_and_each_as_long_as_it_gives),
        TEST(equal_priorities_are_asked_in_the_order_of_registration),
        TEST(the_janitor_asks_each_once_for_nothing_in_particular),
        TEST(a_shortage_asks_only_inside_the_budget_that_bound),
        TEST(time_is_up_at_the_deadline),
        TEST(twice_is_refused_and_unknown_is_fine),
        TEST(a_reclaimer_may_remove_and_free_itself),
        TEST(relief_does_not_recurse),
        TEST(one_call_at_a_time_and_removal_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
