/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "alloc/alloc.h"
#include "base/assert.h"
#include "budget/grant.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static hri_budget_tree tree;

static int set_up(void **state)
{
    (void)state;
    return hri_budget_tree_init(&tree, 64 * MIB, &(hri_budget_hooks){0});
}

static int tear_down(void **state)
{
    (void)state;
    hri_budget_tree_destroy(&tree);
    return 0;
}

static uint64_t used(hr_budget *budget)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    return figures.used_bytes;
}

static void the_charge_is_the_whole_footprint_and_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 24, 25, 100, 4048, 100000, 131072, 1000000, 5000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *block = hr_alloc(&tree.root, sizes[i]);
        assert_non_null(block);
        assert_true(hr_alloc_size(block) >= sizes[i]);
        assert_true(used(&tree.root) >= hr_alloc_size(block));
        assert_int_equal(used(&tree.root), hr_alloc_cost(sizes[i]));
        memset(block, 0xAA, hr_alloc_size(block)); /* ASan would see a byte too many */
        hr_free(block);
        assert_int_equal(used(&tree.root), 0);
    }
}

/* Regression: mapped blocks were asked for by 8 bytes more than they cost, and refused where they fitted exactly. */
static void a_block_fits_under_a_limit_of_what_it_costs(void **state)
{
    (void)state;
    hr_budget *budget;
    assert_int_equal(hr_budget_new(&tree.root, "exact", HR_NONE, &budget), 0);
    for (size_t size = 1; size < 600000; size = size < 300 ? size + 1 : size * 5 / 4 + 3) {
        void *block = hr_alloc(budget, size);
        assert_non_null(block);
        uint64_t cost = used(budget);
        assert_int_equal(cost, hr_alloc_cost(size));
        hr_free(block);
        hr_budget_set_limit(budget, cost);
        block = hr_alloc(budget, size);
        assert_non_null(block);
        assert_int_equal(used(budget), cost);
        void *same = hr_realloc(budget, block, size);
        assert_non_null(same);
        hr_free(same);
        hr_budget_set_limit(budget, HR_NONE);
    }
    assert_int_equal(hr_budget_free(budget), 0);
}

static void a_refused_allocation_says_EDQUOT_and_charges_nothing(void **state)
{
    (void)state;
    errno = 0;
    assert_null(hr_alloc(&tree.root, 64 * MIB + 1));
    assert_int_equal(errno, EDQUOT);
    assert_int_equal(used(&tree.root), 0);
    assert_null(hr_alloc(&tree.root, SIZE_MAX - 8));
    assert_int_equal(errno, ENOMEM);
    assert_null(hr_calloc(&tree.root, SIZE_MAX / 2, 3));
    assert_int_equal(errno, ENOMEM);
    assert_null(hr_alloc(NULL, 1));
    assert_int_equal(errno, EINVAL);
}

static void calloc_clears(void **state)
{
    (void)state;
    unsigned char *block = hr_calloc(&tree.root, 100, 10);
    assert_non_null(block);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(block[i], 0);
    hr_free(block);
}

static void alignment_is_kept_also_by_realloc(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 65536; align *= 2) {
        char *block = hr_alloc_aligned(&tree.root, align, 100);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % align, 0);
        memset(block, 'x', 100);
        block = hr_realloc(&tree.root, block, 300000);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % align, 0);
        assert_int_equal(block[99], 'x');
        hr_free(block);
    }
    assert_null(hr_alloc_aligned(&tree.root, 3, 10));
    assert_int_equal(errno, EINVAL);
    assert_null(hr_alloc_aligned(&tree.root, (size_t)1 << 31, 10)); /* a power of two, and too much */
    assert_int_equal(errno, ENOMEM);
    assert_null(hr_alloc_aligned(&tree.root, 0, 10));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(used(&tree.root), 0);
}

static void realloc_grows_shrinks_and_moves_between_budgets(void **state)
{
    (void)state;
    hr_budget *other;
    assert_int_equal(hr_budget_new(&tree.root, "other", HR_NONE, &other), 0);
    char *block = hr_realloc(&tree.root, NULL, 10);
    assert_non_null(block);
    memcpy(block, "contents!", 10);
    block = hr_realloc(&tree.root, block, 1000000);
    assert_non_null(block);
    assert_string_equal(block, "contents!");
    assert_true(used(&tree.root) >= 1000000);
    block = hr_realloc(&tree.root, block, 20);
    assert_non_null(block);
    assert_int_equal(used(&tree.root), hr_alloc_cost(20));
    block = hr_realloc(other, block, 30);
    assert_non_null(block);
    assert_string_equal(block, "contents!");
    assert_int_equal(used(&tree.root), used(other));
    errno = 0;
    assert_null(hr_realloc(other, block, 65 * MIB));
    assert_int_equal(errno, EDQUOT);
    assert_string_equal(block, "contents!"); /* the old block is untouched */
    hr_free(block);
    assert_int_equal(used(&tree.root), 0);
    assert_int_equal(hr_budget_free(other), 0);
}

static void copies(void **state)
{
    (void)state;
    char *text = hr_strdup(&tree.root, "hello");
    char *bytes = hr_memdup(&tree.root, "a\0b", 4);
    assert_string_equal(text, "hello");
    assert_memory_equal(bytes, "a\0b", 4);
    hr_free(text);
    hr_free(bytes);
    hr_free(NULL);
    assert_int_equal(hr_alloc_size(NULL), 0);
}

static void free_keeps_errno(void **state)
{
    (void)state;
    void *block = hr_alloc(&tree.root, 1000000);
    errno = 42;
    hr_free(block);
    assert_int_equal(errno, 42);
}

