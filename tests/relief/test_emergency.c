/* SPDX-License-Identifier: Apache-2.0 */
/* The emergency of strategy 11 end to end, in a world whose cgroup and clock the test sets. */
#include "support/cmocka.h"
#include "support/world.h"

#include "guard/environment.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static hrt_world world;
static hr_guard *guard;
static hr_budget *root;
static char story[512]; /* the changes of level, in order */

static void note_level(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context;
    assert_int_equal(strlen(figures->use_source) > 0, 1);
    snprintf(story + strlen(story), sizeof story - strlen(story), "%c%c ", hr_level_text(from)[0],
             hr_level_text(to)[0]);
}

static void make_guard(hr_guard_options options)
{
    hri_environment environment = {world.root, &world.clock};
    options.interval_ns = -1;
    options.on_level = note_level;
    assert_int_equal(hri_guard_new_in(&environment, &options, &guard), 0);
    root = hr_guard_root(guard);
}

static int set_up(void **state)
{
    (void)state;
    story[0] = '\0';
    hrt_world_new(&world);
    hrt_world_set_process(&world, 1 * MIB, 20480 * MIB);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hr_guard_free(guard);
    guard = NULL;
    hrt_world_free(&world);
    return 0;
}

static hr_figures read_figures(void)
{
    hr_figures figures;
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    return figures;
}

/* A cache that is charged: gives what is wanted. */
static uint64_t cache_bytes, last_want;

static uint64_t evict(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)deadline_ns;
    last_want = want_bytes;
    uint64_t bytes = want_bytes < cache_bytes ? want_bytes : cache_bytes;
    cache_bytes -= bytes;
    hr_budget_uncharge(root, bytes);
    return bytes;
}

static hr_reclaimer cache = {.name = "cache", .reclaim = evict};

static void over_degrade_at_relief_aims_under_recover_below(void **state)
{
    (void)state;
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_reclaimer_add(guard, &cache), 0);
    cache_bytes = 50 * MIB;
    assert_int_equal(hr_budget_charge(root, 50 * MIB), 0);
    assert_int_equal(hr_budget_charge(root, 41 * MIB), 0); /* crosses: the caller's path runs relief */
    assert_true(read_figures().live_bytes < 80 * MIB);
    assert_true(last_want > 11 * MIB && last_want < 12 * MIB);
    assert_int_equal(read_figures().reliefs, 1);
    assert_int_equal(hr_guard_level(guard), HR_DEGRADED); /* until the dwell is over */
    assert_string_equal(story, "nd ");
    assert_int_equal(hr_guard_check(guard), HR_WARNING); /* a check falls straight */
    hr_reclaimer_remove(guard, &cache);
    hr_budget_uncharge(root, read_figures().live_bytes);
}

static void relief_that_stops_between_the_thresholds_leaves_it_degraded(void **state)
{
    (void)state;
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_reclaimer_add(guard, &cache), 0);
    cache_bytes = 5 * MIB;
    assert_int_equal(hr_budget_charge(root, 91 * MIB), 0);
    assert_int_equal(hr_guard_level(guard), HR_DEGRADED); /* 86 %: over recover_below, not over degrade_at */
    hr_ticket ticket;
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 2000}, &ticket), HR_REFUSED_TOO_LARGE);
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 1000}, &ticket), HR_ADMITTED);
    hr_ticket_release(&ticket);
    hr_reclaimer_remove(guard, &cache);
    hr_budget_uncharge(root, read_figures().live_bytes);
}

static void the_sources_literal_rule_refuses_until_recovered(void **state)
{
    (void)state;
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB, .refuse_until_recovered = true});
    assert_int_equal(hr_reclaimer_add(guard, &cache), 0);
    cache_bytes = 5 * MIB;
    assert_int_equal(hr_budget_charge(root, 91 * MIB), 0);
    assert_int_equal(hr_guard_level(guard), HR_CRITICAL);
    hr_reclaimer_remove(guard, &cache);
    hr_budget_uncharge(root, read_figures().live_bytes);
}

