/* SPDX-License-Identifier: Apache-2.0 */
#include "malloc/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES 1000

static hri_malloc_page *page;

static int set_up(void **state)
{
    (void)state;
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED;
}

static int tear_down(void **state)
{
    (void)state;
    return munmap(page, sizeof *page);
}

/* A child that takes a slot, charges it, and waits for its end. */
static pid_t hold_slot(unsigned *ret_slot)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        unsigned slot = hri_slots_take(page, 0);
        atomic_fetch_add(&page->used_bytes, BYTES);
        atomic_fetch_add(&page->slots[slot].charged_bytes, BYTES);
        if (write(ends[1], &slot, sizeof slot) == sizeof slot)
            pause();
        _exit(1);
    }
    assert_true(child > 0);
    assert_int_equal(read(ends[0], ret_slot, sizeof *ret_slot), sizeof *ret_slot);
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void end(pid_t child)
{
    int status;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
}

static bool settle_gone(void)
{
    return hri_slots_settle_gone(page, 0, HRI_MALLOC_SLOTS);
}

static void a_process_that_is_gone_gives_back_its_bytes(void **state)
{
    (void)state;
    unsigned slot;
    pid_t child = hold_slot(&slot);
    assert_false(settle_gone());
    assert_int_equal(atomic_load(&page->used_bytes), BYTES);
    end(child);
    assert_true(settle_gone());
    assert_int_equal(atomic_load(&page->used_bytes), 0);
    assert_int_equal(atomic_load(&page->slots[slot].pid), 0);
    assert_int_equal(atomic_load(&page->processes), 0);
    assert_true(atomic_load(&page->gate) > 0); /* so a thread that waits looks again */
    assert_false(settle_gone());
}

/* Without an init, nobody may ever wait for it. */
static void a_zombie_is_gone(void **state)
{
    (void)state;
    unsigned slot;
    siginfo_t info;
    pid_t child = hold_slot(&slot);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_true(settle_gone());
    assert_int_equal(atomic_load(&page->used_bytes), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* The number is another process's by now: its start time differs. */
static void a_number_that_another_has_is_told_by_its_start(void **state)
{
    (void)state;
    unsigned slot;
    pid_t child = hold_slot(&slot);
    atomic_fetch_sub(&page->slots[slot].start, 1);
    assert_true(settle_gone());
    assert_int_equal(atomic_load(&page->used_bytes), 0);
    end(child);
}

/* A number of another container means another process here, or none. */
static void a_slot_of_another_space_is_left_alone(void **state)
{
    (void)state;
    unsigned slot;
    pid_t child = hold_slot(&slot);
    atomic_fetch_add(&page->slots[slot].space, 1);
    end(child);
    assert_false(settle_gone());
    atomic_store(&page->slots[slot].space, 0);
    assert_false(settle_gone());
    assert_int_equal(atomic_load(&page->used_bytes), BYTES);
}

static void a_slot_is_settled_once_and_for_its_owner(void **state)
{
    (void)state;
    unsigned slot;
    pid_t child = hold_slot(&slot);
    assert_false(hri_slots_settle(page, slot, child + 1));
    assert_true(hri_slots_settle(page, slot, child));
    assert_false(hri_slots_settle(page, slot, child));
    assert_int_equal(atomic_load(&page->used_bytes), 0);
    end(child);
}

static void a_full_page_has_no_slot(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HRI_MALLOC_SLOTS; i++)
        assert_int_equal(hri_slots_take(page, 0), i);
    assert_int_equal(hri_slots_take(page, 0), HRI_MALLOC_SLOTS);
    assert_int_equal(hri_slots_take(page, (int32_t)getpid()), 0); /* its own */
    assert_int_equal(atomic_load(&page->processes), HRI_MALLOC_SLOTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_process_that_is_gone_gives_back_its_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_zombie_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_number_that_another_has_is_told_by_its_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slot_of_another_space_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slot_is_settled_once_and_for_its_owner, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_page_has_no_slot, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
