/* SPDX-License-Identifier: Apache-2.0 */
/* Runs with libheadroom-malloc loaded by LD_PRELOAD. Each case runs this program again with a limit in its
 * environment: what it does then, and what it writes to standard error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preloaded.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ── what the child does: it exits with 0 if all is as it should be ─────────────────────────────────────────────── */

#define EXPECT(condition) ((condition) ? (void)0 : fail_at(__LINE__))

static _Noreturn void fail_at(int line)
{
    dprintf(2, "line %d (errno %d)\n", line, errno);
    _exit(99);
}

/* Takes blocks until there are none; gives how many bytes. They are in a list, the last first. */
static size_t fill(size_t size, void **ret_list)
{
    size_t sum = 0;
    void *list = NULL;
    for (void **block; (block = hide(malloc(size))) != NULL; list = block, sum += size) {
        memset(block, 1, size);
        *block = list;
    }
    EXPECT(errno == ENOMEM);
    *ret_list = list;
    return sum;
}

static void empty(void *list)
{
    for (void *next; list; list = next) {
        next = *(void **)list;
        free(list);
    }
}

/* Bytes that the kernel has for this process. */
static size_t resident(void)
{
    char text[128] = {0};
    long pages = 0, shared = 0, all = 0;
    int fd = open("/proc/self/statm", O_RDONLY);
    EXPECT(read(fd, text, sizeof text - 1) > 0);
    EXPECT(sscanf(text, "%ld %ld %ld", &all, &pages, &shared) == 3);
    close(fd);
    return (size_t)(pages - shared) * 4096;
}

static void fails_at_the_limit(void)
{
    static const size_t sizes[] = {16, 100, 1000, 5000, 30000, 200000, 3000000, 6000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *list;
        size_t sum = fill(sizes[i], &list);
        EXPECT(sum > (sizes[i] < 64 ? 10 : 30) * MIB && sum <= 40 * MIB);
        EXPECT(resident() < 42 * MIB);
        empty(list);
        errno = 0;
    }
}

static void calloc_and_realloc_fail_too(void)
{
    char *block = hide(malloc(10 * MIB));
    EXPECT(block && !hide(calloc(1, 35 * MIB)) && errno == ENOMEM);
    block[0] = 5;
    EXPECT(!hide(realloc(block, 45 * MIB)) && errno == ENOMEM && block[0] == 5);
    block = hide(realloc(block, 30 * MIB)); /* by its pages: no moment with two of them */
    EXPECT(block && block[0] == 5);
    block = hide(realloc(block, 35 * MIB));
    EXPECT(block && block[0] == 5);
    void *aligned = NULL;
    EXPECT(posix_memalign(&aligned, 65536, 10 * MIB) == ENOMEM && !aligned);
    free(block);
    EXPECT(posix_memalign(&aligned, 65536, 30 * MIB) == 0);
}

static void the_reserve_serves_the_last_message(void)
{
    void *list;
    fill(4000, &list);
    char *text = hide(malloc(500));
    EXPECT(text != NULL);
    EXPECT(fprintf(stderr, "%s\n", strcpy(text, "my own message")) > 0);
    empty(list);
    fill(4000, &list); /* it is full again, and closed */
    EXPECT(hide(malloc(500)) != NULL);
}

