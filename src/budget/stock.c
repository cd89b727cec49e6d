/* SPDX-License-Identifier: Apache-2.0 */
/* A thread may have in its stock its part of what is left on the path, so that all threads together cannot come near to
 * what is left. Near a limit, while a charge waits, or above normal that part is nothing. So no state says that a
 * budget is tight: where no stock may be filled, every charge and uncharge comes to the lock by itself.
 *
 * Invariant: own_bytes of a budget counts what is in its cells. A cell is open only if its budget's open_cells counts
 * it.
 *
 * A stock spends the lease when it is filled. Bytes that a thread puts back into its stock and takes again spend
 * nothing. That is safe: all stocks together hold at most half of what was left. The gauges are read before an eighth
 * of it is spent, and count stocks as pending bytes.
 */
#include "budget/stock.h"

#include "base/assert.h"
#include "budget/accounts.h"
#include "os/rseq.h"

#ifdef HRI_DEBUG
bool hri_stocks_allowed = false;
#else
bool hri_stocks_allowed = true;
#endif

/* Each thread may have one part in this many of what is left for each. */
#define SHARE 4

void hri_stock_note_charge(hr_budget *budget)
{
    if (hri_stock_place(budget) || budget->charges > 2 * HRI_STOCK_CHARGES_MIN)
        return;
    if (!budget->first_thread)
        budget->first_thread = hri_cells_mine;
    budget->charges++;
    bool second = budget->first_thread != hri_cells_mine;
    if (budget->charges != HRI_STOCK_CHARGES_MIN && !second)
        return;
    budget->charges = 2 * HRI_STOCK_CHARGES_MIN + 1; /* if there is no place now, there will be none */
    hri_place place = hri_stocks_allowed ? hri_cells_claim() : 0;
    if (!place)
        return;
    budget->next_stocked = budget->tree->first_stocked;
    budget->tree->first_stocked = budget;
    atomic_store_explicit(&budget->place, place, memory_order_relaxed);
}

/* How much this thread's stock may hold now; 0: none. */
static uint64_t batch(const hr_budget *budget)
{
    const hri_budget_tree *tree = budget->tree;
    if (tree->first_waiter || atomic_load_explicit(&tree->watched, memory_order_relaxed))
        return 0;
    uint64_t left = hri_sub(tree->stock_ceiling_bytes, tree->root.used_bytes);
    for (const hr_budget *at = budget; at; at = at->parent)
        left = hri_min(left, hri_budget_left(at));
    unsigned threads = hri_cells_threads();
    left /= SHARE * (uint64_t)(threads ? threads : 1);
    return left < HRI_STOCK_BATCH_MIN ? 0 : hri_min(left, HRI_STOCK_BATCH_MAX);
}

static void count_open(hr_budget *budget, bool opened)
{
    budget->open_cells += opened ? 1 : -1u;
    budget->tree->open_cells += opened ? 1 : -1u;
}

bool hri_stock_take_slowly(hr_budget *budget, uint64_t bytes)
{
    hri_place place = hri_stock_place(budget);
    if (!place || !hri_cells_have_mine())
        return false;
    hri_cell *cell = hri_cells_at(hri_cells_mine, place);
    if (!hri_cell_is_open(cell))
        return false;
    uint64_t capacity = atomic_load_explicit(&cell->high, memory_order_relaxed);
    hri_cell_close(cell);
    uint64_t value = hri_cell_empty(cell);
    bool enough = value >= bytes;
    hri_cell_open(cell, enough ? value - bytes : value, capacity);
    return enough;
}

void hri_stock_prepare(const hr_budget *budget)
{
    bool local = atomic_load_explicit(&budget->local, memory_order_relaxed);
    hri_place place = hri_stock_place(local ? budget->parent : budget);
    if (place && !hri_cells_have_mine())
        hri_cells_own(place);
}

void hri_stock_fill(hr_budget *budget, uint64_t returned_bytes)
{
    hri_place place = hri_stock_place(budget);
    uint64_t goal = place ? batch(budget) : 0;
    hri_cell *cell = goal && hri_cells_have_mine() ? hri_cells_at(hri_cells_mine, place) : NULL;
    if (!cell) {
        hri_path_give(budget, returned_bytes);
        return;
    }
    uint64_t value = returned_bytes;
    if (hri_cell_is_open(cell)) {
        hri_cell_close(cell);
        value = hri_add(value, hri_cell_empty(cell));
    } else {
        count_open(budget, true);
    }
    if (value > budget->own_bytes) { /* more has come back than was ever taken */
        hri_fault("more was given back to the budget \"%s\" than it was charged", budget->name);
        value = budget->own_bytes;
    }
    /* Bytes that come back fill the stock, and it is not topped up then: a thread that only gives back would hoard. */
    if (value > goal) {
        hri_path_give(budget, value - goal);
        value = goal;
    } else if (!returned_bytes && hri_lease_spend(&budget->tree->lease, &budget->tree->word, goal - value)) {
        hri_path_take(budget, goal - value);
        value = goal;
    }
    hri_cell_open(cell, value, 2 * goal);
}

