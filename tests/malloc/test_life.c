/* SPDX-License-Identifier: Apache-2.0 */
/* Runs with libheadroom-malloc loaded by LD_PRELOAD: processes, threads and signals. A case that hangs is ended by its
 * alarm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preloaded.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static char program[4096];
static void expect_end(pid_t child)
{
    int status;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static unsigned random_below(unsigned *seed, unsigned end)
{
    return (unsigned)rand_r(seed) % end;
}

/* Allocates and frees all sizes; gives whether it could. */
static bool work(unsigned seed)
{
    enum {
        COUNT = 64
    };
    void *blocks[COUNT] = {0};
    for (unsigned i = 0; i < 2000; i++) {
        unsigned at = random_below(&seed, COUNT);
        size_t size = random_below(&seed, 50) == 0 ? random_below(&seed, 300000) : random_below(&seed, 700);
        free(blocks[at]);
        blocks[at] = malloc(size);
        if (!blocks[at])
            return false;
        memset(blocks[at], 1, size < 64 ? size : 64);
    }
    for (unsigned at = 0; at < COUNT; at++)
        free(blocks[at]);
    return true;
}

static void *work_on(void *stop)
{
    unsigned seed = (unsigned)(uintptr_t)&seed;
    while (!atomic_load((atomic_bool *)stop))
        if (!work(seed++))
            abort();
    return NULL;
}

static void a_forked_child_goes_on(void **state)
{
    (void)state;
    char *block = hide(malloc(1000)), *large = hide(malloc(1000000));
    strcpy(block, "inherited");
    pid_t child = fork();
    if (child == 0) {
        bool same = strcmp(block, "inherited") == 0;
        free(block);
        free(large);
        _exit(!(same && work(1)));
    }
    expect_end(child);
    assert_string_equal(block, "inherited");
    free(block);
    free(large);
}

static void children_of_busy_threads_go_on(void **state)
{
    (void)state;
    enum {
        THREADS = 4
    };
    pthread_t threads[THREADS];
    atomic_bool stop = false;
    alarm(60);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work_on, &stop), 0);
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            _exit(!work((unsigned)i));
        }
        expect_end(child);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    alarm(0);
}

static char text_file[] = "/tmp/headroom-malloc-XXXXXX";

/* A line of 50,000 bytes, whose reader holds the file's lock while getline() asks for larger and larger blocks. */
static void *read_lines(void *stop)
{
    FILE *file = fopen(text_file, "r");
    while (file && !atomic_load((atomic_bool *)stop)) {
        char *line = NULL;
        size_t room = 0;
        rewind(file);
        if (getline(&line, &room, file) < 50000)
            abort();
        free(line);
        usleep(100); /* locks of files are not fair */
    }
    if (!file || fclose(file) != 0)
        abort();
    return NULL;
}

static void *flush_all(void *stop)
{
    while (!atomic_load((atomic_bool *)stop))
        if (fflush(NULL) != 0 || usleep(20) != 0)
            abort();
    return NULL;
}

static void *fork_often(void *unused)
{
    (void)unused;
    for (int i = 0; i < 30; i++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit(fflush(NULL) != 0);
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            abort();
    }
    return NULL;
}

/* fflush(NULL) has the list of files and waits for a file; its reader waits for the heap; so a fork that has the heap
 * must not wait for the list. */
static void forks_do_not_meet_readers_and_flushers(void **state)
{
    (void)state;
    pthread_t others[4], forks[2];
    atomic_bool stop = false;
    int fd = mkstemp(text_file);
    assert_true(fd >= 0);
    for (int i = 0; i < 50000; i++)
        assert_int_equal(write(fd, i < 49999 ? "x" : "\n", 1), 1);
    close(fd);
    alarm(60);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&others[i], NULL, i ? read_lines : flush_all, &stop), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&forks[i], NULL, fork_often, NULL), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(forks[i], NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++)
        pthread_join(others[i], NULL);
    alarm(0);
    unlink(text_file);
}

