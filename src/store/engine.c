/* SPDX-License-Identifier: Apache-2.0 */
/* Paying for blocks, constructing them, and taking them back. `made` counts the blocks that are not new, and is what is
 * charged.
 *
 * Locking: charges that may run relief, construct() and destroy() run with none held. `engines_lock` is taken before an
 * engine's.
 */
#include "store/engine.h"

#include "base/answer.h"
#include "base/assert.h"
#include "base/lock.h"
#include "base/uncancelled.h"
#include "budget/budget.h"
#include "os/pages.h"
#include "store/depot.h"
#include "store/handle.h"
#include "store/magazine.h"
#include "store/poison.h"
#include "store/redzone.h"

#include <errno.h>

static pthread_mutex_t engines_lock = PTHREAD_MUTEX_INITIALIZER;
static hri_engine *engines;

/* ── paying ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The region of a block that is paid for is listed, or is not to come. */
static void arrive(const hri_engine *engine)
{
    hr_budget *budget = engine->options.budget;
    if (budget && hri_depot_lists(engine))
        hri_untouched_arrive(engine->options.block_bytes);
}

/* With relief or without. */
static int pay(const hri_engine *engine, bool relief)
{
    hr_budget *budget = engine->options.budget;
    uint64_t bytes = hri_engine_cost(engine);
    if (!budget)
        return 0;
    hri_budget_count_pooled(budget, bytes);
    hri_block_charge charge = {
        .bytes = bytes,
        .listed_bytes = hri_depot_lists(engine) ? engine->options.block_bytes : 0,
        .quiet = !relief,
    };
    int error = hri_budget_charge_block(budget, &charge);
    if (error < 0)
        hri_budget_uncount_pooled(budget, bytes);
    return error < 0 ? error : 0;
}

/* What was paid for a block that there is not. */
static void unpay(const hri_engine *engine)
{
    hr_budget *budget = engine->options.budget;
    if (!budget)
        return;
    hri_budget_uncharge_block(budget, hri_engine_cost(engine));
    hri_budget_uncount_pooled(budget, hri_engine_cost(engine));
}

void hri_engine_uncount(hri_engine *engine, uint64_t bytes)
{
    hri_pool_sum_sub(engine->options.sum, bytes);
}

void hri_engine_refund(hri_engine *engine, uint64_t bytes)
{
    hr_budget *budget = engine->options.budget;
    if (budget) {
        hri_budget_uncharge_block(budget, bytes);
        hri_budget_uncount_pooled(budget, bytes);
    }
    hri_pool_sum_settle(engine->options.sum, bytes);
}

/* ── getting ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static void *refuse(hri_engine *engine, int error)
{
    pthread_mutex_lock(&engine->lock);
    engine->refused++;
    pthread_mutex_unlock(&engine->lock);
    errno = -error;
    return NULL;
}

/* Takes back a new block that could not be constructed. */
static void unmake(hri_engine *engine, void *block)
{
    pthread_mutex_lock(&engine->lock);
    hri_region_unmake(hri_region_find(block), block);
    engine->made--;
    hri_engine_uncount(engine, hri_engine_cost(engine));
    pthread_mutex_unlock(&engine->lock);
    hri_engine_refund(engine, hri_engine_cost(engine));
}

/* Pays for a new block and makes it, or finds an idle one after all. */
static void *make_block(hri_engine *engine, bool needed)
{
    const hri_engine_options *options = &engine->options;
    const hr_budget *budget = engine->options.budget;
    int error = pay(engine, needed && budget && budget->tree->hooks.observes); /* which refuses nothing, and counts */
    if (error) { /* what other threads have in hand comes before relief */
        pthread_mutex_lock(&engine->lock);
        hri_depot_collect(engine, false, false);
        void *block = hri_depot_take_idle(engine);
        pthread_mutex_unlock(&engine->lock);
        if (block)
            return block;
        error = needed ? pay(engine, true) : error;
    }
    if (error)
        return refuse(engine, error);
    pthread_mutex_lock(&engine->lock);
    void *block = hri_depot_take_new(engine);
    pthread_mutex_unlock(&engine->lock);
    arrive(engine);
    if (!block) {
        unpay(engine);
        return refuse(engine, -ENOMEM);
    }
    HRI_UNCANCELLED; /* the block is nobody's yet */
    error = options->construct ? hri_answer(options->construct(block, options->context)) : 0;
    if (!error)
        return block;
    unmake(engine, block);
    return refuse(engine, error);
}

void *hri_engine_get(hri_engine *engine, bool needed)
{
    pthread_mutex_lock(&engine->lock);
    void *block = hri_depot_take_idle(engine);
    pthread_mutex_unlock(&engine->lock);
    if (!block)
        block = make_block(engine, needed);
    if (block) {
        *hri_hook_mark(hri_engine_find(block).hook) = engine->used;
        hri_poison_lift(block, engine->room_bytes);
        hri_redzone_out(block, engine->usable_bytes, engine->room_bytes, engine->options.scratch);
        hri_poison_out(engine, block, engine->usable_bytes, !engine->options.scratch);
    }
    return block;
}