static void mappings_count(void)
{
    char *maps[50];
    int count = 0;
    while (count < 50 &&
           (maps[count] = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED)
        count++;
    EXPECT(errno == ENOMEM && count >= 35 && count < 40);
    EXPECT(!hide(malloc(5 * MIB)));
    for (int i = 0; i < count; i++)
        EXPECT(munmap(maps[i], MIB) == 0);
    void *block = hide(malloc(35 * MIB));
    EXPECT(block);
    free(block);

    char *reserved = mmap(NULL, 1000 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT(reserved != MAP_FAILED);
    EXPECT(mprotect(reserved, 30 * MIB, PROT_READ | PROT_WRITE) == 0);
    EXPECT(mprotect(reserved + 100 * MIB, 30 * MIB, PROT_READ | PROT_WRITE) == -1 && errno == ENOMEM);
    memset(reserved, 1, 30 * MIB);
    EXPECT(madvise(reserved, 30 * MIB, MADV_DONTNEED) == 0);
    EXPECT(mprotect(reserved, 30 * MIB, PROT_NONE) == 0);
    EXPECT(mprotect(reserved + 100 * MIB, 30 * MIB, PROT_READ | PROT_WRITE) == 0);
    EXPECT(mmap(reserved + 100 * MIB, 30 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
           MAP_FAILED);
    EXPECT(mprotect(reserved, 30 * MIB, PROT_READ | PROT_WRITE) == 0);
    memset(reserved, 1, 30 * MIB);
    EXPECT(mprotect(reserved, 30 * MIB, PROT_NONE) == 0); /* closed, and the pages are still there: it counts */
    EXPECT(!hide(malloc(20 * MIB)));
    EXPECT(madvise(reserved, 30 * MIB, MADV_DONTNEED) == 0);
    block = hide(malloc(20 * MIB));
    EXPECT(block);
    free(block);
    EXPECT(munmap(reserved, 1000 * MIB) == 0);

    char *moved = mmap(NULL, 10 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(mremap(moved, 10 * MIB, 50 * MIB, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
    moved = mremap(moved, 10 * MIB, 30 * MIB, MREMAP_MAYMOVE);
    EXPECT(moved != MAP_FAILED);
    EXPECT(!hide(malloc(15 * MIB)));
    moved = mremap(moved, 30 * MIB, 5 * MIB, 0);
    EXPECT(moved != MAP_FAILED);
    block = hide(malloc(25 * MIB));
    EXPECT(block);
    free(block);
    EXPECT(munmap(moved, 5 * MIB) == 0);

    void *end = sbrk(0);
    EXPECT(sbrk((intptr_t)(30 * MIB)) == end);
    EXPECT(sbrk((intptr_t)(30 * MIB)) == (void *)-1 && errno == ENOMEM);
    EXPECT(brk(end) == 0);
    block = hide(malloc(35 * MIB));
    EXPECT(block);
}

static void waits_for_the_time(void)
{
    void *block = hide(malloc(30 * MIB));
    double from = now();
    EXPECT(!hide(malloc(20 * MIB)) && errno == ENOMEM);
    EXPECT(now() - from > 0.9 && now() - from < 10);
    from = now();
    EXPECT(!hide(malloc(200 * MIB)) && errno == ENOMEM); /* never: at once */
    EXPECT(now() - from < 0.5);
    free(block);
}

static void *free_later(void *block)
{
    usleep(300000);
    free(block);
    return NULL;
}

static void waits_for_others(void)
{
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, free_later, hide(malloc(30 * MIB))) == 0);
    double from = now();
    void *block = hide(malloc(20 * MIB));
    EXPECT(block && now() - from > 0.2);
    pthread_join(thread, NULL);
}

static void children_have_a_limit_of_their_own(void)
{
    void *list;
    size_t sum = fill(100000, &list);
    pid_t child = fork();
    if (child == 0) {
        void *mine;
        size_t more = fill(100000, &mine); /* what it inherited is its parent's */
        EXPECT(more > 30 * MIB && more <= 40 * MIB);
        empty(list);
        empty(mine);
        _exit(0);
    }
    int status;
    EXPECT(sum > 30 * MIB && waitpid(child, &status, 0) == child && status == 0);
    pid_t bare = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0); /* runs no handlers */
    if (bare == 0) {
        void *mine;
        EXPECT(fill(100000, &mine) > 30 * MIB);
        _exit(0);
    }
    EXPECT(waitpid(bare, &status, 0) == bare && status == 0);
}

static void threads_never_pass_it(void);

static void *grab(void *unused)
{
    unsigned seed = (unsigned)(uintptr_t)&unused;
    void *list = NULL;
    for (int i = 0; i < 20000; i++) {
        size_t size = 16 + (size_t)rand_r(&seed) % 60000;
        void **block = malloc(size);
        if (!block) {
            empty(list);
            list = NULL;
            continue;
        }
        memset(block, 1, size);
        *block = list;
        list = block;
    }
    empty(list);
    return NULL;
}

static void threads_never_pass_it(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_create(&threads[i], NULL, grab, NULL) == 0);
    for (int i = 0; i < 200; i++) {
        EXPECT(resident() < 44 * MIB); /* with stacks, and libc's own */
        usleep(2000);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    void *block = hide(malloc(35 * MIB)); /* nothing was lost */
    EXPECT(block);
}

static void takes_too_much(void)
{
    EXPECT(hide(malloc(50 * MIB)) != NULL);
}

static void takes_much(void)
{
    for (int i = 0; i < 50; i++)
        EXPECT(hide(malloc(MIB)) != NULL);
}

#define ACT(name)                                                                                                      \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
static const struct act {
    const char *name;
    void (*run)(void);
} acts[] = {
    ACT(fails_at_the_limit),
    ACT(calloc_and_realloc_fail_too),
    ACT(the_reserve_serves_the_last_message),
    ACT(mappings_count),
    ACT(waits_for_the_time),
    ACT(waits_for_others),
    ACT(children_have_a_limit_of_their_own),
    ACT(threads_never_pass_it),
    ACT(takes_too_much),
    ACT(takes_much),
};

/* ── the cases ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Starts this program to do one act. Standard error goes to `ret_fd`. */
static pid_t start(const char *act, const char *limit, const char *on_limit, int *ret_fd)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], 2);
        close(ends[0]);
        setenv("HEADROOM_LIMIT", limit, 1);
        setenv("HEADROOM_ON_LIMIT", on_limit, 1);
        setenv("HEADROOM_WAIT_SECONDS", "1", 0);
        execl("/proc/self/exe", "test_limit", act, (char *)NULL);
        _exit(98);
    }
    close(ends[1]);
    *ret_fd = ends[0];
    return child;
}

