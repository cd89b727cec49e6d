/* SPDX-License-Identifier: Apache-2.0 */
/* Pages for pools: the heap counts what the kernel has, nobody but the pool frees them, and pages that were in use
 * before are told from zeros. */
#include "support/cmocka.h"

#include "base/assert.h"
#include "heap/heap.h"
#include "heap/pooled.h"

#include <headroom/headroom.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE HRI_HEAP_PAGE
#define OWNER 4711

static hri_heap_figures figures(void)
{
    hri_heap_figures now;
    hri_heap_read(&now);
    hri_heap_check();
    return now;
}

static size_t resident(const void *from, size_t bytes)
{
    static unsigned char pages[8192];
    size_t count = 0;
    assert_int_equal(mincore((void *)(uintptr_t)from, bytes, pages), 0);
    for (size_t i = 0; i < bytes / PAGE; i++)
        count += pages[i] & 1;
    return count * PAGE;
}

static int trim(void **state)
{
    (void)state;
    hri_heap_trim(UINT64_MAX);
    return 0;
}

static void blocks_are_in_use_until_they_are_put(void **state)
{
    (void)state;
    static const size_t sizes[] = {PAGE, 3 * PAGE, 16 * PAGE, 31 * PAGE, 32 * PAGE, 300 * PAGE, 5000 * PAGE};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        bool zeroed;
        hri_heap_figures before = figures(), out;
        char *block = hri_heap_pooled_get(sizes[i], OWNER, &zeroed);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % PAGE, 0);
        out = figures();
        assert_int_equal(out.in_use_bytes, before.in_use_bytes + sizes[i]);
        assert_int_equal(resident(block, sizes[i]), sizes[i] < HRI_HEAP_LARGE_MIN ? sizes[i] : 0);
        assert_int_equal(*hri_heap_page_word(block), hri_heap_word(block, OWNER, HRI_HEAP_POOLED));
        memset(block, 1, sizes[i]);
        hri_heap_pooled_put((void *[]){block}, 1, sizes[i]);
        assert_int_equal(figures().in_use_bytes, before.in_use_bytes);
        assert_int_equal(figures().committed_bytes - figures().own_bytes, before.committed_bytes - before.own_bytes);
    }
}

/* Before, hr_free() took the address in a page for a block's with a budget as its owner. */
static void nobody_else_frees_them(void **state)
{
    (void)state;
    bool zeroed;
    void *block = hri_heap_pooled_get(4 * PAGE, OWNER, &zeroed);
#ifndef HRI_DEBUG
    uint64_t faults = hri_fault_count();
    hr_free(block);
    assert_int_equal(hri_fault_count(), faults + 1);
#endif
    hri_heap_pooled_put(&block, 1, 4 * PAGE);
}

/* Idle pages are handed out as they are, and the caller is told. */
static void a_block_of_idle_pages_is_told_from_a_new_one(void **state)
{
    (void)state;
    bool zeroed;
    void *idle = hri_heap_get(20000, 0);
    hri_heap_block freed;
    memset(idle, 's', 20000);
    assert_true(hri_heap_put(idle, &freed));
    hri_heap_tighten(true); /* no magazine keeps it */
    uint64_t commits = figures().commit_bytes;
    void *block = hri_heap_pooled_get(5 * PAGE, OWNER, &zeroed);
    assert_ptr_equal(block, idle);
    assert_false(zeroed);
    assert_int_equal(figures().commit_bytes, commits);
    hri_heap_pooled_put(&block, 1, 5 * PAGE);
    block = hri_heap_pooled_get(5 * PAGE, OWNER, &zeroed);
    assert_true(zeroed);
    hri_heap_pooled_put(&block, 1, 5 * PAGE);
    hri_heap_tighten(false);
}

static void a_region_has_the_pages_that_were_committed(void **state)
{
    (void)state;
    hri_heap_run run;
    hri_heap_block freed;
    void *idle = hri_heap_get(100000, 0); /* bytes of somebody else's */
    memset(idle, 's', 100000);
    assert_true(hri_heap_put(idle, &freed));
    hri_heap_tighten(true);
    assert_true(hri_heap_region_take(8 * HRI_HEAP_SLICE, &run));
    char *region = hri_heap_run_address(&run);
    hri_heap_figures before = figures();
    assert_int_equal(resident(region, 8 * HRI_HEAP_SLICE), PAGE);
    assert_null(hri_heap_slice_owner(region));
    hri_heap_region_enter(&run);
    assert_ptr_equal(hri_heap_slice_owner(region + 8 * HRI_HEAP_SLICE - 1), region);
    assert_true(hri_heap_region_commit(&run, 10, 20, false));
    assert_true(hri_heap_region_commit(&run, 15, 30, false));
    assert_int_equal(figures().in_use_bytes, before.in_use_bytes + 20 * PAGE);
    assert_int_equal(resident(region, 8 * HRI_HEAP_SLICE), 21 * PAGE);
    for (size_t i = 0; i < 20 * PAGE; i++)
        assert_int_equal(region[10 * PAGE + i], 0);
    assert_int_equal(hri_heap_region_decommit(&run, 12, 40), 18 * PAGE);
    assert_int_equal(resident(region, 8 * HRI_HEAP_SLICE), 3 * PAGE);
    hri_heap_region_give(&run);
    assert_null(hri_heap_slice_owner(region));
    assert_int_equal(resident(region, 8 * HRI_HEAP_SLICE), 0);
    assert_int_equal(figures().in_use_bytes, before.in_use_bytes - PAGE);
    hri_heap_tighten(false);
}

static bool refuse(void *context, uint64_t bytes)
{
    (void)bytes;
    return *(unsigned *)context == 0 || --*(unsigned *)context > 0;
}

/* Whatever the hook refuses, nothing stays behind. */
static void what_is_refused_changes_nothing(void **state)
{
    (void)state;
    hri_heap_trim(UINT64_MAX);
    hri_heap_figures before = figures();
    for (unsigned nth = 1; nth <= 3; nth++) {
        unsigned left = nth;
        bool zeroed;
        hri_heap_run run;
        hri_heap_hook(&(hri_heap_hooks){.commit = refuse, .context = &left});
        if (nth == 1) {
            assert_null(hri_heap_pooled_get(2 * PAGE, OWNER, &zeroed));
            left = 1;
            assert_null(hri_heap_pooled_get(200 * PAGE, OWNER, &zeroed));
            left = 1;
        }
        if (hri_heap_region_take(HRI_HEAP_SLICE, &run)) {
            assert_int_equal(nth, 3);
            assert_false(hri_heap_region_commit(&run, 1, 3, false));
            hri_heap_region_give(&run);
        }
        hri_heap_hook(NULL);
        assert_int_equal(figures().in_use_bytes, before.in_use_bytes);
        assert_int_equal(figures().pending_bytes, before.pending_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(blocks_are_in_use_until_they_are_put, trim),
        cmocka_unit_test_setup(nobody_else_frees_them, trim),
        cmocka_unit_test_setup(a_block_of_idle_pages_is_told_from_a_new_one, trim),
        cmocka_unit_test_setup(a_region_has_the_pages_that_were_committed, trim),
        cmocka_unit_test_setup(what_is_refused_changes_nothing, trim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
