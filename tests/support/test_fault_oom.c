/* SPDX-License-Identifier: Apache-2.0 */
/* The fault injector itself: a test that injects nothing would pass for ever. */
#include "support/fault.h"

#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_once_fails_only_the_nth(void **state)
{
    (void)state;
    hrt_fault_arm(HRT_FAULT_ONCE, 2);
    void *first = malloc(16);
    errno = 0;
    void *second = malloc(16);
    int error = errno;
    void *third = malloc(16);
    hrt_fault_disarm();
    assert_non_null(first);
    assert_null(second);
    assert_int_equal(error, ENOMEM);
    assert_non_null(third);
    assert_int_equal(hrt_fault_calls(), 3);
    assert_int_equal(hrt_fault_failed(), 1);
    assert_string_equal(hrt_fault_first(), "malloc");
    free(first);
    free(third);
}

static void test_always_fails_from_the_nth_on(void **state)
{
    (void)state;
    hrt_fault_arm(HRT_FAULT_ALWAYS, 2);
    char *first = strdup("kept");
    char *second = strdup("refused");
    void *third = calloc(1, 16);
    hrt_fault_disarm();
    assert_non_null(first);
    assert_null(second);
    assert_null(third);
    assert_int_equal(hrt_fault_failed(), 2);
    free(first);
}

static void *nothing(void *argument)
{
    return argument;
}

static void test_every_call_fails_as_its_manual_says(void **state)
{
    (void)state;
    void *block = NULL;
    pthread_t thread;
    hrt_fault_arm(HRT_FAULT_ALWAYS, 1);
    int aligned = posix_memalign(&block, 64, 64);
    void *mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int map_error = errno;
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int file_error = errno;
    int event = eventfd(0, EFD_CLOEXEC);
    int created = pthread_create(&thread, NULL, nothing, NULL);
    hrt_fault_disarm();
    assert_int_equal(aligned, ENOMEM);
    assert_ptr_equal(mapped, MAP_FAILED);
    assert_int_equal(map_error, ENOMEM);
    assert_int_equal(file, -1);
    assert_int_equal(file_error, EMFILE);
    assert_int_equal(event, -1);
    assert_int_equal(created, EAGAIN);
}

static void *allocate(void *argument)
{
    (void)argument;
    return malloc(16);
}

static void test_other_threads_are_spared(void **state)
{
    (void)state;
    pthread_t thread;
    void *block = NULL;
    hrt_fault_arm(HRT_FAULT_ALWAYS, 2); /* 1 is pthread_create */
    int error = pthread_create(&thread, NULL, allocate, NULL);
    if (error == 0)
        error = pthread_join(thread, &block);
    hrt_fault_disarm();
    assert_int_equal(error, 0);
    assert_non_null(block);
    assert_int_equal(hrt_fault_calls(), 1);
    free(block);
}

/* Two calls, so two faults in each mode; the bits say which outcomes were seen. */
static void two_blocks(void *context)
{
    unsigned *seen = context;
    void *first = malloc(16);
    void *second = malloc(16);
    *seen |= 1u << ((first ? 1 : 0) + (second ? 2 : 0));
    free(first);
    free(second);
}

static void test_each_fault_tries_them_all(void **state)
{
    (void)state;
    unsigned seen = 0;
    assert_int_equal(hrt_each_fault(two_blocks, &seen), 4);
    assert_int_equal(seen, 0xf);
}

/* The check of inner locks: a call that may want one of malloc()'s locks ends the program. */
static void ends_with_an_inner_lock(void (*call)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_DUMPABLE, 0);
        signal(SIGABRT, SIG_DFL);
        hri_inner_begin();
        call();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void allocate_a_block(void)
{
    free(malloc(16));
}

static void free_nothing(void)
{
    free(NULL);
}

static void test_an_inner_lock_and_malloc_do_not_go_together(void **state)
{
    (void)state;
    allocate_a_block();
    ends_with_an_inner_lock(allocate_a_block);
    ends_with_an_inner_lock(free_nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_fails_only_the_nth),
        cmocka_unit_test(test_always_fails_from_the_nth_on),
        cmocka_unit_test(test_every_call_fails_as_its_manual_says),
        cmocka_unit_test(test_other_threads_are_spared),
        cmocka_unit_test(test_each_fault_tries_them_all),
        cmocka_unit_test(test_an_inner_lock_and_malloc_do_not_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
