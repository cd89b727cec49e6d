/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "guard/environment.h"
#include "relief/shedding.h"

#include <headroom/headroom.h>
#include <math.h>
#include <stdlib.h>

/* ── ranks ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void equals_are_spread_evenly(void **state)
{
    (void)state;
    for (int keyed = 0; keyed < 2; keyed++) {
        hri_shedding shedding = {0};
        int below[10] = {0};
        for (uint64_t i = 1; i <= 10000; i++)
            below[(int)(hri_shedding_rank(&shedding, 0, 7, keyed ? i : 0) * 10)]++;
        for (int i = 0; i < 10; i++)
            assert_in_range(below[i], 900, 1100);
    }
}

static void the_lowest_priorities_come_first(void **state)
{
    (void)state;
    hri_shedding shedding = {0};
    double least[256], most[256] = {0};
    for (int i = 0; i < 256; i++)
        least[i] = 1;
    srand(2);
    for (int i = 0; i < 20000; i++) {
        uint8_t priority = (uint8_t)(rand() % 4 * 80);
        double rank = hri_shedding_rank(&shedding, 0, priority, (uint64_t)rand() + 1);
        assert_true(rank >= 0 && rank < 1);
        if (i < 10000)
            continue; /* by now the mix is known */
        least[priority] = rank < least[priority] ? rank : least[priority];
        most[priority] = rank > most[priority] ? rank : most[priority];
    }
    for (int i = 0; i < 4; i++) { /* each has its quarter */
        assert_true(fabs(least[i * 80] - i * 0.25) < 0.02);
        assert_true(fabs(most[i * 80] - (i + 1) * 0.25) < 0.02);
    }
}

/* Prevents an outage for the clients that are left when those of a higher priority go. Their requests were the lowest
 * of a mix that faded by the number of requests and not by time. */
static void after_two_periods_an_old_mix_has_no_part(void **state)
{
    (void)state;
    hri_shedding shedding = {0};
    for (int i = 0; i < 100000; i++)
        hri_shedding_rank(&shedding, i % 100, 200, 0);
    int64_t now_ns = 2 * HRI_SHEDDING_PERIOD_NS + 100;
    int below[10] = {0};
    for (int i = 0; i < 1000; i++) /* few requests, and all of them lower */
        below[(int)(hri_shedding_rank(&shedding, now_ns + i * HRI_MILLISECOND, 100, 0) * 10)]++;
    for (int i = 0; i < 10; i++)
        assert_in_range(below[i], 80, 120);
}

/* A period that follows at once still knows the mix of the one before. */
static void a_new_period_keeps_the_order(void **state)
{
    (void)state;
    hri_shedding shedding = {0};
    for (int i = 0; i < 1000; i++)
        hri_shedding_rank(&shedding, 0, i % 2 ? 200 : 50, 0);
    assert_true(hri_shedding_rank(&shedding, HRI_SHEDDING_PERIOD_NS, 200, 1) >= 0.499);
    assert_true(hri_shedding_rank(&shedding, HRI_SHEDDING_PERIOD_NS, 50, 1) < 0.501);
}

/* ── verdicts ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static hrt_world world;
static hr_guard *guard;

/* A guard of 100 MiB that is full up to just where degraded begins, for which no request is large. */
static int set_up(void **state)
{
    (void)state;
    hrt_world_new(&world);
    hrt_world_set_process(&world, 1 * MIB, 8192 * MIB);
    hri_environment environment = {world.root, &world.clock};
    hr_guard_options options = {
        .limit_bytes = 100 * MIB, .interval_ns = -1, .degraded_request_bytes = HR_NONE, .dwell_ns = -1};
    int error = hri_guard_new_in(&environment, &options, &guard);
    return error ? error : hr_budget_charge(hr_guard_root(guard), 90 * MIB);
}

static int tear_down(void **state)
{
    (void)state;
    hr_budget_uncharge(hr_guard_root(guard), 90 * MIB);
    hr_guard_free(guard);
    hrt_world_free(&world);
    return 0;
}

/* Is a request refused that would lead `share` of the way from degraded to critical? Leaves everything as it was. */
static bool shed(double share, uint8_t priority, uint64_t key)
{
    hr_ticket ticket;
    hr_request request = {.bytes = (uint64_t)(share * 5 * (double)MIB), .priority = priority, .key = key};
    hr_verdict verdict = hr_admit(guard, &request, &ticket);
    assert_true(verdict == HR_ADMITTED || verdict == HR_REFUSED_OVERLOADED);
    hr_ticket_release(&ticket);
    hr_budget_uncharge(hr_guard_root(guard), 90 * MIB); /* whatever level a grant led to has passed */
    hr_guard_check(guard);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 90 * MIB), 0);
    assert_int_equal(hr_guard_level(guard), HR_WARNING);
    return verdict != HR_ADMITTED;
}

static void the_share_rises_linearly(void **state)
{
    (void)state;
    for (int tenth = 1; tenth < 10; tenth++) {
        int refused = 0;
        for (uint64_t key = 1; key <= 500; key++)
            refused += shed(tenth / 10.0, 100, key);
        assert_in_range(refused, tenth * 50 - 30, tenth * 50 + 30);
    }
    int refused = 0; /* nor does it need keys */
    for (int i = 0; i < 500; i++)
        refused += shed(0.3, 100, 0);
    assert_in_range(refused, 145, 155);
}

static void the_same_key_gets_the_same_answer(void **state)
{
    (void)state;
    bool first[300];
    for (uint64_t key = 1; key <= 300; key++)
        first[key - 1] = shed(0.5, 10, key);
    for (int round = 0; round < 3; round++)
        for (uint64_t key = 1; key <= 300; key++)
            assert_int_equal(shed(0.5, 10, key), first[key - 1]);
    for (uint64_t key = 1; key <= 300; key++) /* who is shed early is shed later too */
        assert_true(!first[key - 1] || shed(0.7, 10, key));
}

static void low_priorities_are_shed_before_high_ones(void **state)
{
    (void)state;
    int refused[2] = {0};
    for (uint64_t key = 1; key <= 1000; key++) {
        uint8_t priority = key % 2 ? 200 : 50;
        refused[priority == 200] += shed(0.5, priority, key);
    }
    assert_true(refused[0] > 480); /* the lower half, whole */
    assert_true(refused[1] < 20);
}

static void health_checks_pass_at_every_level(void **state)
{
    (void)state;
    hr_ticket ticket;
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 8 * MIB), 0);
    assert_int_equal(hr_guard_level(guard), HR_CRITICAL);
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 512, .priority = 255}, &ticket), HR_REFUSED_OVERLOADED);
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 512, .health = true}, &ticket), HR_ADMITTED);
    hr_ticket_release(&ticket);
    assert_int_equal(hr_admit(guard, &(hr_request){0}, &ticket), HR_ADMITTED); /* what needs nothing */
    hr_ticket_release(&ticket);
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 3 * MIB, .health = true}, &ticket), HR_REFUSED_NO_BUDGET);
    hr_budget_uncharge(hr_guard_root(guard), 8 * MIB);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_are_spread_evenly),
        cmocka_unit_test(the_lowest_priorities_come_first),
        cmocka_unit_test(after_two_periods_an_old_mix_has_no_part),
        cmocka_unit_test(a_new_period_keeps_the_order),
        TEST(the_share_rises_linearly),
        TEST(the_same_key_gets_the_same_answer),
        TEST(low_priorities_are_shed_before_high_ones),
        TEST(health_checks_pass_at_every_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
