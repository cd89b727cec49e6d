/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "gauge/ledger.h"

#include <math.h>

static hri_reading reading;
static hri_books books;

/* Now, and when the reading was made. */
static void hold(uint64_t bytes)
{
    books.accounts.held_bytes = books.ours.used_bytes = books.ours.resident_bytes = bytes;
}

static int set_up(void **state)
{
    (void)state;
    reading = (hri_reading){
        .process = {10 * MIB, 10 * MIB, 50 * MIB, HR_NONE, 20 * MIB, HR_NONE},
        .host = {.total_bytes = 16384 * MIB, .available_bytes = 8192 * MIB},
        .group_count = 2,
        .groups = {{.limit_bytes = 100 * MIB, .use_bytes = 40 * MIB, .cache_bytes = 7 * MIB}, {.limit_bytes = HR_NONE}},
        .binding = 0,
    };
    books = (hri_books){.reading = &reading, .accounts = {.own_limit_bytes = HR_NONE}};
    hold(8 * MIB);
    return 0;
}

static hri_ledgers compute(void)
{
    hri_ledgers ledgers;
    hri_ledgers_compute(&books, &ledgers);
    return ledgers;
}

static void the_worst_ledger_decides_and_is_named(void **state)
{
    (void)state;
    hri_ledgers ledgers = compute();
    assert_int_equal(ledgers.worst, HRI_LEDGER_CGROUP);
    assert_true(fabs(ledgers.use - 0.40) < 1e-9);
    assert_true(ledgers.kernel_limit_bytes == 100 * MIB);
    assert_int_equal(ledgers.kernel_limit, HRI_LEDGER_CGROUP);
    books.accounts.own_limit_bytes = 16 * MIB;
    ledgers = compute();
    assert_int_equal(ledgers.worst, HRI_LEDGER_BUDGET);
    assert_true(fabs(ledgers.use - 0.50) < 1e-9);
    reading.process.address_limit_bytes = 15 * MIB;
    ledgers = compute();
    assert_int_equal(ledgers.worst, HRI_LEDGER_ADDRESS);
    assert_true(ledgers.kernel_limit_bytes == 15 * MIB);
    reading.process.data_limit_bytes = 11 * MIB;
    assert_int_equal(compute().worst, HRI_LEDGER_DATA);
    reading.host.available_bytes = 0;
    ledgers = compute();
    assert_int_equal(ledgers.worst, HRI_LEDGER_HOST);
    assert_true(ledgers.use == 1.0);
}

/* Prevents: 16 arenas of glibc's reserve 1 GiB of address space, and under RLIMIT_AS the level was critical for
 * ever. */
static void address_space_that_is_never_backed_raises_no_level(void **state)
{
    (void)state;
    reading.process.address_limit_bytes = 51 * MIB;
    reading.process.data_limit_bytes = 21 * MIB;
    hri_ledgers ledgers = compute();
    assert_true(ledgers.use < 0.5);
    assert_true(ledgers.kernel_limit_bytes == 21 * MIB);
}

/* Prevents a group from being throttled at memory.high with a level that looks at memory.max. */
static void the_smaller_of_two_limits_binds_and_both_are_listed(void **state)
{
    (void)state;
    static const hri_group_names names[2] = {{"max", "high"}, {"max 2", "high 2"}};
    hr_ledger list[HRI_LEDGERS_MAX];
    reading.groups[0].limits = (hri_cgroup_limits){100 * MIB, 50 * MIB};
    reading.groups[0].limit_bytes = 50 * MIB;
    hri_ledgers ledgers = compute();
    assert_true(fabs(ledgers.use - 0.80) < 1e-9);
    books.no_budget = true;
    assert_string_equal(hri_ledgers_source(&books, &ledgers, names), "high");
    assert_int_equal(hri_ledgers_list(&books, &ledgers, names, list), 6);
    assert_string_equal(list[0].source, "high");
    assert_true(list[0].binds && list[0].decides && list[0].limit_bytes == 50 * MIB);
    assert_string_equal(list[1].source, "max");
    assert_true(!list[1].binds && !list[1].decides && list[1].limit_bytes == 100 * MIB);
    assert_string_equal(list[2].source, "max 2");
}

