/* SPDX-License-Identifier: Apache-2.0 */
/* A cache whose Nth allocation fails: what it says it has, it has, and everything that it took comes back. */
#include "support/cmocka.h"
#include "support/fault.h"

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/guard.h>
#include <headroom/pool.h>
#include <headroom/scope.h>

#include <errno.h>
#include <string.h>

static int load(void *context, const void *key, size_t key_size, hr_cache_loading *loading)
{
    (void)context;
    return hr_cache_supply(loading, key, key_size, 0);
}

static void drop(void *context, const void *data)
{
    (void)data;
    ++*(unsigned *)context;
}

static void use(hr_cache *cache)
{
    unsigned dropped = 0, held_in = 0;
    hr_cache_held held = {.data = "held", .size = 4, .drop = drop, .context = &dropped};
    for (unsigned i = 0; i < 400; i++) {
        char value[300] = {0};
        memcpy(value, &i, sizeof i);
        int error = hr_cache_put(cache, &i, sizeof i, value, sizeof value, 0);
        assert_true(error == 0 || (error == -ENOMEM && hrt_fault_failed()));
        hr_cache_ref ref;
        uint64_t hits = 0;
        error = hr_cache_get(cache, &i, sizeof i, &ref);
        assert_true(error == 0 || (error == -ENOMEM && hrt_fault_failed()));
        if (error == 0) {
            assert_memory_equal(ref.data, &i, sizeof i);
            hr_cache_release(cache, &ref);
        }
        (void)hits;
    }
    for (unsigned i = 0; i < 3; i++) {
        hr_cache_ref ref = {0};
        int error = hr_cache_reserve(cache, "reserved", 8, 12000, 0, &ref);
        assert_true(error == 0 || (error == -ENOMEM && hrt_fault_failed()));
        ref.size /= 4;
        if (error == 0 && i < 2)
            assert_int_equal(hr_cache_commit(cache, &ref), 0);
        hr_cache_release(cache, &ref);
    }
    int error = hr_cache_put_held(cache, "held", 4, &held);
    assert_true(error == 0 || (error == -ENOMEM && hrt_fault_failed()));
    held_in = error == 0;
    hr_cache_clear(cache);
    assert_int_equal(dropped, held_in);
}

static void make_and_use(void *context)
{
    hr_guard *guard = context;
    hr_cache *cache = NULL;
    hr_cache_options options = {.max_bytes = 64 * 1024, .shards = 2, .load = load};
    int error = hr_cache_new(guard, &options, &cache);
    assert_true(error == 0 || (error == -ENOMEM && hrt_fault_failed()));
    if (error == 0) {
        use(cache);
        assert_int_equal(hr_cache_free(cache), 0);
    }
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = 100 * MIB, .interval_ns = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_true(hrt_each_fault(make_and_use, guard) > 100);
    hr_guard_free(guard);
}

/* The end of the scope gives back all that was made, and nothing else. */
static void use_in_a_scope(hr_byte_pool *bytes, hr_object_pool *objects, hr_slice_pool *slices, hr_cache *cache)
{
    HR_SCOPED_BYTES hr_bytes buffer = hr_bytes_make(bytes, 3000);
    HR_SCOPED_OBJECT hr_object object = hr_object_make(objects);
    HR_SCOPED_SLICE hr_slice slice = hr_slice_make(slices);
    HR_SCOPED_CACHE_REF hr_cache_ref value = hr_cache_ref_make(cache, "key", 3);
    assert_true(buffer.error == 0 || (buffer.error == -ENOMEM && hrt_fault_failed()));
    assert_true(object.error == 0 || (object.error == -ENOMEM && hrt_fault_failed()));
    assert_true(value.data || hrt_fault_failed());
    if (buffer.error == 0)
        memset(buffer.data, 1, 3000);
    if (object.error == 0)
        memset(object.data, 1, 500);
    for (int i = 0; slice.pool_ && i < 2000; i++)
        if (hr_slice_push(&slice, &i) != 0)
            assert_true(hrt_fault_failed());
}

static void make_all_and_use(void *context)
{
    hr_guard *guard = context;
    hr_byte_pool *bytes = NULL;
    hr_object_pool *objects = NULL;
    hr_slice_pool *slices = NULL;
    hr_cache *cache = NULL;
    int error = hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = 3000}, &bytes);
    error = error ? error : hr_object_pool_new(guard, &(hr_object_pool_options){.size = 500}, &objects);
    error = error ? error : hr_slice_pool_new(guard, &(hr_slice_pool_options){.item_size = sizeof(int)}, &slices);
    error = error ? error : hr_cache_new(guard, &(hr_cache_options){.load = load}, &cache);
    assert_true(error == 0 || (error == -ENOMEM && hrt_fault_failed()));
    for (int i = 0; !error && i < 3; i++)
        use_in_a_scope(bytes, objects, slices, cache);
    assert_int_equal(hr_cache_free(cache), 0);
    assert_int_equal(hr_slice_pool_free(slices), 0);
    assert_int_equal(hr_object_pool_free(objects), 0);
    assert_int_equal(hr_byte_pool_free(bytes), 0);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
}

static void scoped_forms_at_every_allocation(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_figures figures;
    hr_guard_options options = {.limit_bytes = 100 * MIB, .interval_ns = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_true(hrt_each_fault(make_all_and_use, guard) > 20);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.faults, 0);
    hr_guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(scoped_forms_at_every_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
