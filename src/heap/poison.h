/* SPDX-License-Identifier: Apache-2.0 */
/* Tells memory checkers about blocks of the heap. LeakSanitizer finds pointers in them: segments are root regions of
 * its. Where a checker watches, threads have no magazines, so that each block comes by here.
 */
#ifndef HRI_HEAP_POISON_H
#define HRI_HEAP_POISON_H

#include "os/checkers.h"

#include <stdint.h>

extern __attribute__((weak)) void __lsan_register_root_region(const void *begin, size_t size);
extern __attribute__((weak)) void __lsan_unregister_root_region(const void *begin, size_t size);

static inline void hri_poison_root_begin(const void *begin, size_t size)
{
    if (&__lsan_register_root_region)
        __lsan_register_root_region(begin, size);
}

/* Nothing of it is poisoned any more: its addresses come again. */
static inline void hri_poison_root_end(const void *begin, size_t size)
{
    if (&__lsan_unregister_root_region)
        __lsan_unregister_root_region(begin, size);
    if (&__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(begin, size);
}

/* A block goes to a user, who asked for `size` of its `usable` bytes. */
static inline void hri_poison_block_out(void *block, size_t size, size_t usable, bool zeroed)
{
    (void)block, (void)size, (void)usable, (void)zeroed;
    if (&__asan_unpoison_memory_region) {
        __asan_unpoison_memory_region(block, size);
        __asan_poison_memory_region((char *)block + (size + 7) / 8 * 8, usable - (size + 7) / 8 * 8);
    }
    HRI_VALGRIND(VALGRIND_MALLOCLIKE_BLOCK(block, size, 0, zeroed));
}

/* A block has another size in place. */
static inline void hri_poison_block_resized(void *block, size_t size, size_t usable)
{
    (void)block, (void)size, (void)usable;
    if (&__asan_unpoison_memory_region) {
        __asan_unpoison_memory_region(block, size);
        __asan_poison_memory_region((char *)block + (size + 7) / 8 * 8, usable - (size + 7) / 8 * 8);
    }
    HRI_VALGRIND(VALGRIND_MAKE_MEM_DEFINED(block, size));
}

/* A block comes back. */
static inline void hri_poison_block_in(void *block, size_t usable)
{
    (void)block, (void)usable;
    if (&__asan_poison_memory_region)
        __asan_poison_memory_region(block, usable);
    HRI_VALGRIND(VALGRIND_FREELIKE_BLOCK(block, 0));
}

/* The library itself writes to a block that is idle, or beyond what its user asked for. */
static inline void hri_poison_block_lift(void *block, size_t usable)
{
    (void)block, (void)usable;
    if (&__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(block, usable);
    HRI_VALGRIND(VALGRIND_MAKE_MEM_DEFINED(block, usable));
}

#endif
