/* SPDX-License-Identifier: Apache-2.0 */
/* Tells memory checkers that blocks in a pool are not to be touched. AddressSanitizer is there if its functions are. */
#ifndef HRI_STORE_POISON_H
#define HRI_STORE_POISON_H

#include <stdbool.h>
#include <stddef.h>

extern __attribute__((weak)) void __asan_poison_memory_region(void const volatile *address, size_t size);
extern __attribute__((weak)) void __asan_unpoison_memory_region(void const volatile *address, size_t size);

/* Is somebody watching? Then every block has to come by. */
static inline bool hri_poison_is_watched(void)
{
    return &__asan_poison_memory_region != NULL;
}

static inline void hri_poison(void *block, size_t size)
{
    if (&__asan_poison_memory_region)
        __asan_poison_memory_region(block, size);
}

static inline void hri_poison_lift(void *block, size_t size)
{
    if (&__asan_unpoison_memory_region)
        __asan_unpoison_memory_region(block, size);
}

#endif
