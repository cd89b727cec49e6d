/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are written in place: reserved, filled, committed. */
#include "support/cmocka.h"

#include "base/clock.h"
#include "heap/heap.h"

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/guard.h>
#include <headroom/relief.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ── help ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static hr_guard *guard;
static hr_cache *cache;

static void open_with(uint64_t limit_bytes, const hr_cache_options *options)
{
    hr_guard_options guard_options = {.limit_bytes = limit_bytes, .interval_ns = -1, .purge_interval_ns = -1};
    assert_int_equal(hr_guard_new(&guard_options, &guard), 0);
    assert_int_equal(hr_cache_new(guard, options, &cache), 0);
}

static uint64_t used_bytes(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    return figures.used_bytes;
}

static hr_cache_figures figures_now(void)
{
    hr_cache_figures figures;
    assert_int_equal(hr_cache_read(cache, &figures), 0);
    return figures;
}

/* All that was charged must have come back. */
static void close_all(void)
{
    assert_int_equal(hr_cache_free(cache), 0);
    assert_int_equal(used_bytes(), 0);
    hr_guard_free(guard);
}

static int reserve(const char *key, size_t size, hr_cache_ref *ret_ref)
{
    return hr_cache_reserve(cache, key, strlen(key), size, 0, ret_ref);
}

static bool has(const char *key, const void *value, size_t size)
{
    hr_cache_ref ref;
    if (hr_cache_get(cache, key, strlen(key), &ref) != 0)
        return false;
    bool same = ref.size == size && (!size || memcmp(ref.data, value, size) == 0);
    hr_cache_release(cache, &ref);
    return same;
}

static void put_reserved(const char *key, char byte, size_t size)
{
    hr_cache_ref ref;
    assert_int_equal(reserve(key, size, &ref), 0);
    memset(ref.data, byte, size);
    assert_int_equal(hr_cache_commit(cache, &ref), 0);
    hr_cache_release(cache, &ref);
}

/* ── one after the other ────────────────────────────────────────────────────────────────────────────────────────── */

static void nobody_sees_a_value_before_its_commit(void **state)
{
    (void)state;
    open_with(100 * MIB, NULL);
    assert_int_equal(hr_cache_put(cache, "a", 1, "old", 3, 0), 0);
    hr_cache_ref ref;
    assert_int_equal(reserve("a", 3, &ref), 0);
    assert_int_equal(ref.size, 3);
    memcpy(ref.data, "new", 3);
    assert_true(has("a", "old", 3));
    assert_int_equal(figures_now().entries, 1);
    assert_int_equal(hr_cache_commit(cache, &ref), 0);
    assert_true(has("a", "new", 3));
    assert_memory_equal(ref.data, "new", 3); /* still borrowed */
    assert_int_equal(figures_now().pinned, 1);
    assert_int_equal(hr_cache_commit(cache, &ref), -EALREADY);
    hr_cache_release(cache, &ref);
    hr_cache_release(cache, &ref);
    assert_int_equal(hr_cache_commit(cache, &ref), -EINVAL);
    hr_cache_figures figures = figures_now();
    assert_int_equal(figures.pinned, 0);
    assert_int_equal(figures.entries, 1);
    assert_int_equal(figures.replaced, 1);
    close_all();
}

static void released_before_its_commit_it_is_thrown_away(void **state)
{
    (void)state;
    open_with(100 * MIB, NULL);
    assert_int_equal(hr_cache_put(cache, "a", 1, "old", 3, 0), 0);
    uint64_t before = used_bytes(), bytes = figures_now().bytes;
    hr_cache_ref ref;
    assert_int_equal(reserve("a", MIB, &ref), 0);
    assert_true(used_bytes() >= before + MIB);
    hr_cache_release(cache, &ref);
    assert_int_equal(used_bytes(), before);
    assert_int_equal(figures_now().bytes, bytes);
    assert_true(has("a", "old", 3));
    close_all();
}

