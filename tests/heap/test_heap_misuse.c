/* SPDX-License-Identifier: Apache-2.0 */
/* An address that is no block, or no longer one, is a fault: debug builds abort, release builds count it and change
 * nothing. */
#include "support/cmocka.h"

#include "base/assert.h"
#include "heap/heap.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(void *block)
{
    hri_heap_block was;
    hri_heap_put(block, &was);
}

/* Runs a misuse in a child. Gives whether it was told of as a fault: by an abort, or by the count. */
static bool is_fault(void (*misuse)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        uint64_t before = hri_fault_count();
        misuse();
        _exit(hri_fault_count() > before ? 7 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
#ifdef HRI_DEBUG
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
#else
    return WIFEXITED(status) && WEXITSTATUS(status) == 7;
#endif
}

static size_t size;

static void twice(void)
{
    void *block = hri_heap_get(size, 1);
    put(block);
    put(block);
}

static void twice_with_another_between(void)
{
    void *block = hri_heap_get(size, 1), *other = hri_heap_get(size, 1);
    put(block);
    put(other);
    put(block);
}

static void within(void)
{
    char *block = hri_heap_get(size, 1);
    memset(block, 0, size);
    put(block + 16);
}

static void a_block_of_malloc(void)
{
    put(malloc(size));
}

static void a_variable(void)
{
    uint64_t words[4] = {0};
    put(&words[2]);
}

static void nothing_that_there_is(void)
{
    put((void *)(uintptr_t)0x7000);
}

static void a_look_at_an_idle_one(void)
{
    hri_heap_block is;
    void *block = hri_heap_get(size, 1);
    put(block);
    hri_heap_look(block, &is, NULL);
}

static void double_and_foreign_pointers_are_told_of(void **state)
{
    static const size_t sizes[] = {8, 64, 1000, 5000, 16000, 20000, 100000, 200000};
    (void)state;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size = sizes[i];
        if (size < HRI_HEAP_LARGE_MIN) { /* where a large block was nothing may be mapped */
            assert_true(is_fault(twice));
            assert_true(is_fault(twice_with_another_between));
            assert_true(is_fault(a_look_at_an_idle_one));
        }
        if (size > 32)
            assert_true(is_fault(within));
        assert_true(is_fault(a_block_of_malloc));
    }
    assert_true(is_fault(a_variable));
#ifdef HRI_DEBUG
    assert_true(is_fault(nothing_that_there_is));
#else
    (void)nothing_that_there_is;
#endif
}

static void aligned_twice(void)
{
    void *block = hri_heap_get_aligned(256, 100, 1);
    put(block);
    put(block);
}

static void an_aligned_block_is_freed_once(void **state)
{
    (void)state;
    assert_true(is_fault(aligned_twice));
}

static void one_beyond(void)
{
    char *block = hri_heap_get(size, 1);
    block[size] = 1;
    put(block);
}

static void a_write_beyond_the_end_is_told_of_in_debug_builds(void **state)
{
    (void)state;
#ifdef HRI_DEBUG
    for (size = 1; size < 400000; size = size * 2 + 3)
        assert_true(is_fault(one_beyond));
#else
    (void)one_beyond;
    skip();
#endif
}

/* ── signals
 * ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void handle(int number)
{
    (void)number;
    put(hri_heap_get(20000, 1));
}

static void a_handler_that_interrupts(void)
{
    signal(SIGUSR1, handle);
    hri_heap_lock();
    raise(SIGUSR1);
}

static void a_signal_handler_that_interrupts_the_heap_is_told_of_in_debug_builds(void **state)
{
    (void)state;
#ifdef HRI_DEBUG
    assert_true(is_fault(a_handler_that_interrupts));
#else
    (void)a_handler_that_interrupts;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(double_and_foreign_pointers_are_told_of),
        cmocka_unit_test(an_aligned_block_is_freed_once),
        cmocka_unit_test(a_write_beyond_the_end_is_told_of_in_debug_builds),
        cmocka_unit_test(a_signal_handler_that_interrupts_the_heap_is_told_of_in_debug_builds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