/* Prevents a kill by pages that cannot be dropped at once: they are in no use, and the lease left them out. */
static void what_is_stuck_is_not_left_and_what_lasts_raises_the_level(void **state)
{
    (void)state;
    uint64_t margin_bytes, before = hri_ledgers_free_of_groups(&books, &margin_bytes);
    reading.groups[0].stuck_bytes = 30 * MIB;
    assert_true(before - hri_ledgers_free_of_groups(&books, &margin_bytes) == 30 * MIB);
    assert_true(fabs(compute().use - 0.40) < 1e-9);
    reading.groups[0].lasting_bytes = 30 * MIB;
    assert_true(fabs(compute().use - 0.70) < 1e-9);
}

/* Prevents: an old lxcfs counts page cache as used, and a guard refused everything at the level normal. */
static void a_container_that_shows_its_own_limit_as_the_hosts_is_judged_by_its_group(void **state)
{
    (void)state;
    reading.process.rss_bytes = 20 * MIB;
    reading.groups[0].limits = (hri_cgroup_limits){100 * MIB, HR_NONE};
    reading.host = (hri_host_reading){.total_bytes = 100 * MIB, .available_bytes = 1 * MIB};
    hri_ledgers ledgers = compute();
    assert_int_equal(ledgers.worst, HRI_LEDGER_CGROUP);
    assert_true(hri_ledgers_free_of_host(&books) == HR_NONE);
    reading.host.available_bytes = 50 * MIB; /* it may well be */
    assert_true(hri_ledgers_free_of_host(&books) == 50 * MIB);
    reading.host = (hri_host_reading){.total_bytes = 200 * MIB, .available_bytes = 1 * MIB}; /* a host that is full */
    assert_int_equal(compute().worst, HRI_LEDGER_HOST);
}

static void what_others_take_is_use_less_what_is_ours(void **state)
{
    (void)state;
    assert_true(compute().others_bytes == 32 * MIB); /* 40, of which 8 are held and resident */
    books.ours.resident_bytes = 5 * MIB;
    assert_true(compute().others_bytes == 35 * MIB);
    books.ours.resident_bytes = 90 * MIB; /* no more than the process has */
    assert_true(compute().others_bytes == 30 * MIB);
    reading.groups[0].use_bytes = 5 * MIB; /* counters of different instants: saturated */
    assert_true(compute().others_bytes == 0);
}

static void a_dropped_reserve_still_counts(void **state)
{
    (void)state;
    books.reserve_bytes = 10 * MIB;
    assert_true(fabs(compute().use - 0.50) < 1e-9);
    assert_true(compute().others_bytes == 42 * MIB);
}

#define PROCESS_BYTES (128 * KIB) /* what a process takes without a grant */

static uint64_t free_of_groups(void)
{
    uint64_t margin_bytes;
    return hri_ledgers_free_of_groups(&books, &margin_bytes);
}

/* Prevents more from being granted than the kernel has once all that was granted is touched. */
static void the_lease_is_what_is_left_once_all_that_is_granted_is_touched(void **state)
{
    (void)state;
    assert_true(free_of_groups() == 60 * MIB - PROCESS_BYTES);
    books.ours.pending_bytes = 16 * MIB; /* and a page table for each 2 MiB */
    assert_true(free_of_groups() == 44 * MIB - 32 * KIB - PROCESS_BYTES);
    books.ours.pending_bytes = 0;
    books.reserve_bytes = 2 * MIB;
    assert_true(free_of_groups() == 58 * MIB - PROCESS_BYTES);
    reading.groups[0].leaving_bytes = 6 * MIB; /* unmapped a moment ago, and charged until they are freed */
    assert_true(free_of_groups() == 52 * MIB - PROCESS_BYTES);
    reading.groups[0].charged_bytes = 101 * MIB; /* memory.stat is behind */
    assert_true(free_of_groups() == 0);
    reading.groups[1] = (hri_cgroup_reading){.limit_bytes = 50 * MIB, .use_bytes = HR_NONE};
    reading.groups[0].limit_bytes = HR_NONE; /* nothing is known of the other's use */
    assert_true(free_of_groups() == HR_NONE);
}

