/* SPDX-License-Identifier: Apache-2.0 */
/* A cache when memory is short: where it stops growing, what goes first, and how it grows again. */
#include "cache/opened.h"
#include "support/cmocka.h"

#include "base/clock.h"

#include <headroom/relief.h>

#include <errno.h>
#include <string.h>

static void does_not_grow_half_way_to_degraded(void **state)
{
    (void)state;
    open_with(10 * MIB, HR_NONE, &(hr_cache_options){.shards = 2});
    for (unsigned i = 0; i < 4000; i++)
        assert_int_equal(put_sized(i, 1000), 0);
    uint64_t other = 85 * MIB / 10 - used_bytes();
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), other), 0);
    assert_int_equal(hr_guard_level(guard), HR_WARNING);
    uint64_t before = figures_now().bytes;
    for (unsigned i = 4000; i < 8000; i++) {
        assert_int_equal(put_sized(i, 500 + i % 1000), 0);
        if (i % 64 == 0)
            assert_true(figures_now().bytes <= before);
    }
    /* An update pays with what it replaces: a cache must not be emptied by updates. */
    before = figures_now().bytes;
    for (unsigned round = 0; round < 1000; round++)
        assert_int_equal(put_sized(7999, 900), 0);
    assert_true(figures_now().bytes > before * 9 / 10);
    assert_true(figures_now().evicted_level > 3000);
    assert_int_equal(hr_guard_level(guard), HR_WARNING);
    hr_budget_uncharge(hr_guard_root(guard), other);
    close_all();
}

/* A cache that stood where warning began left a quarter of the limit unused: what the process had promised, and what
 * it had besides, was never used again. */
static void a_full_one_stands_half_way_to_degraded(void **state)
{
    (void)state;
    open_with(10 * MIB, HR_NONE, NULL);
    hr_ticket ticket;
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 2 * MIB, .budget = hr_guard_root(guard)}, &ticket),
                     HR_ADMITTED);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 62 * MIB / 10), 0);
    assert_int_equal(hr_guard_check(guard), HR_WARNING);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 4000; i++)
            assert_int_equal(put_sized(i, 500 + i % 1000), 0);
        assert_in_range(used_bytes(), (round ? 22 : 2) * MIB / 10, (round ? 23 : 3) * MIB / 10);
        assert_int_equal(hr_guard_check(guard), HR_WARNING);
        hr_ticket_release(&ticket);
    }
    assert_int_equal(figures_now().evicted_relief, 0);
    hr_budget_uncharge(hr_guard_root(guard), 62 * MIB / 10);
    close_all();
}

static void an_empty_one_stays_empty_half_way_to_degraded(void **state)
{
    (void)state;
    open_with(10 * MIB, HR_NONE, NULL);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 85 * MIB / 10), 0);
    assert_int_equal(put_sized(1, 100), -EDQUOT);
    hr_refusal refusal;
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_string_equal(refusal.limit_name, "level warning");
    assert_true(refusal.asked_bytes > 100 && refusal.left_bytes == 0);
    assert_int_equal(refusal.limit_bytes, 10 * MIB); /* the guard's: no bound of the cache refused */
    char text[HR_EXPLANATION_BYTES];
    hr_report_explain(guard, &refusal, text, sizeof text);
    assert_non_null(strstr(text, "more than level warning takes"));
    hr_budget_uncharge(hr_guard_root(guard), 85 * MIB / 10);
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    assert_int_equal(put_sized(1, 100), 0);
    close_all();
}

static void yields_to_others(void **state)
{
    (void)state;
    open_with(10 * MIB, HR_NONE, NULL);
    for (unsigned i = 0; i < 1500; i++) /* no more than can be evicted in a charge's time under ThreadSanitizer */
        assert_int_equal(put_sized(i, 4000), 0);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 8 * MIB), 0);
    assert_true(figures_now().evicted_relief > 750);
    assert_true(used_bytes() <= 2 * MIB);
    hr_budget_uncharge(hr_guard_root(guard), 8 * MIB);
    close_all();
}

/* Prevents: a cache that gave bytes to others took them back at once. */
static void grows_again_in_steps(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.shards = 1});
    for (unsigned i = 0; i < 6000; i++)
        assert_int_equal(put_sized(i, 1000), 0);
    uint64_t before = figures_now().bytes;
    assert_true(hr_relieve(guard, before / 2) >= before / 2);
    uint64_t low = figures_now().bytes;
    int64_t begin_ns = 0, now_ns = 0;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    begin_ns = now.tv_sec * HRI_SECOND + now.tv_nsec;
    for (unsigned i = 10000; i < 13000; i++)
        assert_int_equal(put_sized(i, 1000), 0);
    clock_gettime(CLOCK_MONOTONIC, &now);
    now_ns = now.tv_sec * HRI_SECOND + now.tv_nsec;
    uint64_t steps = (uint64_t)((now_ns - begin_ns) / (100 * HRI_MILLISECOND)) + 2;
    assert_true(figures_now().bytes <= low + steps * (before / 32));
    assert_true(figures_now().growth_bytes != HR_NONE);
    for (unsigned round = 0; round < 60 && figures_now().growth_bytes != HR_NONE; round++) {
        pause_ms(100);
        for (unsigned i = 20000; i < 20300; i++)
            assert_int_equal(put_sized(round * 300 + i, 1000), 0);
    }
    assert_true(figures_now().growth_bytes == HR_NONE);
    assert_true(figures_now().bytes > before * 9 / 10);
    close_all();
}

