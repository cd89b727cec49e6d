/* SPDX-License-Identifier: Apache-2.0 */
/* Tells memory checkers that blocks in a pool are not to be touched. For Valgrind each pool is one of its memory
 * pools, so that it names the caller that got a block, and the one that put it.
 */
#ifndef HRI_STORE_POISON_H
#define HRI_STORE_POISON_H

#include "os/checkers.h"

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

/* A block that was looked at goes to a user: this many of its bytes, with what is in them or without. */
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
