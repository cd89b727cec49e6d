/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: once for each key that is missing, however many want it. */
#include "support/cmocka.h"

#include "base/clock.h"

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/guard.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define THREADS 8

static hr_guard *guard;
static hr_cache *cache;

/* The loader's orders, and its counts. */
static struct {
    atomic_uint calls;
    atomic_bool hold; /* it waits until this is false */
    int error;
    bool silent; /* supplies nothing */
    bool again;  /* supplies twice */
    bool self;   /* gets the key that it loads */
    size_t size;
} loader;

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static int load(void *context, const void *key, size_t key_size, hr_cache_loading *loading)
{
    static char value[2 << 20];
    assert_ptr_equal(context, &loader);
    loader.calls++;
    while (loader.hold)
        pause_ms(1);
    hr_cache_ref ref;
    if (loader.self)
        return hr_cache_get(cache, key, key_size, &ref);
    if (loader.error || loader.silent)
        return loader.error;
    int error = hr_cache_supply(loading, loader.size ? value : key, loader.size ? loader.size : key_size, 0);
    if (loader.again)
        assert_int_equal(hr_cache_supply(loading, key, key_size, 0), -EALREADY);
    return error;
}

static void open_with(uint64_t limit_bytes, hr_cache_options options)
{
    hr_guard_options guard_options = {.limit_bytes = limit_bytes, .interval_ns = -1, .purge_interval_ns = -1};
    assert_int_equal(hr_guard_new(&guard_options, &guard), 0);
    memset(&loader, 0, sizeof loader);
    options.load = load;
    options.context = &loader;
    assert_int_equal(hr_cache_new(guard, &options, &cache), 0);
}

static void close_all(void)
{
    assert_int_equal(hr_cache_free(cache), 0);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
    hr_guard_free(guard);
}

/* Gets "key": its error, or 0 if the value is right. */
static int get(void)
{
    hr_cache_ref ref;
    int error = hr_cache_get(cache, "key", 3, &ref);
    if (error)
        return error;
    error = ref.size == 3 && memcmp(ref.data, "key", 3) == 0 ? 0 : -EBADMSG;
    hr_cache_release(cache, &ref);
    return error;
}

static void *get_on_thread(void *ret_error)
{
    *(int *)ret_error = get();
    return NULL;
}

static hr_cache_figures figures_now(void)
{
    hr_cache_figures figures;
    assert_int_equal(hr_cache_read(cache, &figures), 0);
    return figures;
}

static void a_miss_loads_once(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){0});
    loader.again = true;
    assert_int_equal(get(), 0);
    assert_int_equal(get(), 0);
    assert_int_equal(loader.calls, 1);
    hr_cache_figures figures = figures_now();
    assert_int_equal(figures.hits, 1);
    assert_int_equal(figures.misses, 1);
    assert_int_equal(figures.loads, 1);
    assert_int_equal(figures.pinned, 0);
    close_all();
}

static void failures_are_not_kept(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){0});
    loader.error = -EIO;
    assert_int_equal(get(), -EIO);
    assert_int_equal(get(), -EIO);
    assert_int_equal(loader.calls, 2);
    loader.error = 0;
    loader.silent = true;
    assert_int_equal(get(), -ENOENT);
    loader.silent = false;
    loader.self = true;
    assert_int_equal(get(), -EDEADLK);
    loader.self = false;
    assert_int_equal(get(), 0);
    assert_int_equal(figures_now().load_failures, 4);
    close_all();
}

static void failures_are_kept_for_their_time(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){.failed_ttl_ns = 20 * HRI_MILLISECOND});
    loader.error = -EIO;
    assert_int_equal(get(), -EIO);
    assert_int_equal(get(), -EIO);
    assert_int_equal(loader.calls, 1);
    pause_ms(30);
    loader.error = 0;
    assert_int_equal(get(), 0);
    assert_int_equal(loader.calls, 2);
    close_all();
}

/* Starts threads that all want the key, and waits until each either loads or waits for that. */
static void start(pthread_t *threads, int *errors, unsigned count)
{
    uint64_t waits = figures_now().load_waits;
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_on_thread, &errors[i]), 0);
    while (loader.calls == 0 || figures_now().load_waits - waits + 1 < count)
        pause_ms(1);
}

static void all_wait_for_one(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){0});
    pthread_t threads[THREADS];
    int errors[THREADS];
    loader.hold = true;
    start(threads, errors, THREADS);
    assert_int_equal(hr_cache_free(cache), -EBUSY);
    loader.hold = false;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(errors[i], 0);
    }
    assert_int_equal(loader.calls, 1);
    assert_int_equal(figures_now().load_waits, THREADS - 1);
    assert_true(figures_now().load_longest_ns > 0);
    close_all();
}

static void all_are_told_of_the_failure(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){.failed_ttl_ns = HRI_SECOND});
    pthread_t threads[THREADS];
    int errors[THREADS];
    loader.hold = true;
    loader.error = -EIO;
    start(threads, errors, THREADS);
    loader.hold = false;
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(errors[i], -EIO);
    }
    assert_int_equal(loader.calls, 1);
    close_all();
}

