/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "gauge/ledger.h"

#include <math.h>

static hri_reading reading;
static hri_books books;

/* Now, and when the reading was made. */
static void hold(uint64_t bytes)
{
    books.accounts.held_bytes = books.ours.held_bytes = bytes;
}

static int set_up(void **state)
{
    (void)state;
    reading = (hri_reading){
        .process = {10 * MIB, 10 * MIB, 50 * MIB, HR_NONE, 20 * MIB, HR_NONE},
        .host = {16384 * MIB, 8192 * MIB},
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
    reading.process.address_limit_bytes = 60 * MIB;
    ledgers = compute();
    assert_int_equal(ledgers.worst, HRI_LEDGER_ADDRESS);
    assert_true(ledgers.kernel_limit_bytes == 60 * MIB);
    reading.process.data_limit_bytes = 21 * MIB;
    assert_int_equal(compute().worst, HRI_LEDGER_DATA);
    reading.host.available_bytes = 0;
    ledgers = compute();
    assert_int_equal(ledgers.worst, HRI_LEDGER_HOST);
    assert_true(ledgers.use == 1.0);
}

static void what_others_take_is_use_less_what_is_ours(void **state)
{
    (void)state;
    hri_ledgers ledgers = compute();
    assert_true(ledgers.others_bytes == 32 * MIB); /* 40, of which 8 are held and resident */
    assert_true(ledgers.room_bytes == 68 * MIB);
    books.ours.untouched_bytes = 3 * MIB; /* a grant that is just being made is not in the use yet */
    assert_true(compute().others_bytes == 35 * MIB);
    books.ours.untouched_bytes = 0;
    hold(90 * MIB); /* charged, but only 10 are resident */
    ledgers = compute();
    assert_true(ledgers.others_bytes == 30 * MIB);
    reading.groups[0].use_bytes = 5 * MIB; /* counters of different instants: saturated */
    assert_true(compute().others_bytes == 0);
}

static void the_room_allows_for_counters_that_lag(void **state)
{
    (void)state;
    reading.lag_bytes = 1 * MIB;
    assert_true(compute().room_bytes == 67 * MIB);
    reading.lag_bytes = 64 * MIB; /* 256 CPUs: no more than a 64th of the limit */
    assert_true(compute().room_bytes == 68 * MIB - 100 * MIB / 64);
    reading.lag_bytes = 0;
    reading.groups[0].charged_bytes = 42 * MIB; /* memory.stat is behind */
    assert_true(compute().room_bytes == 66 * MIB);
}

static void a_dropped_reserve_still_counts(void **state)
{
    (void)state;
    books.reserve_bytes = 10 * MIB;
    assert_true(fabs(compute().use - 0.50) < 1e-9);
    assert_true(compute().others_bytes == 42 * MIB);
}

static void what_the_allocator_retains_is_not_others(void **state)
{
    (void)state;
    books.ours.retained_bytes = 1 * MIB;
    assert_true(compute().others_bytes == 31 * MIB);
    books.ours.retained_bytes = 50 * MIB; /* no more than what is resident can be ours */
    assert_true(compute().others_bytes == 30 * MIB);
    reading.groups[0].use_bytes = 99 * MIB;
    reading.lag_bytes = 1 * MIB; /* close to the limit nobody relies on it */
    assert_true(compute().others_bytes == 91 * MIB);
}

/* Regression: a large block was granted what the allocator retained, could not be made of it, and was killed for. */
static void what_the_allocator_retains_is_no_room_for_large_blocks(void **state)
{
    (void)state;
    books.ours.retained_bytes = 1 * MIB;
    assert_true(compute().room_bytes == 69 * MIB);
    assert_true(compute().mapped_room_bytes == 68 * MIB);
    books.ours.retained_bytes =
        50 * MIB; /* what is freed may be back with the kernel: figures that show it are believed */
    assert_true(compute().mapped_room_bytes == 68 * MIB);
    hold(100 * MIB); /* granted and not touched yet: it hides what is retained, */
    reading.groups[0].use_bytes = 12 * MIB;
    assert_true(compute().room_bytes == 98 * MIB); /* which is no more than what is resident */
    assert_true(compute().mapped_room_bytes == 88 * MIB);
}

/* Prevents what is granted from being more than the kernel has, whatever the allocator may have to use again. */
static void what_is_sure_is_what_is_left_once_all_that_is_granted_is_touched(void **state)
{
    (void)state;
    assert_true(hri_ledgers_sure(&books) == 60 * MIB);
    books.ours.retained_bytes = 9 * MIB; /* may be no use */
    assert_true(hri_ledgers_sure(&books) == 60 * MIB);
    books.ours.untouched_bytes = 5 * MIB;
    books.ours.promised_bytes = 4 * MIB;
    books.ours.stocks_bytes = 3 * MIB;
    books.reserve_bytes = 2 * MIB;
    assert_true(hri_ledgers_sure(&books) == 46 * MIB);
    hold(20 * MIB); /* 10 of which cannot be resident: those that are known to be untouched are among them */
    assert_true(hri_ledgers_sure(&books) == 41 * MIB);
    hold(8 * MIB);
    reading.groups[0].leaving_bytes = 6 * MIB; /* unmapped a moment ago, and charged until they are freed */
    assert_true(hri_ledgers_sure(&books) == 40 * MIB);
    reading.lag_bytes = 1 * MIB;
    assert_true(hri_ledgers_sure(&books) == 40 * MIB - MIB / 2);
    reading.groups[0].charged_bytes = 101 * MIB;
    assert_true(hri_ledgers_sure(&books) == 0);
    reading.groups[0].limit_bytes = HR_NONE;
    assert_true(hri_ledgers_sure(&books) == HR_NONE);
}

/* Prevents a moment's reading from passing for what lasts: a page that is given back is charged for a while. */
static void what_lasts_was_there_all_the_time(void **state)
{
    (void)state;
    hri_lasting lasting = {0};
    int64_t now_ns = HRI_SECOND;
    assert_true(hri_lasting_look(&lasting, 10, now_ns) == 0);
    assert_true(hri_lasting_look(&lasting, 12, now_ns + HRI_LASTING_NS) == 10);
    assert_true(hri_lasting_look(&lasting, 30, now_ns + 2 * HRI_LASTING_NS - 1) == 10);
    assert_true(hri_lasting_look(&lasting, 30, now_ns + 2 * HRI_LASTING_NS) == 12);
    assert_true(hri_lasting_look(&lasting, 3, now_ns + 2 * HRI_LASTING_NS + 1) == 3); /* it falls at once */
    assert_true(hri_lasting_look(&lasting, 30, now_ns + 3 * HRI_LASTING_NS) == 3);
    assert_true(hri_lasting_look(&lasting, 30, now_ns + 4 * HRI_LASTING_NS) == 30);
}

static void large_demands_read_the_gauges_after_a_sixteenth_of_what_is_left(void **state)
{
    (void)state;
    assert_true(hri_ledgers_blind(&books) == 60 * MIB / 16);
    reading.groups[0].use_bytes = 100 * MIB;
    assert_true(hri_ledgers_blind(&books) == 100 * MIB / 1024);
}

static void an_ancestor_that_is_short_decides_but_does_not_set_the_limit(void **state)
{
    (void)state;
    reading.groups[1] = (hri_cgroup_reading){.limit_bytes = 200 * MIB, .use_bytes = 190 * MIB};
    hri_ledgers ledgers = compute();
    assert_true(fabs(ledgers.use - 0.95) < 1e-9);
    assert_true(ledgers.kernel_limit_bytes == 100 * MIB);
    assert_true(ledgers.room_bytes == 200 * MIB - (190 - 8) * MIB);
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
    reading = (hri_reading){
        .process = {HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE, HR_NONE}, .host = {HR_NONE, HR_NONE}, .binding = -1};
    hri_ledgers ledgers = compute();
    assert_true(ledgers.use == 0);
    assert_true(ledgers.room_bytes == HR_NONE);
    assert_true(ledgers.kernel_limit_bytes == HR_NONE);
    assert_true(hri_ledgers_ceiling(&books, 0.9) == HR_NONE);
}

static void the_ceiling_counts_what_is_granted_and_not_yet_touched(void **state)
{
    (void)state;
    /* 32 MiB are others': the root may go to 90 - 32 before the group would be over 0.9, all of it touched. */
    assert_true(hri_ledgers_ceiling(&books, 0.9) == 58 * MIB);
    hold(30 * MIB); /* 10 of them resident; others are 30 */
    assert_true(hri_ledgers_ceiling(&books, 0.9) == 60 * MIB);
    books.accounts.own_limit_bytes = 40 * MIB;
    assert_true(hri_ledgers_ceiling(&books, 0.9) == 36 * MIB);
}

static void the_gauges_are_read_again_after_a_quarter_of_what_was_left(void **state)
{
    (void)state;
    assert_true(hri_ledgers_crossing(&books, 0.8) == 8 * MIB + 60 * MIB / 4);
    books.accounts.own_limit_bytes = 20 * MIB; /* the budget's own threshold comes first */
    assert_true(hri_ledgers_crossing(&books, 0.8) == 16 * MIB);
    assert_true(hri_ledgers_crossing(&books, 2) == 20 * MIB);
    books.accounts.own_limit_bytes = HR_NONE;
    reading.groups[0].use_bytes = 100 * MIB; /* full: not at every byte */
    assert_true(hri_ledgers_crossing(&books, 2) == 8 * MIB + 100 * MIB / 1024);
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

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
    assert_true(hri_ledgers_ceiling(&books, 0.9) == 90 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_worst_ledger_decides_and_is_named),
        TEST(what_others_take_is_use_less_what_is_ours),
        TEST(the_room_allows_for_counters_that_lag),
        TEST(a_dropped_reserve_still_counts),
        TEST(what_the_allocator_retains_is_not_others),
        TEST(what_the_allocator_retains_is_no_room_for_large_blocks),
        TEST(what_is_sure_is_what_is_left_once_all_that_is_granted_is_touched),
        TEST(what_lasts_was_there_all_the_time),
        TEST(large_demands_read_the_gauges_after_a_sixteenth_of_what_is_left),
        TEST(an_ancestor_that_is_short_decides_but_does_not_set_the_limit),
        TEST(a_limit_of_0_is_full),
        TEST(nothing_known_is_nothing_used),
        TEST(the_ceiling_counts_what_is_granted_and_not_yet_touched),
        TEST(the_gauges_are_read_again_after_a_quarter_of_what_was_left),
        TEST(of_equal_limits_the_cgroups_is_named),
        TEST(an_unknown_use_is_no_alarm_and_its_limit_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
