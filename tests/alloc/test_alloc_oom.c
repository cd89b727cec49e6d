/* SPDX-License-Identifier: Apache-2.0 */
/* Charged blocks where the heap or the kernel gives nothing: what fails is neither charged nor pending. */
#include "support/cmocka.h"
#include "support/fault.h"

#include "alloc/alloc.h"
#include "budget/grant.h"

#include <errno.h>

static hri_budget_tree tree;

static void in_each_way(void *context)
{
    (void)context;
    char *small = hr_alloc(&tree.root, 100), *zeros = hr_calloc(&tree.root, 10, 1000);
    assert_true(small || errno == ENOMEM);
    char *block = hr_alloc(&tree.root, 200000);
    char *more = block ? hr_realloc(&tree.root, block, 400000) : NULL;
    assert_true(!block || more || hr_alloc_size(block) >= 200000); /* the old block is there */
    hr_free(more ? more : block);
    hr_free(hr_alloc_aligned(&tree.root, 4096, 50000));
    uint64_t promise = 5000;
    assert_true(hri_budget_promise(&(hri_demand){.budget = &tree.root, .bytes = promise, .promise = true}));
    hr_free(hri_alloc_promised(&tree.root, 3000, &promise));
    hri_budget_unpromise(&tree.root, promise);
    hr_free(small);
    hr_free(zeros);
    assert_true(hri_heap_pending_bytes() == 0);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(&tree.root, &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
    assert_int_equal(figures.promised_bytes, 0);
}

static void what_fails_is_neither_charged_nor_pending(void **state)
{
    (void)state;
    assert_int_equal(hri_budget_tree_init(&tree, 256 * MIB, &(hri_budget_hooks){0}), 0);
    assert_true(hrt_each_fault(in_each_way, NULL) >= 6);
    hri_budget_tree_destroy(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_fails_is_neither_charged_nor_pending)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
