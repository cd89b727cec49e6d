/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "guard/environment.h"

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

/* For what charges by itself, such as a pool: not held and given back, which would count as memory that comes back. */
static void a_part_of_a_ticket_makes_room_for_what_charges_itself(void **state)
{
    (void)state;
    hr_ticket ticket;
    hr_budget_figures figures;
    assert_int_equal(ask(10 * MIB, &ticket), HR_ADMITTED);
    hr_ticket_return(&ticket, 4 * MIB);
    assert_int_equal(promised(), 6 * MIB);
    assert_int_equal(ticket.left_bytes, 6 * MIB);
    assert_int_equal(hr_ticket_spend(&ticket, 6 * MIB + 1), -EDQUOT);
    hr_ticket_return(&ticket, 7 * MIB); /* no more than there is */
    assert_int_equal(used(), 0);
    assert_int_equal(hr_budget_read(root, &figures), 0);
    assert_int_equal(figures.total_bytes, 0); /* nothing was ever held */
    hr_ticket_release(&ticket);
    hr_ticket_return(&ticket, 1);
    hr_ticket_return(NULL, 1);
    assert_int_equal(used(), 0);
}

/* Regression: the source's AllocateMemory approves and reserves nothing, 10 requests of 60 MB under 100 MB. */
/* Prevents: a transfer took what was promised to a ticket, and then the ticket's owner was called a faulty one. */
static void a_transfer_moves_nothing_that_is_promised(void **state)
{
    (void)state;
    hr_budget *from, *to, *below;
    hr_ticket ticket, other;
    assert_int_equal(hr_budget_new(root, "from", HR_NONE, &from), 0);
    assert_int_equal(hr_budget_new(from, "below", HR_NONE, &below), 0);
    assert_int_equal(hr_budget_new(root, "to", HR_NONE, &to), 0);
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 100, .budget = from}, &ticket), HR_ADMITTED);
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 70, .budget = below}, &other), HR_ADMITTED);
    assert_int_equal(hr_budget_transfer(from, to, 1), -EINVAL);
    assert_int_equal(hr_budget_charge(from, 30), 0);
    assert_int_equal(hr_budget_transfer(from, to, 31), -EINVAL);
    assert_int_equal(hr_budget_transfer(from, to, 30), 0);
    assert_int_equal(hr_ticket_spend(&ticket, 60), 0);
    assert_int_equal(hr_budget_transfer(from, to, 61), -EINVAL);
    assert_int_equal(hr_budget_transfer(from, to, 60), 0);
    hr_ticket_release(&ticket);
    hr_ticket_release(&other);
    hr_budget_uncharge(to, 90);
    assert_int_equal(used(), 0);
    hr_figures figures;
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.faults, 0);
    assert_int_equal(hr_budget_free(below), 0);
    assert_int_equal(hr_budget_free(from), 0);
    assert_int_equal(hr_budget_free(to), 0);
}

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

/* Regression: a refusal by level read "1 asked, 3145728 left of limit_bytes", and hr_budget_refusal() held an older
 * one. */