static void a_value_may_become_smaller_at_its_commit(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{100, 7}, {9000, 100}, {MIB, 70000}, {MIB, MIB - 1}, {MIB, 0}, {200000, 199999}};
    open_with(100 * MIB, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        hr_cache_ref ref;
        char *value = malloc(sizes[i][0]);
        assert_non_null(value);
        memset(value, 'a' + (int)i, sizes[i][0]);
        assert_int_equal(reserve("a", sizes[i][0], &ref), 0);
        memcpy(ref.data, value, sizes[i][0]);
        ref.size = sizes[i][0] + 1;
        assert_int_equal(hr_cache_commit(cache, &ref), -EINVAL);
        ref.size = sizes[i][1];
        assert_int_equal(hr_cache_commit(cache, &ref), 0);
        assert_int_equal(ref.size, sizes[i][1]);
        hr_cache_release(cache, &ref);
        assert_true(has("a", value, sizes[i][1]));
        hr_cache_figures figures = figures_now();
        assert_int_equal(figures.entries, 1);
        assert_in_range(figures.bytes, sizes[i][1], hr_alloc_cost(sizes[i][1] + 200)); /* the key and the entry */
        free(value);
    }
    close_all();
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    open_with(100 * MIB, &(hr_cache_options){.max_bytes = MIB});
    hr_cache_ref ref = {.size = 7}, none = {0};
    assert_int_equal(hr_cache_reserve(NULL, "a", 1, 1, 0, &ref), -EINVAL);
    assert_int_equal(hr_cache_reserve(cache, NULL, 1, 1, 0, &ref), -EINVAL);
    assert_int_equal(hr_cache_reserve(cache, "a", 0, 1, 0, &ref), -EINVAL);
    assert_int_equal(hr_cache_reserve(cache, "a", 1, 1, 0, NULL), -EINVAL);
    assert_int_equal(hr_cache_reserve(cache, "a", 1, MIB, 0, &ref), -E2BIG);
    assert_int_equal(hr_cache_reserve(cache, "a", 1, SIZE_MAX, 0, &ref), -E2BIG);
    assert_int_equal(ref.size, 7);
    assert_int_equal(figures_now().refused_large, 2);
    assert_int_equal(hr_cache_commit(NULL, &ref), -EINVAL);
    assert_int_equal(hr_cache_commit(cache, NULL), -EINVAL);
    assert_int_equal(hr_cache_commit(cache, &none), -EINVAL);
    assert_int_equal(hr_cache_put(cache, "a", 1, "x", 1, 0), 0);
    assert_int_equal(hr_cache_get(cache, "a", 1, &ref), 0);
    assert_int_equal(hr_cache_commit(cache, &ref), -EALREADY); /* it was never reserved */
    hr_cache_release(cache, &ref);
    close_all();
}

static void its_time_begins_with_the_commit(void **state)
{
    (void)state;
    const struct timespec pause = {.tv_nsec = 30 * HRI_MILLISECOND};
    open_with(100 * MIB, &(hr_cache_options){.ttl_ns = 20 * HRI_MILLISECOND});
    hr_cache_ref ref, never;
    assert_int_equal(reserve("a", 1, &ref), 0);
    assert_int_equal(hr_cache_reserve(cache, "never", 5, 1, -1, &never), 0);
    nanosleep(&pause, NULL);
    assert_int_equal(hr_cache_commit(cache, &ref), 0);
    assert_int_equal(hr_cache_commit(cache, &never), 0);
    assert_true(has("a", ref.data, 1));
    hr_cache_release(cache, &ref);
    nanosleep(&pause, NULL);
    assert_int_equal(hr_cache_get(cache, "a", 1, &ref), -ENOENT);
    assert_true(has("never", never.data, 1));
    hr_cache_release(cache, &never);
    close_all();
}

