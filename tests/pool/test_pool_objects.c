/* SPDX-License-Identifier: Apache-2.0 */
/* Object pools (strategy 4) and slice pools (strategy 5). */
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static hr_guard *guard;

static int set_up(void **state)
{
    (void)state;
    return hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard);
}

static int tear_down(void **state)
{
    (void)state;
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    assert_int_equal(figures.used_bytes, 0);
    hr_guard_free(guard);
    return 0;
}

/* ── objects ────────────────────────────────────────────────────────────────────────────────────────────────────── */

struct session {
    int number; /* set once, by construct() */
    char secret[64];
    size_t length;
};

static int constructed, resets, destroyed, fail_at;

static int construct(void *object, void *context)
{
    struct session *session = object;
    assert_int_equal(session->length, 0); /* made of zeros */
    assert_ptr_equal(context, &constructed);
    if (fail_at && constructed + 1 == fail_at)
        return -EIO;
    session->number = ++constructed;
    return 0;
}

static void reset(void *object, void *context)
{
    (void)context;
    struct session *session = object;
    memset(session->secret, 0, sizeof session->secret);
    session->length = 0;
    resets++;
}

static void destroy(void *object, void *context)
{
    (void)context;
    assert_true(((struct session *)object)->number > 0);
    destroyed++;
}

static hr_object_pool *new_sessions(void)
{
    hr_object_pool *pool;
    constructed = resets = destroyed = fail_at = 0;
    hr_object_pool_options options = {
        .size = sizeof(struct session),
        .construct = construct,
        .reset = reset,
        .destroy = destroy,
        .context = &constructed,
    };
    assert_int_equal(hr_object_pool_new(guard, &options, &pool), 0);
    return pool;
}

/* The source truncates and keeps: the next user reads "secret" by reslicing. */
static void source_4_state_does_not_leak_to_the_next_user(void **state)
{
    (void)state;
    hr_object_pool *pool = new_sessions();
    struct session *session = hr_object_pool_get(pool);
    strcpy(session->secret, "secret");
    session->length = 6;
    hr_object_pool_put(pool, session);
    struct session *next = hr_object_pool_get(pool);
    assert_ptr_equal(next, session);
    assert_int_equal(next->length, 0);
    for (size_t i = 0; i < sizeof next->secret; i++)
        assert_int_equal(next->secret[i], 0);
    assert_int_equal(next->number, 1); /* what was constructed stays */
    hr_object_pool_put(pool, next);
    assert_int_equal(hr_object_pool_free(pool), 0);
}

static void objects_are_constructed_once_and_destroyed_once(void **state)
{
    (void)state;
    struct session *sessions[500];
    hr_object_pool *pool = new_sessions();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 500; i++) {
            sessions[i] = hr_object_pool_get(pool);
            assert_true(sessions[i]->number > 0);
        }
        for (int i = 0; i < 500; i++)
            hr_object_pool_put(pool, sessions[i]);
    }
    assert_int_equal(constructed, 500);
    assert_int_equal(resets, 1500);
    assert_int_equal(destroyed, 0);
    hr_object_pool_trim(pool);
    assert_int_equal(destroyed, 500);
    sessions[0] = hr_object_pool_get(pool);
    assert_int_equal(constructed, 501);
    assert_int_equal(hr_object_pool_free(pool), -EBUSY);
    hr_object_pool_put(pool, sessions[0]);
    assert_int_equal(hr_object_pool_free(pool), 0);
    assert_int_equal(destroyed, 501);
}

static void what_cannot_be_constructed_is_refused_and_not_kept(void **state)
{
    (void)state;
    hr_object_pool *pool = new_sessions();
    hr_pool_figures figures;
    fail_at = 1;
    assert_null(hr_object_pool_get(pool));
    assert_int_equal(errno, EIO);
    assert_int_equal(hr_object_pool_read(pool, &figures), 0);
    assert_int_equal(figures.in_use + figures.idle, 0);
    assert_int_equal(figures.refused, 1);
    fail_at = 0;
    struct session *session = hr_object_pool_get(pool);
    assert_int_equal(session->number, 1);
    hr_object_pool_put(pool, session);
    assert_int_equal(hr_object_pool_free(pool), 0);
}

