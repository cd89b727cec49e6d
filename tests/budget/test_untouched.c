/* SPDX-License-Identifier: Apache-2.0 */
/* What is charged and has no page: charged blocks are known until they were seen whole, and nothing stays behind. */
#include "support/cmocka.h"

#include "budget/budget.h"
#include "os/pages.h"

#include <pthread.h>
#include <stdlib.h>
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
    return hri_untouched_bytes();
}

static uint64_t measured(void)
{
    hri_untouched_measure();
    return bound();
}

/* Sanitizers' allocators touch what they give, or lay it out in their own way. */
static void skip_sanitizers(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: the sanitizer is the allocator\n");
    skip();
#endif
}

static void a_block_counts_until_it_is_touched(void **state)
{
    (void)state;
    skip_sanitizers();
    char *block = hr_alloc(&tree.root, 8 * MIB);
    assert_non_null(block);
    assert_true(bound() >= 8 * MIB);
    assert_true(measured() >= 8 * MIB - hri_page_size());
    memset(block, 1, 3 * MIB);
    uint64_t left = measured();
    assert_true(left <= 5 * MIB && left >= 5 * MIB - 2 * hri_page_size());
    memset(block, 1, 8 * MIB);
    assert_true(bound() == left); /* nobody has asked the kernel since */
    assert_true(measured() == 0);
    hr_free(block);
    assert_true(bound() == 0);
}

/* Prevents a look from taking as long as there are blocks. */
static void many_blocks_are_asked_about_in_turn(void **state)
{
    (void)state;
    skip_sanitizers();
    enum {
        COUNT = 3 * HRI_UNTOUCHED_ASKED
    };
    static char *blocks[COUNT];
    assert_int_equal(hr_budget_set_limit(&tree.root, HR_NONE), 0);
    for (unsigned i = 0; i < COUNT; i++)
        assert_non_null(blocks[i] = hr_alloc(&tree.root, HRI_UNTOUCHED_MIN));
    measured(), measured(), measured(), measured();
    uint64_t left = bound();
    assert_true(left > 0); /* they have pages that nobody touched */
    for (unsigned i = 0; i < COUNT; i++)
        memset(blocks[i], 1, HRI_UNTOUCHED_MIN);
    uint64_t once = measured();
    assert_true(once < left && once > left / 3);
    measured(), measured();
    assert_true(measured() == 0);
    for (unsigned i = 0; i < COUNT; i++)
        hr_free(blocks[i]);
    assert_true(bound() == 0);
}

static void small_blocks_are_not_listed(void **state)
{
    (void)state;
    char *block = hr_alloc(&tree.root, HRI_UNTOUCHED_MIN - 1);
    assert_true(bound() == 0);
    char *listed = hr_alloc(&tree.root, HRI_UNTOUCHED_MIN);
    assert_true(bound() >= HRI_UNTOUCHED_MIN);
    hr_free(block);
    hr_free(listed);
    assert_true(bound() == 0);
}

static void every_way_of_making_a_block_lists_it_and_freeing_takes_it_out(void **state)
{
    (void)state;
    const size_t size = 200000;
    void *blocks[] = {hr_alloc(&tree.root, size), hr_calloc(&tree.root, 1, size),
                      hr_alloc_aligned(&tree.root, 65536, size), hr_realloc(&tree.root, NULL, size)};
    assert_true(bound() >= 4 * size);
    assert_true((uintptr_t)blocks[2] % 65536 == 0);
    for (unsigned i = 0; i < 4; i++) {
        memset(blocks[i], (int)i + 1, size);
        assert_true(hr_alloc_size(blocks[i]) >= size);
        hr_free(blocks[i]);
        assert_true(bound() >= (3 - i) * size);
    }
    assert_true(bound() == 0);
}

static void resized_blocks_keep_their_bytes_and_their_place(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 9000, 5000, 300000, 2000000, 8192, 12, 0, 8191, 8193};
    char *block = hr_alloc(&tree.root, 50);
    strcpy(block, "contents that stay"); /* up to the size */
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        block = hr_realloc(&tree.root, block, sizes[i]);
        assert_non_null(block);
        assert_true(hr_alloc_size(block) >= sizes[i]);
        if (sizes[i] >= 12 && i < 7)
            assert_memory_equal(block, "contents tha", 12);
        if (sizes[i] >= HRI_UNTOUCHED_MIN)
            assert_true(bound() >= sizes[i]);
    }
    hr_free(block);
    assert_true(bound() == 0);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(&tree.root, &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
}

static void what_is_refused_is_not_expected_any_more(void **state)
{
    (void)state;
    assert_null(hr_alloc(&tree.root, 300 * MIB)); /* more than the limit */
    void *block = hr_alloc(&tree.root, MIB);
    assert_null(hr_realloc(&tree.root, block, 300 * MIB));
    assert_true(bound() >= MIB && bound() < 2 * MIB);
    hr_free(block);
    assert_true(bound() == 0);
}

/* ── threads ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static _Atomic bool done, wrong;

static void *make_and_free(void *context)
{
    unsigned seed = *(unsigned *)context;
    char *blocks[32] = {0};
    for (int i = 0; i < 20000; i++) {
        char **at = &blocks[rand_r(&seed) % 32];
        hr_free(*at);
        *at = hr_alloc(&tree.root, HRI_UNTOUCHED_MIN + (size_t)rand_r(&seed) % 30000);
        if (*at && i & 1)
            memset(*at, 1, hr_alloc_size(*at));
    }
    for (unsigned i = 0; i < 32; i++)
        hr_free(blocks[i]);
    return NULL;
}

static void *measure_all_the_time(void *context)
{
    (void)context;
    while (!done)
        if (measured() > 512 * MIB) /* a sum is never below nothing; what arrives may count twice */
            wrong = true;
    return NULL;
}

static void counting_beside_threads_that_make_and_free_adds_up(void **state)
{
    (void)state;
    pthread_t makers[4], counter;
    unsigned seeds[4] = {1, 2, 3, 4};
    done = false;
    assert_int_equal(pthread_create(&counter, NULL, measure_all_the_time, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&makers[i], NULL, make_and_free, &seeds[i]), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(makers[i], NULL);
    done = true;
    pthread_join(counter, NULL);
    assert_false(wrong);
    assert_true(bound() == 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_block_counts_until_it_is_touched),
        TEST(many_blocks_are_asked_about_in_turn),
        TEST(small_blocks_are_not_listed),
        TEST(every_way_of_making_a_block_lists_it_and_freeing_takes_it_out),
        TEST(resized_blocks_keep_their_bytes_and_their_place),
        TEST(what_is_refused_is_not_expected_any_more),
        TEST(counting_beside_threads_that_make_and_free_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
