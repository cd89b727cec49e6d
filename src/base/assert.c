/* SPDX-License-Identifier: Apache-2.0 */
/* The count of faults is the process's: misuse often cannot be laid at one guard's door. */
#define _GNU_SOURCE
#include "base/assert.h"

#include <stdatomic.h>

static _Atomic uint64_t faults;

#ifdef HRI_DEBUG

#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Thread_local const void *hri_caller;

void hri_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "headroom: %s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

/* Absent from libc where it is libdl's, and no reason to link that. */
extern __attribute__((weak)) int dladdr(const void *address, Dl_info *ret_info);

hri_code_place hri_code_place_of(const void *return_address)
{
    hri_code_place place;
    Dl_info info;
    const char *at = return_address ? (const char *)return_address - 1 : NULL;
    snprintf(place.text, sizeof place.text, "%p", (const void *)at);
    if (!dladdr || !dladdr(at, &info) || !info.dli_fname || !info.dli_fbase ||
        ((const ElfW(Ehdr) *)info.dli_fbase)->e_type != ET_DYN)
        return place;
    const char *slash = strrchr(info.dli_fname, '/');
    snprintf(place.text, sizeof place.text, "%.60s+%#zx", slash ? slash + 1 : info.dli_fname,
             (size_t)(at - (const char *)info.dli_fbase));
    return place;
}

void hri_fault(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("headroom: ", stderr);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (called at %s)\n", hri_code_place_of(hri_caller).text);
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