static void alignment_is_kept(void **state)
{
    (void)state;
    static const size_t aligns[] = {1, 16, 64, 256, 4096};
    for (int k = 0; k < 5; k++) {
        hr_object_pool *pool;
        void *objects[50];
        hr_object_pool_options options = {.size = 24, .align = aligns[k]};
        assert_int_equal(hr_object_pool_new(guard, &options, &pool), 0);
        for (int i = 0; i < 50; i++) {
            objects[i] = hr_object_pool_get(pool);
            assert_int_equal((uintptr_t)objects[i] % (aligns[k] > 16 ? aligns[k] : 16), 0);
            memset(objects[i], 1, 24);
        }
        for (int i = 0; i < 50; i++)
            hr_object_pool_put(pool, objects[i]);
        assert_int_equal(hr_object_pool_free(pool), 0);
    }
    hr_object_pool *pool;
    assert_int_equal(hr_object_pool_new(guard, &(hr_object_pool_options){.size = 8, .align = 24}, &pool), -EINVAL);
    assert_int_equal(hr_object_pool_new(guard, &(hr_object_pool_options){.size = 0}, &pool), -EINVAL);
}

static void use_the_library(void *object, void *context)
{
    static char text[65536];
    hr_byte_pool *pool;
    (void)object, (void)context;
    if (destroyed++ > 0)
        return;
    assert_true(hr_report_format(guard, HR_JSON, text, sizeof text) > 0);
    assert_int_equal(hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = 64}, &pool), 0);
    hr_byte_pool_put(pool, hr_byte_pool_get(pool, 64));
    assert_int_equal(hr_byte_pool_free(pool), 0);
}

static void take_and_put_another(void *object, void *context)
{
    hr_object_pool **pool = context;
    (void)object;
    if (++destroyed < 10000)
        hr_object_pool_put(*pool, hr_object_pool_get(*pool));
}

/* Prevents a trim without an end: what destroy() puts was idle again, and was destroyed in the same call. */
static void destroy_may_use_its_own_pool(void **state)
{
    (void)state;
    hr_object_pool *pool;
    destroyed = 0;
    hr_object_pool_options options = {.size = 64, .destroy = take_and_put_another, .context = &pool};
    assert_int_equal(hr_object_pool_new(guard, &options, &pool), 0);
    hr_object_pool_put(pool, hr_object_pool_get(pool));
    hr_object_pool_trim(pool);
    assert_in_range(destroyed, 1, 10);
    destroyed = 10000;
    assert_int_equal(hr_object_pool_free(pool), 0);
}

/* Before, a level that rose had the list of pools locked while they trimmed: destroy() could wait for itself. */
static void destroy_may_use_the_library_when_a_level_rises(void **state)
{
    (void)state;
    hr_object_pool *pool;
    void *objects[600];
    destroyed = 0;
    hr_object_pool_options options = {.size = 65536, .destroy = use_the_library};
    assert_int_equal(hr_object_pool_new(guard, &options, &pool), 0);
    for (int i = 0; i < 600; i++)
        assert_non_null(objects[i] = hr_object_pool_get(pool));
    for (int i = 0; i < 600; i++)
        hr_object_pool_put(pool, objects[i]);
    alarm(20);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 17 * MIB), 0); /* 55 of 64: warning */
    assert_true(hr_guard_check(guard) <= HR_WARNING);
    alarm(0);
    assert_in_range(destroyed, 250, 600);
    hr_budget_uncharge(hr_guard_root(guard), 17 * MIB);
    assert_int_equal(hr_object_pool_free(pool), 0);
}

/* ── slices ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The source never pools an array again that has grown: 1,000 fresh allocations in 1,000 gets. */
static void source_5_a_slice_that_grew_is_pooled_again(void **state)
{
    (void)state;
    hr_slice_pool *pool;
    hr_slice slice;
    hr_pool_figures first, last;
    hr_slice_pool_options options = {.item_size = sizeof(int), .capacity = 8, .pooled_max = 4096};
    assert_int_equal(hr_slice_pool_new(guard, &options, &pool), 0);
    for (int round = 0; round < 1000; round++) {
        assert_int_equal(hr_slice_pool_get(pool, &slice), 0);
        assert_int_equal(slice.length, 0);
        assert_int_equal(slice.capacity, 8);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(hr_slice_push(&slice, &i), 0);
        for (int i = 0; i < 1000; i++)
            assert_int_equal(((int *)slice.data)[i], i);
        hr_slice_pool_put(pool, &slice);
        assert_null(slice.data);
        hr_slice_pool_put(pool, &slice); /* twice is harmless */
        if (round == 0)
            hr_slice_pool_read(pool, &first);
    }
    hr_slice_pool_read(pool, &last);
    assert_int_equal(last.misses, first.misses);
    assert_int_equal(last.in_use, 0);
    assert_int_equal(hr_slice_pool_free(pool), 0);
}

