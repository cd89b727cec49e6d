/* SPDX-License-Identifier: Apache-2.0 */
/* How long a charge waits for relief: its time is the processor's, which a busy machine or a quota may take from it. */
#include "support/cmocka.h"

#include "os/clock.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <unistd.h>

static hr_guard *guard;
static uint64_t held_bytes, piece_bytes;
static bool asleep; /* or busy, for longer than a charge waits */
static unsigned calls;

/* Lets go of a piece, and takes 30 ms for it. */
static uint64_t give_slowly(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)want_bytes, (void)deadline_ns;
    calls++;
    int64_t begin_ns = hri_os_thread_ns();
    if (asleep)
        usleep(30000);
    else
        while (hri_os_thread_ns() - begin_ns < 30 * HRI_MILLISECOND) {}
    uint64_t bytes = held_bytes < piece_bytes ? held_bytes : piece_bytes;
    held_bytes -= bytes;
    hr_budget_uncharge(hr_guard_root(guard), bytes);
    return bytes;
}

/* Charges a number of pieces where a reclaimer has all the rest. */
static int charge_pieces(unsigned pieces)
{
    hr_reclaimer node = {.name = "slow", .reclaim = give_slowly};
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard), 0);
    hr_budget *root = hr_guard_root(guard);
    held_bytes = 40 * MIB;
    calls = 0;
    assert_int_equal(hr_budget_charge(root, held_bytes), 0);
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    uint64_t bytes = 24 * MIB + pieces * piece_bytes;
    int error = hr_budget_try_charge(root, bytes);
    assert_int_equal(error, -EDQUOT); /* it does take relief */
    error = hr_budget_charge(root, bytes);
    if (!error)
        hr_budget_uncharge(root, bytes);
    hr_reclaimer_remove(guard, &node);
    hr_budget_uncharge(root, held_bytes);
    hr_budget_figures figures;
    hr_budget_read(root, &figures);
    assert_int_equal(figures.used_bytes, 0);
    hr_guard_free(guard);
    return error;
}

/* Threads of a container whose quota is used up stand still for most of 100 ms: charges were
 * refused while the bytes were there. */
static void a_thread_without_a_processor_keeps_its_time(void **state)
{
    (void)state;
    asleep = true;
    piece_bytes = MIB;
    assert_int_equal(charge_pieces(4), 0);
    assert_true(calls >= 4);
}

/* Prevents: a cache that took longer than a charge waits to evict what was needed. */
static void who_gives_is_waited_for(void **state)
{
    (void)state;
    asleep = false;
    piece_bytes = MIB;
    assert_int_equal(charge_pieces(4), 0);
    assert_true(calls >= 4);
}

/* Stands still once, as a thread whose processor is taken from it. */
static uint64_t stand_still_once(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)want_bytes, (void)deadline_ns;
    bool *stood = context;
    if (!*stood)
        usleep(30000);
    *stood = true;
    return 0;
}

/* A busy machine refused charges whose thread stood still before anybody had been asked. */
static void whom_there_was_no_time_to_ask_is_asked(void **state)
{
    (void)state;
    bool stood = false;
    hr_reclaimer first = {.name = "still", .priority = -1, .reclaim = stand_still_once, .context = &stood};
    hr_reclaimer second = {.name = "slow", .reclaim = give_slowly};
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard), 0);
    hr_budget *root = hr_guard_root(guard);
    asleep = true;
    held_bytes = piece_bytes = 60 * MIB;
    assert_int_equal(hr_budget_charge(root, held_bytes), 0);
    assert_int_equal(hr_reclaimer_add(guard, &first), 0);
    assert_int_equal(hr_reclaimer_add(guard, &second), 0);
    assert_int_equal(hr_budget_charge(root, 8 * MIB), 0);
    assert_true(stood);
    hr_budget_uncharge(root, 8 * MIB);
    hr_reclaimer_remove(guard, &first);
    hr_reclaimer_remove(guard, &second);
    hr_guard_free(guard);
}

static void who_frees_nothing_is_not_waited_for(void **state)
{
    (void)state;
    asleep = true;
    piece_bytes = 0;
    held_bytes = 0;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard), 0);
    hr_reclaimer node = {.name = "slow", .reclaim = give_slowly};
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 60 * MIB), 0);
    calls = 0;
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 5 * MIB), -EDQUOT);
    assert_true(calls >= 1 && calls <= 4); /* three attempts, and one for the level */
    hr_budget_uncharge(hr_guard_root(guard), 60 * MIB);
    hr_reclaimer_remove(guard, &node);
    hr_guard_free(guard);
}

/* Prevents a refusal after half a second of relief that still gives. */
static void relief_that_gains_has_no_end(void **state)
{
    (void)state;
    asleep = false;
    piece_bytes = 64 * 1024;
    assert_int_equal(charge_pieces(30), 0); /* which takes 1 s */
    assert_true(calls >= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_without_a_processor_keeps_its_time),
        cmocka_unit_test(whom_there_was_no_time_to_ask_is_asked),
        cmocka_unit_test(who_frees_nothing_is_not_waited_for),
        cmocka_unit_test(who_gives_is_waited_for),
        cmocka_unit_test(relief_that_gains_has_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