static void a_child_of_vfork_is_a_guest(void **state)
{
    (void)state;
    static void *volatile from_child;
    pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork)
    if (child == 0) {
        from_child = malloc(5000); // NOLINT(clang-analyzer-unix.Vfork)
        free(malloc(200000));      // NOLINT(clang-analyzer-unix.Vfork)
        _exit(0);
    }
    expect_end(child);
    memset(from_child, 1, 5000);
    free(from_child);
    assert_true(work(2));
}

static void spawned_programs_run_with_it(void **state)
{
    (void)state;
    extern char **environ;
    char *words[] = {program, "held", NULL};
    for (int i = 0; i < 20; i++) {
        pid_t child;
        assert_int_equal(posix_spawn(&child, program, NULL, NULL, words, environ), 0);
        expect_end(child);
    }
}

static void exec_begins_anew(void **state)
{
    (void)state;
    void *block = hide(malloc(100000));
    pid_t child = fork();
    if (child == 0) {
        execl(program, program, "held", (char *)NULL);
        _exit(9);
    }
    expect_end(child);
    free(block);
}

/* 64 KiB of each thread's static block, beside the library's. */
static __attribute__((tls_model("initial-exec"))) _Thread_local unsigned char table[65536];

static void *fill_table(void *number)
{
    memset(table, (int)(uintptr_t)number, sizeof table);
    bool good = work((unsigned)(uintptr_t)number);
    for (size_t at = 0; at < sizeof table; at++)
        good &= table[at] == (unsigned char)(uintptr_t)number;
    return good ? NULL : number;
}

static void a_program_with_much_static_tls_keeps_it(void **state)
{
    (void)state;
    pthread_t threads[4];
    void *bad;
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fill_table, (void *)(i + 1)), 0);
    assert_null(fill_table((void *)9));
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
}

static void *ask_late(void *library)
{
    void *(*get)(size_t size) = (void *(*)(size_t))dlsym(library, "malloc");
    void (*put)(void *block) = (void (*)(void *))dlsym(library, "free");
    size_t (*usable)(void *block) = (size_t(*)(void *))dlsym(library, "malloc_usable_size");
    void *block = get && put && usable ? get(1000) : NULL, *older = malloc(100);
    if (!block || usable(block) < 1000 || usable(older) != 0)
        return library;
    put(block);
    put(older); /* born before: left alone */
    free(older);
    return NULL;
}

/* In a program that began without it: its part of the static block has to fit into what ld.so has left. */
static int open_late(const char *path)
{
    pthread_t thread;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL), *bad = NULL;
    if (!library || pthread_create(&thread, NULL, ask_late, library) != 0)
        return 7;
    pthread_join(thread, &bad);
    return bad || ask_late(library) ? 8 : 0;
}

static void a_running_program_can_open_it(void **state)
{
    (void)state;
    char *words[] = {program, "late", getenv("LD_PRELOAD"), NULL}, *none[] = {NULL};
    pid_t child;
    assert_int_equal(posix_spawn(&child, program, NULL, NULL, words, none), 0);
    expect_end(child);
}

static void libraries_come_and_go(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
        if (!library)
            skip();
        assert_non_null(dlsym(library, "cos"));
        assert_null(dlsym(library, "no_such_symbol"));
        assert_non_null(dlerror());
        dlclose(library);
    }
}

static pthread_key_t key;

static void free_late(void *block)
{
    free(block);
    free(malloc(100)); /* after the thread's magazines are gone, perhaps */
}

static void *short_life(void *unused)
{
    (void)unused;
    pthread_setspecific(key, malloc(300));
    bool good = work((unsigned)(uintptr_t)&good);
    return malloc(good ? 500 : 1);
}

static void threads_that_end_leave_nothing(void **state)
{
    (void)state;
    void *block;
    pthread_t thread;
    assert_int_equal(pthread_key_create(&key, free_late), 0);
    assert_int_equal(pthread_create(&thread, NULL, short_life, NULL), 0); /* libc's own first blocks */
    pthread_join(thread, &block);
    free(block);
    size_t before = held();
    for (int i = 0; i < 200; i++) {
        assert_int_equal(pthread_create(&thread, NULL, short_life, NULL), 0);
        pthread_join(thread, &block);
        free(block);
    }
    assert_int_equal(held(), before);
}

