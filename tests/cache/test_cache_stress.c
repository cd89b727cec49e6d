/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads use one cache, under a guard that is short again and again. Each value says whose it is: what is lent
 * must be whole and of its key, and in the end every byte must have come back. */
#include "support/cmocka.h"

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/guard.h>
#include <headroom/relief.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define THREADS 4
#define KEYS 2000
#define ROUNDS 20000

static hr_guard *guard;
static hr_cache *cache;
static atomic_bool over;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void fill(unsigned char *value, unsigned key, size_t size)
{
    for (size_t i = 0; i < size; i++)
        value[i] = (unsigned char)(key + i * 7);
}

static bool is_whole(unsigned key, const hr_cache_ref *ref)
{
    const unsigned char *value = ref->data;
    for (size_t i = 0; i < ref->size; i++)
        if (value[i] != (unsigned char)(key + i * 7))
            return false;
    return true;
}

static int load(void *context, const void *key, size_t key_size, hr_cache_loading *loading)
{
    (void)context, (void)key_size;
    unsigned char value[500];
    unsigned number;
    memcpy(&number, key, sizeof number);
    if (number % 10 == 0)
        return -ENOENT;
    fill(value, number, sizeof value);
    return hr_cache_supply(loading, value, sizeof value, 0);
}

static int visit(void *context, const void *key, size_t key_size, const hr_cache_ref *value)
{
    (void)context, (void)key_size;
    unsigned number;
    memcpy(&number, key, sizeof number);
    return is_whole(number, value) ? 0 : 1;
}

/* References that wait to be given back, by whichever thread comes. */
#define KEPT 16
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept {
    unsigned key;
    hr_cache_ref ref;
} kept[KEPT];

/* Keeps a reference, and gives back the one that was kept in its place. */
static void keep(unsigned place, unsigned key, const hr_cache_ref *ref)
{
    pthread_mutex_lock(&kept_lock);
    struct kept old = kept[place];
    kept[place] = (struct kept){key, *ref};
    pthread_mutex_unlock(&kept_lock);
    if (old.ref.entry_)
        assert_true(is_whole(old.key, &old.ref));
    hr_cache_release(cache, &old.ref);
}

static void one_round(uint64_t *state)
{
    static __thread unsigned char value[8000];
    unsigned key = (unsigned)(next_random(state) % KEYS);
    switch (next_random(state) % 32) {
    case 0:
        hr_cache_remove(cache, &key, sizeof key);
        break;
    case 1:
        if (next_random(state) % 64 == 0)
            hr_cache_clear(cache);
        else if (next_random(state) % 64 == 0)
            assert_int_equal(hr_cache_walk(cache, visit, NULL), 0);
        break;
    case 2:
        hr_cache_trim(cache, 20000);
        break;
    case 3: {
        size_t size = next_random(state) % 20000;
        hr_cache_ref ref;
        int error = hr_cache_reserve(cache, &key, sizeof key, size, 0, &ref);
        assert_true(error == 0 || error == -EDQUOT);
        if (error)
            break;
        fill(ref.data, key, size);
        ref.size = size - next_random(state) % (size + 1) / 2;
        if (next_random(state) % 4)
            assert_int_equal(hr_cache_commit(cache, &ref), 0);
        hr_cache_release(cache, &ref);
        break;
    }
    case 4:
    case 5:
    case 6: {
        size_t size = next_random(state) % sizeof value;
        fill(value, key, size);
        int error = hr_cache_put(cache, &key, sizeof key, value, size, next_random(state) % 8 ? 0 : 1000000);
        assert_true(error == 0 || error == -EDQUOT);
        break;
    }
    default: {
        hr_cache_ref ref;
        int error = hr_cache_get(cache, &key, sizeof key, &ref);
        assert_true(error == 0 || error == -ENOENT || error == -EDQUOT);
        if (error == 0) {
            assert_true(is_whole(key, &ref));
            if (next_random(state) % 8 == 0)
                keep((unsigned)(next_random(state) % KEPT), key, &ref);
            else
                hr_cache_release(cache, &ref);
        }
        break;
    }
    }
}

