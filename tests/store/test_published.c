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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pools_and_caches_are_in_every_report)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
