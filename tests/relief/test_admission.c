/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "guard_environment.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <string.h>

static hrt_world world;
static hr_guard *guard;
static hr_budget *root;

/* A guard of 100 MiB without a thread, in a world with much memory. */
static int set_up(void **state)
{
    (void)state;
    hrt_world_new(&world);
    hrt_world_set_process(&world, 1 * MIB, 8192 * MIB);
    hri_environment environment = {world.root, &world.clock};
    hr_guard_options options = {.limit_bytes = 100 * MIB, .interval_ns = -1, .dwell_ns = HRI_SECOND};
    int error = hri_guard_new_in(&environment, &options, &guard);
    root = error ? NULL : hr_guard_root(guard);
    return error;
}

static int tear_down(void **state)
{
    (void)state;
    hr_guard_free(guard);
    hrt_world_free(&world);
    return 0;
}

static hr_verdict ask(uint64_t bytes, hr_ticket *ticket)
{
    memset(ticket, 0xAA, sizeof *ticket);
    return hr_admit(guard, &(hr_request){.bytes = bytes}, ticket);
}

static uint64_t promised(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(root, &figures), 0);
    return figures.promised_bytes;
}

static uint64_t used(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(root, &figures), 0);
    return figures.used_bytes;
}

static void a_ticket_holds_what_was_admitted(void **state)
{
    (void)state;
    hr_ticket ticket;
    assert_int_equal(ask(10 * MIB, &ticket), HR_ADMITTED);
    assert_int_equal(promised(), 10 * MIB);
    assert_int_equal(ticket.left_bytes, 10 * MIB);
    assert_int_equal(hr_ticket_spend(&ticket, 4 * MIB), 0);
    assert_int_equal(promised(), 6 * MIB);
    assert_int_equal(hr_ticket_spend(&ticket, 6 * MIB + 1), -EDQUOT); /* nothing is spent then */
    assert_int_equal(promised(), 6 * MIB);
    void *block = hr_ticket_alloc(&ticket, 1 * MIB);
    assert_non_null(block);
    assert_int_equal(used(), 10 * MIB);
    hr_ticket_release(&ticket);
    hr_ticket_release(&ticket); /* twice is harmless */
    assert_int_equal(promised(), 0);
    hr_free(block);
    hr_budget_uncharge(root, 4 * MIB);
    assert_int_equal(used(), 0);
    assert_int_equal(hr_ticket_spend(&ticket, 1), -EINVAL);
    errno = 0;
    assert_null(hr_ticket_alloc(&ticket, 1));
    assert_int_equal(errno, EINVAL);
    hr_ticket empty = {0};
    hr_ticket_release(&empty);
    hr_ticket_release(NULL);
}

/* Regression: the source's AllocateMemory approves and reserves nothing, 10 requests of 60 MB under 100 MB. */
static void source_1_what_is_approved_is_held(void **state)
{
    (void)state;
    hr_ticket tickets[10];
    int admitted = 0;
    for (int i = 0; i < 10; i++)
        admitted += ask(60 * MIB, &tickets[i]) == HR_ADMITTED;
    assert_int_equal(admitted, 1);
    assert_int_equal(tickets[9].asked_bytes, 60 * MIB);
    assert_int_equal(tickets[9].left_bytes, 40 * MIB);
    assert_string_equal(tickets[9].limit_name, "limit_bytes");
    assert_true(tickets[9].retry_after_ns > 0);
    hr_ticket_release(&tickets[0]);
}

static void a_grant_is_judged_by_the_level_it_would_lead_to(void **state)
{
    (void)state;
    hr_ticket ticket, small;
    assert_int_equal(ask(91 * MIB, &ticket), HR_REFUSED_TOO_LARGE);
    assert_int_equal(used(), 0);
    assert_int_equal(hr_guard_level(guard), HR_NORMAL); /* a refused request raises no level */
    assert_int_equal(ticket.left_bytes, 90 * MIB);
    assert_int_equal(ask(101 * MIB, &ticket), HR_REFUSED_NO_BUDGET); /* can never fit */
    assert_int_equal(ask(90 * MIB, &ticket), HR_ADMITTED);
    assert_int_equal(hr_guard_level(guard), HR_WARNING);
    assert_int_equal(ask(1025, &small), HR_REFUSED_TOO_LARGE);
    assert_int_equal(ask(1024, &small), HR_ADMITTED); /* small ones are served when degraded */
    assert_true(hr_guard_level(guard) >= HR_DEGRADED);
    hr_ticket_release(&small);
    hr_ticket_release(&ticket);
}

