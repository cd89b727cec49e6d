/* SPDX-License-Identifier: Apache-2.0 */
/* A cache keeps, lends, forgets and refuses entries. */
#include "cache/opened.h"
#include "support/cmocka.h"

#include "base/clock.h"

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/guard.h>
#include <headroom/relief.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ── help ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int put(const char *key, const char *value)
{
    return hr_cache_put(cache, key, strlen(key), value, strlen(value), 0);
}

static int get(const char *key, hr_cache_ref *ret_ref)
{
    return hr_cache_get(cache, key, strlen(key), ret_ref);
}

static void assert_value(const char *key, const char *value)
{
    hr_cache_ref ref = {0};
    assert_int_equal(get(key, &ref), 0);
    assert_int_equal(ref.size, strlen(value));
    assert_memory_equal(ref.data, value, ref.size);
    hr_cache_release(cache, &ref);
}

/* ── keeping and lending ────────────────────────────────────────────────────────────────────────────────────────── */

static void keeps_what_was_put(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, NULL);
    hr_cache_ref ref = {.size = 7};
    assert_int_equal(get("a", &ref), -ENOENT);
    assert_int_equal(ref.size, 7);
    assert_int_equal(put("a", "one"), 0);
    assert_int_equal(put("b", ""), 0);
    assert_value("a", "one");
    assert_value("b", "");
    assert_int_equal(put("a", "two"), 0);
    assert_value("a", "two");
    assert_int_equal(hr_cache_remove(cache, "a", 1), 0);
    assert_int_equal(hr_cache_remove(cache, "a", 1), -ENOENT);
    assert_int_equal(get("a", &ref), -ENOENT);
    hr_cache_figures figures = figures_now();
    assert_int_equal(figures.entries, 1);
    assert_int_equal(figures.puts, 3);
    assert_int_equal(figures.replaced, 1);
    assert_int_equal(figures.removed, 1);
    assert_int_equal(figures.hits, 3);
    assert_int_equal(figures.misses, 2);
    assert_true(figures.hit_ratio > 0.59 && figures.hit_ratio < 0.61);
    hr_cache_clear(cache);
    assert_int_equal(figures_now().entries, 0);
    assert_int_equal(figures_now().bytes, 0);
    close_all();
}

static void refuses_nonsense(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, NULL);
    hr_cache_ref ref;
    hr_cache *other;
    hr_cache_figures figures;
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.shards = 3}, &other), -EINVAL);
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.shards = 512}, &other), -EINVAL);
    assert_int_equal(hr_cache_new(NULL, &(hr_cache_options){.budget = budget}, &other), -EINVAL);
    assert_int_equal(hr_cache_put(cache, "", 0, "x", 1, 0), -EINVAL);
    assert_int_equal(hr_cache_put(cache, NULL, 1, "x", 1, 0), -EINVAL);
    assert_int_equal(hr_cache_put(cache, "k", 1, NULL, 1, 0), -EINVAL);
    assert_int_equal(hr_cache_get(cache, "k", 1, NULL), -EINVAL);
    assert_int_equal(hr_cache_get(NULL, "k", 1, &ref), -EINVAL);
    assert_int_equal(hr_cache_read(cache, NULL), -EINVAL);
    assert_int_equal(hr_cache_read(NULL, &figures), -EINVAL);
    assert_int_equal(hr_cache_walk(cache, NULL, NULL), -EINVAL);
    assert_int_equal(hr_cache_free(NULL), 0);
    hr_cache_release(cache, &(hr_cache_ref){0});
    close_all();
}

static void charges_all_that_it_costs(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.shards = 1});
    assert_true(used_bytes() > 0);
    assert_int_equal(used_bytes(), figures_now().table_bytes);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(put_sized(i, 64), 0);
    hr_cache_figures figures = figures_now();
    assert_true(figures.bytes > 1000 * 64);
    assert_int_equal(used_bytes(), figures.bytes + figures.table_bytes);
    close_all();
}

static void readers_keep_what_they_borrowed(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, NULL);
    hr_cache_ref old, new;
    assert_int_equal(put("a", "old"), 0);
    assert_int_equal(get("a", &old), 0);
    assert_int_equal(put("a", "new"), 0);
    assert_int_equal(get("a", &new), 0);
    assert_memory_equal(old.data, "old", 3);
    assert_memory_equal(new.data, "new", 3);
    assert_int_equal(figures_now().pinned, 2);
    assert_int_equal(hr_cache_remove(cache, "a", 1), 0);
    hr_cache_clear(cache);
    assert_int_equal(hr_cache_free(cache), -EBUSY);
    assert_memory_equal(new.data, "new", 3);
    hr_cache_release(cache, &old);
    hr_cache_release(cache, &old);
    assert_int_equal(figures_now().pinned, 1);
    assert_int_equal(hr_cache_free(cache), -EBUSY);
    hr_cache_release(cache, &new);
    close_all();
}

