/* SPDX-License-Identifier: Apache-2.0 */
/* Paying for blocks, constructing them, and taking them back. `made` counts the blocks that are not new, and is what is
 * charged.
 *
 * Locking: charges that may run relief, construct() and destroy() run with none held. `engines_lock` is taken before an
 * engine's.
 */
#include "pool/engine.h"

#include "alloc/alloc.h"
#include "base/answer.h"
#include "base/assert.h"
#include "base/lock.h"
#include "base/uncancelled.h"
#include "budget/budget.h"
#include "heap/commit.h"
#include "heap/pooled.h"
#include "os/pages.h"
#include "pool/depot.h"
#include "pool/handle.h"
#include "pool/magazine.h"
#include "pool/poison.h"
#include "pool/redzone.h"

#include <errno.h>
#include <string.h>

static pthread_mutex_t engines_lock = PTHREAD_MUTEX_INITIALIZER;
static hri_engine *engines;

/* ── paying ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* With relief or without. */
static int pay(const hri_engine *engine, bool relief)
{
    hr_budget *budget = engine->options.budget;
    int error = budget ? hri_budget_charge_block(budget, hri_engine_cost(engine), !relief) : 0;
    return error < 0 ? error : 0;
}

static void unpay(const hri_engine *engine, uint64_t bytes)
{
    if (engine->options.budget)
        hri_budget_uncharge_block(engine->options.budget, bytes);
}

void hri_engine_uncount(hri_engine *engine, uint64_t bytes)
{
    hri_pool_sum_sub(engine->options.sum, bytes);
}

void hri_engine_refund(hri_engine *engine, uint64_t bytes)
{
    unpay(engine, bytes);
    hri_pool_sum_settle(engine->options.sum, bytes);
}

/* ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* An order to the heap. */
struct order {
    hri_engine *engine;
    void *block;
    bool zeroed;
    hri_region *region;
    hri_block_number number;
    size_t bytes; /* of a new region's blocks */
};

static bool take_pages(void *context)
{
    struct order *order = context;
    hri_engine *engine = order->engine;
    order->block = hri_heap_pooled_get(engine->options.block_bytes, (uintptr_t)engine >> 4, &order->zeroed);
    return order->block;
}

/* Gets a block whose word is idle, and which is zeros where somebody relies on that. */
static int new_pages(hri_engine *engine, bool relief, void **ret_block)
{
    struct order order = {.engine = engine};
    int error = hri_block_pages(engine->options.budget, !relief, take_pages, &order);
    if (error)
        return error;
    hri_pages_change(engine, order.block, false);
    if (!order.zeroed && (HRI_REDZONE_BYTES > 0 || !engine->options.scratch)) {
        hri_poison_lift(order.block, engine->room_bytes);
        memset(order.block, 0, engine->options.block_bytes);
    }
    *ret_block = order.block;
    return 0;
}

static bool take_region(void *context)
{
    struct order *order = context;
    const hri_engine_options *options = &order->engine->options;
    order->region = hri_region_new(order->engine, options->block_bytes, options->align, order->bytes);
    return order->region;
}

static bool take_pages_of_block(void *context)
{
    const struct order *order = context;
    return hri_region_commit(order->region, order->number);
}

static int add_region(hri_engine *engine, bool relief, size_t bytes)
{
    struct order order = {.engine = engine, .bytes = bytes};
    int error = hri_block_pages(engine->options.budget, !relief, take_region, &order);
    if (error)
        return error;
    pthread_mutex_lock(&engine->lock);
    hri_depot_link(engine, order.region);
    pthread_mutex_unlock(&engine->lock);
    return 0;
}

/* Gets a small block. */
static int new_small(hri_engine *engine, bool relief, void **ret_block)
{
    void *block;
    int error = 0;
    do {
        pthread_mutex_lock(&engine->lock);
        block = hri_depot_take_new(engine);
        size_t bytes = hri_depot_next_bytes(engine);
        pthread_mutex_unlock(&engine->lock);
        if (!block)
            error = add_region(engine, relief, bytes);
    } while (!block && !error);
    if (error)
        return error;
    hri_region *region = hri_region_find(block);
    struct order order = {.engine = engine, .region = region, .number = hri_region_number(region, block)};
    error = hri_block_pages(engine->options.budget, !relief, take_pages_of_block, &order);
    if (!error) {
        *ret_block = block;
        return 0;
    }
    pthread_mutex_lock(&engine->lock);
    hri_region_make_new(region, order.number);
    pthread_mutex_unlock(&engine->lock);
    return error;
}

uint64_t hri_pages_give(const hri_engine *engine, void *const *blocks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        hri_poison_lift(blocks[i], engine->room_bytes);
    return hri_heap_pooled_put(blocks, count, engine->options.block_bytes);
}