/* Regression: one charge to 91 % where nothing can be relieved was critical within 10 ms, and refused everything. */
static void relief_that_gives_nothing_leaves_it_degraded(void **state)
{
    (void)state;
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_budget_charge(root, 91 * MIB), 0);
    for (int second = 0; second < 20; second++, world.now_ns += HRI_SECOND)
        assert_int_equal(hr_guard_check(guard), HR_DEGRADED);
    assert_string_equal(story, "nd ");
    assert_int_equal(hr_budget_charge(root, 5 * MIB), 0);
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    hr_budget_uncharge(root, 2 * MIB);
    assert_int_equal(hr_guard_check(guard), HR_DEGRADED);
    hr_budget_uncharge(root, 94 * MIB);
    assert_int_equal(hr_guard_level(guard), HR_WARNING); /* at once, since nobody relieves */
}

/* Regression: the source divides live heap by what the runtime holds: 91.6 % and an emergency with 20 GB free. */
static void source_11_a_full_heap_on_an_empty_machine_is_no_emergency(void **state)
{
    (void)state;
    hrt_world_set_process(&world, 92 * MIB, 20480 * MIB);
    make_guard((hr_guard_options){0});
    assert_int_equal(hr_budget_charge(root, 91 * MIB), 0);
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    hr_budget_uncharge(root, 91 * MIB);
}

/* Regression: page cache must not latch the gate (lessons 1). */
static void page_cache_is_no_emergency(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 20 * MIB, 79 * MIB);
    make_guard((hr_guard_options){0});
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    assert_int_equal(read_figures().cgroup_bytes, 20 * MIB);
    assert_int_equal(read_figures().cgroup_cache_bytes, 79 * MIB);
    assert_string_equal(read_figures().limit_source, "cgroup v2 /app memory.max");
    assert_int_equal(read_figures().limit_bytes, 100 * MIB);
}

/* Regression: the source never reads the kernel's limit. */
static void source_2_what_others_take_narrows_the_root(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 41 * MIB, 0); /* and a margin of 1 MiB and 128 KiB */
    make_guard((hr_guard_options){0});
    assert_int_equal(hr_budget_charge(root, 57 * MIB), 0);
    assert_int_equal(hr_budget_charge(root, 2 * MIB + 1), -EDQUOT);
    hrt_world_set_group(&world, 100 * MIB, 31 * MIB, 0); /* a neighbour left: seen before the next refusal */
    assert_int_equal(hr_budget_charge(root, 2 * MIB + 1), 0);
    hr_budget_uncharge(root, 59 * MIB + 1);
}

static void a_resized_limit_is_seen_at_the_next_look(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 50 * MIB, 0);
    make_guard((hr_guard_options){0});
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    hrt_world_set_group(&world, 51 * MIB, 50 * MIB, 0);
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    assert_int_equal(read_figures().limit_bytes, 51 * MIB);
    hrt_world_set_group(&world, 200 * MIB, 50 * MIB, 0);
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
}

/* Bytes that were freed and are still resident must not be asked for again, or relief empties every cache. */
static void freed_bytes_that_the_allocator_keeps_are_not_asked_for_twice(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 5 * MIB, 0);
    make_guard((hr_guard_options){.purge_interval_ns = 3600 * HRI_SECOND});
    hr_cleanup(guard); /* the one purge of this hour */
    assert_int_equal(hr_budget_charge(root, 80 * MIB), 0);
    cache_bytes = 80 * MIB;
    assert_int_equal(hr_reclaimer_add(guard, &cache), 0);
    hrt_world_set_process(&world, 88 * MIB, 20480 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 92 * MIB, 0);
    hr_guard_check(guard);
    uint64_t after_first = cache_bytes;
    assert_true(after_first < 70 * MIB && after_first > 60 * MIB); /* 92 → under 80: 12 and a bit */
    hr_guard_check(guard);
    hr_guard_check(guard);
    assert_int_equal(cache_bytes, after_first);
    hr_reclaimer_remove(guard, &cache);
    hr_budget_uncharge(root, read_figures().live_bytes);
}