/* However often: the sixth reference of a thread is of another kind. */
static void borrowed_often_is_one_entry(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, NULL);
    enum {
        REFERENCES = 12
    };
    hr_cache_ref references[REFERENCES];
    assert_int_equal(put("a", "x"), 0);
    for (int i = 0; i < REFERENCES; i++) {
        assert_int_equal(get("a", &references[i]), 0);
        assert_int_equal(figures_now().pinned, 1);
    }
    for (int i = 0; i < REFERENCES; i++) {
        assert_int_equal(figures_now().pinned, 1);
        hr_cache_release(cache, &references[i]);
    }
    assert_int_equal(figures_now().pinned, 0);
    assert_value("a", "x");
    close_all();
}

static void entries_expire(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.ttl_ns = 20 * HRI_MILLISECOND, .shards = 1});
    hr_cache_ref ref;
    assert_int_equal(put("soon", "x"), 0);
    assert_int_equal(hr_cache_put(cache, "late", 4, "y", 1, HRI_SECOND), 0);
    assert_int_equal(hr_cache_put(cache, "never", 5, "z", 1, -1), 0);
    assert_value("soon", "x");
    pause_ms(30);
    assert_int_equal(get("soon", &ref), -ENOENT);
    assert_value("late", "y");
    assert_value("never", "z");
    assert_int_equal(figures_now().expired, 1);
    assert_int_equal(figures_now().entries, 2);
    close_all();
}

/* Nobody asks for them any more, so the janitor finds them; what lives stays. */
static void janitor_takes_what_expired(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.shards = 4});
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(hr_cache_put(cache, &i, sizeof i, "x", 1, i % 2 ? 10 * HRI_MILLISECOND : 0), 0);
    pause_ms(20);
    for (unsigned round = 0; round < 100 && figures_now().expired < 500; round++)
        hr_cleanup(guard); /* one slice each, which goes on where the last one stopped */
    assert_int_equal(figures_now().entries, 500);
    assert_int_equal(figures_now().expired, 500);
    close_all();
}

/* ── limits ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void keeps_to_its_size(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.max_bytes = MIB});
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(put_sized(i, 1000), 0);
        if (i % 64 == 0)
            assert_true(figures_now().bytes <= MIB);
    }
    assert_true(figures_now().bytes > MIB - 2000);
    assert_int_equal(put_sized(0, MIB), -E2BIG);
    assert_int_equal(figures_now().refused_large, 1);
    assert_true(figures_now().evicted_full > 3000);
    close_all();
}

/* A cache that refuses the new value must not go on to answer with the old one. */
static void refused_put_leaves_nothing(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.max_bytes = MIB});
    assert_int_equal(put_sized(1, 100), 0);
    assert_true(has_sized(1));
    assert_int_equal(put_sized(1, 2 * MIB), -E2BIG);
    assert_false(has_sized(1));
    close_all();
}

static void budget_bounds_it(void **state)
{
    (void)state;
    open_with(100 * MIB, MIB, NULL);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(put_sized(i, 1000), 0);
    hr_budget_figures account;
    assert_int_equal(hr_budget_read(budget, &account), 0);
    assert_true(account.used_bytes <= MIB);
    hr_cache_figures figures = figures_now();
    assert_true(figures.bytes > MIB / 2);
    /* Prevents: the budget, which pays for the tables too, was full first. Each put then ran relief. */
    assert_int_equal(figures.max_bytes + figures.table_bytes, MIB);
    assert_true(figures.evicted_full > 3000);
    assert_int_equal(figures.evicted_relief, 0);
    assert_true(account.refused < 20); /* Prevents: no room was left for memories of keys, asked for at each eviction */
    assert_int_equal(put_sized(1, 2 * MIB), -E2BIG);
    hr_cache *unbounded;
    hr_cache_options options = {.budget = budget, .max_bytes = HR_NONE, .shards = 1};
    assert_int_equal(hr_cache_new(guard, &options, &unbounded), 0);
    static char value[2 * MIB];
    assert_int_equal(hr_cache_put(unbounded, "a", 1, value, sizeof value, 0), -E2BIG);
    assert_int_equal(hr_cache_free(unbounded), 0);
    close_all();
}

static void what_is_borrowed_is_not_evicted(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.max_bytes = MIB, .shards = 1});
    hr_cache_ref refs[16];
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(put_sized(i, 60000), 0);
        assert_int_equal(hr_cache_get(cache, &i, sizeof i, &refs[i]), 0);
    }
    assert_int_equal(put_sized(100, 120000), -EDQUOT);
    assert_int_equal(figures_now().refused_budget, 1);
    assert_int_equal(hr_relieve(guard, MIB), 0);
    assert_int_equal(figures_now().entries, 16);
    hr_cache_release(cache, &refs[3]);
    hr_cache_release(cache, &refs[4]);
    assert_int_equal(put_sized(100, 100000), 0);
    assert_false(has_sized(3));
    for (unsigned i = 0; i < 16; i++)
        hr_cache_release(cache, &refs[i]);
    close_all();
}

