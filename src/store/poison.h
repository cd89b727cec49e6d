/* SPDX-License-Identifier: Apache-2.0 */
/* Tells memory checkers that blocks in a pool are not to be touched. AddressSanitizer is there if its functions are;
 * Valgrind is told by instructions that do nothing elsewhere, if its header was there when the library was built: each pool
 * is one of its memory pools, so that it says who got a block, and who put it.
 */
#ifndef HRI_STORE_POISON_H
#define HRI_STORE_POISON_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define HRI_VALGRIND_KNOWN 1
#endif
#endif
#ifdef HRI_VALGRIND_KNOWN
#define HRI_VALGRIND(...)                                                                                              \
    do {                                                                                                               \
        __VA_ARGS__;                                                                                                   \
    } while (0)
#else
#define HRI_VALGRIND(...) ((void)0)
#endif

extern __attribute__((weak)) void __asan_poison_memory_region(void const volatile *address, size_t size);
extern __attribute__((weak)) void __asan_unpoison_memory_region(void const volatile *address, size_t size);

/* Is AddressSanitizer watching? Then every block has to come by; under Valgrind, which has no restartable sequences, they
 * do in any case. */
static inline bool hri_poison_is_watched(void)
{
    return &__asan_poison_memory_region != NULL;
}

/* A pool's beginning and end. */
static inline void hri_poison_begin(const void *pool)
{
    (void)pool;
    HRI_VALGRIND(VALGRIND_CREATE_MEMPOOL(pool, 0, 0));
}

static inline void hri_poison_end(const void *pool)
{
    (void)pool;
    HRI_VALGRIND(VALGRIND_DESTROY_MEMPOOL(pool));
}

/* The library itself looks at a block. */
static inline void hri_poison_lift(void *block, size_t size)
{
    if (&__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(block, size);
    HRI_VALGRIND(VALGRIND_MAKE_MEM_DEFINED(block, size));
}

/* A block that was looked at goes to a user: so many of its bytes, with what is in them or without. */
static inline void hri_poison_out(const void *pool, void *block, size_t size, bool defined)
{
    (void)pool, (void)block, (void)size, (void)defined;
    HRI_VALGRIND(VALGRIND_MEMPOOL_ALLOC(pool, block, size));
    if (defined)
        HRI_VALGRIND(VALGRIND_MAKE_MEM_DEFINED(block, size));
}

/* A block waits: `size` with what is behind its user's bytes. */
static inline void hri_poison_in(const void *pool, void *block, size_t size)
{
    (void)pool;
    if (&__asan_poison_memory_region)
        __asan_poison_memory_region(block, size);
    HRI_VALGRIND(VALGRIND_MEMPOOL_FREE(pool, block));
    HRI_VALGRIND(VALGRIND_MAKE_MEM_NOACCESS(block, size));
}

#endif
