/* SPDX-License-Identifier: Apache-2.0 */
/* When the lease is asked, and by what: against a kernel of a few numbers, whose readings are counted. */
#include "support/cmocka.h"

#include "budget/grant.h"
#include "budget/stock.h"

#include <errno.h>

static hri_budget_tree tree;
static hri_lease_terms kernel; /* what the next reading finds */
static unsigned readings;
static uint64_t spent_by_others; /* between the next reading and the demand that asked for it; once */

static hri_lease read_kernel(void)
{
    return hri_lease_issue(hri_lease_granted(&tree.word), hri_lease_free(&kernel), kernel.margin_bytes);
}

static void instruct(const hri_lease *lease, hri_demand *demand)
{
    hri_budget_tree_instruct(&tree, &(hri_budget_view){
                                        .kernel_limit_bytes = kernel.limit_bytes,
                                        .lease = lease,
                                        .word = &tree.word,
                                        .cross_bytes = HR_NONE,
                                        .stock_ceiling_bytes = HR_NONE,
                                        .limit_name = "kernel",
                                        .demand = demand,
                                    });
}

/* Reads as often as a reading may help, and nobody has anything to give back. */
static void obtain(void *context, hri_demand *demand)
{
    (void)context;
    while (!demand->granted && demand->shortage.sample && readings < 100) {
        readings++;
        hri_lease lease = read_kernel();
        atomic_fetch_add(tree.word.granted, spent_by_others);
        spent_by_others = 0;
        instruct(&lease, demand);
    }
}

static int set_up(void **state)
{
    (void)state;
    hri_stocks_allowed = false;
    readings = 0;
    spent_by_others = 0;
    kernel = (hri_lease_terms){.limit_bytes = 1000, .use_bytes = 300, .pending_bytes = 200, .margin_bytes = 100};
    int error = hri_budget_tree_init(&tree, HR_NONE, &(hri_budget_hooks){.obtain = obtain});
    hri_lease lease = read_kernel();
    instruct(&lease, NULL);
    return error;
}

static int tear_down(void **state)
{
    (void)state;
    hri_budget_tree_destroy(&tree);
    return 0;
}

/* Makes one attempt, without a reading. */
static hri_demand attempt(hri_demand demand)
{
    hri_budget_attempt(&demand, false);
    return demand;
}

/* free = 1000 - 300 - 200 - 100 = 400; look = max(400 / 8, 100 / 2) = 50. */
static void a_grant_within_the_look_reads_nothing_and_the_next_byte_reads_first(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_charge(&tree.root, 50), 0);
    assert_int_equal(readings, 0);
    kernel.use_bytes = 350; /* they have been touched */
    assert_int_equal(hr_budget_charge(&tree.root, 1), 0);
    assert_int_equal(readings, 1);
    hr_budget_uncharge(&tree.root, 51);
}

/* A wide margin says how fast memory is taken that nobody grants: then the gauges are read later, not sooner. */
static void the_look_is_half_of_the_margin_where_that_is_more(void **state)
{
    (void)state;
    kernel.margin_bytes = 300; /* 200 are free */
    hri_lease lease = read_kernel();
    instruct(&lease, NULL);
    assert_int_equal(hr_budget_charge(&tree.root, 150), 0);
    assert_int_equal(readings, 0);
    assert_int_equal(hr_budget_charge(&tree.root, 1), 0);
    assert_int_equal(readings, 1);
    hr_budget_uncharge(&tree.root, 151);
}

static void a_reading_grants_all_that_is_free_and_not_one_byte_more(void **state)
{
    (void)state;
    hri_demand demand = {.budget = &tree.root, .bytes = 401};
    hri_demand_try(&demand);
    assert_false(demand.granted);
    assert_int_equal(readings, 1); /* which proves it */
    assert_true(demand.shortage.narrowed && !demand.shortage.hopeless && !demand.shortage.ceiling);
    assert_int_equal(demand.shortage.left_bytes, 400);
    assert_int_equal(hri_shortage_lacks(&demand.shortage), 1);
    assert_int_equal(hr_budget_charge(&tree.root, 400), 0);
    hr_budget_uncharge(&tree.root, 400);
}

/* Prevents a refusal while the bytes were there: others were granted what the reading left, and gave it back. And
 * prevents reading for ever where the last reading itself left too little. */
static void a_reading_that_others_have_spent_is_made_again(void **state)
{
    (void)state;
    spent_by_others = 300;
    assert_int_equal(hr_budget_charge(&tree.root, 200), 0);
    assert_int_equal(readings, 2);
    kernel.pending_bytes = 400; /* the 200 that were granted: 200 are free */
    readings = 0;
    spent_by_others = 100;
    assert_int_equal(hr_budget_charge(&tree.root, 201), -EDQUOT);
    assert_int_equal(readings, 1);
    hr_budget_uncharge(&tree.root, 200);
}

/* Prevents that bytes are forgotten between two readings: promises and pages of the heap are pending as charges are. A
 * block takes nothing from the kernel: its pages have been asked for. */