static int finish(pid_t child, int fd, char text[1024])
{
    size_t at = 0;
    ssize_t got;
    while ((got = read(fd, text + at, 1023 - at)) > 0)
        at += (size_t)got;
    text[at] = '\0';
    close(fd);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int run(const char *act, const char *limit, const char *on_limit, char text[1024])
{
    int fd;
    pid_t child = start(act, limit, on_limit, &fd);
    return finish(child, fd, text);
}

static void expect_silence(const char *act, const char *limit, const char *on_limit)
{
    char text[1024];
    int status = run(act, limit, on_limit, text);
    assert_string_equal(text, "");
    assert_int_equal(status, 0);
}

static void fail_gives_null(void **state)
{
    (void)state;
    expect_silence("fails_at_the_limit", "40M", "");
    expect_silence("fails_at_the_limit", "40M", "fail");
    expect_silence("calloc_and_realloc_fail_too", "40M", "fail");
}

static void mappings_are_bounded(void **state)
{
    (void)state;
    expect_silence("mappings_count", "40M", "fail");
}

static void a_reserve_is_kept_for_the_message(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(run("the_reserve_serves_the_last_message", "40M", "fail", text), 0);
    assert_string_equal(text, "my own message\n");
}

static void wait_waits(void **state)
{
    (void)state;
    expect_silence("waits_for_the_time", "40M", "wait");
    expect_silence("waits_for_others", "40M", "wait");
}

static void a_fork_has_an_account_of_its_own(void **state)
{
    (void)state;
    expect_silence("children_have_a_limit_of_their_own", "40M", "fail");
}

static void the_limit_holds_under_threads(void **state)
{
    (void)state;
    expect_silence("threads_never_pass_it", "40M", "fail");
}

static void abort_aborts(void **state)
{
    (void)state;
    char text[1024];
    int status = run("takes_too_much", "40M", "abort", text);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "the limit of 40.0 MiB is reached"));
}

static void freeze_stops_and_goes_on(void **state)
{
    (void)state;
    char text[1024];
    int fd, status, stops = 0;
    pid_t child = start("takes_much", "40M", "freeze", &fd);
    while (waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status)) {
        assert_true(++stops < 10);
        kill(child, SIGCONT);
    }
    assert_int_equal(status, 0);
    assert_true(stops >= 2);
    assert_true(read(fd, text, sizeof text) > 0);
    close(fd);
}

static void what_cannot_be_meant_is_said(void **state)
{
    (void)state;
    static const char *const values[] = {"much", "-5M", "5Q", "3K", "0", "80%", "40M 40M"};
    char text[1024];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(run("takes_much", values[i], "fail", text), 0);
        assert_non_null(strstr(text, values[i]));
        assert_non_null(strstr(text, "write "));
        assert_non_null(strstr(text, "this program has no limit"));
    }
    assert_int_equal(run("fails_at_the_limit", "40M", "explode", text), 0);
    assert_non_null(strstr(text, "'explode' is not known: there are fail, wait, freeze and abort"));
    setenv("HEADROOM_WAIT_SECONDS", "soon", 1);
    assert_int_equal(run("fails_at_the_limit", "40M", "fail", text), 0);
    unsetenv("HEADROOM_WAIT_SECONDS");
    assert_non_null(strstr(text, "'soon' is no number of seconds from 0 to 86400"));
    expect_silence("takes_much", "none", "fail");
    expect_silence("takes_much", "", "fail");
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(argv[1], acts[i].name) == 0) {
            acts[i].run();
            return 0;
        }
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_gives_null),
        cmocka_unit_test(mappings_are_bounded),
        cmocka_unit_test(a_reserve_is_kept_for_the_message),
        cmocka_unit_test(wait_waits),
        cmocka_unit_test(a_fork_has_an_account_of_its_own),
        cmocka_unit_test(the_limit_holds_under_threads),
        cmocka_unit_test(abort_aborts),
        cmocka_unit_test(freeze_stops_and_goes_on),
        cmocka_unit_test(what_cannot_be_meant_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