/* Prevents small limits from being met for what the counters hide: with a 64th of the limit, 5 to 40 % of runs were. */
static void the_margin_is_the_lag_of_the_counters(void **state)
{
    (void)state;
    reading.lag_bytes = 1 * MIB;
    reading.groups[0].current_bytes = HR_NONE;
    uint64_t margin_bytes;
    assert_true(hri_ledgers_free_of_groups(&books, &margin_bytes) == 59 * MIB - PROCESS_BYTES);
    assert_true(margin_bytes == 1 * MIB + PROCESS_BYTES);
    reading.lag_bytes = 64 * MIB; /* 256 CPUs: no more than an eighth of the limit */
    assert_true(free_of_groups() == 60 * MIB - 100 * MIB / 8 - PROCESS_BYTES);
    reading.groups[0].current_bytes = 43 * MIB; /* exact: at most 3 MiB of cache are not cache any more */
    reading.groups[0].charged_bytes = 36 * MIB;
    assert_true(free_of_groups() == 57 * MIB - PROCESS_BYTES);
    /* No cache: what one CPU has taken in advance, which the kernel does not wait for when it kills. */
    reading.groups[0].current_bytes = reading.groups[0].charged_bytes = 40 * MIB;
    assert_true(free_of_groups() == 60 * MIB - MIB / 4 - PROCESS_BYTES);
}

static void the_host_leaves_what_is_available(void **state)
{
    (void)state;
    books.ours.pending_bytes = 92 * MIB;
    assert_true(hri_ledgers_free_of_host(&books) == 8100 * MIB);
    reading.host.available_bytes = HR_NONE;
    assert_true(hri_ledgers_free_of_host(&books) == HR_NONE);
}

#define WINDOW_NS HRI_LEAVING_NS

/* Prevents a moment's reading from passing for what lasts: a page that is given back is charged for a while. */
static void what_lasts_was_there_all_the_time(void **state)
{
    (void)state;
    hri_lasting lasting = {0};
    int64_t now_ns = HRI_SECOND;
    assert_true(hri_lasting_sample(&lasting, 10, WINDOW_NS, now_ns) == 0);
    assert_true(hri_lasting_sample(&lasting, 12, WINDOW_NS, now_ns + WINDOW_NS) == 10);
    assert_true(hri_lasting_sample(&lasting, 30, WINDOW_NS, now_ns + 2 * WINDOW_NS - 1) == 10);
    assert_true(hri_lasting_sample(&lasting, 30, WINDOW_NS, now_ns + 2 * WINDOW_NS) == 12);
    assert_true(hri_lasting_sample(&lasting, 3, WINDOW_NS, now_ns + 2 * WINDOW_NS + 1) == 3); /* it falls at once */
    assert_true(hri_lasting_sample(&lasting, 30, WINDOW_NS, now_ns + 3 * WINDOW_NS) == 3);
    assert_true(hri_lasting_sample(&lasting, 30, WINDOW_NS, now_ns + 4 * WINDOW_NS) == 30);
}

static void an_ancestor_that_is_short_decides_but_does_not_set_the_limit(void **state)
{
    (void)state;
    reading.groups[1] = (hri_cgroup_reading){.limit_bytes = 200 * MIB, .use_bytes = 190 * MIB};
    hri_ledgers ledgers = compute();
    assert_true(fabs(ledgers.use - 0.95) < 1e-9);
    assert_true(ledgers.kernel_limit_bytes == 100 * MIB);
    assert_true(free_of_groups() == 10 * MIB - PROCESS_BYTES);
}