static void a_refusal_by_level_names_the_level(void **state)
{
    (void)state;
    hr_ticket ticket;
    hr_refusal refusal;
    hr_figures figures;
    hr_budget_figures accounts;
    char text[256];
    assert_int_equal(ask(HR_NONE, &ticket), HR_REFUSED_NO_BUDGET);
    assert_int_equal(hr_ticket_text(&ticket, text, sizeof text), 0);
    assert_string_equal(text, "refused 16.0 EiB: limit_bytes has 100.0 MiB left of 100.0 MiB; it can never fit");
    assert_int_equal(ask(101 * MIB, &ticket), HR_REFUSED_NO_BUDGET);
    assert_int_equal(hr_ticket_text(&ticket, text, sizeof text), 0);
    assert_string_equal(text, "refused 101.0 MiB: limit_bytes has 100.0 MiB left of 100.0 MiB; it can never fit");
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_true(refusal.level == HR_NORMAL && refusal.asked_bytes == 101 * MIB);
    assert_int_equal(ask(95 * MIB, &ticket), HR_REFUSED_TOO_LARGE);
    assert_string_equal(ticket.limit_name, "level degraded");
    assert_int_equal(hr_ticket_text(&ticket, text, sizeof text), 0);
    assert_non_null(strstr(text, "refused 95.0 MiB: it would lead to level degraded"));
    assert_int_equal(hr_budget_charge(root, 97 * MIB), 0);
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    assert_int_equal(ask(1, &ticket), HR_REFUSED_OVERLOADED);
    assert_string_equal(ticket.limit_name, "level critical");
    assert_int_equal(ticket.level, HR_CRITICAL);
    assert_int_equal(hr_ticket_text(&ticket, text, sizeof text), 0);
    assert_non_null(strstr(text, "refused 1 B: the level is critical, at which no request is admitted; ask again in "));
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_int_equal(refusal.level, HR_CRITICAL);
    assert_int_equal(refusal.asked_bytes, 1);
    assert_string_equal(refusal.limit_name, "level critical");
    char why[HR_EXPLANATION_BYTES];
    assert_true(hr_report_explain(guard, &refusal, why, sizeof why) > 0);
    assert_non_null(strstr(why, "refused 1 B: at level critical no request is admitted; the level is critical: "));
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.refusals, 4);
    assert_int_equal(figures.refusals_degraded, 1);
    assert_int_equal(figures.refusals_critical, 1);
    assert_int_equal(hr_budget_read(root, &accounts), 0);
    assert_int_equal(accounts.refused, 2);
    assert_int_equal(accounts.refused_by_level, 2);
    hr_budget_uncharge(root, 97 * MIB);
    assert_int_equal(hr_ticket_text(&ticket, text, 8), -ENOBUFS);
    assert_string_equal(text, "refused");
    assert_int_equal(hr_ticket_text(NULL, text, 8), -EINVAL);
    assert_int_equal(hr_ticket_text(&ticket, NULL, 8), -EINVAL);
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
    assert_int_equal(ask(1 * MIB, &ticket), HR_ADMITTED); /* nobody relieves: the way to warning needs no dwell */
    assert_int_equal(hr_guard_level(guard), HR_WARNING);
    hr_ticket_release(&ticket);
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

/* Lesson 12: refusing must not be able to keep itself up. */
static void a_guard_that_relief_cannot_help_lets_a_probe_through(void **state)
{
    (void)state;
    hr_ticket ticket;
    hr_figures figures;
    assert_int_equal(hr_budget_charge(root, 96 * MIB), 0);
    int64_t start_ns = world.now_ns;
    while (world.now_ns < start_ns + 9 * HRI_SECOND) {
        assert_int_equal(ask(1, &ticket), HR_REFUSED_OVERLOADED);
        world.now_ns += HRI_SECOND / 4;
    }
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.stalled_ns, 0);
    world.now_ns = start_ns + 11 * HRI_SECOND;
    assert_int_equal(ask(1025, &ticket), HR_REFUSED_OVERLOADED); /* a small one */
    int admitted = 0;
    for (int i = 0; i < 40; i++, world.now_ns += HRI_SECOND / 4) {
        admitted += ask(1024, &ticket) == HR_ADMITTED;
        hr_ticket_release(&ticket);
    }
    assert_int_equal(admitted, 10); /* one each dwell */
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_true(figures.stalled_ns >= 20 * HRI_SECOND);
    assert_string_equal(figures.holder, "budget root");
    assert_int_equal(figures.holder_bytes, 96 * MIB);
    hr_budget_uncharge(root, 96 * MIB);
    world.now_ns += HRI_SECOND;
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.stalled_ns, 0);
}

static void who_holds_is_named(void **state)
{
    (void)state;
    hr_budget *tenant, *inner;
    hr_ticket ticket;
    hr_figures figures;
    assert_int_equal(hr_budget_new(root, "tenant", HR_NONE, &tenant), 0);
    assert_int_equal(hr_budget_new(tenant, "inner", HR_NONE, &inner), 0);
    assert_int_equal(hr_budget_charge(root, 20 * MIB), 0);
    assert_int_equal(hr_budget_charge(tenant, 30 * MIB), 0);
    assert_int_equal(hr_budget_charge(inner, 46 * MIB), 0);
    assert_int_equal(ask(1, &ticket), HR_REFUSED_OVERLOADED);
    world.now_ns += 10 * HRI_SECOND;
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_true(figures.stalled_ns > 0);
    assert_string_equal(figures.holder, "budget inner");
    assert_int_equal(figures.holder_bytes, 46 * MIB);
    hr_budget_uncharge(inner, 46 * MIB);
    hr_budget_uncharge(tenant, 30 * MIB);
    hr_budget_uncharge(root, 20 * MIB);
    assert_int_equal(hr_budget_free(inner), 0);
    assert_int_equal(hr_budget_free(tenant), 0);
}

#define REQUESTS 1000

