/* SPDX-License-Identifier: Apache-2.0 */
/* A cache in a budget of a guard without a monitor, for the tests of caches. */
#ifndef HRT_CACHE_OPENED_H
#define HRT_CACHE_OPENED_H

#include "support/cmocka.h"

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/guard.h>
#include <headroom/report.h>

#include <time.h>

static hr_guard *guard;
static hr_budget *budget;
static hr_cache *cache;

static inline void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static inline void open_with(uint64_t limit_bytes, uint64_t budget_bytes, const hr_cache_options *more)
{
    hr_guard_options guard_options = {.limit_bytes = limit_bytes, .interval_ns = -1, .purge_interval_ns = -1};
    assert_int_equal(hr_guard_new(&guard_options, &guard), 0);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "cached", budget_bytes, &budget), 0);
    hr_cache_options options = more ? *more : (hr_cache_options){0};
    options.budget = budget;
    assert_int_equal(hr_cache_new(guard, &options, &cache), 0);
}

/* All that was charged must have come back. */
static inline void close_all(void)
{
    assert_int_equal(hr_cache_free(cache), 0);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
    assert_int_equal(hr_budget_free(budget), 0);
    hr_guard_free(guard);
}

static inline int put_sized(unsigned key, size_t size)
{
    static char value[4 << 20];
    return hr_cache_put(cache, &key, sizeof key, value, size, 0);
}

static inline bool has_sized(unsigned key)
{
    hr_cache_ref ref;
    if (hr_cache_get(cache, &key, sizeof key, &ref) != 0)
        return false;
    hr_cache_release(cache, &ref);
    return true;
}

static inline hr_cache_figures figures_now(void)
{
    hr_cache_figures figures;
    assert_int_equal(hr_cache_read(cache, &figures), 0);
    return figures;
}

static inline uint64_t used_bytes(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    return figures.used_bytes;
}

#endif