static void a_limit_of_0_is_full(void **state)
{
    (void)state;
    reading.groups[0] = (hri_cgroup_reading){.use_bytes = 4096};
    assert_true(compute().use == 1.0);
}

static void nothing_known_is_nothing_used(void **state)
{
    (void)state;
    reading = (hri_reading){.process = {HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE},
                            .host = {.total_bytes = HR_NONE, .available_bytes = HR_NONE},
                            .binding = -1};
    hri_ledgers ledgers = compute();
    assert_true(ledgers.use == 0);
    assert_true(free_of_groups() == HR_NONE);
    assert_true(ledgers.kernel_limit_bytes == HR_NONE);
    hri_ceiling ceiling = hri_ledgers_ceiling(&books, 0.9, 0, 0);
    assert_true(ceiling.used_bytes == HR_NONE);
    assert_true(ceiling.granted_bytes == INT64_MAX);
}

#define SAMPLE (7 * MIB) /* the word of the lease, before the reading */

/* The bytes that an admission may still be granted by the kernel's ledgers. */
static int64_t room(double threshold, uint64_t margin_bytes)
{
    return hri_ledgers_ceiling(&books, threshold, margin_bytes, SAMPLE).granted_bytes - (int64_t)SAMPLE;
}

static void the_ceiling_counts_what_is_granted_and_not_yet_touched(void **state)
{
    (void)state;
    /* The group has 40 of 100: 50 more before it would be over 0.9. */
    assert_true(room(0.9, 0) == 50 * (int64_t)MIB);
    books.ours.pending_bytes = 20 * MIB;
    assert_true(room(0.9, 0) == 30 * (int64_t)MIB);
    assert_true(room(0.9, 4 * MIB) == 26 * (int64_t)MIB); /* for memory that nobody charges */
    books.accounts.held_bytes = 33 * MIB;                 /* since the reading: the ceiling stays */
    assert_true(room(0.9, 0) == 30 * (int64_t)MIB);
    books.accounts.own_limit_bytes = 40 * MIB;
    assert_true(room(0.9, 0) == 30 * (int64_t)MIB);
    assert_true(hri_ledgers_ceiling(&books, 0.9, 0, SAMPLE).used_bytes == 36 * MIB);
}

/* Prevents: beyond a threshold the room was 0, whether use was just over it or far. So the share that is shed, which
 * is between two thresholds, did not grow with use. */
static void beyond_a_threshold_the_room_is_negative(void **state)
{
    (void)state;
    assert_true(room(0.3, 0) == -10 * (int64_t)MIB);
    assert_true(room(0.5, 0) == 10 * (int64_t)MIB);
}

