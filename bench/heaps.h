/* SPDX-License-Identifier: Apache-2.0 */
/* Other allocators as peers, found at run time: none of them has to be there to build. */
#ifndef BENCH_HEAPS_H
#define BENCH_HEAPS_H

#include <stddef.h>

typedef struct bench_heap {
    const char *name;
    void *(*allocate)(size_t size);
    void (*release)(void *block);
    void (*purge)(void); /* gives free pages back to the kernel, if it can be asked to */
} bench_heap;

/* This process's own malloc first, then what is installed; bench_missing() lists what is not.
 * They are looked for once. Gives their number. */
size_t bench_heaps(bench_heap **ret_heaps);

#endif
