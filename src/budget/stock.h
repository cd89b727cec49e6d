/* SPDX-License-Identifier: Apache-2.0 */
/* Stocks: bytes that are charged to a whole path in advance, for one thread to take from without a lock.
 *
 * A stock is the value of a cell (os/cells.h) at the budget's place. The calls here want the tree's lock, except for
 * hri_stock_prepare().
 */
#ifndef HRI_BUDGET_STOCK_H
#define HRI_BUDGET_STOCK_H

#include "budget/budget.h"
#include "os/cells.h"

/* A charge of this much or more is not worth a stock, which it would empty at once. */
#define HRI_STOCK_CHARGE_MAX (UINT64_C(64) << 10)

/* A stock holds this much at the most when it is filled, and twice that when it is full. */
#define HRI_STOCK_BATCH_MAX (UINT64_C(256) << 10)

/* Less than this for each thread is too near to the limit for stocks. */
#define HRI_STOCK_BATCH_MIN (UINT64_C(4) << 10)

/* This number of charges, or charges by two threads, make a budget worth a place. */
#define HRI_STOCK_CHARGES_MIN 64

/* Debug builds have no stocks, so that giving back too much is caught where it is done; tests of stocks switch them on,
 * before there are budgets. */
extern bool hri_stocks_allowed;

/* The counts of a cell beside the stock, in its `more`. */
enum {
    HRI_STOCK_TAKEN,    /* bytes ever charged by hand through it */
    HRI_STOCK_PROMISED, /* bytes promised through it; may be negative in one cell, not in all together */
    HRI_STOCK_BLOCKS,   /* bytes ever charged through it for blocks that the library hands out */
    HRI_STOCK_FREED,    /* of those, uncharged again: perhaps by another thread than the one that charged */
    HRI_STOCK_COUNTS,
};

static inline hri_place hri_stock_place(const hr_budget *budget)
{
    return atomic_load_explicit(&budget->place, memory_order_relaxed);
}

/* Adds to one of a budget's counts through this thread's cell. Gives false where there is none: then it is for
 * hri_path_count(), under the lock. */
static inline bool hri_stock_count(const hr_budget *budget, int which, uint64_t bytes)
{
    hri_place place = hri_stock_place(budget);
    if (!place || !hri_cells_have_mine())
        return false;
    hri_cell_count(hri_cells_mine_at(place), which, bytes);
    return true;
}

/* Takes from this thread's stock: a charge by hand, one for a block, or a promise, as `count` says. Gives false where
 * there is not enough in it. `rseq` as in os/cell.h. */
static inline bool hri_stock_take(const hr_budget *budget, uint64_t bytes, int count, ptrdiff_t rseq)
{
    return hri_cells_take(hri_stock_place(budget), bytes, count, rseq);
}

/* Gives a block's bytes back into this thread's stock. Gives false where they do not go in. In between they count as
 * charged by hand to whoever reads, and as pending, since they are in the stock. */
static inline bool hri_stock_give_block(const hr_budget *budget, uint64_t bytes, ptrdiff_t rseq)
{
    hri_cell *cell = hri_cells_mine_at(hri_stock_place(budget));
    if (!hri_sequence_give(cell, bytes, rseq))
        return false;
    hri_cell_count(cell, HRI_STOCK_FREED, bytes);
    return true;
}

/* Notes a charge of this thread, and gives the budget a place once it is worth one. */
void hri_stock_note_charge(hr_budget *budget);

/* Takes from this thread's own stock what a signal or a preemption has kept it from taking by itself. */
bool hri_stock_take_slowly(hr_budget *budget, uint64_t bytes);

/* Makes sure that this thread can have a stock, where the budget has any. Not in a section, nor in a signal handler: it
 * may allocate. */
void hri_stock_prepare(const hr_budget *budget);

/* Fills this thread's stock, up to the room that there is; `returned_bytes` are given back by the way: into the stock,
 * or to the path. */
void hri_stock_fill(hr_budget *budget, uint64_t returned_bytes);

/* Takes back all that is in stocks inside `top`. */
void hri_stock_drain(hr_budget *top);

/* Is there anything to drain? Not exact inside of a tree: then only hri_stock_drain() can tell. */
static inline bool hri_stock_is_out(const hr_budget *top)
{
    return top->tree->open_cells > 0;
}

/* Drains in the child of a fork, where no other thread is. */
void hri_stock_fork(hri_budget_tree *tree);

/* The bytes in stocks inside `top`, summed without the lock of each cell's owner. */
uint64_t hri_stock_snapshot(const hr_budget *top);

/* The sum of one count over all cells of budgets inside `top`; and over the cells of one budget. */
uint64_t hri_stock_counted(const hr_budget *top, int which);
uint64_t hri_stock_counted_here(const hr_budget *budget, int which);

/* Takes the place away from a budget that nobody uses any more; what its cells have counted goes to the path. */
void hri_stock_leave(hr_budget *budget);

#endif
