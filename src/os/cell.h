/* SPDX-License-Identifier: Apache-2.0 */
/* One cell, and what its own thread does to it: the sequences that os/cells.h explains, for this processor. */
#ifndef HRI_OS_CELL_H
#define HRI_OS_CELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cache line of its own: shared ones made it four times slower. */
typedef struct hri_cell {
    _Alignas(64) _Atomic uint64_t value;
    _Atomic uint64_t stop;    /* not 0: nothing may be taken */
    _Atomic uint64_t high;    /* what the value may rise to: 0 when closed */
    _Atomic uint64_t more[5]; /* the owner's; counted by the thread itself with hri_cell_count() */
} hri_cell;

/* Bytes from the start of a record to a cell; 0: no place. */
typedef uint32_t hri_place;

/* hri_sequence_take() and hri_sequence_give() change a cell of this thread unless a bound forbids it, and return
 * whether they did. hri_cell_count() adds to one of its counts in `more`, which this thread and its signal handlers
 * change. hri_sequence_pop() and hri_sequence_push() are for a cell whose value is the top of a stack of pointers:
 * `stop` is where the stack begins, `high` is where it ends.
 *
 * `rseq` is hri_rseq_offset. A caller of two sequences loads it once: each of them is a barrier for the compiler. */
#if defined(__x86_64__)
#include "os/cell_x86_64.h"
#elif defined(__aarch64__)
#include "os/cell_aarch64.h"
#else
#include "os/cell_none.h"
#endif

#ifndef HRI_SEQUENCE_STACKS
static inline bool hri_sequence_pop(hri_cell *cell, void **ret_block, ptrdiff_t rseq)
{
    (void)cell, (void)ret_block, (void)rseq;
    return false;
}

static inline bool hri_sequence_push(hri_cell *cell, void *block, ptrdiff_t rseq)
{
    (void)cell, (void)block, (void)rseq;
    return false;
}
#endif

#endif
