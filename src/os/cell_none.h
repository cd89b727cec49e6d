/* SPDX-License-Identifier: Apache-2.0 */
/* Where there are no sequences: every cell is closed. */
#ifndef HRI_OS_CELL_NONE_H
#define HRI_OS_CELL_NONE_H

#if !defined(__x86_64__) && !defined(__aarch64__)

#include "os/cell.h"

static inline bool hri_sequence_take(hri_cell *cell, uint64_t n, ptrdiff_t rseq)
{
    (void)cell, (void)n, (void)rseq;
    return false;
}

static inline bool hri_sequence_give(hri_cell *cell, uint64_t n, ptrdiff_t rseq)
{
    (void)cell, (void)n, (void)rseq;
    return false;
}

static inline void hri_cell_count(hri_cell *cell, int which, uint64_t n)
{
    atomic_fetch_add_explicit(&cell->more[which], n, memory_order_relaxed);
}

#endif
#endif