static void clear_and_relief_leave_a_reservation_alone(void **state)
{
    (void)state;
    open_with(100 * MIB, NULL);
    hr_cache_ref ref;
    assert_int_equal(hr_cache_put(cache, "b", 1, "x", 1, 0), 0);
    assert_int_equal(reserve("a", MIB, &ref), 0);
    memset(ref.data, 'x', MIB);
    hr_cache_clear(cache);
    assert_true(hr_relieve(guard, 50 * MIB) < MIB);
    assert_int_equal(hr_cache_free(cache), -EBUSY);
    assert_int_equal(hr_cache_remove(cache, "a", 1), -ENOENT);
    assert_int_equal(hr_cache_commit(cache, &ref), 0);
    hr_cache_clear(cache);
    assert_int_equal(hr_cache_free(cache), -EBUSY); /* borrowed */
    assert_int_equal(((char *)ref.data)[MIB - 1], 'x');
    hr_cache_release(cache, &ref);
    close_all();
}

static void the_last_of_several_writers_stays(void **state)
{
    (void)state;
    open_with(100 * MIB, NULL);
    hr_cache_ref refs[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(reserve("a", 1, &refs[i]), 0);
        *(char *)refs[i].data = (char)('0' + i);
    }
    assert_int_equal(hr_cache_commit(cache, &refs[2]), 0);
    assert_true(has("a", "2", 1));
    assert_int_equal(hr_cache_commit(cache, &refs[0]), 0);
    assert_true(has("a", "0", 1));
    hr_cache_release(cache, &refs[1]);
    assert_true(has("a", "0", 1));
    hr_cache_release(cache, &refs[0]);
    hr_cache_release(cache, &refs[2]);
    assert_int_equal(figures_now().entries, 1);
    close_all();
}

