/* SPDX-License-Identifier: Apache-2.0 */
/* The linker sends our objects' calls of malloc() to __wrap_malloc() and so on; each asks strike() whether it is its
 * turn. The state is the thread's own, so that the monitor or a neighbour neither counts nor fails.
 */
#include "support/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

/* A scenario with more calls than this does not end. */
#define FAULTS_MAX 10000

typedef struct faults {
    bool armed;
    hrt_fault_mode mode;
    uint64_t nth;
    uint64_t calls;
    uint64_t failed;
    const char *first;
} faults;

static _Thread_local faults mine;

static bool strike(const char *name)
{
    if (!mine.armed)
        return false;
    uint64_t call = ++mine.calls;
    if (mine.nth == 0 || call < mine.nth || (mine.mode == HRT_FAULT_ONCE && call > mine.nth))
        return false;
    mine.failed++;
    if (!mine.first)
        mine.first = name;
    return true;
}

void hrt_fault_arm(hrt_fault_mode mode, uint64_t nth)
{
    mine = (faults){.armed = true, .mode = mode, .nth = nth};
}

void hrt_fault_disarm(void)
{
    mine.armed = false;
}

uint64_t hrt_fault_calls(void)
{
    return mine.calls;
}

uint64_t hrt_fault_failed(void)
{
    return mine.failed;
}

const char *hrt_fault_first(void)
{
    return mine.first;
}

/* A failed assertion leaves the scenario by longjmp: then this says at exit which fault it was. */
static void say_where(void)
{
    if (mine.armed)
        fprintf(stderr, "fault: the scenario was left with call %llu (%s) failing %s\n", (unsigned long long)mine.nth,
                mine.first ? mine.first : "not reached", mine.mode == HRT_FAULT_ONCE ? "once" : "and all after it");
}

static uint64_t each_fault_in_mode(hrt_fault_scenario *scenario, void *context, hrt_fault_mode mode)
{
    for (uint64_t nth = 1; nth <= FAULTS_MAX; nth++) {
        hrt_fault_arm(mode, nth);
        scenario(context);
        hrt_fault_disarm();
        if (hrt_fault_failed() == 0)
            return nth - 1;
    }
    fail_msg("after %d faults the scenario still finds another call to fail", FAULTS_MAX);
    return 0;
}

uint64_t hrt_each_fault(hrt_fault_scenario *scenario, void *context)
{
    static bool said;
    if (!said) {
        said = true;
        atexit(say_where);
    }
    uint64_t once = each_fault_in_mode(scenario, context, HRT_FAULT_ONCE);
    uint64_t always = each_fault_in_mode(scenario, context, HRT_FAULT_ALWAYS);
    if (once == 0 || always == 0)
        fail_msg("the scenario makes no call that could fail: it proves nothing");
    return once + always;
}

/* The calls themselves. WRAP defines one that fails with `value` and errno `error`. */
#define WRAP(type, name, parameters, arguments, value, error)                                                          \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        if (strike(#name)) {                                                                                           \
            errno = (error);                                                                                           \
            return value;                                                                                              \
        }                                                                                                              \
        return __real_##name arguments;                                                                                \
    }

/* The same for calls that return their error and leave errno alone. */
#define WRAP_POSIX(name, parameters, arguments, error)                                                                 \
    int __real_##name parameters;                                                                                      \
    int __wrap_##name parameters;                                                                                      \
    int __wrap_##name parameters                                                                                       \
    {                                                                                                                  \
        return strike(#name) ? (error) : __real_##name arguments;                                                      \
    }

WRAP(void *, malloc, (size_t size), (size), NULL, ENOMEM)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
WRAP(void *, realloc, (void *block, size_t size), (block, size), NULL, ENOMEM)
WRAP(void *, reallocarray, (void *block, size_t n, size_t size), (block, n, size), NULL, ENOMEM)
WRAP(void *, aligned_alloc, (size_t align, size_t size), (align, size), NULL, ENOMEM)
WRAP_POSIX(posix_memalign, (void **block, size_t align, size_t size), (block, align, size), ENOMEM)
WRAP(char *, strdup, (const char *text), (text), NULL, ENOMEM)
WRAP(char *, strndup, (const char *text, size_t n), (text, n), NULL, ENOMEM)
WRAP(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset), MAP_FAILED, ENOMEM)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1, EMFILE)
WRAP(int, epoll_create1, (int flags), (flags), -1, EMFILE)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), -1, EMFILE)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE)
WRAP_POSIX(pthread_create, (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument),
           (thread, attributes, run, argument), EAGAIN)
WRAP_POSIX(pthread_key_create, (pthread_key_t * key, void (*destroy)(void *)), (key, destroy), EAGAIN)

/* Of advice to the kernel only that to populate pages takes memory. */
#define POPULATE_WRITE 23 /* MADV_POPULATE_WRITE, which older headers lack */

int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice)
{
    if (advice == POPULATE_WRITE && strike("madvise")) {
        errno = ENOMEM;
        return -1;
    }
    return __real_madvise(at, size, advice);
}

/* The variadic ones are passed on with the argument that their flags call for. */

void *__real_mremap(void *block, size_t old_size, size_t new_size, int flags, ...);
void *__wrap_mremap(void *block, size_t old_size, size_t new_size, int flags, ...);
void *__wrap_mremap(void *block, size_t old_size, size_t new_size, int flags, ...)
{
    if (strike("mremap")) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *target = NULL;
    if (flags & MREMAP_FIXED) {
        va_list more;
        va_start(more, flags);
        target = va_arg(more, void *);
        va_end(more);
    }
    return __real_mremap(block, old_size, new_size, flags, target);
}

static bool takes_mode(int flags)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    if (strike("open")) {
        errno = EMFILE;
        return -1;
    }
    mode_t mode = 0;
    if (takes_mode(flags)) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return __real_open(path, flags, mode);
}

int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...)
{
    if (strike("openat")) {
        errno = EMFILE;
        return -1;
    }
    mode_t mode = 0;
    if (takes_mode(flags)) {
        va_list more;
        va_start(more, flags);
        mode = va_arg(more, mode_t);
        va_end(more);
    }
    return __real_openat(folder, path, flags, mode);
}