/* The share of small requests that is served now. */
static double served(void)
{
    int admitted = 0;
    for (int i = 0; i < REQUESTS; i++) {
        hr_ticket ticket;
        hr_request request = {.bytes = 1000, .priority = 255, .key = (uint64_t)i + 1};
        hr_verdict verdict = hr_admit(guard, &request, &ticket);
        assert_true(verdict == HR_ADMITTED || verdict == HR_REFUSED_OVERLOADED);
        admitted += verdict == HR_ADMITTED;
        hr_ticket_release(&ticket);
    }
    return admitted / (double)REQUESTS;
}

/* From all at 90 % to none at 95 %. */
static void assert_shed(double use)
{
    double right = use <= 0.90 ? 1 : use >= 0.95 ? 0 : (0.95 - use) / 0.05, is = served();
    if (is < right - 0.03 || is > right + 0.03)
        fail_msg("at %.1f %%: %.3f are served, %.3f are right", use * 100, is, right);
}

/* Prevents: at 92 % without a reclaimer degraded lasted 10 ms, and then everything was refused; the share between
 * degrade_at and critical_at was never to be seen. Up, down, and after critical. */
static void at_every_per_cent_a_share_is_shed(void **state)
{
    (void)state;
    static const int steps[] = {85, 89, 90, 91, 92, 93, 94, 95, 97, 94, 93, 92, 91, 90, 93};
    int now = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (steps[i] > now)
            assert_int_equal(hr_budget_try_charge(root, (uint64_t)(steps[i] - now) * MIB), 0);
        else
            hr_budget_uncharge(root, (uint64_t)(now - steps[i]) * MIB);
        now = steps[i];
        hr_guard_check(guard);
        assert_shed(now / 100.0);
        world.now_ns += 10 * HRI_SECOND; /* a state to live in */
        assert_shed(now / 100.0);
    }
    hr_budget_uncharge(root, (uint64_t)now * MIB);
}

/* As above, for a group whose use no budget accounts for. */
static void so_is_it_of_memory_that_nobody_charged(void **state)
{
    (void)state;
    static const int steps[] = {85, 90, 91, 92, 93, 94, 95, 97, 94, 92, 90, 93};
    hr_guard_free(guard);
    hrt_world_set_group(&world, 1000 * MIB, 500 * MIB, 0);
    hri_environment environment = {world.root, &world.clock};
    assert_int_equal(hri_guard_new_in(&environment, &(hr_guard_options){.interval_ns = -1}, &guard), 0);
    root = hr_guard_root(guard);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        hrt_world_set_group(&world, 1000 * MIB, (uint64_t)steps[i] * 10 * MIB, 0);
        hr_guard_check(guard);
        assert_shed(steps[i] / 100.0);
        world.now_ns += 10 * HRI_SECOND;
        assert_shed(steps[i] / 100.0);
    }
}

/* Prevents: admission filled up to degrade_at, memory that nobody charged tipped the level over, and everything was
 * refused. A request of more than degraded_request_bytes leaves a margin; a small one may live in it. */
static void admission_leaves_a_margin_for_what_is_not_charged(void **state)
{
    (void)state;
    hr_ticket ticket;
    hr_guard_free(guard);
    hrt_world_set_group(&world, 100 * MIB, 80 * MIB, 0);
    hri_environment environment = {world.root, &world.clock};
    assert_int_equal(hri_guard_new_in(&environment, &(hr_guard_options){.interval_ns = -1}, &guard), 0);
    assert_int_equal(ask(8 * MIB, &ticket), HR_ADMITTED);
    hr_ticket_release(&ticket);
    assert_int_equal(ask(9 * MIB, &ticket), HR_REFUSED_TOO_LARGE); /* 1 MiB of lag, and 128 KiB */
    assert_in_range(ticket.left_bytes, 8 * MIB, 9 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 89 * MIB, 0);
    hr_guard_check(guard);
    assert_int_equal(ask(1025, &ticket), HR_REFUSED_TOO_LARGE);
    assert_int_equal(ask(1000, &ticket), HR_ADMITTED);
    hr_ticket_release(&ticket);
}

/* Prevents: bytes that came back between two readings were admitted again, while the allocator kept their pages and
 * took new ones for the next: use crept over degrade_at. */
