/* SPDX-License-Identifier: Apache-2.0 */
/* Where there are no sequences: every cell is closed. */
#ifndef HRI_OS_CELL_NONE_H
#define HRI_OS_CELL_NONE_H

#if !defined(__x86_64__) && !defined(__aarch64__)

#include "os/cell.h"

static inline bool hri_sequence_take(hri_cell *record, uint64_t place, uint64_t n)
{
    (void)record, (void)place, (void)n;
    return false;
}

static inline bool hri_sequence_give(hri_cell *record, uint64_t place, uint64_t n)
{
    (void)record, (void)place, (void)n;
    return false;
}

static inline void hri_cell_count(_Atomic uint64_t *count, uint64_t n)
{
    atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

#endif
#endif