static void a_promise_pays_first_and_gets_its_surplus_back(void **state)
{
    (void)state;
    uint64_t promise = 10000;
    assert_true(hri_budget_promise(&(hri_demand){.budget = &tree.root, .bytes = promise, .promise = true}));
    void *block = hri_alloc_promised(&tree.root, 4048, &promise);
    assert_non_null(block);
    assert_int_equal(used(&tree.root), 10000); /* nothing beside the promise */
    uint64_t cost = 10000 - promise;
    assert_int_equal(cost, hr_alloc_cost(4048));
    void *large = hri_alloc_promised(&tree.root, 8000, &promise);
    assert_non_null(large);
    assert_int_equal(promise, 0);
    assert_true(used(&tree.root) > 10000); /* the rest is charged */
    hr_free(block);
    hr_free(large);
    assert_int_equal(used(&tree.root), 0);
}

/* From now on the kernel leaves nothing. */
static void use_up_the_lease(void)
{
    hri_lease none = hri_lease_issue(hri_lease_granted(&tree.word), 0, 0);
    hri_lease_word word = tree.word;
    hri_budget_tree_instruct(&tree, &(hri_budget_view){
                                        .kernel_limit_bytes = 64 * MIB,
                                        .lease = &none,
                                        .word = &word,
                                        .cross_bytes = HR_NONE,
                                        .stock_ceiling_bytes = HR_NONE,
                                        .limit_name = "the kernel's",
                                    });
}

/* Memory that the heap has already costs the kernel nothing, and is handed out however little the kernel leaves. */
static void idle_memory_is_handed_out_when_the_lease_is_used_up(void **state)
{
    (void)state;
    void *block = hr_alloc(&tree.root, 10000);
    assert_non_null(block);
    hr_free(block);
    use_up_the_lease();
    block = hr_alloc(&tree.root, 10000);
    assert_non_null(block);
    errno = 0;
    assert_null(hr_alloc(&tree.root, 8 * MIB));
    assert_int_equal(errno, EDQUOT);
    hr_refusal refusal;
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_string_equal(refusal.limit_name, "the kernel's");
    assert_int_equal(refusal.left_bytes, 0);
    assert_true(refusal.asked_bytes >= 8 * MIB);
    assert_int_equal(hri_budget_committing_bytes(), 0);
    assert_int_equal(hri_heap_pending_bytes(), 0);
    hr_free(block);
    assert_int_equal(used(&tree.root), 0);
}

/* Misuses in a child: debug builds abort there, release builds count a fault and keep the accounts right. */
static void expect_a_fault(void (*misuse)(void))
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        uint64_t before = hri_fault_count();
        misuse();
        _exit(hri_fault_count() == before + 1 && used(&tree.root) == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
#ifdef HRI_DEBUG
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
#else
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
}

static void free_a_foreign_pointer(void)
{
    static char foreign[128];
    hr_free(foreign + 64);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SAYS_IT_ITSELF 1 /* and ends the program */
#endif

#ifndef SAYS_IT_ITSELF
static void free_twice(void)
{
    void *volatile block = hr_alloc(&tree.root, 100);
    hr_free(block);
    hr_free(block);
}
#endif

#ifdef HRI_DEBUG
#ifndef SAYS_IT_ITSELF
/* Regression: nothing is mapped where the block was, and reading its header was a bare SIGSEGV. */
static void free_a_large_block_twice(void)
{
    void *volatile block = hr_alloc(&tree.root, 500000);
    hr_free(block);
    hr_free(block);
}
#endif

static void free_nonsense(void)
{
    hr_free((void *)4096);
}
#endif

static void foreign_pointers_and_double_frees_are_caught(void **state)
{
    (void)state;
    expect_a_fault(free_a_foreign_pointer);
#ifndef SAYS_IT_ITSELF
    expect_a_fault(free_twice);
#endif
#if defined(HRI_DEBUG)
    expect_a_fault(free_nonsense);
#if !defined(SAYS_IT_ITSELF)
    expect_a_fault(free_a_large_block_twice);
#endif
#endif
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

/* Admitted memory is there, although the heap needs more of the kernel than the block: records, and whole pages. */
static void a_promised_block_is_there_when_the_lease_is_used_up(void **state)
{
    (void)state;
    enum {
        BLOCKS = 16
    };
    void *blocks[BLOCKS];
    static const size_t sizes[] = {100, 3000, 64 << 10, 2 << 20};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t promise = BLOCKS * hr_alloc_cost(sizes[i]);
        assert_true(hri_budget_promise(&(hri_demand){.budget = &tree.root, .bytes = promise, .promise = true}));
        hri_heap_trim(UINT64_MAX);
        use_up_the_lease();
        for (unsigned at = 0; at < BLOCKS; at++)
            assert_non_null(blocks[at] = hri_alloc_promised(&tree.root, sizes[i], &promise));
        assert_int_equal(promise, 0);
        for (unsigned at = 0; at < BLOCKS; at++)
            hr_free(blocks[at]);
        tear_down(state);
        assert_int_equal(set_up(state), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_charge_is_the_whole_footprint_and_comes_back),
        TEST(a_block_fits_under_a_limit_of_what_it_costs),
        TEST(a_refused_allocation_says_EDQUOT_and_charges_nothing),
        TEST(calloc_clears),
        TEST(alignment_is_kept_also_by_realloc),
        TEST(realloc_grows_shrinks_and_moves_between_budgets),
        TEST(copies),
        TEST(free_keeps_errno),
        TEST(a_promise_pays_first_and_gets_its_surplus_back),
        TEST(idle_memory_is_handed_out_when_the_lease_is_used_up),
        TEST(a_promised_block_is_there_when_the_lease_is_used_up),
        TEST(foreign_pointers_and_double_frees_are_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
