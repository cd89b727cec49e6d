/* SPDX-License-Identifier: Apache-2.0 */
/* Pools and caches stand in every report of their guard, under their names, from the first one on. */
#include "support/cmocka.h"

#include <headroom/headroom.h>
#include <stdlib.h>
#include <string.h>

static char text[262144];

static const char *report(hr_guard *guard, hr_format format)
{
    ssize_t length = hr_report_format(guard, format, text, sizeof text);
    assert_true(length > 0 && (size_t)length < sizeof text);
    return text;
}

static void pools_and_caches_are_in_every_report(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_byte_pool *pool;
    hr_cache *cache;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard), 0);
    assert_null(strstr(report(guard, HR_JSON), "\"pools\""));
    assert_int_equal(hr_byte_pool_new(guard, &(hr_byte_pool_options){.name = "buffers", .size_bytes = 4096}, &pool), 0);
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.name = "pages"}, &cache), 0);
    void *buffer = hr_byte_pool_get(pool, 4096);
    assert_int_equal(hr_cache_put(cache, "key", 3, "value", 5, 0), 0);
    report(guard, HR_JSON);
    assert_non_null(strstr(text, "\"pools\""));
    assert_non_null(strstr(text, "\"buffers\""));
    assert_non_null(strstr(text, "\"caches\""));
    assert_non_null(strstr(text, "\"pages\""));
    report(guard, HR_OPENMETRICS);
    assert_non_null(strstr(text, "headroom_pool_in_use{pool=\"buffers\"} 1\n"));
    assert_non_null(strstr(text, "headroom_cache_entries{cache=\"pages\"} 1\n"));
    assert_non_null(strstr(report(guard, HR_TEXT), "buffers"));
    assert_non_null(strstr(report(guard, HR_CSV), "buffers"));
    hr_byte_pool_put(pool, buffer);
    assert_int_equal(hr_byte_pool_free(pool), 0);
    assert_int_equal(hr_cache_free(cache), 0);
    assert_null(strstr(report(guard, HR_JSON), "\"buffers\""));
    hr_guard_free(guard);
}

/* Every figure of a pool, by its name, in every format. */
static void all_figures_of_a_pool_are_in_every_report(void **state)
{
    (void)state;
    static const char *const names[] = {"in_use_bytes", "idle_bytes", "peak_bytes", "in_use",  "idle",
                                        "hits",         "misses",     "trimmed",    "refused", "unpooled"};
    hr_guard *guard;
    hr_byte_pool *pool;
    hr_budget *budget;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard), 0);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "small", 20000, &budget), 0);
    hr_byte_pool_options options = {.name = "buffers", .budget = budget, .size_bytes = 1000};
    assert_int_equal(hr_byte_pool_new(guard, &options, &pool), 0);
    void *large = hr_byte_pool_get(pool, 5000);
    assert_non_null(large);
    for (int i = 0; i < 3; i++)
        assert_null(hr_byte_pool_get(pool, 30000));
    hr_budget_set_limit(budget, 0);
    for (int i = 0; i < 7; i++)
        assert_null(hr_byte_pool_get(pool, 1000));
    report(guard, HR_OPENMETRICS);
    assert_non_null(strstr(text, "headroom_pool_refusals_total{pool=\"buffers\"} 10\n"));
    assert_non_null(strstr(text, "headroom_pool_unpooled_total{pool=\"buffers\"} 1\n"));
    report(guard, HR_JSON);
    assert_non_null(strstr(text, "\"refused\": 10"));
    assert_non_null(strstr(text, "\"unpooled\": 1"));
    report(guard, HR_TEXT);
    assert_non_null(strstr(text, "in_use         idle         peak"));
    assert_non_null(strstr(text, "  refused 10, unpooled 1\n"));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_non_null(strstr(report(guard, HR_JSON), names[i]));
        assert_non_null(strstr(report(guard, HR_CSV), names[i]));
    }
    hr_byte_pool_put(pool, large);
    assert_int_equal(hr_byte_pool_free(pool), 0);
    assert_int_equal(hr_budget_free(budget), 0);
    hr_guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pools_and_caches_are_in_every_report),
                                       cmocka_unit_test(all_figures_of_a_pool_are_in_every_report)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
