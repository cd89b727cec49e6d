/* SPDX-License-Identifier: Apache-2.0 */
/* Reserves that are guaranteed to a budget, bytes that move between budgets, and walks over all of them. */
#include "support/cmocka.h"

#include "budget/budget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static hri_budget_tree tree;
static hr_budget *root, *parent, *child, *greedy;

static int set_up(void **state)
{
    (void)state;
    root = &tree.root;
    int error = hri_budget_tree_init(&tree, 1000, &(hri_budget_hooks){0});
    if (!error)
        error = hr_budget_new(root, "parent", HR_NONE, &parent);
    if (!error)
        error = hr_budget_new(parent, "child", 600, &child);
    return error ? error : hr_budget_new(root, "greedy", HR_NONE, &greedy);
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_free(child), 0);
    assert_int_equal(hr_budget_free(parent), 0);
    assert_int_equal(hr_budget_free(greedy), 0);
    assert_int_equal(tree.root.used_bytes, 0);
    assert_int_equal(tree.root.claimed_bytes, 0);
    hri_budget_audit(&tree);
    hri_budget_tree_destroy(&tree);
    return 0;
}

static hr_budget_figures read_figures(hr_budget *budget)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    return figures;
}

static void what_is_reserved_is_there_whatever_others_take(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_set_reserve(child, 400), 0);
    assert_int_equal(read_figures(root).used_bytes, 0);
    assert_int_equal(read_figures(root).reserved_bytes, 400);
    assert_int_equal(read_figures(root).left_bytes, 600);
    assert_int_equal(read_figures(parent).reserved_bytes, 400);
    assert_int_equal(read_figures(child).reserve_bytes, 400);
    assert_int_equal(hr_budget_charge(greedy, 601), -EDQUOT);
    assert_int_equal(hr_budget_charge(greedy, 600), 0);
    assert_int_equal(hr_budget_charge(child, 400), 0); /* all of it */
    assert_int_equal(hr_budget_charge(child, 1), -EDQUOT);
    assert_int_equal(read_figures(root).used_bytes, 1000);
    assert_int_equal(read_figures(root).reserved_bytes, 0);
    hr_budget_uncharge(child, 150);
    assert_int_equal(read_figures(root).reserved_bytes, 150);
    assert_int_equal(hr_budget_charge(greedy, 1), -EDQUOT); /* it is set aside again */
    hr_budget_uncharge(child, 250);
    hr_budget_uncharge(greedy, 600);
}

/* Prevents: charges within a reserve passed the limit of an ancestor that had been lowered below it. */
static void a_reserve_lets_nothing_pass_a_lowered_limit(void **state)
{
    hr_budget *const ancestors[] = {parent, root};
    (void)state;
    assert_int_equal(hr_budget_set_reserve(child, 300), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hr_budget_set_limit(ancestors[i], 200), 0);
        assert_int_equal(hr_budget_charge(child, 150), 0);
        assert_int_equal(hr_budget_charge(child, 51), -EDQUOT);
        assert_int_equal(hr_budget_charge(child, 50), 0);
        assert_int_equal(hr_budget_charge(child, 1), -EDQUOT);
        assert_int_equal(read_figures(ancestors[i]).used_bytes, 200);
        hr_budget_uncharge(child, 200);
        assert_int_equal(hr_budget_set_limit(ancestors[i], 1000), 0);
    }
    assert_int_equal(hr_budget_charge(child, 300), 0);
    hr_budget_uncharge(child, 300);
    assert_int_equal(hr_budget_set_reserve(child, 0), 0);
}

static void beyond_its_reserve_a_budget_shares_like_all_others(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_set_reserve(child, 100), 0);
    assert_int_equal(hr_budget_charge(child, 550), 0);
    assert_int_equal(read_figures(root).left_bytes, 450);
    assert_int_equal(hr_budget_charge(greedy, 450), 0);
    assert_int_equal(hr_budget_charge(child, 1), -EDQUOT);
    hr_budget_uncharge(child, 550);
    assert_int_equal(read_figures(root).left_bytes, 450);
    hr_budget_uncharge(greedy, 450);
}

static void a_reserve_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_charge(greedy, 700), 0);
    assert_int_equal(hr_budget_set_reserve(child, 301), -EDQUOT);
    assert_int_equal(read_figures(root).left_bytes, 300);
    assert_int_equal(hr_budget_set_reserve(child, 300), 0);
    assert_int_equal(hr_budget_set_reserve(child, 301), -EDQUOT);
    assert_int_equal(read_figures(child).reserve_bytes, 300);
    assert_int_equal(hr_budget_set_reserve(child, 100), 0);
    assert_int_equal(read_figures(root).left_bytes, 200);
    assert_int_equal(hr_budget_set_reserve(child, 601), -EINVAL); /* more than its own limit */
    assert_int_equal(hr_budget_set_reserve(root, 1), -EINVAL);
    assert_int_equal(hr_budget_set_reserve(NULL, 1), -EINVAL);
    hr_budget_uncharge(greedy, 700);
}

static void what_is_held_already_counts_towards_the_reserve(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_charge(child, 300), 0);
    assert_int_equal(hr_budget_charge(greedy, 600), 0);
    assert_int_equal(hr_budget_set_reserve(child, 400), 0); /* 100 more, and they are there */
    assert_int_equal(read_figures(root).reserved_bytes, 100);
    assert_int_equal(hr_budget_set_reserve(parent, 450), -EDQUOT);
    hr_budget_uncharge(greedy, 50);
    assert_int_equal(hr_budget_set_reserve(parent, 450), 0); /* contains the child's */
    assert_int_equal(read_figures(root).left_bytes, 0);
    hr_budget_uncharge(child, 300);
    assert_int_equal(read_figures(root).reserved_bytes, 450);
    hr_budget_uncharge(greedy, 550);
}