static void what_came_back_is_admitted_once_a_reading_shows_it(void **state)
{
    (void)state;
    hr_ticket ticket;
    hr_guard_free(guard);
    hrt_world_set_group(&world, 100 * MIB, 50 * MIB, 0);
    hri_environment environment = {world.root, &world.clock};
    assert_int_equal(hri_guard_new_in(&environment, &(hr_guard_options){.interval_ns = -1}, &guard), 0);
    root = hr_guard_root(guard);
    assert_int_equal(hr_budget_charge(root, 30 * MIB), 0);
    hrt_world_set_process(&world, 31 * MIB, 8192 * MIB); /* touched */
    hrt_world_set_group(&world, 100 * MIB, 88 * MIB, 0);
    hr_guard_check(guard);
    hr_budget_uncharge(root, 10 * MIB); /* its pages stay */
    assert_int_equal(ask(2 * MIB, &ticket), HR_REFUSED_TOO_LARGE);
    hrt_world_set_process(&world, 21 * MIB, 8192 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 78 * MIB, 0);
    hr_guard_check(guard);
    world.now_ns += 2 * HRI_SECOND; /* now the fall is no longer in doubt (base/lease.h) */
    assert_int_equal(ask(2 * MIB, &ticket), HR_ADMITTED);
    hr_ticket_release(&ticket);
    hr_budget_uncharge(root, 20 * MIB);
}

/* Prevents: without a monitor thread critical never ended, since nobody relieved (tests/kills/nomonitor.c). */
static void without_a_monitor_a_request_that_finds_it_shut_relieves_first(void **state)
{
    (void)state;
    struct cache cache = {.bytes = 60 * MIB};
    hr_reclaimer node = {.name = "cache", .reclaim = evict, .context = &cache};
    hr_ticket ticket;
    assert_int_equal(hr_budget_charge(root, 96 * MIB), 0);
    assert_int_equal(ask(2000, &ticket), HR_REFUSED_OVERLOADED);
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    assert_int_equal(ask(2000, &ticket), HR_REFUSED_OVERLOADED); /* it relieves; the dwell begins */
    assert_true(cache.calls > 0);
    assert_true(used() < 80 * MIB);
    world.now_ns += HRI_SECOND;
    assert_int_equal(ask(2000, &ticket), HR_ADMITTED);
    hr_ticket_release(&ticket);
    hr_reclaimer_remove(guard, &node);
    hr_budget_uncharge(root, used());
}

static void retry_after_follows_what_is_given_back(void **state)
{
    (void)state;
    hr_ticket ticket;
    assert_int_equal(hr_budget_charge(root, 90 * MIB), 0);
    for (int i = 0; i < 50; i++) { /* 1 MiB a tenth of a second, all the time */
        hr_budget_uncharge(root, 1 * MIB);
        assert_int_equal(hr_budget_charge(root, 1 * MIB), 0);
        world.now_ns += HRI_SECOND / 10;
        hr_guard_check(guard);
    }
    assert_int_equal(ask(15 * MIB, &ticket), HR_REFUSED_NO_BUDGET); /* 5 MiB are missing: half a second */
    assert_in_range(ticket.retry_after_ns, HRI_SECOND * 45 / 100, HRI_SECOND * 60 / 100);
    assert_int_equal(ask(200 * MIB, &ticket), HR_REFUSED_NO_BUDGET);
    assert_int_equal(ticket.retry_after_ns, 60 * HRI_SECOND);      /* it can never fit */
    assert_int_equal(ask(5 * MIB, &ticket), HR_REFUSED_TOO_LARGE); /* the way under recover_below, and the dwell */
    assert_in_range(ticket.retry_after_ns, HRI_SECOND * 19 / 10, HRI_SECOND * 22 / 10);
    hr_budget_uncharge(root, 90 * MIB);
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
        TEST(a_part_of_a_ticket_makes_room_for_what_charges_itself),
        TEST(a_transfer_moves_nothing_that_is_promised),
        TEST(source_1_what_is_approved_is_held),
        TEST(a_refusal_by_level_names_the_level),
        TEST(a_grant_is_judged_by_the_level_it_would_lead_to),
        TEST(at_critical_everything_new_is_refused),
        TEST(a_child_that_is_full_refuses_by_its_name_and_raises_no_level),
        TEST(relief_comes_before_a_refusal),
        TEST(a_guard_that_relief_cannot_help_lets_a_probe_through),
        TEST(who_holds_is_named),
        TEST(at_every_per_cent_a_share_is_shed),
        TEST(so_is_it_of_memory_that_nobody_charged),
        TEST(admission_leaves_a_margin_for_what_is_not_charged),
        TEST(what_came_back_is_admitted_once_a_reading_shows_it),
        TEST(without_a_monitor_a_request_that_finds_it_shut_relieves_first),
        TEST(retry_after_follows_what_is_given_back),
        TEST(verdicts_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
