/* SPDX-License-Identifier: Apache-2.0 */
/* tests/tools/wordcount under a kernel limit that its input exceeds 256 times: in chunks it comes to the end, and
 * naively it is killed. */
#include "support/cgroup.h"
#include "support/cmocka.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT (16 * MIB)
#define SIZE (4096 * MIB)

static char program[4096], path[] = "/tmp/headroom-words-XXXXXX";
static int output[2]; /* what the program says */

static int set_up(void **state)
{
    (void)state;
    char reason[HRT_REASON];
    const char *build = getenv("HEADROOM_BUILD_DIR");
    snprintf(program, sizeof program, "%s/tests/tools/wordcount", build ? build : ".");
    if (!hrt_cgroup_available(reason)) {
        print_message("skipped: %s\n", reason);
        exit(77);
    }
    if (access(program, X_OK) != 0) {
        print_message("skipped: wordcount is not built\n");
        exit(77);
    }
    return 0;
}

/* A sparse file: most of it is zeros, which separate words; here and there is one. */
static void make_input(void)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
    for (uint64_t at = 0; at < SIZE; at += 512 * MIB)
        assert_int_equal(pwrite(fd, "two words\n", 10, (off_t)at), 10);
    assert_int_equal(pwrite(fd, "end", 3, (off_t)(SIZE - 3)), 3);
    close(fd);
}

static int run_program(void *context)
{
    char *const *arguments = context;
    dup2(output[1], STDOUT_FILENO);
    execv(program, arguments);
    return 126;
}

/* Gives the program's wait status, and what it said. */
static int run_limited(const char *option, char *ret_said, size_t size, uint64_t *ret_kills)
{
    char *arguments[] = {program, path, (char *)(uintptr_t)option, option ? "2" : NULL, NULL};
    if (option && strcmp(option, "--naive") == 0)
        arguments[3] = NULL;
    hrt_cgroup group;
    assert_int_equal(hrt_cgroup_new("words", LIMIT, &group), 0);
    assert_int_equal(pipe(output), 0);
    int status = hrt_cgroup_run(&group, run_program, arguments);
    close(output[1]);
    ssize_t got = read(output[0], ret_said, size - 1);
    ret_said[got > 0 ? got : 0] = '\0';
    close(output[0]);
    *ret_kills = hrt_cgroup_oom_kills(&group);
    hrt_cgroup_free(&group);
    return status;
}

static void in_chunks_it_ends_and_naively_it_is_killed(void **state)
{
    (void)state;
    char said[128];
    uint64_t kills;
    make_input();
    int status = run_limited(NULL, said, sizeof said, &kills);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(kills, 0);
    assert_string_equal(said, "8 17 4294967296\n");

    status = run_limited("--naive", said, sizeof said, &kills);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(kills >= 1);
    assert_string_equal(said, "");

    assert_int_equal(truncate(path, (off_t)(512 * MIB + 5)), 0); /* with workers some of it will do */
    status = run_limited("--workers", said, sizeof said, &kills);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(kills, 0);
    assert_string_equal(said, "1 4 536870917\n");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_chunks_it_ends_and_naively_it_is_killed)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
