/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are granted and have no page: large blocks are known until they were seen whole, small ones have their
 * pages when they are granted, and nothing stays behind. */
#include "support/cmocka.h"

#include "alloc/alloc.h"

#include <string.h>

static hri_budget_tree tree;

static int set_up(void **state)
{
    (void)state;
    return hri_budget_tree_init(&tree, 256 * MIB, &(hri_budget_hooks){0});
}

static int tear_down(void **state)
{
    (void)state;
    hri_budget_tree_destroy(&tree);
    return 0;
}

/* As an upper bound, and once the kernel was asked. */
static uint64_t bound(void)
{
    return hri_heap_pending_bytes();
}

static uint64_t measured(void)
{
    hri_heap_lazy_measure(1000);
    return bound();
}

/* A memory checker touches what it watches. */
static void skip_checkers(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: a sanitizer touches what it watches\n");
    skip();
#endif
}

static void a_large_block_counts_until_it_is_touched(void **state)
{
    (void)state;
    skip_checkers();
    char *block = hr_alloc(&tree.root, 8 * MIB);
    assert_non_null(block);
    assert_true(bound() >= 8 * MIB);
    assert_true(measured() >= 8 * MIB - HRI_HEAP_PAGE);
    memset(block, 1, 3 * MIB);
    uint64_t left = measured();
    assert_true(left <= 5 * MIB + HRI_HEAP_PAGE && left >= 5 * MIB - 2 * HRI_HEAP_PAGE);
    memset(block, 1, 8 * MIB);
    assert_true(bound() == left); /* nobody has asked the kernel since */
    assert_true(measured() == 0);
    hr_free(block);
    assert_true(bound() == 0);
}

static void smaller_blocks_have_their_pages(void **state)
{
    (void)state;
    for (size_t size = 1; size < 120000; size += size / 2 + 1) {
        char *block = hr_alloc(&tree.root, size);
        assert_non_null(block);
        assert_true(bound() == 0);
        hr_free(block);
    }
}

static void every_way_of_making_a_block_lists_it_and_freeing_takes_it_out(void **state)
{
    (void)state;
    const size_t size = 200000;
    void *blocks[] = {hr_alloc(&tree.root, size), hr_calloc(&tree.root, 1, size),
                      hr_alloc_aligned(&tree.root, 65536, size), hr_realloc(&tree.root, NULL, size)};
    assert_true((uintptr_t)blocks[2] % 65536 == 0);
    for (unsigned i = 0; i < 4; i++) {
        memset(blocks[i], (int)i + 1, size);
        assert_true(hr_alloc_size(blocks[i]) >= size);
        hr_free(blocks[i]);
    }
    assert_true(bound() == 0);
}

static void resized_blocks_keep_their_bytes_and_their_account(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 9000, 5000, 300000, 2000000, 8192, 12, 0, 8191, 8193};
    char *block = hr_alloc(&tree.root, 50);
    strcpy(block, "contents that stay"); /* up to the new size */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        block = hr_realloc(&tree.root, block, sizes[i]);
        assert_non_null(block);
        assert_true(hr_alloc_size(block) >= sizes[i]);
        if (sizes[i] >= 12 && i < 7)
            assert_memory_equal(block, "contents tha", 12);
        hr_budget_figures figures;
        assert_int_equal(hr_budget_read(&tree.root, &figures), 0);
        assert_int_equal(figures.used_bytes, hr_alloc_cost(sizes[i]));
    }
    hr_free(block);
    assert_true(bound() == 0);
}

static void what_is_refused_is_not_pending(void **state)
{
    (void)state;
    skip_checkers();
    assert_null(hr_alloc(&tree.root, 300 * MIB)); /* more than the limit */
    hri_heap_trim(UINT64_MAX);                    /* idle pages are there already, and do not count */
    void *block = hr_alloc(&tree.root, MIB);
    assert_null(hr_realloc(&tree.root, block, 300 * MIB));
    assert_true(bound() >= MIB && bound() < 2 * MIB);
    hr_free(block);
    assert_true(bound() == 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_large_block_counts_until_it_is_touched),
        TEST(smaller_blocks_have_their_pages),
        TEST(every_way_of_making_a_block_lists_it_and_freeing_takes_it_out),
        TEST(resized_blocks_keep_their_bytes_and_their_account),
        TEST(what_is_refused_is_not_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