/* Closes the open cells of one budget. Gives whether one of them is another thread's. */
static bool close_cells(const hr_budget *budget)
{
    hri_place place = hri_stock_place(budget);
    bool others = false;
    unsigned left = budget->open_cells;
    for (hri_cell *record = hri_cells_first(); record && left > 0; record = hri_cells_next(record)) {
        hri_cell *cell = hri_cells_at(record, place);
        if (!hri_cell_is_open(cell))
            continue;
        hri_cell_close(cell);
        others |= record != hri_cells_mine;
        left--;
    }
    return others;
}

/* Gives back what is in the closed cells of one budget. */
static void empty_cells(hr_budget *budget)
{
    hri_place place = hri_stock_place(budget);
    uint64_t bytes = 0;
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record)) {
        hri_cell *cell = hri_cells_at(record, place);
        if (atomic_load_explicit(&cell->value, memory_order_relaxed))
            bytes = hri_add(bytes, hri_cell_empty(cell));
    }
    budget->tree->open_cells -= budget->open_cells;
    budget->open_cells = 0;
    hri_path_give(budget, bytes);
}

static void drain(hr_budget *top, bool alone)
{
    bool others = false;
    for (hr_budget *at = top->tree->first_stocked; at; at = at->next_stocked)
        if (at->open_cells > 0 && hri_budget_is_inside(at, top))
            others |= close_cells(at);
    if (others && !alone)
        hri_rseq_fence();
    for (hr_budget *at = top->tree->first_stocked; at; at = at->next_stocked)
        if (at->open_cells > 0 && hri_budget_is_inside(at, top))
            empty_cells(at);
#ifdef HRI_DEBUG
    hri_budget_audit(top->tree);
#endif
}

void hri_stock_drain(hr_budget *top)
{
    if (top->tree->open_cells > 0)
        drain(top, false);
}

void hri_stock_fork(hri_budget_tree *tree)
{
    drain(&tree->root, true);
}

uint64_t hri_stock_snapshot(const hr_budget *top)
{
    uint64_t bytes = 0;
    if (!hri_stock_is_out(top))
        return 0;
    for (const hr_budget *at = top->tree->first_stocked; at; at = at->next_stocked) {
        if (at->open_cells == 0 || !hri_budget_is_inside(at, top))
            continue;
        for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record))
            bytes += atomic_load_explicit(&hri_cells_at(record, hri_stock_place(at))->value, memory_order_relaxed);
    }
    return bytes;
}

uint64_t hri_stock_counted_here(const hr_budget *budget, int which)
{
    uint64_t sum = 0;
    hri_place place = hri_stock_place(budget);
    for (hri_cell *record = place ? hri_cells_first() : NULL; record; record = hri_cells_next(record))
        sum += atomic_load_explicit(&hri_cells_at(record, place)->more[which], memory_order_relaxed);
    return sum;
}

uint64_t hri_stock_counted(const hr_budget *top, int which)
{
    uint64_t sum = 0;
    for (const hr_budget *at = top->tree->first_stocked; at; at = at->next_stocked)
        if (hri_budget_is_inside(at, top))
            sum += hri_stock_counted_here(at, which);
    return sum;
}

void hri_stock_leave(hr_budget *budget)
{
    hri_place place = hri_stock_place(budget);
    if (!place)
        return;
    HRI_ASSERT(budget->open_cells == 0);
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record)) {
        hri_cell *cell = hri_cells_at(record, place);
        uint64_t counts[HRI_STOCK_COUNTS], any = atomic_load_explicit(&cell->stop, memory_order_relaxed);
        for (int i = 0; i < HRI_STOCK_COUNTS; i++)
            any |= counts[i] = atomic_load_explicit(&cell->more[i], memory_order_relaxed);
        if (!any)
            continue; /* never used: its page need not come into being */
        hri_path_count(budget, counts[HRI_STOCK_TAKEN] + counts[HRI_STOCK_BLOCKS], counts[HRI_STOCK_PROMISED]);
        atomic_fetch_add_explicit(&budget->tree->block_bytes, counts[HRI_STOCK_BLOCKS], memory_order_relaxed);
        atomic_fetch_add_explicit(&budget->tree->freed_bytes, counts[HRI_STOCK_FREED], memory_order_relaxed);
        for (int i = 0; i < HRI_STOCK_COUNTS; i++)
            atomic_store_explicit(&cell->more[i], 0, memory_order_relaxed);
        atomic_store_explicit(&cell->stop, 0, memory_order_relaxed); /* all zero: as new */
    }
    hr_budget **at = &budget->tree->first_stocked;
    while (*at != budget)
        at = &(*at)->next_stocked;
    *at = budget->next_stocked;
    atomic_store_explicit(&budget->place, 0, memory_order_relaxed);
    hri_cells_unclaim(place);
}
