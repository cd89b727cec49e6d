/* SPDX-License-Identifier: Apache-2.0 */
/* Magazines: stacks of idle blocks of one class. A thread has two of each class that it uses: `loaded`, which is a
 * cell (os/cells.h) that it gets from and puts to without a lock, and `previous`. The depot has full ones.
 *
 * All calls want the heap's lock, but hri_heap_pop() and hri_heap_push(), which are for any thread.
 */
#ifndef HRI_HEAP_MAGAZINE_H
#define HRI_HEAP_MAGAZINE_H

#include "heap/class.h"
#include "os/cells.h"

/* A thread's first magazine of a class, within HRI_HEAP_MAGAZINE_BYTES; and its largest. */
#define HRI_HEAP_SLOTS_FIRST 8u
#define HRI_HEAP_SLOTS_MAX 128u
#define HRI_HEAP_MAGAZINE_BYTES ((uint64_t)32 << 10)

typedef struct hri_heap_magazine {
    struct hri_heap_magazine *next;
    unsigned count;
    unsigned capacity;
    void *slots[];
} hri_heap_magazine;

/* Where the cells of a class are in each thread's record; 0: its threads have no magazines, or not yet. Then no
 * sequence may begin either: hri_rseq_usable() may not have been asked. */
extern __attribute__((visibility("hidden"))) hri_place hri_heap_places[64];

/* This thread's cell of a class. That at place 0, of codes that are no class, is closed. */
static inline hri_cell *hri_heap_cell(unsigned class)
{
    return hri_cells_mine_at(hri_heap_places[class]);
}

/* A cell's word in `more` that has the bytes of its class, from the first time that it is open. So whoever has the cell
 * needs no other cache line for them. */
#define HRI_HEAP_CELL_BYTES 4

static inline uint64_t hri_heap_cell_bytes(const hri_cell *cell)
{
    return atomic_load_explicit(&cell->more[HRI_HEAP_CELL_BYTES], memory_order_relaxed);
}

/* Gets a block from this thread's loaded magazine; NULL where that needs the lock. For who knows that
 * hri_rseq_usable() was asked. */
static inline void *hri_heap_pop_begun(hri_cell *cell, ptrdiff_t rseq)
{
    void *block;
    if (!hri_sequence_pop(cell, &block, rseq))
        return NULL;
    if (!block)
        __builtin_unreachable();
    return block;
}

static inline void *hri_heap_pop(unsigned class)
{
    return hri_heap_places[class] ? hri_heap_pop_begun(hri_heap_cell(class), hri_rseq_offset) : NULL;
}

/* For a block that the heap handed out: hri_rseq_usable() was asked before its first one. */
static inline bool hri_heap_push(unsigned class, void *block)
{
    return hri_sequence_push(hri_heap_cell(class), block, hri_rseq_offset);
}

/* Gets an idle block: of this thread's magazines, of the depot, or carved; NULL: there is none in committed
 * memory. */
void *hri_heap_magazine_get(unsigned class);

/* Puts a block. */
void hri_heap_magazine_put(unsigned class, void *block);

/* The class whose blocks were wanted for a magazine and not there, once; HRI_HEAP_CLASSES: none. The caller grows
 * it. */
unsigned hri_heap_magazine_wanted(void);

/* Takes magazines from threads and empties them: of all threads, or of those that did nothing since the last visit.
 * In a tight heap no magazine is opened again. `alone`: there are no other threads. Gives whether there was one. */
typedef enum hri_heap_whose {
    HRI_HEAP_ALL,
    HRI_HEAP_SLEEPERS,
} hri_heap_whose;
bool hri_heap_magazines_drain(hri_heap_whose whose, bool alone);
void hri_heap_magazines_tighten(bool tight);
bool hri_heap_magazines_are_tight(void);

/* Empties magazines of the depot, of at least `bytes` of blocks if there are as many; frees empty ones. */
void hri_heap_depot_empty(uint64_t bytes);

/* A thread ends: what it has is taken in. */
void hri_heap_magazines_leave(hri_cell *record);

/* Blocks in magazines of threads, read without a lock; and in the depot. Adds, by class. */
void hri_heap_magazines_count(uint64_t *blocks);

/* Bytes of blocks that the depot has beyond a 32nd of what is committed, or 128 KiB, whichever is more; and those of
 * the magazines themselves. */
uint64_t hri_heap_depot_excess(void);
uint64_t hri_heap_magazines_own_bytes(void);

#endif