static void nobody_waits_for_ever(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){.load_wait_ns = 10 * HRI_MILLISECOND});
    pthread_t thread;
    int error;
    loader.hold = true;
    start(&thread, &error, 1);
    assert_int_equal(get(), -ETIMEDOUT);
    assert_int_equal(figures_now().load_timeouts, 1);
    loader.hold = false;
    pthread_join(thread, NULL);
    assert_int_equal(error, 0);
    close_all();
}

/* A value that was read before the update must not be kept after it. */
static void an_update_meanwhile_wins(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){0});
    pthread_t thread;
    int error;
    loader.hold = true;
    start(&thread, &error, 1);
    assert_int_equal(hr_cache_put(cache, "key", 3, "newer", 5, 0), 0);
    loader.hold = false;
    pthread_join(thread, NULL);
    assert_int_equal(error, 0);
    hr_cache_ref ref;
    assert_int_equal(hr_cache_get(cache, "key", 3, &ref), 0);
    assert_int_equal(ref.size, 5);
    hr_cache_release(cache, &ref);

    loader.calls = 0;
    loader.hold = true;
    assert_int_equal(hr_cache_remove(cache, "key", 3), 0);
    start(&thread, &error, 1);
    hr_cache_clear(cache);
    loader.hold = false;
    pthread_join(thread, NULL);
    assert_int_equal(error, 0);
    assert_int_equal(figures_now().entries, 0);
    close_all();
}

/* No room to keep it is no reason not to hand it out. */
static void what_cannot_be_kept_is_handed_out(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){.max_bytes = MIB});
    loader.size = 2 * MIB;
    hr_cache_ref ref;
    assert_int_equal(hr_cache_get(cache, "key", 3, &ref), 0);
    assert_int_equal(ref.size, 2 * MIB);
    assert_int_equal(figures_now().entries, 0);
    assert_int_equal(figures_now().pinned, 1);
    hr_cache_release(cache, &ref);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 9 * MIB), 0);
    assert_int_equal(hr_cache_get(cache, "key", 3, &ref), -EDQUOT);
    hr_budget_uncharge(hr_guard_root(guard), 9 * MIB);
    close_all();
}

/* ── threads that are cancelled ─────────────────────────────────────────────────────────────────────────────────── */

static void *get_cancelled(void *ret_error)
{
    pthread_cancel(pthread_self());
    *(int *)ret_error = get();
    pthread_testcancel();
    return NULL;
}

static void assert_cancelled(pthread_t thread)
{
    void *result;
    pthread_join(thread, &result);
    assert_ptr_equal(result, PTHREAD_CANCELED);
}

/* A flight, or a waiter, would stay in the shard's lists while its stack goes. */
static void who_is_cancelled_lands_first(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){0});
    pthread_t threads[2];
    int errors[2] = {1, 1};
    loader.hold = true;
    assert_int_equal(pthread_create(&threads[0], NULL, get_cancelled, &errors[0]), 0);
    while (loader.calls == 0)
        pause_ms(1);
    assert_int_equal(pthread_create(&threads[1], NULL, get_cancelled, &errors[1]), 0);
    for (int i = 0; i < 1000 && figures_now().load_waits == 0; i++)
        pause_ms(1);
    assert_int_equal(figures_now().load_waits, 1);
    loader.hold = false;
    for (unsigned i = 0; i < 2; i++) {
        assert_cancelled(threads[i]);
        assert_int_equal(errors[i], 0);
    }
    assert_int_equal(get(), 0);
    assert_int_equal(loader.calls, 1);
    close_all();
}

static unsigned visited, dropped;

static int visit(void *context, const void *key, size_t key_size, const hr_cache_ref *value)
{
    (void)context, (void)key, (void)key_size, (void)value;
    pause_ms(1);
    visited++;
    return 0;
}

static void drop(void *context, const void *data)
{
    (void)context, (void)data;
    pause_ms(1);
    dropped++;
}

static void *walk_and_clear_cancelled(void *context)
{
    pthread_cancel(pthread_self());
    hr_cache_walk(cache, visit, NULL);
    hr_cache_clear(cache);
    pthread_testcancel();
    return context;
}

/* An entry that was borrowed for a visit is given back, and all of many are dropped. */
static void who_is_cancelled_walks_and_clears_to_the_end(void **state)
{
    (void)state;
    open_with(10 * MIB, (hr_cache_options){0});
    pthread_t thread;
    visited = dropped = 0;
    for (char key = 'a'; key < 'e'; key++)
        assert_int_equal(hr_cache_put_held(cache, &key, 1, &(hr_cache_held){.data = "", .size = 1, .drop = drop}), 0);
    assert_int_equal(pthread_create(&thread, NULL, walk_and_clear_cancelled, NULL), 0);
    assert_cancelled(thread);
    assert_int_equal(visited, 4);
    assert_int_equal(dropped, 4);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_miss_loads_once),
        cmocka_unit_test(failures_are_not_kept),
        cmocka_unit_test(failures_are_kept_for_their_time),
        cmocka_unit_test(all_wait_for_one),
        cmocka_unit_test(all_are_told_of_the_failure),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(an_update_meanwhile_wins),
        cmocka_unit_test(what_cannot_be_kept_is_handed_out),
        cmocka_unit_test(who_is_cancelled_lands_first),
        cmocka_unit_test(who_is_cancelled_walks_and_clears_to_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