/* Prevents relief from waiting for a purge that never comes. */
static void without_purges_they_are_asked_for_again(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 5 * MIB, 0);
    make_guard((hr_guard_options){.purge_interval_ns = -1});
    assert_int_equal(hr_budget_charge(root, 80 * MIB), 0);
    cache_bytes = 80 * MIB;
    assert_int_equal(hr_reclaimer_add(guard, &cache), 0);
    hrt_world_set_process(&world, 88 * MIB, 20480 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 92 * MIB, 0);
    hr_guard_check(guard);
    uint64_t after_first = cache_bytes;
    hr_guard_check(guard);
    assert_true(cache_bytes < after_first);
    hr_reclaimer_remove(guard, &cache);
    hr_budget_uncharge(root, read_figures().live_bytes);
}

/* Regression: purges that returned nothing of what nobody charged kept the one away that would have ended the level. */
static void a_level_that_waits_for_a_purge_alone_does_not_wait_for_long(void **state)
{
    (void)state;
    hrt_world_set_process(&world, 60 * MIB, 20480 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 85 * MIB, 0);
    make_guard((hr_guard_options){0});
    assert_int_equal(hr_budget_charge(root, 6 * MIB), 0);
    hrt_world_set_process(&world, 66 * MIB, 20480 * MIB);
    for (int i = 0; i < 10; i++) {
        hr_cleanup(guard); /* its purge returns nothing of 60 MiB */
        world.now_ns += 64 * HRI_SECOND;
    }
    hr_cleanup(guard);
    world.now_ns += 2 * HRI_SECOND;
    cache_bytes = 4 * MIB;
    assert_int_equal(hr_reclaimer_add(guard, &cache), 0);
    uint64_t purges = read_figures().purges;
    hrt_world_set_group(&world, 100 * MIB, 92 * MIB, 0);
    assert_true(hr_guard_check(guard) >= HR_DEGRADED);
    assert_int_equal(cache_bytes, 0);
    assert_int_equal(read_figures().purges, purges); /* of 12 MiB too many a purge would return 4 at most */
    hrt_world_set_group(&world, 100 * MIB, 80 * MIB + MIB / 2, 0); /* a neighbour left; what the cache gave would do */
    assert_true(hr_guard_check(guard) >= HR_WARNING);
    assert_int_equal(read_figures().purges, purges + 1);
    hr_reclaimer_remove(guard, &cache);
    hr_budget_uncharge(root, read_figures().live_bytes);
}

/* Regression: a large block that was freed, and had gone back to the kernel, passed for what the allocator retains. The
 * heap's own records are there, a few pages of the process that are no others'. */
static void a_large_block_that_is_freed_is_not_retained(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: the sanitizer is the allocator\n");
    skip();
#endif
    hrt_world_set_group(&world, 100 * MIB, 50 * MIB, 0);
    hrt_world_set_process(&world, 50 * MIB, 20480 * MIB);
    make_guard((hr_guard_options){0});
    void *block = hr_alloc(root, 20 * MIB);
    assert_non_null(block);
    block = hr_realloc(root, block, 40 * MIB);
    assert_non_null(block);
    hr_guard_check(guard);
    hr_free(block);
    hr_guard_check(guard);
    assert_in_range(read_figures().others_bytes, 50 * MIB - MIB, 50 * MIB);
}

static void the_reserve_is_dropped_at_critical_and_taken_back(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 50 * MIB, 0);
    make_guard((hr_guard_options){.reserve_bytes = 4 * MIB});
    assert_int_equal(read_figures().reserve_bytes, 4 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 96 * MIB, 0);
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    assert_int_equal(read_figures().reserve_bytes, 0);
    hrt_world_set_group(&world, 100 * MIB, 77 * MIB, 0); /* 81 with the reserve, which is still use */
    assert_int_equal(hr_guard_check(guard), HR_DEGRADED);
    assert_int_equal(read_figures().reserve_bytes, 0);
    hrt_world_set_group(&world, 100 * MIB, 75 * MIB, 0);
    assert_int_equal(hr_guard_check(guard), HR_WARNING);
    assert_int_equal(read_figures().reserve_bytes, 4 * MIB);
}