void *hri_pages_pop(hri_engine *engine)
{
    void *block;
#ifdef HR_POOL_INLINE_
    hri_cell *cell = hri_cells_mine_at(engine->place);
    if (!engine->place || !hri_sequence_pop(cell, &block, hri_rseq_offset))
        return NULL;
    atomic_store_explicit(&cell->more[HRI_DEPOT_GETS],
                          atomic_load_explicit(&cell->more[HRI_DEPOT_GETS], memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (hri_pages_change(engine, block, true))
        return block;
    hri_pool_sum_fault(engine->options.sum, block);
#endif
    (void)engine, (void)block;
    return NULL;
}

bool hri_pages_push(const hri_engine *engine, void *block)
{
#ifdef HR_POOL_INLINE_
    if (!engine->place || !hri_pages_change(engine, block, false))
        return false;
    if (hri_sequence_push(hri_cells_mine_at(engine->place), block, hri_rseq_offset))
        return true;
    hri_pages_change(engine, block, true);
#endif
    (void)engine, (void)block;
    return false;
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
    if (engine->own_pages)
        hri_heap_tell(hri_pages_give(engine, &block, 1));
    pthread_mutex_lock(&engine->lock);
    if (!engine->own_pages)
        hri_region_unmake(hri_region_find(block), block);
    engine->made--;
    hri_engine_uncount(engine, hri_engine_cost(engine));
    pthread_mutex_unlock(&engine->lock);
    hri_engine_refund(engine, hri_engine_cost(engine));
}

/* Pays for a new block and gets it. */
static int buy(hri_engine *engine, bool relief, void **ret_block)
{
    int error = pay(engine, relief);
    if (error)
        return error;
    error = engine->own_pages ? new_pages(engine, relief, ret_block) : new_small(engine, relief, ret_block);
    if (error) {
        unpay(engine, hri_engine_cost(engine));
        return error;
    }
    pthread_mutex_lock(&engine->lock);
    hri_depot_count_new(engine);
    pthread_mutex_unlock(&engine->lock);
    return 0;
}

/* Pays for a new block and makes it, or finds an idle one after all. */
static void *make_block(hri_engine *engine, bool needed)
{
    const hri_engine_options *options = &engine->options;
    const hr_budget *budget = engine->options.budget;
    void *block;
    int error = buy(engine, needed && budget && budget->tree->hooks.observes, &block); /* refuses nothing, and counts */
    if (error) { /* what other threads have in hand comes before relief */
        pthread_mutex_lock(&engine->lock);
        hri_depot_collect(engine, false, false);
        block = hri_depot_take_idle(engine);
        pthread_mutex_unlock(&engine->lock);
        if (block)
            return block;
        error = needed ? buy(engine, true, &block) : error;
    }
    if (error)
        return refuse(engine, error);
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
        if (engine->own_pages)
            hri_pages_change(engine, block, true);
        else
            *hri_block_mark(block) = engine->used;
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
    if (spot->region ? __atomic_compare_exchange_n(hri_block_mark(block), &used, HRI_MARK_NONE, false, __ATOMIC_RELAXED,
                                                   __ATOMIC_RELAXED)
                     : hri_pages_change(engine, block, false))
        return true;
    if (HRI_REDZONE_BYTES > 0) {
        hri_poison_lift(block, engine->room_bytes);
        hri_redzone_tell(block, engine->room_bytes);
    }
    hri_pool_sum_fault(engine->options.sum, block);
    return false;
}

/* Puts a block that was claimed into this thread's magazine. */
static bool push(const hri_engine *engine, void *block)
{
    if (!engine->own_pages)
        return hri_place_push(engine->place, HRI_MARK_NONE, block);
#ifdef HR_POOL_INLINE_
    return hri_sequence_push(hri_cells_mine_at(engine->place), block, hri_rseq_offset);
#else
    return false;
#endif
}

void hri_engine_take(const hri_spot *spot, void *block)
{
    hri_engine *engine = spot->engine;
    hri_redzone_in(block, engine->usable_bytes, engine->room_bytes, engine->options.scratch);
    hri_poison_in(engine, block, engine->room_bytes);
    if (engine->place && push(engine, block))
        return;
    hri_magazine_lock(engine);
    hri_depot_put(spot, block);
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
    if (engine->options.few)
        engine->usable_bytes = round_up(engine->usable_bytes, page);
    size_t bytes = round_up(engine->usable_bytes + HRI_REDZONE_BYTES, align);
    engine->own_pages = bytes % page == 0 || bytes >= 4 * page || engine->options.few;
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
    engine->place = options->few || hri_checkers_watch() ? 0 : hri_cells_claim();
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
