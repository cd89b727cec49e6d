/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/assert.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef HRI_DEBUG

/* Runs `misuse` in a child, and gives the first that it says. */
static void listen(void (*misuse)(void), char *text, size_t size)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        misuse();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; length < size - 1 && (got = read(ends[0], text + length, size - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static __attribute__((noinline)) void misuse(void)
{
    HRI_NOTE_CALLER();
    hri_fault("%d is wrong", 7);
}

static void misuse_from_nowhere(void)
{
    hri_caller = NULL;
    hri_fault("nobody was noted");
}

/* Regression: it was an address of that run, which says nothing of a program that is loaded anywhere. */
static void a_fault_says_where_it_was_called_as_file_and_offset(void **state)
{
    (void)state;
    char text[256];
    int end = 0;
    unsigned offset = 0;
    listen(misuse, text, sizeof text);
    assert_int_equal(sscanf(text, "headroom: 7 is wrong (called at test_assert+0x%x)%n", &offset, &end), 1);
    assert_true(end > 0 && offset > 0);
    listen(misuse_from_nowhere, text, sizeof text);
    assert_non_null(strstr(text, "nobody was noted (called at (nil))"));
}

#else

static void a_fault_says_where_it_was_called_as_file_and_offset(void **state)
{
    (void)state;
    print_message("skipped: release builds count faults, and say nothing\n");
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_says_where_it_was_called_as_file_and_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