static void at_critical_everything_new_is_refused(void **state)
{
    (void)state;
    hr_ticket ticket;
    assert_int_equal(hr_budget_charge(root, 96 * MIB), 0);
    assert_int_equal(hr_guard_level(guard), HR_CRITICAL);
    assert_int_equal(ask(1, &ticket), HR_REFUSED_OVERLOADED);
    assert_int_equal(ask(1 * MIB, &ticket), HR_REFUSED_OVERLOADED);
    hr_budget_uncharge(root, 96 * MIB);
    assert_int_equal(ask(1, &ticket), HR_REFUSED_OVERLOADED); /* the dwell */
    world.now_ns += HRI_SECOND;
    assert_int_equal(ask(1, &ticket), HR_ADMITTED); /* admissions bring the level down without a thread */
    assert_int_equal(hr_guard_level(guard), HR_NORMAL);
    hr_ticket_release(&ticket);
}

static void a_child_that_is_full_refuses_by_its_name_and_raises_no_level(void **state)
{
    (void)state;
    hr_budget *uploads;
    hr_ticket ticket;
    assert_int_equal(hr_budget_new(root, "uploads", 1 * MIB, &uploads), 0);
    assert_int_equal(hr_budget_charge(uploads, 900 * 1024), 0);
    hr_request request = {.bytes = 500 * 1024, .budget = uploads};
    assert_int_equal(hr_admit(guard, &request, &ticket), HR_REFUSED_NO_BUDGET);
    assert_string_equal(ticket.limit_name, "uploads");
    assert_int_equal(ticket.left_bytes, 124 * 1024);
    assert_int_equal(hr_guard_level(guard), HR_NORMAL);
    hr_budget_uncharge(uploads, 900 * 1024);
    assert_int_equal(hr_budget_free(uploads), 0);
}

struct cache {
    uint64_t bytes;
    unsigned calls;
};

static uint64_t evict(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)deadline_ns;
    struct cache *cache = context;
    cache->calls++;
    uint64_t bytes = want_bytes < cache->bytes ? want_bytes : cache->bytes;
    cache->bytes -= bytes;
    hr_budget_uncharge(root, bytes);
    return bytes;
}

static void relief_comes_before_a_refusal(void **state)
{
    (void)state;
    struct cache cache = {.bytes = 70 * MIB};
    hr_reclaimer node = {.name = "cache", .reclaim = evict, .context = &cache};
    hr_ticket ticket;
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    assert_int_equal(hr_budget_charge(root, 70 * MIB), 0);
    assert_int_equal(ask(30 * MIB, &ticket), HR_ADMITTED);
    assert_true(cache.calls > 0);
    assert_true(used() <= 80 * MIB); /* relief aims under recover_below at once */
    assert_true(hr_guard_level(guard) <= HR_WARNING);
    hr_ticket_release(&ticket);
    hr_budget_uncharge(root, cache.bytes);
    hr_reclaimer_remove(guard, &node);
}

static void verdicts_have_names(void **state)
{
    (void)state;
    assert_string_equal(hr_verdict_text(HR_ADMITTED), "admitted");
    assert_string_equal(hr_verdict_text(HR_REFUSED_NO_BUDGET), "no budget");
    assert_string_equal(hr_verdict_text((hr_verdict)4), "unknown");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_ticket_holds_what_was_admitted),
        TEST(source_1_what_is_approved_is_held),
        TEST(a_grant_is_judged_by_the_level_it_would_lead_to),
        TEST(at_critical_everything_new_is_refused),
        TEST(a_child_that_is_full_refuses_by_its_name_and_raises_no_level),
        TEST(relief_comes_before_a_refusal),
        TEST(verdicts_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
