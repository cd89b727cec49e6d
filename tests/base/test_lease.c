/* SPDX-License-Identifier: Apache-2.0 */
/* The lease's arithmetic, and the bound on what is charged by hand and pending, beside a true count. */
#include "support/cmocka.h"

#include "base/clock.h"
#include "base/lease.h"

static void a_lease_is_what_is_free_once_all_is_touched(void **state)
{
    (void)state;
    hri_lease_terms terms = {.limit_bytes = 100, .use_bytes = 40, .pending_bytes = 20, .margin_bytes = 8};
    assert_true(hri_lease_free(&terms) == 32);
    terms.pending_bytes = HR_NONE;
    assert_true(hri_lease_free(&terms) == 0);
    hri_lease lease = hri_lease_issue(1000, 32, 8);
    assert_true(lease.look_bytes == 4); /* an eighth, and half of the margin */
    assert_true(hri_lease_issue(0, 32, 10).look_bytes == 5);
    assert_true(hri_lease_left(&lease, 1010) == 22);
    assert_true(hri_lease_left(&lease, 1033) == 0);
    assert_false(hri_lease_is_due(&lease, 1000, 4));
    assert_true(hri_lease_is_due(&lease, 1001, 4));
}

static void without_a_limit_a_lease_has_no_end(void **state)
{
    (void)state;
    hri_lease lease = hri_lease_issue(7, HR_NONE, 0);
    _Atomic uint64_t granted = UINT64_MAX - 5, its_pending = 0;
    const hri_lease_word word = {&granted, &its_pending};
    assert_true(hri_lease_left(&lease, granted) == HR_NONE);
    assert_false(hri_lease_is_due(&lease, granted, HR_NONE));
    assert_true(hri_lease_spend(&lease, &word, 10)); /* the word may wrap */
    assert_true(its_pending == 10);
    assert_true(granted == 4);
}

static void it_is_spent_to_the_byte_also_where_the_word_wraps(void **state)
{
    (void)state;
    _Atomic uint64_t granted = UINT64_MAX - 9, its_pending = 0;
    const hri_lease_word word = {&granted, &its_pending};
    hri_lease lease = hri_lease_issue(granted, 100, 0);
    assert_true(hri_lease_spend(&lease, &word, 60));
    assert_false(hri_lease_spend(&lease, &word, 41));
    assert_true(hri_lease_spend(&lease, &word, 40));
    assert_false(hri_lease_spend(&lease, &word, 1));
    assert_true(granted == 90 && its_pending == 100);
}

/* Prevents a program whose own memory grows step by step from being killed by the last step. Memory that was taken
 * without a grant between two readings may be taken again before the next one. */
static void the_largest_surprise_of_the_last_second_is_held_back(void **state)
{
    (void)state;
    hri_surprise surprise = {0};
    int64_t now_ns = 10 * HRI_SECOND;
    assert_true(hri_surprise_note(&surprise, 1000, 100, now_ns) == 0);    /* nothing is known before the first */
    assert_true(hri_surprise_note(&surprise, 1040, 60, now_ns + 1) == 0); /* 40 were granted */
    assert_true(hri_surprise_note(&surprise, 1040, 35, now_ns + 2) == 25);
    assert_true(hri_surprise_note(&surprise, 1050, 90, now_ns + 3) == 25); /* it is there again */
    assert_true(hri_surprise_note(&surprise, 1050, 80, now_ns + HRI_SECOND + 3) == 25);
    assert_true(hri_surprise_note(&surprise, 1050, 80, now_ns + 2 * HRI_SECOND + 4) == 10);
    assert_true(hri_surprise_note(&surprise, 1050, HR_NONE, now_ns + 9 * HRI_SECOND) == 0);
}

/* ── charged by hand ────────────────────────────────────────────────────────────────────────────────────────────── */

/* A program: what is true of it, and what looks see. */
struct program {
    hri_own own;
    uint64_t its_own, touched, hand, uncharged, kept;
    int64_t now_ns;
};

static uint64_t look(struct program *program, bool purged)
{
    program->now_ns += 10 * HRI_MILLISECOND;
    const hri_own_input input = {
        .resident_bytes = program->its_own + program->touched + program->kept,
        .hand_bytes = program->hand,
        .uncharged_bytes = program->uncharged,
        .purged = purged,
        .now_ns = program->now_ns,
    };
    return hri_own_sample(&program->own, &input);
}

static uint64_t pending(const struct program *program)
{
    return program->hand - program->touched;
}

static struct program begin(uint64_t its_own)
{
    struct program program = {.its_own = its_own};
    assert_true(look(&program, false) == 0);
    return program;
}

/* Regression: a program admitted memory and spent it before it touched it. Beside 16 MiB that nobody charged it hid
 * behind those, and the process was killed in 7 of 8 runs. */
static void memory_of_the_program_hides_nothing(void **state)
{
    (void)state;
    struct program program = begin(16);
    program.hand = 40;
    assert_true(look(&program, false) == 40);
    for (program.touched = 0; program.touched < 40; program.touched++)
        assert_true(look(&program, false) == pending(&program));
    program.hand = program.touched = 10;
    program.uncharged = 30;
    assert_true(look(&program, false) == 0);
}