static void growth_is_charged_before_it_is_made(void **state)
{
    (void)state;
    hr_slice_pool *pool;
    hr_slice slice;
    hr_budget *budget;
    hr_budget_figures figures;
    char item[1000];
    memset(item, 'x', sizeof item);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "small", 100000, &budget), 0);
    hr_slice_pool_options options = {.item_size = sizeof item, .budget = budget};
    assert_int_equal(hr_slice_pool_new(guard, &options, &pool), 0);
    assert_int_equal(hr_slice_pool_get(pool, &slice), 0);
    int error = 0;
    while ((error = hr_slice_push(&slice, item)) == 0) {
        hr_budget_read(budget, &figures);
        assert_true(figures.used_bytes <= 100000);
    }
    assert_int_equal(error, -EDQUOT);
    size_t length = slice.length;
    assert_true(length >= 32);
    assert_memory_equal((char *)slice.data + (length - 1) * sizeof item, item, sizeof item); /* as it was */
    hr_slice_pool_put(pool, &slice);
    assert_int_equal(hr_slice_pool_free(pool), 0);
    assert_int_equal(hr_budget_free(budget), 0);
}

static void slices_beyond_the_pools_sizes_still_grow(void **state)
{
    (void)state;
    hr_slice_pool *pool;
    hr_slice slice;
    hr_pool_figures figures;
    hr_slice_pool_options options = {.item_size = 1, .capacity = 16, .pooled_max = 64};
    assert_int_equal(hr_slice_pool_new(guard, &options, &pool), 0);
    assert_int_equal(hr_slice_pool_get(pool, &slice), 0);
    assert_int_equal(hr_slice_reserve(&slice, 100000), 0);
    assert_int_equal(slice.capacity, 100000);
    assert_int_equal(hr_slice_reserve(&slice, SIZE_MAX), -ENOMEM);
    hr_slice_pool_read(pool, &figures);
    assert_int_equal(figures.unpooled, 1);
    hr_slice_pool_put(pool, &slice);
    assert_int_equal(hr_slice_push(&slice, "x"), -EINVAL); /* of no pool any more */
    options.item_size = SIZE_MAX / 4;
    hr_slice_pool *other = NULL;
    assert_int_equal(hr_slice_pool_new(guard, &options, &other), -EINVAL);
    assert_null(other);
    assert_int_equal(hr_slice_pool_free(pool), 0);
}

/* The source hands an array on with the last user's items in it: reslicing shows them. */
static void source_5_reslicing_does_not_show_the_last_users_items(void **state)
{
    (void)state;
    hr_slice_pool *pool;
    hr_slice slice;
    hr_slice_pool_options options = {.item_size = 1, .capacity = 64, .pooled_max = 1024, .wipe = true};
    assert_int_equal(hr_slice_pool_new(guard, &options, &pool), 0);
    for (size_t capacity = 64; capacity <= 4096; capacity *= 2) { /* pooled, grown, and beyond the pool */
        for (int user = 0; user < 3; user++) {
            size_t seen = 0;
            assert_int_equal(hr_slice_pool_get(pool, &slice), 0);
            assert_int_equal(hr_slice_reserve(&slice, capacity), 0);
            for (size_t i = 0; i < capacity; i++)
                seen += ((char *)slice.data)[i] == 's';
            assert_int_equal(seen, 0);
            for (size_t i = 0; i < capacity; i++)
                assert_int_equal(hr_slice_push(&slice, "s"), 0);
            hr_slice_pool_put(pool, &slice);
        }
    }
    assert_int_equal(hr_slice_pool_free(pool), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(source_4_state_does_not_leak_to_the_next_user),
        TEST(objects_are_constructed_once_and_destroyed_once),
        TEST(what_cannot_be_constructed_is_refused_and_not_kept),
        TEST(alignment_is_kept),
        TEST(destroy_may_use_its_own_pool),
        TEST(destroy_may_use_the_library_when_a_level_rises),
        TEST(source_5_a_slice_that_grew_is_pooled_again),
        TEST(growth_is_charged_before_it_is_made),
        TEST(slices_beyond_the_pools_sizes_still_grow),
        TEST(source_5_reslicing_does_not_show_the_last_users_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
