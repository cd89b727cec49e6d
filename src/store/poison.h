/* SPDX-License-Identifier: Apache-2.0 */
/* Tells memory checkers that blocks in a pool are not to be touched. AddressSanitizer is there if its functions are;
 * Valgrind is told by instructions that do nothing elsewhere, if its header was there when the library was built.
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

extern __attribute__((weak)) void __asan_poison_memory_region(void const volatile *address, size_t size);
extern __attribute__((weak)) void __asan_unpoison_memory_region(void const volatile *address, size_t size);

/* Is AddressSanitizer watching? Then every block has to come by; under Valgrind, which has no restartable sequences, they
 * do in any case. */
static inline bool hri_poison_is_watched(void)
{
    return &__asan_poison_memory_region != NULL;
}

static inline void hri_poison(void *block, size_t size)
{
    if (&__asan_poison_memory_region)
        __asan_poison_memory_region(block, size);
#ifdef HRI_VALGRIND_KNOWN
    (void)VALGRIND_MAKE_MEM_NOACCESS(block, size);
#endif
}

static inline void hri_poison_lift(void *block, size_t size)
{
    if (&__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(block, size);
#ifdef HRI_VALGRIND_KNOWN
    (void)VALGRIND_MAKE_MEM_DEFINED(block, size);
#endif
}

#endif