static void without_a_thread_uncharges_bring_the_level_down(void **state)
{
    (void)state;
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_budget_charge(root, 85 * MIB), 0);
    assert_int_equal(hr_guard_level(guard), HR_WARNING);
    hr_budget_uncharge(root, 84 * MIB);
    assert_int_equal(hr_guard_level(guard), HR_WARNING); /* the dwell has begun */
    world.now_ns += HRI_SECOND;
    hr_budget_uncharge(root, 1 * MIB);
    assert_int_equal(hr_guard_level(guard), HR_NORMAL);
    assert_string_equal(story, "nw wn ");
}

static void try_charge_leaves_the_callback_to_the_next_who_may_run_it(void **state)
{
    (void)state;
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_budget_try_charge(root, 85 * MIB), 0);
    assert_int_equal(hr_guard_level(guard), HR_WARNING); /* decided at once */
    assert_string_equal(story, "");
    hr_guard_check(guard);
    assert_string_equal(story, "nw ");
    hr_budget_uncharge(root, 85 * MIB);
}

static void a_refusal_near_the_limit_is_critical_and_one_far_from_it_is_not(void **state)
{
    (void)state;
    make_guard((hr_guard_options){.limit_bytes = 100 * MIB});
    assert_int_equal(hr_budget_charge(root, 30 * MIB), 0);
    assert_int_equal(hr_budget_charge(root, 71 * MIB), -EDQUOT);
    assert_int_equal(hr_guard_level(guard), HR_NORMAL);
    assert_int_equal(hr_budget_charge(root, 55 * MIB), 0);
    assert_int_equal(hr_budget_charge(root, 16 * MIB), -EDQUOT);
    assert_int_equal(hr_guard_level(guard), HR_CRITICAL);
    hr_budget_uncharge(root, 85 * MIB);
}

static int cleaned;

static uint64_t give_idle(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)deadline_ns;
    cleaned += want_bytes == 0;
    hrt_world_set_process(&world, 900 * 1024, 20480 * MIB);
    return want_bytes == 0 ? 1000 : 0;
}

static void the_janitor_asks_for_what_is_idle_and_says_what_it_got(void **state)
{
    (void)state;
    make_guard((hr_guard_options){0});
    hr_reclaimer idle = {.name = "idle", .reclaim = give_idle};
    assert_int_equal(hr_reclaimer_add(guard, &idle), 0);
    assert_true(hr_cleanup(guard) >= 1000);
    assert_int_equal(cleaned, 1);
    assert_int_equal(read_figures().cleanups, 1);
    assert_true(read_figures().cleaned_bytes >= 1000);
    assert_int_equal(read_figures().cleanup_before_bytes, 1 * MIB);
    assert_int_equal(read_figures().cleanup_after_bytes, 900 * 1024);
    hr_reclaimer_remove(guard, &idle);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(over_degrade_at_relief_aims_under_recover_below),
        TEST(relief_that_stops_between_the_thresholds_leaves_it_degraded),
        TEST(the_sources_literal_rule_refuses_until_recovered),
        TEST(relief_that_gives_nothing_leaves_it_degraded),
        TEST(source_11_a_full_heap_on_an_empty_machine_is_no_emergency),
        TEST(page_cache_is_no_emergency),
        TEST(source_2_what_others_take_narrows_the_root),
        TEST(a_resized_limit_is_seen_at_the_next_look),
        TEST(freed_bytes_that_the_allocator_keeps_are_not_asked_for_twice),
        TEST(without_purges_they_are_asked_for_again),
        TEST(a_level_that_waits_for_a_purge_alone_does_not_wait_for_long),
        TEST(a_large_block_that_is_freed_is_not_retained),
        TEST(the_reserve_is_dropped_at_critical_and_taken_back),
        TEST(without_a_thread_uncharges_bring_the_level_down),
        TEST(try_charge_leaves_the_callback_to_the_next_who_may_run_it),
        TEST(a_refusal_near_the_limit_is_critical_and_one_far_from_it_is_not),
        TEST(the_janitor_asks_for_what_is_idle_and_says_what_it_got),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
