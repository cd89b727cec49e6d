/* SPDX-License-Identifier: Apache-2.0 */
/* Pools with their Nth allocation failing, once and from then on: each call succeeds or says why, and nothing leaks. */
#include "support/cmocka.h"
#include "support/fault.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <stdlib.h>

static hr_guard *guard;

static int set_up(void **state)
{
    (void)state;
    return hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard);
}

static int tear_down(void **state)
{
    (void)state;
    hr_figures figures;
    hr_guard_read(guard, &figures);
    assert_int_equal(figures.live_bytes, 0);
    assert_int_equal(figures.faults, 0);
    hr_guard_free(guard);
    return 0;
}

static void use_bytes(void *context)
{
    (void)context;
    hr_byte_pool *pool;
    void *buffers[200];
    unsigned count = 0;
    int error = hr_byte_pool_new(guard, &(hr_byte_pool_options){.min_bytes = 64, .max_bytes = 4096}, &pool);
    if (error) {
        assert_int_equal(error, -ENOMEM);
        return;
    }
    while (count < 200 && (buffers[count] = hr_byte_pool_get(pool, 64 + count * 30)) != NULL)
        count++;
    assert_true(count == 200 || errno == ENOMEM);
    while (count > 0)
        hr_byte_pool_put(pool, buffers[--count]);
    assert_int_equal(hr_byte_pool_free(pool), 0);
}

static void use_slices(void *context)
{
    (void)context;
    hr_slice_pool *pool;
    hr_slice slice = {0};
    int error = hr_slice_pool_new(guard, &(hr_slice_pool_options){.item_size = 8, .capacity = 4}, &pool);
    if (error) {
        assert_int_equal(error, -ENOMEM);
        return;
    }
    error = hr_slice_pool_get(pool, &slice);
    for (uint64_t i = 0; !error && i < 2000; i++) {
        error = hr_slice_push(&slice, &i);
        assert_int_equal(slice.length, error ? i : i + 1);
        if (slice.length > 0)
            assert_int_equal(((uint64_t *)slice.data)[slice.length - 1], slice.length - 1);
    }
    assert_true(error == 0 || error == -ENOMEM);
    if (slice.pool_)
        hr_slice_pool_put(pool, &slice);
    assert_int_equal(hr_slice_pool_free(pool), 0);
}

static int construct(void *object, void *context)
{
    (void)context;
    void **inner = object;
    *inner = malloc(10);
    return *inner ? 0 : -ENOMEM;
}

static void destroy(void *object, void *context)
{
    (void)context;
    free(*(void **)object);
}

static void use_objects(void *context)
{
    (void)context;
    hr_object_pool *pool;
    void *objects[200];
    unsigned count = 0;
    hr_object_pool_options options = {.size = 500, .construct = construct, .destroy = destroy};
    int error = hr_object_pool_new(guard, &options, &pool);
    if (error) {
        assert_int_equal(error, -ENOMEM);
        return;
    }
    while (count < 200 && (objects[count] = hr_object_pool_get(pool)) != NULL)
        count++;
    assert_true(count == 200 || errno == ENOMEM);
    while (count > 0)
        hr_object_pool_put(pool, objects[--count]);
    assert_int_equal(hr_object_pool_free(pool), 0);
}

static void bytes_at_every_allocation(void **state)
{
    (void)state;
    assert_true(hrt_each_fault(use_bytes, NULL) > 10);
}

static void objects_at_every_allocation(void **state)
{
    (void)state;
    assert_true(hrt_each_fault(use_objects, NULL) > 200);
}

static void slices_at_every_allocation(void **state)
{
    (void)state;
    assert_true(hrt_each_fault(use_slices, NULL) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_at_every_allocation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(objects_at_every_allocation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slices_at_every_allocation, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