/* ── values that are the caller's ───────────────────────────────────────────────────────────────────────────────── */

static unsigned dropped;

static void drop(void *context, const void *data)
{
    assert_ptr_equal(data, "held");
    hr_budget_uncharge(context, 1000);
    dropped++;
}

static void held_values_are_let_go_once(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, NULL);
    hr_cache_held held = {.data = "held", .size = 4, .bytes = 1000, .drop = drop, .context = budget};
    dropped = 0;
    assert_int_equal(hr_budget_charge(budget, 2000), 0);
    assert_int_equal(hr_cache_put_held(cache, "a", 1, &held), 0);
    assert_true(figures_now().bytes >= 1000);
    hr_cache_ref ref;
    assert_int_equal(get("a", &ref), 0);
    assert_ptr_equal(ref.data, held.data);
    assert_int_equal(hr_cache_put_held(cache, "a", 1, &held), 1);
    assert_int_equal(dropped, 0);
    hr_cache_release(cache, &ref);
    assert_int_equal(dropped, 1);
    assert_true(hr_cache_trim(cache, 1) >= 1000);
    assert_int_equal(dropped, 2);
    held.bytes = HR_NONE - 1;
    assert_int_equal(hr_cache_put_held(cache, "b", 1, &held), -E2BIG);
    assert_int_equal(dropped, 2);
    close_all();
}

static void room_is_made_only_where_it_may_not_grow(void **state)
{
    (void)state;
    open_with(10 * MIB, HR_NONE, NULL);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(put_sized(i, 1000), 0);
    assert_int_equal(hr_cache_make_room(cache, 100000), 0);
    uint64_t other = 85 * MIB / 10 - used_bytes();
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), other), 0);
    assert_true(hr_cache_make_room(cache, 100000) >= 100000);
    hr_budget_uncharge(hr_guard_root(guard), other);
    close_all();
}

/* ── the rest ───────────────────────────────────────────────────────────────────────────────────────────────────── */

struct tour {
    unsigned visits, seen[100], stop_after;
};

static int visit(void *context, const void *key, size_t key_size, const hr_cache_ref *value)
{
    struct tour *tour = context;
    unsigned number;
    assert_int_equal(key_size, sizeof number);
    assert_int_equal(value->size, 10);
    memcpy(&number, key, sizeof number);
    tour->seen[number]++;
    tour->visits++;
    if (number % 2)
        hr_cache_remove(cache, key, key_size);
    return tour->visits == tour->stop_after ? 42 : 0;
}

static void walks_over_each_entry_once(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, NULL);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(put_sized(i, 10), 0);
    struct tour tour = {0}, short_tour = {.stop_after = 7};
    assert_int_equal(hr_cache_walk(cache, visit, &tour), 0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(tour.seen[i], 1);
    assert_int_equal(figures_now().entries, 50);
    assert_int_equal(hr_cache_walk(cache, visit, &short_tour), 42);
    assert_int_equal(short_tour.visits, 7);
    close_all();
}

static void works_without_a_guard(void **state)
{
    (void)state;
    assert_int_equal(hr_cache_new(NULL, &(hr_cache_options){.max_bytes = MIB}, &cache), 0);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(put_sized(i, 1000), 0);
    assert_true(figures_now().bytes <= MIB);
    assert_int_equal(hr_cache_free(cache), 0);
}

static void comes_through_a_fork(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, NULL);
    assert_int_equal(put("a", "parent"), 0);
    pid_t child = fork();
    if (child == 0) {
        assert_value("a", "parent");
        assert_int_equal(put("a", "child"), 0);
        assert_value("a", "child");
        _exit(hr_cache_trim(cache, 1) > 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_value("a", "parent");
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_was_put),
        cmocka_unit_test(refuses_nonsense),
        cmocka_unit_test(charges_all_that_it_costs),
        cmocka_unit_test(readers_keep_what_they_borrowed),
        cmocka_unit_test(borrowed_often_is_one_entry),
        cmocka_unit_test(entries_expire),
        cmocka_unit_test(janitor_takes_what_expired),
        cmocka_unit_test(keeps_to_its_size),
        cmocka_unit_test(refused_put_leaves_nothing),
        cmocka_unit_test(budget_bounds_it),
        cmocka_unit_test(what_is_borrowed_is_not_evicted),
        cmocka_unit_test(held_values_are_let_go_once),
        cmocka_unit_test(room_is_made_only_where_it_may_not_grow),
        cmocka_unit_test(walks_over_each_entry_once),
        cmocka_unit_test(works_without_a_guard),
        cmocka_unit_test(comes_through_a_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
