/* SPDX-License-Identifier: Apache-2.0 */
/* The linker sends our objects' calls of malloc() to __wrap_malloc() and so on; each asks strike() whether it is its
 * turn. The state is the thread's own, so that the monitor or a neighbour neither counts nor fails.
 *
 * Calls that may use malloc()'s locks, those that cannot fail too, also see to it that the thread holds no inner lock
 * (base/lock.h).
 */
#include "support/fault.h"

#include "base/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
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

/* Aborts, so that it is seen on a thread of the library's too. */
static void see_to_locks(const char *name)
{
    if (hri_inner_depth == 0)
        return;
    fprintf(stderr, "fault: %s() is called with an inner lock held (src/base/lock.h)\n", name);
    abort();
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

/* The same for calls that may allocate. */
#define WRAP_MALLOC(type, name, parameters, arguments, value, error)                                                   \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        see_to_locks(#name);                                                                                           \
        if (strike(#name)) {                                                                                           \
            errno = (error);                                                                                           \
            return value;                                                                                              \
        }                                                                                                              \
        return __real_##name arguments;                                                                                \
    }

/* The same for those that do not fail. */
#define WRAP_SURE(type, name, parameters, arguments)                                                                   \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        see_to_locks(#name);                                                                                           \
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

#define WRAP_POSIX_MALLOC(name, parameters, arguments, error)                                                          \
    int __real_##name parameters;                                                                                      \
    int __wrap_##name parameters;                                                                                      \
    int __wrap_##name parameters                                                                                       \
    {                                                                                                                  \
        see_to_locks(#name);                                                                                           \
        return strike(#name) ? (error) : __real_##name arguments;                                                      \
    }

WRAP_MALLOC(void *, malloc, (size_t size), (size), NULL, ENOMEM)
WRAP_MALLOC(void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
WRAP_MALLOC(void *, realloc, (void *block, size_t size), (block, size), NULL, ENOMEM)
WRAP_MALLOC(void *, reallocarray, (void *block, size_t n, size_t size), (block, n, size), NULL, ENOMEM)
WRAP_MALLOC(void *, aligned_alloc, (size_t align, size_t size), (align, size), NULL, ENOMEM)
WRAP_POSIX_MALLOC(posix_memalign, (void **block, size_t align, size_t size), (block, align, size), ENOMEM)
WRAP_MALLOC(char *, strdup, (const char *text), (text), NULL, ENOMEM)
WRAP_MALLOC(char *, strndup, (const char *text, size_t n), (text, n), NULL, ENOMEM)
WRAP(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset), MAP_FAILED, ENOMEM)
WRAP_MALLOC(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1, EMFILE)
WRAP(int, epoll_create1, (int flags), (flags), -1, EMFILE)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), -1, EMFILE)
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags), -1, EMFILE)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EMFILE)
WRAP_POSIX_MALLOC(pthread_create,
                  (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument),
                  (thread, attributes, run, argument), EAGAIN)
WRAP_POSIX(pthread_key_create, (pthread_key_t * key, void (*destroy)(void *)), (key, destroy), EAGAIN)

/* Blocks of the library's own heap, by the calls that the rooms above it make. */
WRAP_MALLOC(void *, hri_heap_get_slowly, (size_t size, uint64_t owner), (size, owner), NULL, ENOMEM)
WRAP_MALLOC(void *, hri_heap_get_zeroed, (size_t size, uint64_t owner), (size, owner), NULL, ENOMEM)
WRAP_MALLOC(void *, hri_heap_get_aligned, (size_t align, size_t size, uint64_t owner), (align, size, owner), NULL,
            ENOMEM)

WRAP_SURE(DIR *, opendir, (const char *path), (path))
WRAP_SURE(int, closedir, (DIR * folder), (folder))
WRAP_SURE(void, free, (void *block), (block))
WRAP_SURE(int, malloc_trim, (size_t pad), (pad))
WRAP_SURE(int, mallopt, (int parameter, int value), (parameter, value))
WRAP_SURE(size_t, malloc_usable_size, (void *block), (block))
WRAP_SURE(int, pthread_setspecific, (pthread_key_t key, const void *value), (key, value))
WRAP_SURE(int, pthread_atfork, (void (*before)(void), void (*in_parent)(void), void (*in_child)(void)),
          (before, in_parent, in_child))
WRAP_SURE(int, dl_iterate_phdr, (int (*visit)(struct dl_phdr_info *, size_t, void *), void *data), (visit, data))
WRAP_SURE(char *, strerror, (int error), (error))
WRAP_SURE(void, qsort, (void *items, size_t count, size_t size, int (*compare)(const void *, const void *)),
          (items, count, size, compare))
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