/* ── putting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Two threads may put a block at the same time: one of them gets it. */
bool hri_engine_claim(const hri_spot *spot, void *block)
{
    hri_engine *engine = spot->engine;
    HRI_ASSERT(engine);
    hri_mark used = engine->used;
    if (__atomic_compare_exchange_n(hri_hook_mark(spot->hook), &used, HRI_MARK_NONE, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        return true;
    if (HRI_REDZONE_BYTES > 0) {
        hri_poison_lift(block, engine->room_bytes);
        hri_redzone_tell(block, engine->room_bytes);
    }
    hri_pool_sum_fault(engine->options.sum, block);
    return false;
}

void hri_engine_take(const hri_spot *spot, void *block)
{
    hri_engine *engine = spot->engine;
    hri_redzone_in(block, engine->usable_bytes, engine->room_bytes, engine->options.scratch);
    hri_poison_in(engine, block, engine->room_bytes);
    if (engine->place && hri_spot_push(spot, HRI_MARK_NONE))
        return;
    hri_magazine_lock(engine);
    hri_depot_put(spot);
    pthread_mutex_unlock(&engine->lock);
}

bool hri_engine_put(hri_engine *engine, void *block)
{
    const hri_spot spot = hri_engine_find(block);
    if (spot.engine != engine) {
        hri_pool_sum_fault(engine->options.sum, block);
        return false;
    }
    if (!hri_engine_claim(&spot, block))
        return false;
    hri_engine_take(&spot, block);
    return true;
}

/* ── figures ────────────────────────────────────────────────────────────────────────────────────────────────────── */

void hri_engine_read(hri_engine *engine, hr_pool_figures *figures)
{
    pthread_mutex_lock(&engine->lock);
    hri_depot_collect(engine, false, false);
    uint64_t idle = engine->free + engine->depot_blocks + engine->leaving;
    figures->idle += idle;
    figures->in_use += engine->made - idle;
    figures->idle_bytes += idle * hri_engine_cost(engine);
    figures->in_use_bytes += (engine->made - idle) * hri_engine_cost(engine);
    figures->hits += engine->hits + hri_depot_gets(engine);
    figures->misses += engine->misses;
    figures->trimmed += engine->trimmed;
    figures->refused += engine->refused;
    pthread_mutex_unlock(&engine->lock);
}

/* ── beginning and end ──────────────────────────────────────────────────────────────────────────────────────────── */

static void end_thread(hri_cell *record)
{
    pthread_mutex_lock(&engines_lock);
    for (hri_engine *engine = engines; engine; engine = engine->next)
        if (engine->place)
            hri_depot_leave(engine, hri_cells_at(record, engine->place));
    pthread_mutex_unlock(&engines_lock);
}

static size_t round_up(size_t size, size_t grain)
{
    return (size + grain - 1) / grain * grain;
}

/* Fits the size of blocks and their alignment. */
static void fit_blocks(hri_engine *engine)
{
    size_t page = hri_page_size(), align = engine->options.align ? engine->options.align : 16;
    engine->usable_bytes = engine->options.block_bytes;
    if (engine->options.blocks)
        engine->usable_bytes = round_up(engine->usable_bytes, page);
    size_t bytes = round_up(engine->usable_bytes + HRI_REDZONE_BYTES, align);
    engine->own_pages = bytes % page == 0 || bytes >= 4 * page || engine->options.blocks;
    if (engine->own_pages) /* a block can be given back alone */
        align = page;
    else
        bytes = engine->usable_bytes + HRI_REDZONE_BYTES + HRI_MARK_BYTES;
    engine->options.align = align;
    engine->options.block_bytes = round_up(bytes, align);
    engine->room_bytes = engine->options.block_bytes - (engine->own_pages ? 0 : HRI_MARK_BYTES);
}

int hri_engine_init(hri_engine *engine, const hri_engine_options *options)
{
    *engine = (hri_engine){.options = *options};
    engine->used = ~(hri_mark)(options->pool ? options->pool : engine);
    fit_blocks(engine);
    hri_region_prepare_pieces();
    hri_magazine_init(engine);
    int error = hri_lock_init(&engine->lock);
    if (error)
        return error;
    hri_poison_begin(engine);
#ifndef HRI_DEBUG /* debug builds look at each block by itself */
    engine->place = options->blocks || hri_checkers_watch() ? 0 : hri_cells_claim();
#endif
    pthread_mutex_lock(&engines_lock);
    hri_cells_at_end(end_thread);
    engine->next = engines;
    engines = engine;
    pthread_mutex_unlock(&engines_lock);
    return 0;
}

static void delist(hri_engine *engine)
{
    pthread_mutex_lock(&engines_lock);
    hri_engine **at = &engines;
    while (*at != engine)
        at = &(*at)->next;
    *at = engine->next;
    pthread_mutex_unlock(&engines_lock);
}

/* Leaves the cells of a place as they were found. */
static void clear_cells(hri_place place)
{
    for (hri_cell *record = hri_cells_first(); place && record; record = hri_cells_next(record)) {
        hri_cell *cell = hri_cells_at(record, place);
        if (!atomic_load_explicit(&cell->stop, memory_order_relaxed))
            continue; /* never used */
        atomic_store_explicit(&cell->stop, 0, memory_order_relaxed);
        atomic_store_explicit(&cell->more[HRI_DEPOT_SEEN], 0, memory_order_relaxed);
        atomic_store_explicit(&cell->more[HRI_DEPOT_GETS], 0, memory_order_relaxed);
    }
}

int hri_engine_destroy(hri_engine *engine)
{
    hri_engine_trim(engine, UINT64_MAX);
    pthread_mutex_lock(&engine->lock);
    bool busy = engine->made > engine->free;
    pthread_mutex_unlock(&engine->lock);
    if (busy)
        return -EBUSY;
    delist(engine);
    clear_cells(engine->place);
    hri_poison_end(engine);
    if (engine->place)
        hri_cells_unclaim(engine->place);
    pthread_mutex_destroy(&engine->lock);
    return 0;
}

void hri_engine_fork(hri_engine *engine, hri_fork moment)
{
    hri_fork_lock(&engine->lock, moment);
    if (moment == HRI_FORK_CHILD)
        hri_depot_collect(engine, false, true);
}

void hri_engines_fork(hri_fork moment)
{
    hri_handles_fork(moment);
    hri_fork_lock(&engines_lock, moment);
}