static void *use(void *seed)
{
    uint64_t state = *(const uint64_t *)seed;
    for (unsigned round = 0; round < ROUNDS; round++)
        one_round(&state);
    return NULL;
}

static void *press(void *unused)
{
    hr_budget *root = hr_guard_root(guard);
    while (!over) {
        if (hr_budget_charge(root, 5 * MIB) == 0)
            hr_budget_uncharge(root, 5 * MIB);
        hr_cleanup(guard);
        hr_cache_figures figures;
        hr_cache_read(cache, &figures);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return unused;
}

static void values_stay_whole_and_bytes_come_back(void **state)
{
    (void)state;
    hr_guard_options options = {.limit_bytes = 8 * MIB, .interval_ns = 10000000, .dwell_ns = 1000000};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    hr_cache_options cache_options = {.shards = 4, .load = load, .failed_ttl_ns = 1000000};
    assert_int_equal(hr_cache_new(guard, &cache_options, &cache), 0);
    pthread_t threads[THREADS], presser;
    uint64_t seeds[THREADS];
    over = false;
    assert_int_equal(pthread_create(&presser, NULL, press, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        assert_int_equal(pthread_create(&threads[i], NULL, use, &seeds[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    over = true;
    pthread_join(presser, NULL);
    for (unsigned i = 0; i < KEPT; i++)
        keep(i, 0, &(hr_cache_ref){0});
    hr_cache_figures figures;
    assert_int_equal(hr_cache_read(cache, &figures), 0);
    print_message("%llu hits, %llu misses, %llu puts, evicted %llu for the level, %llu for relief, %llu waits\n",
                  (unsigned long long)figures.hits, (unsigned long long)figures.misses,
                  (unsigned long long)figures.puts, (unsigned long long)figures.evicted_level,
                  (unsigned long long)figures.evicted_relief, (unsigned long long)figures.load_waits);
    assert_int_equal(figures.pinned, 0);
    assert_true(figures.evicted_relief > 0);
    hr_cache_clear(cache);
    assert_int_equal(hr_cache_read(cache, &figures), 0);
    assert_int_equal(figures.bytes, 0);
    assert_int_equal(hr_cache_free(cache), 0);
    hr_budget_figures account;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &account), 0);
    assert_int_equal(account.used_bytes, 0);
    hr_guard_free(guard);
}

/* ── readers without a lock ─────────────────────────────────────────────────────────────────────────────────────── */

#define HOT_KEYS 64
#define HOT_ROUNDS 40000

static void *read_hot(void *seed)
{
    uint64_t state = *(const uint64_t *)seed;
    for (unsigned round = 0; round < HOT_ROUNDS; round++) {
        unsigned key = (unsigned)(next_random(&state) % HOT_KEYS);
        hr_cache_ref refs[7]; /* more than a thread can borrow without the lock */
        unsigned count = round % 64 ? 1 : 7;
        for (unsigned i = 0; i < count; i++)
            if (hr_cache_get(cache, &key, sizeof key, &refs[i]) != 0)
                refs[i] = (hr_cache_ref){0};
        for (unsigned i = 0; i < count; i++) {
            if (refs[i].entry_)
                assert_true(is_whole(key, &refs[i]));
            hr_cache_release(cache, &refs[i]);
        }
    }
    return NULL;
}

/* Few keys, so that tables are emptied and grow again, and each entry is read while it is replaced and removed. */
static void *replace_hot(void *seed)
{
    uint64_t state = *(const uint64_t *)seed;
    unsigned char value[600];
    while (!over) {
        unsigned key = (unsigned)(next_random(&state) % HOT_KEYS);
        size_t size = next_random(&state) % sizeof value;
        fill(value, key, size);
        assert_int_equal(hr_cache_put(cache, &key, sizeof key, value, size, 0), 0);
        if (next_random(&state) % 4 == 0)
            hr_cache_remove(cache, &key, sizeof key);
        if (next_random(&state) % 512 == 0)
            hr_cache_clear(cache);
        if (next_random(&state) % 512 == 0)
            hr_cache_trim(cache, 4096);
    }
    return NULL;
}

static void readers_meet_writers(void **state)
{
    (void)state;
    hr_guard_options options = {.limit_bytes = 100 * MIB, .interval_ns = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.shards = 1}, &cache), 0);
    pthread_t readers[3], writer;
    for (unsigned key = 0; key < HOT_KEYS; key++) /* should the writer come late */
        assert_int_equal(hr_cache_put(cache, &key, sizeof key, NULL, 0, 0), 0);
    uint64_t seeds[4] = {11, 12, 13, 14};
    over = false;
    assert_int_equal(pthread_create(&writer, NULL, replace_hot, &seeds[3]), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_hot, &seeds[i]), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    over = true;
    pthread_join(writer, NULL);
    hr_cache_figures figures;
    assert_int_equal(hr_cache_read(cache, &figures), 0);
    assert_int_equal(figures.pinned, 0);
    assert_true(figures.hits > 0);
    hr_cache_clear(cache);
    hr_budget_figures account;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &account), 0);
    uint64_t empty = account.used_bytes;
    assert_int_equal(hr_cache_read(cache, &figures), 0);
    assert_int_equal(empty, figures.table_bytes); /* nothing waits any more */
    assert_int_equal(hr_cache_free(cache), 0);
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &account), 0);
    assert_int_equal(account.used_bytes, 0);
    hr_guard_free(guard);
}

