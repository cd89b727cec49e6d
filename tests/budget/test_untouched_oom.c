/* SPDX-License-Identifier: Apache-2.0 */
/* The list of untouched blocks where the allocator fails: what was expected in it is not to come. */
#include "support/cmocka.h"
#include "support/fault.h"

#include "budget/budget.h"

static hri_budget_tree tree;

static uint64_t bound(void)
{
    return hri_untouched_bytes();
}

static void fail_in_each_way(void *context)
{
    (void)context;
    char *block = hr_alloc(&tree.root, 100000);
    char *more = block ? hr_realloc(&tree.root, block, 400000) : NULL;
    assert_true(!block || more || bound() >= 100000); /* the old block is there, and listed */
    hr_free(more ? more : block);
    hr_free(hr_alloc_aligned(&tree.root, 4096, 50000));
    assert_true(bound() == 0);
}

static void what_fails_is_not_expected_any_more(void **state)
{
    (void)state;
    assert_int_equal(hri_budget_tree_init(&tree, 256 * MIB, &(hri_budget_hooks){0}), 0);
    assert_true(hrt_each_fault(fail_in_each_way, NULL) >= 3);
    hri_budget_tree_destroy(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_fails_is_not_expected_any_more)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