/* glibc allocates a thread's table of its 33rd key: it asks while the heap makes the thread's record. */
static void many_keys_need_blocks(void **state)
{
    (void)state;
    enum {
        KEYS = 200
    };
    pthread_key_t keys[KEYS];
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(pthread_key_create(&keys[i], free), 0);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(pthread_setspecific(keys[i], malloc(64)), 0);
    for (int i = 0; i < KEYS; i++) {
        free(pthread_getspecific(keys[i]));
        pthread_key_delete(keys[i]);
    }
}

static _Atomic(void *) handed;
static atomic_uint handled;

/* It must not be done, and programs do it. */
static void allocate_in_handler(int signal)
{
    (void)signal;
    void *large = malloc(200000), *small = malloc(300);
    free(atomic_exchange(&handed, small));
    free(large);
    atomic_fetch_add(&handled, 1);
}

static void handlers_may_allocate_and_free(void **state)
{
    (void)state;
    struct sigaction act = {.sa_handler = allocate_in_handler, .sa_flags = SA_RESTART};
    struct itimerval often = {.it_interval = {0, 200}, .it_value = {0, 200}}, never = {0};
    sigaction(SIGPROF, &act, NULL);
    alarm(60);
    setitimer(ITIMER_PROF, &often, NULL);
    for (unsigned i = 0; i < 3000 && atomic_load(&handled) < 2000; i++) {
        assert_true(work(i));
        malloc_trim(0);
    }
    setitimer(ITIMER_PROF, &never, NULL);
    alarm(0);
    assert_true(atomic_load(&handled) > 0);
    free(atomic_exchange(&handed, NULL));
}

static void fork_in_handler(int signal)
{
    (void)signal;
    int saved = errno, status;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0 && (waitpid(child, &status, 0) != child || status != 0))
        abort();
    atomic_fetch_add(&handled, 1);
    errno = saved;
}

/* glibc's malloc allows it: a shell's handler that starts a program has interrupted anything. */
static void handlers_may_fork(void **state)
{
    (void)state;
    struct sigaction act = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
    struct itimerval often = {.it_interval = {0, 2000}, .it_value = {0, 2000}}, never = {0};
    atomic_store(&handled, 0);
    sigaction(SIGPROF, &act, NULL);
    alarm(60);
    setitimer(ITIMER_PROF, &often, NULL);
    for (unsigned i = 0; i < 2000 && atomic_load(&handled) < 100; i++) {
        assert_true(work(i));
        malloc_trim(0);
    }
    setitimer(ITIMER_PROF, &never, NULL);
    alarm(0);
    assert_true(atomic_load(&handled) > 0);
}

/* A block of one thread is freed by another: queues of work do nothing else. */
static void *free_all(void *all)
{
    for (void **each = all; *each; each++)
        free(*each);
    return NULL;
}

static void blocks_pass_between_threads(void **state)
{
    (void)state;
    enum {
        COUNT = 20000
    };
    static void *blocks[COUNT + 1];
    size_t before = held();
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < COUNT; i++)
            blocks[i] = malloc(16 + i % 900);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, free_all, blocks), 0);
        pthread_join(thread, NULL);
    }
    assert_true(held() <= before + 4096); /* libc keeps its record of a thread for the next */
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return open_late(argv[2]);
    if (argc > 1) /* the program that is spawned */
        return !(hide(malloc(1000)) && held() == 1040 && work(3));
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_keys_need_blocks),
        cmocka_unit_test(a_forked_child_goes_on),
        cmocka_unit_test(children_of_busy_threads_go_on),
        cmocka_unit_test(forks_do_not_meet_readers_and_flushers),
        cmocka_unit_test(a_child_of_vfork_is_a_guest),
        cmocka_unit_test(spawned_programs_run_with_it),
        cmocka_unit_test(exec_begins_anew),
        cmocka_unit_test(a_program_with_much_static_tls_keeps_it),
        cmocka_unit_test(a_running_program_can_open_it),
        cmocka_unit_test(libraries_come_and_go),
        cmocka_unit_test(threads_that_end_leave_nothing),
        cmocka_unit_test(handlers_may_allocate_and_free),
        cmocka_unit_test(handlers_may_fork),
        cmocka_unit_test(blocks_pass_between_threads),
    };
    (void)argv;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
