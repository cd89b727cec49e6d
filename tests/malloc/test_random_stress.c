/* SPDX-License-Identifier: Apache-2.0 */
/* Runs with libheadroom-malloc loaded by LD_PRELOAD: random operations of 8 threads that free each other's blocks. At
 * the end nothing is held beyond what was held before. An argument says how many operations; a million by default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preloaded.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 8
#define SLOTS 4096
#define MARK 32

static unsigned long operations = 1000000;
static _Atomic(unsigned char *) slots[SLOTS];

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static size_t size_of(uint64_t random)
{
    switch (random % 100) {
    case 0:
        return random >> 20 & 0xFFFFF;
    case 1:
    case 2:
    case 3:
        return random >> 20 & 0xFFFF;
    default:
        return random >> 20 & 0x3FF;
    }
}

/* The first and last bytes of a block say its size: whoever frees it looks. */
static void mark(unsigned char *block, size_t size)
{
    memcpy(block, &size, sizeof size);
    memset(block + sizeof size, (int)(size & 255), size - sizeof size < MARK ? size - sizeof size : MARK);
    block[size - 1] = (unsigned char)(size & 255);
}

static void check(const unsigned char *block)
{
    size_t size;
    memcpy(&size, block, sizeof size);
    if (malloc_usable_size((void *)(uintptr_t)block) < size || block[size - 1] != (size & 255))
        abort();
}

static void *make(uint64_t random, unsigned char *old)
{
    size_t size = size_of(random) + sizeof size + 1;
    unsigned char *block;
    switch (random >> 50 & 7) {
    case 0:
        block = calloc(1, size);
        if (block && (block[0] || block[size / 2] || block[size - 1]))
            abort();
        break;
    case 1:
        block = memalign((size_t)16 << (random >> 55 & 7), size);
        break;
    case 2:
    case 3:
        block = realloc(old, size);
        old = NULL;
        break;
    default:
        block = malloc(size);
    }
    free(old);
    if (!block)
        abort();
    mark(block, size);
    return block;
}

static void *run(void *number)
{
    uint64_t seed = 88172645463325252 + (uintptr_t)number * 7919;
    for (unsigned long i = 0; i < operations / THREADS; i++) {
        uint64_t random = next(&seed);
        _Atomic(unsigned char *) *slot = &slots[random >> 32 & (SLOTS - 1)];
        unsigned char *old = atomic_exchange(slot, NULL), *block = NULL;
        if (old)
            check(old);
        if (random & 1 << 14 || !old)
            block = make(next(&seed), old);
        else
            free(old);
        if (block)
            free(atomic_exchange(slot, block));
    }
    return NULL;
}

static void all_threads(void)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SLOTS; i++)
        free(atomic_exchange(&slots[i], NULL));
}

static void nothing_is_lost(void **state)
{
    (void)state;
    all_threads(); /* libc's own blocks for its threads are there from now on */
    size_t before = held();
    all_threads();
    assert_int_equal(held(), before);
    malloc_trim(0);
    assert_true(mallinfo2().arena < ((size_t)16 << 20));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        operations = strtoul(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_is_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