static void charges_call_where_the_budgets_own_threshold_is(void **state)
{
    (void)state;
    assert_true(hri_ledgers_crossing(&books, 0.8) == 80 * MIB);
    books.accounts.own_limit_bytes = 20 * MIB;
    assert_true(hri_ledgers_crossing(&books, 0.8) == 16 * MIB);
    assert_true(hri_ledgers_crossing(&books, 2) == 20 * MIB);
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

/* Prevents memory that nobody charged from being seen in no ledger where no cgroup has a limit. */
static void a_declared_limit_is_a_ledger_like_any_other(void **state)
{
    (void)state;
    hr_ledger list[HRI_LEDGERS_MAX];
    static const hri_group_names groups[] = {{"group", "group high"}, {"parent", "parent high"}};
    assert_true(hri_ledgers_free_of_process(&books) == HR_NONE);
    hri_ledgers ledgers = compute();
    size_t before = hri_ledgers_list(&books, &ledgers, groups, list);
    reading.declared = (hri_declared){.bytes = 48 * MIB, .source = "HEADROOM_LIMIT"};
    reading.process.anonymous_bytes = 36 * MIB;
    books.ours.pending_bytes = 6 * MIB;
    ledgers = compute();
    assert_int_equal(ledgers.worst, HRI_LEDGER_PROCESS);
    assert_true(fabs(ledgers.use - 0.75) < 1e-9);
    assert_true(ledgers.kernel_limit_bytes == 48 * MIB);
    assert_string_equal(hri_ledgers_source(&books, &ledgers, groups), "HEADROOM_LIMIT");
    assert_true(hri_ledgers_free_of_process(&books) == 6 * MIB);
    assert_int_equal(hri_ledgers_list(&books, &ledgers, groups, list), before + 1);
    reading.groups[0].limit_bytes = 45 * MIB; /* a smaller limit of the kernel's still binds */
    ledgers = compute();
    assert_string_equal(hri_ledgers_source(&books, &ledgers, groups), "group");
}

static void a_declared_share_is_one_of_the_smallest_limit(void **state)
{
    (void)state;
    reading.declared = (hri_declared){.share = 0.8, .source = "HEADROOM_LIMIT"};
    assert_true(hri_ledgers_declared(&books) == 80 * MIB);
    reading.process.data_limit_bytes = 50 * MIB;
    assert_true(hri_ledgers_declared(&books) == 40 * MIB);
    nothing_known_is_nothing_used(state);
    reading.declared = (hri_declared){.share = 0.8, .source = "HEADROOM_LIMIT"};
    assert_true(hri_ledgers_declared(&books) == HR_NONE);
}

/* Prevents "host memory" from being named where lxcfs shows a container its own limit as the host's memory. */
static void of_equal_limits_the_cgroups_is_named(void **state)
{
    (void)state;
    reading.host.total_bytes = 100 * MIB;
    assert_int_equal(compute().kernel_limit, HRI_LEDGER_CGROUP);
    reading.host.total_bytes = 100 * MIB - 1;
    assert_int_equal(compute().kernel_limit, HRI_LEDGER_HOST);
}

/* Prevents a group whose statistics cannot be read from being taken for full. */
static void an_unknown_use_is_no_alarm_and_its_limit_holds(void **state)
{
    (void)state;
    reading.groups[0].use_bytes = HR_NONE;
    hri_ledgers ledgers = compute();
    assert_true(ledgers.kernel_limit_bytes == 100 * MIB);
    assert_true(ledgers.use < 0.5);
    assert_true(hri_ledgers_ceiling(&books, 0.9, 0, 0).used_bytes == 90 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_worst_ledger_decides_and_is_named),
        TEST(address_space_that_is_never_backed_raises_no_level),
        TEST(the_smaller_of_two_limits_binds_and_both_are_listed),
        TEST(what_is_stuck_is_not_left_and_what_lasts_raises_the_level),
        TEST(a_container_that_shows_its_own_limit_as_the_hosts_is_judged_by_its_group),
        TEST(what_others_take_is_use_less_what_is_ours),
        TEST(a_dropped_reserve_still_counts),
        TEST(the_lease_is_what_is_left_once_all_that_is_granted_is_touched),
        TEST(the_margin_is_the_lag_of_the_counters),
        TEST(the_host_leaves_what_is_available),
        TEST(what_lasts_was_there_all_the_time),
        TEST(an_ancestor_that_is_short_decides_but_does_not_set_the_limit),
        TEST(a_limit_of_0_is_full),
        TEST(nothing_known_is_nothing_used),
        TEST(the_ceiling_counts_what_is_granted_and_not_yet_touched),
        TEST(a_declared_limit_is_a_ledger_like_any_other),
        TEST(a_declared_share_is_one_of_the_smallest_limit),
        TEST(beyond_a_threshold_the_room_is_negative),
        TEST(charges_call_where_the_budgets_own_threshold_is),
        TEST(of_equal_limits_the_cgroups_is_named),
        TEST(an_unknown_use_is_no_alarm_and_its_limit_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