static void promises_and_pages_spend_the_lease_and_blocks_do_not(void **state)
{
    (void)state;
    uint64_t before = hri_lease_granted(&tree.word);
    assert_true(attempt((hri_demand){.budget = &tree.root, .bytes = 20, .promise = true}).granted);
    assert_int_equal(hri_lease_granted(&tree.word) - before, 20);
    assert_int_equal(hri_budget_commit(&tree.root, 30, false), 0);
    assert_int_equal(hri_lease_granted(&tree.word) - before, 50);
    assert_int_equal(hri_budget_charge_block(&tree.root, 500, false), 0);
    assert_int_equal(hri_lease_granted(&tree.word) - before, 50);
    assert_int_equal(readings, 0);
    assert_int_equal(tree.root.used_bytes, 520); /* pages are nobody's charge */
    hri_budget_committed(30);
    hri_budget_uncharge_block(&tree.root, 500);
    hri_budget_unpromise(&tree.root, 20);
    assert_int_equal(hri_lease_granted(&tree.word) - before, 50); /* the word never falls */
}

static void pages_are_pending_from_their_grant_until_the_heap_counts_them(void **state)
{
    (void)state;
    assert_int_equal(hri_budget_commit(&tree.root, 40, false), 0);
    assert_int_equal(hri_budget_committing_bytes(), 40);
    assert_int_equal(hri_budget_commit(&tree.root, 999, false), -EDQUOT); /* what is refused is not pending */
    assert_int_equal(hri_budget_committing_bytes(), 40);
    assert_int_equal(readings, 1);
    assert_int_equal(hri_budget_commit(&tree.root, 1001, true), -EDQUOT); /* no reading makes a limit larger */
    hr_refusal refusal;
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_int_equal(refusal.asked_bytes, 1001);
    assert_string_equal(refusal.limit_name, "kernel");
    hri_budget_commit_anyway(&tree.root, 2000); /* of a promise */
    assert_int_equal(hri_budget_committing_bytes(), 2040);
    hri_budget_committed(2040);
}

/* Prevents an admission beyond a threshold of the kernel's: bytes that come back lower the use, and not the word. */
static void a_ceiling_bounds_the_use_and_the_word(void **state)
{
    (void)state;
    int64_t now = (int64_t)hri_lease_granted(&tree.word);
    tree.ceilings[HRI_CEILING_DEGRADE] = (hri_ceiling){1000, now + 30};
    tree.ceilings[HRI_CEILING_CRITICAL] = (hri_ceiling){1000, now + 50};
    hri_demand demand = {.budget = &tree.root, .bytes = 20, .promise = true, .ceiling = HRI_CEILING_DEGRADE};
    assert_true(attempt(demand).granted);
    hri_budget_unpromise(&tree.root, 20);
    hri_demand again = attempt(demand);
    assert_false(again.granted);
    assert_true(again.shortage.ceiling);
    assert_int_equal(again.shortage.left_bytes, 10);
    demand.rank = 0.4; /* up to 38 */
    assert_false(attempt(demand).granted);
    demand.rank = 0.5; /* up to 40 */
    assert_true(attempt(demand).granted);
    hri_budget_unpromise(&tree.root, 20);
    tree.ceilings[HRI_CEILING_DEGRADE] = (hri_ceiling){19, INT64_MAX};
    demand.rank = 0;
    assert_int_equal(attempt(demand).shortage.left_bytes, 19);
}

/* Bytes that are freed in the lowest budget that is short are free above it too. But where one can never fit the
 * demand, that one is told: nothing is asked for it. */
static void the_lowest_budget_that_is_short_is_told_unless_one_is_hopeless(void **state)
{
    (void)state;
    hr_budget *child, *grandchild;
    assert_int_equal(hr_budget_new(&tree.root, "child", 40, &child), 0);
    assert_int_equal(hr_budget_new(child, "grandchild", 35, &grandchild), 0);
    assert_int_equal(hr_budget_charge(grandchild, 30), 0);
    hri_demand demand = attempt((hri_demand){.budget = grandchild, .bytes = 12});
    assert_ptr_equal(demand.shortage.budget, grandchild);
    assert_int_equal(hri_shortage_lacks(&demand.shortage), 7);
    assert_int_equal(hr_budget_set_limit(grandchild, HR_NONE), 0);
    demand = attempt((hri_demand){.budget = grandchild, .bytes = 12});
    assert_ptr_equal(demand.shortage.budget, child);
    assert_false(demand.shortage.hopeless);
    demand = attempt((hri_demand){.budget = grandchild, .bytes = 41});
    assert_ptr_equal(demand.shortage.budget, child);
    assert_true(demand.shortage.hopeless);
    assert_int_equal(grandchild->used_bytes, 30); /* a refusal has changed nothing */
    assert_int_equal(tree.root.used_bytes, 30);
    hr_budget_uncharge(grandchild, 30);
    assert_int_equal(hr_budget_free(grandchild), 0);
    assert_int_equal(hr_budget_free(child), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_grant_within_the_look_reads_nothing_and_the_next_byte_reads_first),
        TEST(the_look_is_half_of_the_margin_where_that_is_more),
        TEST(a_reading_grants_all_that_is_free_and_not_one_byte_more),
        TEST(a_reading_that_others_have_spent_is_made_again),
        TEST(promises_and_pages_spend_the_lease_and_blocks_do_not),
        TEST(pages_are_pending_from_their_grant_until_the_heap_counts_them),
        TEST(a_ceiling_bounds_the_use_and_the_word),
        TEST(the_lowest_budget_that_is_short_is_told_unless_one_is_hopeless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