/* Prevents a slow upload from being forgotten: however long it takes, its bytes are pending until they show. */
static void time_forgets_nothing(void **state)
{
    (void)state;
    struct program program = begin(16);
    program.hand = 40;
    for (int i = 0; i < 10000; i++)
        assert_true(look(&program, false) == 40);
}

/* Prevents the moment between free() and hr_budget_uncharge() from being taken for a fall of the program's own memory.
 * Each such moment would hide as many pending bytes of others. */
static void a_block_may_be_freed_before_it_is_uncharged(void **state)
{
    (void)state;
    struct program program = begin(16);
    program.hand = 40;
    program.touched = 20;
    look(&program, false);
    for (int i = 0; i < 1000; i++) {
        program.touched -= 4;
        assert_true(look(&program, false) >= pending(&program));
        program.hand -= 4;
        program.uncharged += 4;
        assert_true(look(&program, false) == pending(&program));
        program.hand += 4; /* the next one, which is touched */
        program.touched += 4;
        assert_true(look(&program, false) == pending(&program));
    }
}

/* Prevents the program's own memory, once it is gone, from keeping bytes pending for ever. */
static void a_fall_of_the_programs_own_memory_is_noticed_within_seconds(void **state)
{
    (void)state;
    struct program program = begin(30);
    program.hand = program.touched = 20;
    assert_true(look(&program, false) == 0);
    program.its_own = 5;
    assert_true(look(&program, false) == 0 || program.own.fell_bytes > 0);
    program.hand = 26; /* six that are pending */
    for (int i = 0; i < 300; i++)
        look(&program, false);
    assert_true(look(&program, false) == 6);
}

/* Bytes that are uncharged may stay with the allocator. They are used again by bytes that are charged later, and a
 * purge tells. */
static void a_purge_tells_what_is_in_use_again(void **state)
{
    (void)state;
    struct program program = begin(16);
    program.hand = program.touched = 40;
    assert_true(look(&program, false) == 0);
    program.hand = program.touched = 30;
    program.uncharged = 10;
    program.kept = 10;
    assert_true(look(&program, false) == 0);
    program.hand = 40; /* the allocator uses what it kept */
    program.touched = 40;
    program.kept = 0;
    assert_true(look(&program, false) == 10); /* it may as well use new pages */
    assert_true(look(&program, true) == 0);
    program.hand = program.touched = 30;
    program.uncharged += 10;
    program.kept = 10;
    look(&program, false);
    program.hand = 34; /* four that are pending, beside ten that are kept */
    assert_true(look(&program, false) == 4);
    program.kept = 0; /* a purge gives them back */
    assert_true(look(&program, true) == 4);
}

static uint32_t rnd(uint32_t *state)
{
    return *state = *state * 1664525 + 1013904223;
}

/* Whatever is charged, touched, freed and uncharged, in this order or the other one: the bound is one, as long as the
 * program's own memory does not grow meanwhile. */
static void the_bound_is_one_whatever_happens(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 300; seed++) {
        uint32_t random = seed;
        struct program program = begin(rnd(&random) % 1000);
        uint64_t freed = 0; /* and not uncharged yet */
        for (int step = 0; step < 2000; step++) {
            uint64_t n = rnd(&random) >> 8 & 63;
            switch (rnd(&random) >> 8 & 7) {
            case 0:
            case 1:
                program.hand += n;
                break;
            case 2:
            case 3:
                program.touched += hri_min(n, program.hand - program.touched - freed);
                break;
            case 4: /* freed, and uncharged within three looks */
                n = hri_min(n, program.touched);
                program.touched -= n;
                freed += n;
                break;
            case 5: /* uncharged before it was touched */
                n = hri_min(n, program.hand - program.touched - freed);
                program.hand -= n;
                program.uncharged += n;
                break;
            default:
                break;
            }
            assert_true(look(&program, false) + 0 >= program.hand - program.touched - freed);
            if (step % 3 == 0) {
                program.hand -= freed;
                program.uncharged += freed;
                freed = 0;
            }
        }
    }
}

static void an_unknown_resident_set_makes_all_of_it_pending(void **state)
{
    (void)state;
    hri_own own = {0};
    assert_true(hri_own_sample(&own, &(hri_own_input){.resident_bytes = HR_NONE, .hand_bytes = 9}) == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_what_is_free_once_all_is_touched),
        cmocka_unit_test(without_a_limit_a_lease_has_no_end),
        cmocka_unit_test(it_is_spent_to_the_byte_also_where_the_word_wraps),
        cmocka_unit_test(the_largest_surprise_of_the_last_second_is_held_back),
        cmocka_unit_test(memory_of_the_program_hides_nothing),
        cmocka_unit_test(time_forgets_nothing),
        cmocka_unit_test(a_block_may_be_freed_before_it_is_uncharged),
        cmocka_unit_test(a_fall_of_the_programs_own_memory_is_noticed_within_seconds),
        cmocka_unit_test(a_purge_tells_what_is_in_use_again),
        cmocka_unit_test(the_bound_is_one_whatever_happens),
        cmocka_unit_test(an_unknown_resident_set_makes_all_of_it_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
