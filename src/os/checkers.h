/* SPDX-License-Identifier: Apache-2.0 */
/* Memory checkers that may be watching this process. AddressSanitizer is there if its functions are. Valgrind is told
 * by instructions that do nothing elsewhere, if its header was there when the library was built.
 */
#ifndef HRI_OS_CHECKERS_H
#define HRI_OS_CHECKERS_H

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

/* Is AddressSanitizer watching? Then every block has to pass the library's own code. Under Valgrind each does in any
 * case, since there are no restartable sequences. */
static inline bool hri_checkers_watch(void)
{
    return &__asan_poison_memory_region != NULL;
}

#endif