/* ── moving ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void bytes_move_without_being_free_for_a_moment(void **state)
{
    (void)state;
    assert_int_equal(hr_budget_charge(greedy, 1000), 0);
    uint64_t total = read_figures(root).total_bytes;
    assert_int_equal(hr_budget_transfer(greedy, child, 600), 0); /* at the root's limit */
    assert_int_equal(read_figures(root).used_bytes, 1000);
    assert_int_equal(read_figures(root).peak_bytes, 1000);
    assert_int_equal(read_figures(root).total_bytes, total);
    assert_int_equal(read_figures(greedy).used_bytes, 400);
    assert_int_equal(read_figures(parent).used_bytes, 600);
    assert_int_equal(read_figures(child).total_bytes, 600);
    hr_refusal refusal;
    assert_int_equal(hr_budget_transfer(greedy, child, 1), -EDQUOT); /* the child's own limit */
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_string_equal(refusal.limit_name, "child");
    assert_int_equal(refusal.left_bytes, 0);
    assert_int_equal(read_figures(greedy).used_bytes, 400);
    assert_int_equal(hr_budget_transfer(child, parent, 600), 0); /* up its own path */
    assert_int_equal(read_figures(child).used_bytes, 0);
    assert_int_equal(hr_budget_transfer(child, parent, 1), -EINVAL); /* what it does not hold */
    assert_int_equal(hr_budget_set_limit(parent, 500), 0);           /* it holds more: what moves in it adds nothing */
    assert_int_equal(hr_budget_transfer(parent, child, 600), 0);
    assert_int_equal(hr_budget_transfer(child, parent, 600), 0);
    assert_int_equal(hr_budget_transfer(greedy, parent, 1), -EDQUOT);
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_string_equal(refusal.limit_name, "parent");
    assert_int_equal(refusal.left_bytes, 0);
    assert_int_equal(hr_budget_set_reserve(child, 200), -EDQUOT);
    assert_int_equal(hr_budget_set_limit(parent, 600), 0);
    assert_int_equal(hr_budget_transfer(parent, NULL, 1), -EINVAL);
    assert_int_equal(hr_budget_transfer(parent, parent, 600), 0);
    assert_int_equal(hr_budget_transfer(parent, root, 600), 0);
    hr_budget_uncharge(root, 600);
    hr_budget_uncharge(greedy, 400);
}

/* The room of a reserve stays set aside when bytes of it move, so they count again. */
static void what_leaves_a_reserve_needs_room_around_both(void **state)
{
    (void)state;
    hr_refusal refusal;
    assert_int_equal(hr_budget_charge(child, 400), 0);
    assert_int_equal(hr_budget_set_reserve(child, 400), 0);
    assert_int_equal(hr_budget_charge(greedy, 550), 0);
    assert_int_equal(hr_budget_transfer(child, greedy, 51), -EDQUOT);
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_int_equal(refusal.left_bytes, 50);
    assert_int_equal(hr_budget_transfer(child, greedy, 50), 0);
    assert_int_equal(read_figures(root).left_bytes, 0);
    hr_budget_uncharge(child, 350);
    hr_budget_uncharge(greedy, 600);
}

/* ── walking ────────────────────────────────────────────────────────────────────────────────────────────────────── */

struct visit {
    char names[256];
    hr_budget *victim; /* freed when its turn has come */
    const char *last;  /* where to end */
};

static int visit(void *context, hr_budget *budget, const hr_budget_figures *figures)
{
    struct visit *visit = context;
    strcat(visit->names, hr_budget_name(budget));
    strcat(visit->names, " ");
    assert_true(figures->used_bytes <= 1000);
    if (budget == visit->victim) {
        assert_int_equal(hr_budget_free(budget), 0);
        assert_string_equal(hr_budget_name(budget), "victim"); /* valid until the visit is over */
    }
    return visit->last && strcmp(visit->last, hr_budget_name(budget)) == 0 ? 7 : 0;
}

static void a_walk_visits_all_parents_first(void **state)
{
    (void)state;
    struct visit all = {0}, some = {.last = "parent"};
    assert_int_equal(hri_budget_tree_walk(&tree, visit, &all), 0);
    assert_string_equal(all.names, "root greedy parent child ");
    assert_int_equal(hri_budget_tree_walk(&tree, visit, &some), 7);
    assert_string_equal(some.names, "root greedy parent ");
    assert_ptr_equal(hr_budget_parent(child), parent);
    assert_null(hr_budget_parent(root));
}

static void a_budget_freed_in_its_own_visit_is_gone_after_it(void **state)
{
    (void)state;
    struct visit freeing = {0}, after = {0};
    assert_int_equal(hr_budget_new(parent, "victim", HR_NONE, &freeing.victim), 0);
    assert_int_equal(hri_budget_tree_walk(&tree, visit, &freeing), 0);
    assert_string_equal(freeing.names, "root greedy parent victim child ");
    assert_int_equal(hri_budget_tree_walk(&tree, visit, &after), 0);
    assert_string_equal(after.names, "root greedy parent child ");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_reserved_is_there_whatever_others_take),     TEST(a_reserve_lets_nothing_pass_a_lowered_limit),
        TEST(beyond_its_reserve_a_budget_shares_like_all_others), TEST(a_reserve_that_does_not_fit_changes_nothing),
        TEST(what_is_held_already_counts_towards_the_reserve),    TEST(bytes_move_without_being_free_for_a_moment),
        TEST(what_leaves_a_reserve_needs_room_around_both),       TEST(a_walk_visits_all_parents_first),
        TEST(a_budget_freed_in_its_own_visit_is_gone_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