/* An entry that is evicted or removed while it is borrowed is freed by whoever gives it back, on any thread. */
static void *release_elsewhere(void *ref)
{
    hr_cache_release(cache, ref);
    return NULL;
}

static void *read_once(void *key)
{
    hr_cache_ref ref;
    if (hr_cache_get(cache, key, 1, &ref) == 0)
        hr_cache_release(cache, &ref);
    return NULL;
}

static uint64_t used_bytes(void)
{
    hr_budget_figures account;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &account), 0);
    return account.used_bytes;
}

static void the_last_borrower_frees(void **state)
{
    (void)state;
    hr_guard_options options = {.limit_bytes = 100 * MIB, .interval_ns = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.shards = 1}, &cache), 0);
    static char value[MIB];
    uint64_t empty = used_bytes();
    for (unsigned round = 0; round < 2; round++) { /* as the only reader, and as one of several */
        hr_cache_ref first, second;
        pthread_t thread;
        assert_int_equal(hr_cache_put(cache, "a", 1, value, sizeof value, 0), 0);
        assert_int_equal(hr_cache_get(cache, "a", 1, &first), 0);
        assert_int_equal(hr_cache_get(cache, "a", 1, &second), 0);
        assert_int_equal(hr_cache_trim(cache, 1), 0); /* it is borrowed */
        assert_int_equal(hr_cache_remove(cache, "a", 1), 0);
        assert_true(used_bytes() >= empty + MIB);
        hr_cache_release(cache, &first);
        assert_true(used_bytes() >= empty + MIB);
        assert_int_equal(hr_cache_free(cache), -EBUSY);
        assert_int_equal(pthread_create(&thread, NULL, release_elsewhere, &second), 0);
        pthread_join(thread, NULL);
        assert_int_equal(used_bytes(), empty);
        assert_int_equal(hr_cache_put(cache, "b", 1, "x", 1, 0), 0);
        assert_int_equal(pthread_create(&thread, NULL, read_once, "b"), 0);
        pthread_join(thread, NULL);
        hr_cache_clear(cache);
        assert_int_equal(used_bytes(), empty);
    }
    assert_int_equal(hr_cache_free(cache), 0);
    hr_guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_meet_writers),
        cmocka_unit_test(the_last_borrower_frees),
        cmocka_unit_test(values_stay_whole_and_bytes_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
