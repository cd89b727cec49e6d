/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are larger than a pool's largest: they are out like others, and count like others. */
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <string.h>

static hr_guard *guard;
static hr_budget *budget;
static hr_byte_pool *pool;

static int set_up(void **state)
{
    (void)state;
    int error = hr_guard_new(&(hr_guard_options){.limit_bytes = 256 * MIB, .interval_ns = -1}, &guard);
    if (!error)
        error = hr_budget_new(hr_guard_root(guard), "pooled", 64 * MIB, &budget);
    if (!error)
        error = hr_byte_pool_new(guard, &(hr_byte_pool_options){.budget = budget, .size_bytes = 1000}, &pool);
    return error;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(hr_byte_pool_free(pool), 0);
    assert_int_equal(hr_budget_free(budget), 0); /* so nothing is held any more */
    hr_guard_free(guard);
    return 0;
}

static hr_pool_figures read_pool(void)
{
    hr_pool_figures figures;
    assert_int_equal(hr_byte_pool_read(pool, &figures), 0);
    return figures;
}

static hr_budget_figures read_budget(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    return figures;
}

/* Before, the pool was freed under them: the next put was a use after free. */
static void a_pool_is_busy_while_they_are_out(void **state)
{
    (void)state;
    void *large = hr_byte_pool_get(pool, 5000);
    memset(large, 1, 5000);
    assert_int_equal(hr_byte_pool_free(pool), -EBUSY);
    hr_pool_figures figures = read_pool();
    assert_int_equal(figures.in_use, 1);
    assert_int_equal(figures.in_use_bytes, read_budget().used_bytes);
    assert_int_equal(figures.peak_bytes, figures.in_use_bytes);
    hr_byte_pool_put(pool, large);
    figures = read_pool();
    assert_int_equal(figures.in_use, 0);
    assert_int_equal(figures.in_use_bytes, 0);
    assert_int_equal(figures.unpooled, 1); /* ever */
}

static void a_slice_pool_is_busy_while_large_slices_are_out(void **state)
{
    (void)state;
    hr_slice_pool *slices;
    hr_slice slice;
    hr_slice_pool_options options = {.item_size = 8, .capacity = 4, .pooled_max = 8, .budget = budget};
    assert_int_equal(hr_slice_pool_new(guard, &options, &slices), 0);
    assert_int_equal(hr_slice_pool_get(slices, &slice), 0);
    assert_int_equal(hr_slice_reserve(&slice, 1000), 0);
    assert_int_equal(hr_slice_pool_free(slices), -EBUSY);
    hr_slice_pool_put(slices, &slice);
    hr_slice_pool_put(slices, NULL);
    assert_int_equal(hr_slice_push(NULL, "x"), -EINVAL);
    assert_int_equal(hr_slice_reserve(NULL, 1), -EINVAL);
    assert_int_equal(hr_slice_pool_free(slices), 0);
}

static void their_refusals_are_counted(void **state)
{
    (void)state;
    assert_null(hr_byte_pool_get(pool, 65 * MIB));
    assert_int_equal(errno, EDQUOT);
    assert_null(hr_byte_pool_get(pool, SIZE_MAX));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(read_pool().refused, 2);
    assert_int_equal(read_pool().unpooled, 0);
}

/* A put that is inlined knows the pool's own blocks by their marks, so a large one slows no other put down. Debug
 * builds inline nothing: the place is 0 in them. */
static void puts_stay_fast_while_some_are_out(void **state)
{
    (void)state;
    const struct hr_pool_face_ *face = (const struct hr_pool_face_ *)(void *)pool;
    uint32_t place = face->put_place;
    void *large = hr_byte_pool_get(pool, 5000), *small = hr_byte_pool_get(pool, 1000);
    assert_int_equal(face->put_place, place);
    hr_byte_pool_put(pool, small);
    hr_byte_pool_put(pool, large);
    assert_int_equal(face->put_place, place);
    assert_int_equal(read_pool().in_use, 0);
}

static void many_at_once_are_all_found(void **state)
{
    (void)state;
    static char *blocks[2000];
    for (unsigned i = 0; i < 2000; i++)
        assert_non_null(blocks[i] = memset(hr_byte_pool_get(pool, 1001 + i), 1, 1001 + i));
    assert_int_equal(read_pool().in_use, 2000);
    assert_int_equal(read_pool().in_use_bytes, read_budget().used_bytes);
    for (unsigned i = 0; i < 2000; i++)
        hr_byte_pool_put(pool, blocks[i * 7 % 2000]);
    assert_int_equal(read_pool().in_use, 0);
    assert_int_equal(read_budget().used_bytes, 0);
}

/* Before, it was the sum of what each size had at its own time: 7.9 MB under a limit of 5. */
static void the_peak_is_of_all_sizes_together(void **state)
{
    (void)state;
    hr_byte_pool *sizes;
    hr_pool_figures figures;
    hr_byte_pool_options options = {.budget = budget, .min_bytes = 1024, .max_bytes = 2 * MIB};
    assert_int_equal(hr_byte_pool_new(guard, &options, &sizes), 0);
    for (size_t size = MIB; size <= 3 * MIB; size += MIB / 4) {
        hr_byte_pool_put(sizes, hr_byte_pool_get(sizes, size));
        hr_byte_pool_trim(sizes);
    }
    assert_int_equal(hr_byte_pool_read(sizes, &figures), 0);
    assert_in_range(figures.peak_bytes, 3 * MIB, read_budget().peak_bytes);
    assert_int_equal(hr_byte_pool_free(sizes), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pool_is_busy_while_they_are_out), TEST(a_slice_pool_is_busy_while_large_slices_are_out),
        TEST(their_refusals_are_counted),        TEST(puts_stay_fast_while_some_are_out),
        TEST(many_at_once_are_all_found),        TEST(the_peak_is_of_all_sizes_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
