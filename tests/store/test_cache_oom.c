/* SPDX-License-Identifier: Apache-2.0 */
/* A cache whose Nth allocation fails: what it says it has, it has, and everything that it took comes back. */
#include "support/cmocka.h"
#include "support/fault.h"

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/guard.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
