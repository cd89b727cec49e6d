/* SPDX-License-Identifier: Apache-2.0 */
/* The count of faults is the process's: misuse often cannot be laid at one guard's door. */
#include "base/assert.h"

#include <stdatomic.h>

static _Atomic uint64_t faults;

#ifdef HRI_DEBUG

#include <stdarg.h>
#include <stdio.h>

_Thread_local const void *hri_caller;

void hri_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "headroom: %s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

void hri_fault(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("headroom: ", stderr);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (called at %p)\n", hri_caller);
    va_end(arguments);
    abort();
}

#else

void hri_fault(const char *format, ...)
{
    (void)format;
    hri_fault_note();
}

#endif

void hri_fault_note(void)
{
    atomic_fetch_add_explicit(&faults, 1, memory_order_relaxed);
}

uint64_t hri_fault_count(void)
{
    return atomic_load_explicit(&faults, memory_order_relaxed);
}