/* Prevents: the figure rose with puts alone, and was below `bytes` once puts had gone a step ahead. */
static void its_growth_is_of_now(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.shards = 1});
    for (unsigned i = 0; i < 6000; i++)
        assert_int_equal(put_sized(i, 1000), 0);
    uint64_t half = figures_now().bytes / 2;
    assert_true(hr_relieve(guard, half) >= half);
    uint64_t first = figures_now().growth_bytes, later = first;
    assert_true(first != HR_NONE && first > figures_now().bytes);
    for (unsigned i = 10000; i < 11000; i++) /* as many as there is room for */
        assert_int_equal(put_sized(i, 1000), 0);
    assert_true(figures_now().growth_bytes >= figures_now().bytes);
    for (unsigned i = 0; i < 100 && later != HR_NONE; i++) { /* and nothing is put */
        pause_ms(100);
        assert_true(figures_now().growth_bytes >= later);
        later = figures_now().growth_bytes;
    }
    assert_true(later == HR_NONE);
    close_all();
}

/* Prevents: for seconds after pressure had gone an emptied cache refused values larger than a step. */
static void a_large_value_comes_when_pressure_has_gone(void **state)
{
    static char value[2 * MIB];
    (void)state;
    open_with(100 * MIB, HR_NONE, NULL);
    assert_int_equal(hr_cache_put(cache, "key", 3, value, sizeof value, 0), 0);
    assert_true(hr_relieve(guard, sizeof value) >= sizeof value);
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    assert_true(figures_now().growth_bytes < sizeof value);
    assert_int_equal(hr_cache_put(cache, "key", 3, value, sizeof value, 0), 0);
    assert_int_equal(hr_cache_put(cache, "another", 7, value, sizeof value, 0), 0);
    assert_int_equal(figures_now().entries, 1); /* the step makes others go */
    close_all();
}

/* Prevents: a cache that is bounded by its budget learnt of another limit when the janitor ran, or never. */
static void its_bound_is_the_budgets_limit_of_now(void **state)
{
    static char value[2 * MIB];
    hr_budget *payer;
    (void)state;
    open_with(100 * MIB, HR_NONE, NULL);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "small", MIB, &payer), 0);
    hr_cache *follower;
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.budget = payer, .shards = 1}, &follower), 0);
    assert_int_equal(hr_cache_put(follower, "key", 3, value, sizeof value, 0), -E2BIG);
    assert_int_equal(hr_budget_set_limit(payer, 8 * MIB), 0);
    assert_int_equal(hr_cache_put(follower, "key", 3, value, sizeof value, 0), 0);
    assert_int_equal(hr_budget_set_limit(payer, 16 * MIB), 0);
    hr_cache_figures figures;
    assert_int_equal(hr_cache_read(follower, &figures), 0);
    assert_in_range(figures.max_bytes, 15 * MIB, 16 * MIB);
    assert_int_equal(hr_cache_free(follower), 0);
    assert_int_equal(hr_budget_free(payer), 0);
    close_all();
}

static void coldest_go_first(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.shards = 1});
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(put_sized(i, 1000), 0);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 100; i++)
            assert_true(has_sized(i));
    assert_true(hr_cache_trim(cache, figures_now().bytes / 2) > 0);
    for (unsigned i = 0; i < 100; i++)
        assert_true(has_sized(i));
    close_all();
}

/* A scan of what nobody asks for again must not drive out what everybody asks for. */
static void a_scan_does_not_empty_it(void **state)
{
    (void)state;
    open_with(100 * MIB, HR_NONE, &(hr_cache_options){.max_bytes = MIB, .shards = 1});
    for (unsigned round = 0; round < 4; round++)
        for (unsigned i = 0; i < 300; i++)
            if (!has_sized(i))
                assert_int_equal(put_sized(i, 1000), 0);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(put_sized(100000 + i, 1000), 0);
    unsigned kept = 0;
    for (unsigned i = 0; i < 300; i++)
        kept += has_sized(i);
    assert_true(kept > 290);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(does_not_grow_half_way_to_degraded),
        cmocka_unit_test(a_full_one_stands_half_way_to_degraded),
        cmocka_unit_test(an_empty_one_stays_empty_half_way_to_degraded),
        cmocka_unit_test(yields_to_others),
        cmocka_unit_test(grows_again_in_steps),
        cmocka_unit_test(its_growth_is_of_now),
        cmocka_unit_test(a_large_value_comes_when_pressure_has_gone),
        cmocka_unit_test(its_bound_is_the_budgets_limit_of_now),
        cmocka_unit_test(coldest_go_first),
        cmocka_unit_test(a_scan_does_not_empty_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
