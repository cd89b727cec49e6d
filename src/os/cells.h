/* SPDX-License-Identifier: Apache-2.0 */
/* Cells: per-thread numbers that others may drain.
 *
 * Every thread has a *record*: an array of cells. A user that wants a number in every thread claims a *place* in that
 * array. It owns the cells at that place in all records, those of threads that sleep or have ended too. The thread
 * itself takes from its cell, or gives to it, in some nanoseconds. The place's owner drains cells whenever it wants,
 * without waiting for their threads.
 *
 *     hri_cells_take(place, n, …)   value -= n, unless it would fall below 0
 *     hri_cells_give(place, n)      value += n, unless it would rise above `high`
 *     hri_cell_close(cell) … hri_rseq_fence() … hri_cell_empty(cell)       from any thread, under the owner's lock
 *
 * A cell is *open*, or it is *closed*: then `stop` keeps everybody from taking, and a `high` of 0 from giving. Memory
 * of zeros is closed too, for all but 0 bytes; so are the cells of threads without a record, and the one at place 0.
 *
 * ── why it is correct ───────────────────────────────────────────────────────────────────────────────────────────────
 * Taking and giving are restartable sequences (os/rseq.h): load the value, compute, compare with a bound, store. The
 * store is the last instruction, so a sequence has either happened as a whole or not at all. A signal handler on the
 * same thread that takes and gives in between makes the interrupted sequence start over.
 *
 * Rules for everybody else, all under the lock of the place's owner:
 *  1. Only the thread itself opens its cell. It closes it first, changes what it likes, and opens it last: a signal
 *     handler meanwhile finds it closed.
 *  2. A drain closes the cell, then calls the fence, then reads and clears the value. A sequence that had read
 *     the open bounds is restarted by the fence, and finds them closed; one that had stored before the fence is read. A
 *     thread that does not run restarts before its next instruction. So no store comes after the value was read, and
 *     the drain waits for nobody.
 *  3. A closed cell stays closed until rule 1. So what is drained is drained: it cannot come back.
 * A record whose thread has ended keeps its cells, open ones too. They are drained like those of a sleeping thread, or
 * go to the next thread that needs a record. A new record is born closed, so a drain that has not seen it misses
 * nothing. tests/models/cells.pml is this protocol with store buffers, for spin.
 *
 * Without restartable sequences no cell is ever opened.
 */
#ifndef HRI_OS_CELLS_H
#define HRI_OS_CELLS_H

#include "base/fork.h"
#include "os/cell.h"
#include "os/rseq.h"

#define HRI_PLACES_MAX 1024

/* This thread's cells. Until it has a record these are some that are always closed. */
extern __attribute__((visibility("hidden"), tls_model("initial-exec"))) _Thread_local hri_cell *hri_cells_mine;

/* ── the thread itself: any thread, signal handlers too; never blocks ───────────────────────────────────────────── */

static inline hri_cell *hri_cells_at(hri_cell *record, hri_place place)
{
    return (hri_cell *)((uintptr_t)record + place);
}

/* This thread's cell at a place. The empty asm makes the compiler compute the address in one register: see
 * os/cell_x86_64.h for the cost of an address of two. */
static inline hri_cell *hri_cells_mine_at(hri_place place)
{
    hri_cell *cell = hri_cells_at(hri_cells_mine, place);
    __asm__("" : "+r"(cell));
    return cell;
}

/* Takes, and adds to one of the thread's own counts. `rseq` as in os/cell.h. */
static inline bool hri_cells_take(hri_place place, uint64_t n, int count, ptrdiff_t rseq)
{
    hri_cell *cell = hri_cells_mine_at(place);
    if (!hri_sequence_take(cell, n, rseq))
        return false;
    hri_cell_count(cell, count, n);
    return true;
}

static inline bool hri_cells_give(hri_place place, uint64_t n)
{
    return hri_sequence_give(hri_cells_mine_at(place), n, hri_rseq_offset);
}

/* Has this thread a record? */
bool hri_cells_have_mine(void);

/* Makes sure that this thread has a record, if it can have one. Gives its cell, or NULL. May map memory, and call what
 * allocates; never twice in vain. Not in a signal handler, and not with an inner lock held (base/lock.h). */
hri_cell *hri_cells_own(hri_place place);

/* ── the owner of a place: under its own lock ───────────────────────────────────────────────────────────────────── */

/* Claims a place, whose cells are closed and all zero. Gives 0 where all are taken, or where cells cannot be used. */
hri_place hri_cells_claim(void);

/* Gives a place back, whose cells are closed and all zero. */
void hri_cells_unclaim(hri_place place);

static inline bool hri_cell_is_open(const hri_cell *cell)
{
    return atomic_load_explicit(&cell->high, memory_order_relaxed) != 0;
}

static inline void hri_cell_close(hri_cell *cell)
{
    atomic_store_explicit(&cell->high, 0, memory_order_relaxed);
    atomic_store_explicit(&cell->stop, UINT64_MAX, memory_order_release); /* pool_inline.h needs this order */
    atomic_signal_fence(memory_order_seq_cst);
}

/* Empties a closed cell, after a fence where it is another thread's. Gives what was in it. */
static inline uint64_t hri_cell_empty(hri_cell *cell)
{
    uint64_t value = atomic_load_explicit(&cell->value, memory_order_relaxed);
    atomic_store_explicit(&cell->value, 0, memory_order_relaxed);
    return value;
}

/* Opens this thread's own closed cell with a value and its bounds; `high` is not 0. For a number `stop` is 0; a stack
 * of blocks (pool_inline.h) has its top between them. */
static inline void hri_cell_open_between(hri_cell *cell, uint64_t value, uint64_t stop, uint64_t high)
{
    atomic_store_explicit(&cell->value, value, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&cell->stop, stop, memory_order_relaxed);
    atomic_store_explicit(&cell->high, high, memory_order_release);
}

static inline void hri_cell_open(hri_cell *cell, uint64_t value, uint64_t capacity)
{
    hri_cell_open_between(cell, value, 0, capacity);
}

/* All records that there are, whoever's they are: hri_cells_first(), then hri_cells_next() until NULL. Any time. */
hri_cell *hri_cells_first(void);
hri_cell *hri_cells_next(const hri_cell *record);

/* Has a hook called with a thread's record at its end, before anybody else can have it. A room has one. */
void hri_cells_at_end(void (*hook)(hri_cell *record));

/* How many threads have a record now. */
unsigned hri_cells_threads(void);

/* In the child of a fork all records except for this thread's own are free for new threads. Their cells are still to be
 * drained, for which no fence is needed. */
void hri_cells_fork(hri_fork moment);

#endif
