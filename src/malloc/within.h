/* SPDX-License-Identifier: Apache-2.0 */
/* Is this thread on a slow path of the library's? Then a signal handler of it, or libc that was asked for something,
 * must not come in: it would wait for a lock that its own thread holds. */
#ifndef HRI_MALLOC_WITHIN_H
#define HRI_MALLOC_WITHIN_H

#include "heap/heap.h"

extern __attribute__((visibility("hidden"), tls_model("initial-exec"))) _Thread_local unsigned hri_within_depth;

static inline bool hri_within(void)
{
    return hri_within_depth > 0 || hri_heap_is_inside();
}

static inline void hri_within_begin(void)
{
    hri_within_depth++;
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void hri_within_end(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    hri_within_depth--;
}

#endif
