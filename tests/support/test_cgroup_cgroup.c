/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroup helper itself: a hog is really killed by the kernel, the kill is counted, and nothing stays behind. */
#include "support/cgroup.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT_BYTES (32u << 20)

/* Touches as many bytes as `context` says. */
static int touch(void *context)
{
    size_t bytes = *(size_t *)context;
    char *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return 2;
    memset(block, 1, bytes);
    return 0;
}

/* Says on the pipe that it is inside, and stays. */
static int stay(void *context)
{
    if (write(*(int *)context, "x", 1) != 1)
        return 2;
    sleep(60);
    return 0;
}

static int setup(void **state)
{
    static hrt_cgroup group;
    *state = &group;
    return hrt_cgroup_new("self", LIMIT_BYTES, &group);
}

static int teardown(void **state)
{
    hrt_cgroup_free(*state);
    return 0;
}

static void test_a_hog_is_killed_and_counted(void **state)
{
    hrt_cgroup *group = *state;
    size_t bytes = 2 * LIMIT_BYTES;
    assert_int_equal(hrt_cgroup_oom_kills(group), 0);
    int status = hrt_cgroup_run(group, touch, &bytes);
    assert_true(status >= 0 && WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    /* v2 may count more kills than there were processes. */
    assert_in_range(hrt_cgroup_oom_kills(group), 1, 8);
}

static void test_what_fits_lives(void **state)
{
    hrt_cgroup *group = *state;
    size_t bytes = LIMIT_BYTES / 2;
    int status = hrt_cgroup_run(group, touch, &bytes);
    assert_true(status >= 0 && WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(hrt_cgroup_oom_kills(group), 0);
}

static void test_a_raised_limit_counts(void **state)
{
    hrt_cgroup *group = *state;
    size_t bytes = 2 * LIMIT_BYTES;
    assert_int_equal(hrt_cgroup_set_limit(group, 4 * LIMIT_BYTES), 0);
    int status = hrt_cgroup_run(group, touch, &bytes);
    assert_true(status >= 0 && WIFEXITED(status));
    assert_int_equal(hrt_cgroup_set_limit(group, LIMIT_BYTES), 0);
}

static void test_an_ancestors_limit_counts(void **state)
{
    hrt_cgroup *group = *state;
    hrt_cgroup inner;
    size_t bytes = 2 * LIMIT_BYTES;
    assert_int_equal(hrt_cgroup_new_inside(group, "inner", UINT64_MAX, &inner), 0);
    int status = hrt_cgroup_run(&inner, touch, &bytes);
    uint64_t kills = hrt_cgroup_oom_kills(&inner);
    hrt_cgroup_free(&inner);
    assert_true(status >= 0 && WIFSIGNALED(status));
    assert_in_range(kills, 1, 8);
}

static void test_free_kills_what_is_left(void **state)
{
    (void)state;
    hrt_cgroup group;
    assert_int_equal(hrt_cgroup_new("left", LIMIT_BYTES, &group), 0);
    char path[HRT_CGROUP_PATH];
    memcpy(path, group.path, sizeof path);
    int inside[2];
    assert_int_equal(pipe(inside), 0);
    pid_t child = hrt_cgroup_start(&group, stay, &inside[1]);
    assert_true(child > 0);
    close(inside[1]);
    char byte;
    assert_int_equal(read(inside[0], &byte, 1), 1);
    close(inside[0]);
    hrt_cgroup_free(&group);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_not_equal(access(path, F_OK), 0);
}

int main(void)
{
    char reason[HRT_REASON];
    if (!hrt_cgroup_available(reason)) {
        print_message("[  SKIPPED ] %s\n", reason);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_hog_is_killed_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_fits_lives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_raised_limit_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_ancestors_limit_counts, setup, teardown),
        cmocka_unit_test(test_free_kills_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