static void a_child_goes_on_with_its_copy(void **state)
{
    (void)state;
    open_with(100 * MIB, NULL);
    hr_cache_ref ref;
    assert_int_equal(reserve("a", 20000, &ref), 0);
    memset(ref.data, 'x', ref.size);
    pid_t child = fork();
    if (child == 0) {
        int error = hr_cache_commit(cache, &ref);
        hr_cache_release(cache, &ref);
        _exit(!error && hr_cache_get(cache, "a", 1, &ref) == 0 && *(char *)ref.data == 'x' ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(hr_cache_get(cache, "a", 1, &(hr_cache_ref){0}), -ENOENT);
    hr_cache_release(cache, &ref);
    close_all();
}

/* ── room ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Prevents: of eleven uploads of 4 MiB beside 16 MiB, a limit of 64 MiB refused four to seven. Each needed its buffer
 * and the copy at once. */
static void eleven_uploads_of_4_mib_fit_beside_16(void **state)
{
    (void)state;
    open_with(64 * MIB, NULL);
    char *other = hr_alloc(hr_guard_root(guard), 16 * MIB), key[] = "a";
    assert_non_null(other);
    hr_cache_ref refs[11];
    for (int round = 0; round < 2; round++) { /* the second one replaces the first */
        for (key[0] = 'a'; key[0] < 'a' + 11; key[0]++)
            put_reserved(key, key[0], 4 * MIB);
        assert_int_equal(figures_now().refused_budget, 0);
    }
    hr_cache_clear(cache);
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    for (int i = 0; i < 11; i++) { /* all at once */
        key[0] = (char)('a' + i);
        assert_int_equal(reserve(key, 4 * MIB - 4096, &refs[i]), 0);
        memset(refs[i].data, 'x', refs[i].size);
    }
    for (int i = 0; i < 11; i++) {
        assert_int_equal(hr_cache_commit(cache, &refs[i]), 0);
        hr_cache_release(cache, &refs[i]);
    }
    assert_int_equal(figures_now().refused_budget, 0);
    hr_free(other);
    close_all();
}

static void no_room_is_edquot_and_leaves_the_old_value(void **state)
{
    (void)state;
    open_with(8 * MIB, NULL);
    hr_cache_ref refs[8], more;
    int count = 0, error = 0;
    assert_int_equal(hr_cache_put(cache, "a", 1, "old", 3, 0), 0);
    assert_int_equal(hr_cache_get(cache, "a", 1, &more), 0);
    while (count < 8 && (error = reserve("a", 15 * MIB / 10, &refs[count])) == 0)
        count++;
    assert_int_equal(error, -EDQUOT);
    assert_int_equal(count, 5); /* 7.5 of 8 MiB */
    hr_cache_release(cache, &more);
    assert_true(has("a", "old", 3));
    assert_int_equal(figures_now().refused_budget, 1);
    while (count > 0)
        hr_cache_release(cache, &refs[--count]);
    close_all();
}

/* A cache that is too small for what it holds besides evicts, and does not refuse what could be evicted for. */
static void room_is_made_by_evicting(void **state)
{
    (void)state;
    open_with(100 * MIB, &(hr_cache_options){.max_bytes = 8 * MIB, .shards = 4});
    char key[] = "a";
    for (int i = 0; i < 26; i++, key[0]++)
        put_reserved(key, 'x', 3 * MIB);
    assert_int_equal(figures_now().entries, 2);
    hr_cache_ref refs[2], third;
    assert_int_equal(reserve("1", 3 * MIB, &refs[0]), 0);
    assert_int_equal(reserve("2", 3 * MIB, &refs[1]), 0);
    assert_int_equal(figures_now().entries, 0);
    assert_int_equal(reserve("3", 3 * MIB, &third), -EDQUOT); /* max_bytes is full of reservations */
    hr_cache_release(cache, &refs[0]);
    assert_int_equal(reserve("3", 3 * MIB, &third), 0);
    hr_cache_release(cache, &refs[1]);
    hr_cache_release(cache, &third);
    close_all();
}

/* Bytes that a slow client has not sent yet are charged, and the kernel does not have them: they must not be granted
 * again. */
static void unwritten_bytes_are_pending(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: the sanitizer is the allocator\n");
    skip();
#endif
    open_with(100 * MIB, NULL);
    hr_cache_ref ref, dropped;
    assert_int_equal(reserve("a", 16 * MIB, &ref), 0);
    assert_int_equal(reserve("b", 16 * MIB, &dropped), 0);
    hri_heap_lazy_measure(1000);
    assert_in_range(hri_heap_pending_bytes(), 31 * MIB, 33 * MIB);
    hr_cache_release(cache, &dropped);
    hri_heap_lazy_measure(1000);
    assert_in_range(hri_heap_pending_bytes(), 15 * MIB, 17 * MIB);
    memset(ref.data, 'x', 8 * MIB);
    hri_heap_lazy_measure(1000);
    assert_in_range(hri_heap_pending_bytes(), 7 * MIB, 9 * MIB);
    ref.size = 8 * MIB;
    assert_int_equal(hr_cache_commit(cache, &ref), 0);
    hri_heap_lazy_measure(1000);
    assert_in_range(hri_heap_pending_bytes(), 0, 4096); /* the rest of the last page */
    hr_cache_release(cache, &ref);
    close_all();
}

/* Prevents: a charge that was refused for the shard's own table came back as -ENOMEM. */
static void a_refused_table_refuses_no_value(void **state)
{
    (void)state;
    open_with(100 * MIB, NULL);
    hr_budget *small;
    hr_cache *narrow;
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "small", HR_NONE, &small), 0);
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.budget = small, .shards = 1}, &narrow), 0);
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(small, &figures), 0);
    assert_int_equal(hr_budget_set_limit(small, figures.used_bytes + 4096), 0);
    int error = 0;
    for (unsigned i = 0; i < 200; i++) {
        error = hr_cache_put(narrow, &i, sizeof i, "value", 5, 0);
        assert_true(error == 0 || error == -EDQUOT);
        hr_cache_ref ref;
        if (error == 0) {
            assert_int_equal(hr_cache_get(narrow, &i, sizeof i, &ref), 0);
            hr_cache_release(narrow, &ref);
        }
    }
    assert_int_equal(hr_cache_free(narrow), 0);
    assert_int_equal(hr_budget_free(small), 0);
    close_all();
}

/* ── threads ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void *write_values(void *letter)
{
    char key[] = "0";
    for (int round = 0; round < 300; round++) {
        hr_cache_ref ref;
        key[0] = (char)('0' + round % 7);
        size_t size = 1000 + (size_t)round * 97 % 30000;
        if (hr_cache_reserve(cache, key, 1, size, 0, &ref) != 0)
            continue;
        memset(ref.data, *(char *)letter, size);
        ref.size = size - (size_t)round % 3 * 300;
        if (round % 5)
            assert_int_equal(hr_cache_commit(cache, &ref), 0);
        hr_cache_release(cache, &ref);
        if (hr_cache_get(cache, key, 1, &ref) == 0) {
            const char *value = ref.data;
            assert_int_equal(value[0], value[ref.size - 1]); /* whoever wrote it, wrote all of it */
            hr_cache_release(cache, &ref);
        }
    }
    return NULL;
}

static void many_write_values_of_the_same_keys(void **state)
{
    (void)state;
    open_with(2 * MIB, &(hr_cache_options){.shards = 2});
    pthread_t threads[4];
    char letters[] = "abcd";
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_values, &letters[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_true(figures_now().entries > 0 && figures_now().entries <= 7);
    assert_int_equal(figures_now().pinned, 0);
    close_all();
}

/* ── bytes that the caller charges ──────────────────────────────────────────────────────────────────────────────── */

static void free_object(void *unused, const void *object)
{
    (void)unused;
    hr_free((void *)(uintptr_t)object);
}

static void the_cost_of_an_allocation_can_be_asked(void **state)
{
    (void)state;
    open_with(100 * MIB, NULL);
    static const size_t sizes[] = {0, 1, 24, 25, 100, 1000, 8191, 8192, 100000, 131072, MIB, 3 * MIB + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t before = used_bytes();
        void *object = hr_alloc(hr_guard_root(guard), sizes[i]);
        assert_non_null(object);
        uint64_t charged = used_bytes() - before;
        size_t cost = hr_alloc_cost(sizes[i]);
        assert_in_range(charged, sizes[i], cost);
        assert_true(cost <= 3 * sizes[i] + 16384);
        hr_cache_held held = {.data = object, .size = sizes[i], .bytes = cost, .drop = free_object};
        assert_int_equal(hr_cache_put_held(cache, &i, sizeof i, &held), 0);
    }
    assert_true(figures_now().bytes >= 4 * MIB);
    assert_true(hr_alloc_cost(SIZE_MAX) == SIZE_MAX);
    hr_cache_clear(cache);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_sees_a_value_before_its_commit),
        cmocka_unit_test(released_before_its_commit_it_is_thrown_away),
        cmocka_unit_test(a_value_may_become_smaller_at_its_commit),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(its_time_begins_with_the_commit),
        cmocka_unit_test(clear_and_relief_leave_a_reservation_alone),
        cmocka_unit_test(the_last_of_several_writers_stays),
        cmocka_unit_test(a_child_goes_on_with_its_copy),
        cmocka_unit_test(eleven_uploads_of_4_mib_fit_beside_16),
        cmocka_unit_test(no_room_is_edquot_and_leaves_the_old_value),
        cmocka_unit_test(room_is_made_by_evicting),
        cmocka_unit_test(unwritten_bytes_are_pending),
        cmocka_unit_test(a_refused_table_refuses_no_value),
        cmocka_unit_test(many_write_values_of_the_same_keys),
        cmocka_unit_test(the_cost_of_an_allocation_can_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
