/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: a block that is not new is in exactly one place: with a user, in a magazine, or free. A small one's mark
 * says which (pool_inline.h), also while its magazine goes to the depot and to another thread. A mark that does not
 * agree with the magazine is a fault, found wherever a block leaves one. Of a block of whole pages the word says
 * whether a user has it, and changes in one step: it is in one magazine at most.
 *
 * A cell that has a loaded magazine is open, except for the time in which its own thread works on it under the lock.
 * Then the magazine's count is right, else the cell's value.
 *
 * Locking: the engine's lock guards it and all cells at its place.
 */
#include "pool/depot.h"

#include "alloc/alloc.h"
#include "base/assert.h"
#include "base/checked.h"
#include "budget/budget.h"
#include "os/pages.h"
#include "os/rseq.h"
#include "pool/magazine.h"

#define REGION_BYTES_MIN ((size_t)64 << 10)
#define REGION_BYTES_MAX ((size_t)4 << 20)
#define REGION_BLOCKS_MIN 8

/* The number of free blocks that are loaded at a time where a magazine is filled from a region. */
#define REFILL 16

/* ── magazines ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static hri_magazine *magazine_of(const hri_cell *cell, int which)
{
    return (hri_magazine *)(uintptr_t)atomic_load_explicit(&cell->more[which], memory_order_relaxed);
}

static void set_magazine(hri_cell *cell, int which, hri_magazine *magazine)
{
    atomic_store_explicit(&cell->more[which], (uintptr_t)magazine, memory_order_relaxed);
}

/* Closes a cell's loaded magazine, whose count is right then; of another thread's only after a fence. */
static void settle(hri_cell *cell)
{
    hri_magazine *loaded = magazine_of(cell, HRI_DEPOT_LOADED);
    if (loaded)
        loaded->count =
            (unsigned)((atomic_load_explicit(&cell->value, memory_order_relaxed) - (uintptr_t)loaded->slots) /
                       sizeof(void *));
}

static void open_loaded(hri_cell *cell)
{
    hri_magazine *loaded = magazine_of(cell, HRI_DEPOT_LOADED);
    if (loaded)
        hri_cell_open_between(cell, (uintptr_t)(loaded->slots + loaded->count), (uintptr_t)loaded->slots,
                              (uintptr_t)(loaded->slots + loaded->capacity));
}

/* This thread's cell, closed and settled; NULL: it has none. */
static hri_cell *own_cell(const hri_engine *engine)
{
    hri_cell *cell = engine->place ? hri_cells_own(engine->place) : NULL;
    if (!cell)
        return NULL;
    hri_cell_close(cell);
    settle(cell);
    return cell;
}

/* ── regions ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Finds a magazine's block, if its mark names the magazine, or its word says that no user has it. Else nobody is to get
 * it from here: it was put twice, or its mark was written over. Under the lock. */
static hri_spot spot_in(hri_engine *engine, const hri_magazine *magazine, const void *block)
{
    const hri_spot spot = hri_engine_find(block);
    if (spot.engine == engine && spot.region && hri_region_is_away(spot.region, spot.number) &&
        *hri_block_mark(block) == hri_magazine_mark(magazine))
        return spot;
    if (spot.engine == engine && !spot.region)
        return spot;
    hri_pool_sum_fault(engine->options.sum, block);
    return (hri_spot){0};
}

static void put_free_pages(hri_engine *engine, void *block)
{
    *hri_heap_pooled_link(block) = (uintptr_t)engine->free_pages;
    engine->free_pages = block;
}

static void *take_free_pages(hri_engine *engine)
{
    void *block = engine->free_pages;
    engine->free_pages = (void *)(uintptr_t)*hri_heap_pooled_link(block);
    return block;
}

static void put_free(const hri_spot *spot, void *block)
{
    if (spot->region)
        hri_region_put(spot->region, spot->number);
    else
        put_free_pages(spot->engine, block);
    spot->engine->free++;
}

/* Gives a block of a magazine of this thread's; NULL: there is none. */
static void *pop(hri_engine *engine, hri_magazine *magazine)
{
    void *block;
    while ((block = hri_magazine_pop(magazine)) != NULL)
        if (spot_in(engine, magazine, block).engine)
            return block;
    return NULL;
}

/* A block that is away, or NULL. */
static void *block_of(const hri_region *region, hri_block_number number)
{
    return number == HRI_NO_BLOCK ? NULL : hri_region_block(region, number);
}

void *hri_depot_take_free(hri_engine *engine)
{
    if (engine->free == 0)
        return NULL;
    if (engine->own_pages) {
        engine->free--;
        return take_free_pages(engine);
    }
    hri_region *region = engine->regions;
    while (region->first_free == HRI_NO_BLOCK)
        region = region->next;
    engine->free--;
    return block_of(region, hri_region_take_free(region));
}

static bool take_words(void *region)
{
    return hri_region_commit_words(region);
}

/* A region that is short of words gets more where that needs no relief, which cannot run under the lock. */
void *hri_depot_take_new(hri_engine *engine)
{
    for (hri_region *region = engine->regions; region; region = region->next) {
        hri_block_number number = hri_region_take_new(region);
        if (number == HRI_NO_BLOCK && region->worded < region->count &&
            hri_block_pages(engine->options.budget, true, take_words, region) == 0)
            number = hri_region_take_new(region);
        if (number != HRI_NO_BLOCK)
            return hri_region_block(region, number);
    }
    return NULL;
}

void hri_depot_link(hri_engine *engine, hri_region *region)
{
    region->next = engine->regions;
    if (region->next)
        region->next->link = &region->next;
    region->link = &engine->regions;
    engine->regions = region;
    engine->regions_bytes += region->blocks_bytes;
}

void hri_depot_unlink(hri_engine *engine, hri_region *region)
{
    *region->link = region->next;
    if (region->next)
        region->next->link = region->link;
    engine->regions_bytes -= region->blocks_bytes;
}

size_t hri_depot_next_bytes(const hri_engine *engine)
{
    uint64_t bytes = hri_max(REGION_BYTES_MIN, hri_min(engine->regions_bytes / 4, REGION_BYTES_MAX));
    return (size_t)hri_max(bytes, REGION_BLOCKS_MIN * engine->options.block_bytes);
}

/* ── the depot ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static void empty_magazine(hri_engine *engine, hri_magazine *magazine)
{
    for (unsigned i = 0; i < magazine->count; i++) {
        const hri_spot spot = spot_in(engine, magazine, magazine->slots[i]);
        if (spot.engine)
            put_free(&spot, magazine->slots[i]);
    }
    magazine->count = 0;
    hri_magazine_keep(engine, magazine);
}

/* Takes a thread's full magazine in. */
static void to_depot(hri_engine *engine, hri_magazine *magazine)
{
    if (!hri_magazine_grow(engine, &engine->full)) {
        empty_magazine(engine, magazine);
        return;
    }
    hri_magazine_push(engine->full, magazine);
    engine->depot_blocks += magazine->count;
}

static hri_magazine *from_depot(hri_engine *engine)
{
    hri_magazine *magazine = hri_magazine_pop(engine->full);
    if (!magazine)
        return NULL;
    engine->depot_blocks -= magazine->count;
    return magazine;
}

void hri_depot_empty(hri_engine *engine, uint64_t blocks)
{
    hri_magazine *magazine;
    while (blocks > 0 && (magazine = from_depot(engine)) != NULL) {
        blocks -= hri_min(blocks, magazine->count);
        empty_magazine(engine, magazine);
    }
}

void hri_depot_note_idle(hri_engine *engine)
{
    engine->idle_min = hri_min(engine->idle_min, engine->free + engine->depot_blocks);
}

/* ── threads ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes the magazines of a closed cell away. */
static void strip(hri_engine *engine, hri_cell *cell)
{
    settle(cell);
    for (int which = HRI_DEPOT_LOADED; which <= HRI_DEPOT_PREVIOUS; which++) {
        hri_magazine *magazine = magazine_of(cell, which);
        set_magazine(cell, which, NULL);
        if (magazine)
            empty_magazine(engine, magazine);
    }
    hri_cell_empty(cell);
}

static uint64_t gets(const hri_cell *cell)
{
    return atomic_load_explicit(&cell->more[HRI_DEPOT_GETS], memory_order_relaxed);
}

/* A thread that got and put in turn has its top where it was, one that only put has no more gets. */
static bool has_slept(hri_cell *cell)
{
    uint64_t now = atomic_load_explicit(&cell->value, memory_order_relaxed) + (gets(cell) << 32);
    return atomic_exchange_explicit(&cell->more[HRI_DEPOT_SEEN], now, memory_order_relaxed) == now;
}

uint64_t hri_depot_gets(const hri_engine *engine)
{
    uint64_t sum = 0;
    for (hri_cell *record = hri_cells_first(); engine->place && record; record = hri_cells_next(record))
        sum += gets(hri_cells_at(record, engine->place));
    return sum;
}

/* Takes back what threads have in magazines: of all, or of those that have done nothing since the last time. */
void hri_depot_collect(hri_engine *engine, bool sleepers_only, bool alone)
{
    bool others = false;
    if (!engine->place)
        return;
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record)) {
        hri_cell *cell = hri_cells_at(record, engine->place);
        if (!magazine_of(cell, HRI_DEPOT_LOADED) || (sleepers_only && !has_slept(cell)))
            continue;
        hri_cell_close(cell);
        others |= record != hri_cells_mine;
    }
    if (others && !alone)
        hri_rseq_fence();
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record)) {
        hri_cell *cell = hri_cells_at(record, engine->place);
        if (magazine_of(cell, HRI_DEPOT_LOADED) && !hri_cell_is_open(cell))
            strip(engine, cell);
    }
}

/* ── getting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void swap_magazines(hri_cell *cell)
{
    hri_magazine *loaded = magazine_of(cell, HRI_DEPOT_LOADED);
    set_magazine(cell, HRI_DEPOT_LOADED, magazine_of(cell, HRI_DEPOT_PREVIOUS));
    set_magazine(cell, HRI_DEPOT_PREVIOUS, loaded);
}

/* Loads a full magazine in the place of the previous one, and that in the place of the loaded one; both are empty. */
static void load(hri_engine *engine, hri_cell *cell, hri_magazine *magazine)
{
    hri_magazine *previous = magazine_of(cell, HRI_DEPOT_PREVIOUS);
    if (previous)
        hri_magazine_keep(engine, previous);
    set_magazine(cell, HRI_DEPOT_PREVIOUS, magazine_of(cell, HRI_DEPOT_LOADED));
    set_magazine(cell, HRI_DEPOT_LOADED, magazine);
}

/* Puts a block on top of a magazine; false: it does not fit. */
static bool push(const hri_engine *engine, hri_magazine *magazine, void *block)
{
    if (!hri_magazine_push(magazine, block))
        return false;
    if (!engine->own_pages)
        *hri_block_mark(block) = hri_magazine_mark(magazine);
    return true;
}

/* Loads some free blocks. */
static void refill(hri_engine *engine, hri_cell *cell)
{
    hri_magazine *loaded = magazine_of(cell, HRI_DEPOT_LOADED);
    if (!loaded && engine->free > 1) {
        loaded = hri_magazine_new(engine);
        set_magazine(cell, HRI_DEPOT_LOADED, loaded);
    }
    void *block;
    while (loaded && loaded->count < loaded->capacity && loaded->count < REFILL &&
           (block = hri_depot_take_free(engine)) != NULL)
        push(engine, loaded, block);
}

/* Gives a block that is idle, or NULL. Under the lock. */
void *hri_depot_take_idle(hri_engine *engine)
{
    hri_cell *cell = own_cell(engine);
    void *block = NULL;
    if (cell) {
        block = pop(engine, magazine_of(cell, HRI_DEPOT_LOADED));
        if (!block && magazine_of(cell, HRI_DEPOT_PREVIOUS) && magazine_of(cell, HRI_DEPOT_PREVIOUS)->count > 0) {
            swap_magazines(cell);
            block = pop(engine, magazine_of(cell, HRI_DEPOT_LOADED));
        }
        if (!block && engine->depot_blocks > 0) {
            load(engine, cell, from_depot(engine));
            block = pop(engine, magazine_of(cell, HRI_DEPOT_LOADED));
        }
        if (!block && engine->free > 0) {
            refill(engine, cell);
            block = pop(engine, magazine_of(cell, HRI_DEPOT_LOADED));
        }
        open_loaded(cell);
    } else if (engine->depot_blocks > 0 && engine->free == 0) {
        hri_depot_empty(engine, 1);
    }
    if (!block)
        block = hri_depot_take_free(engine);
    engine->hits += block != NULL;
    hri_depot_note_idle(engine);
    return block;
}

void hri_depot_count_new(hri_engine *engine)
{
    engine->misses++;
    engine->made++;
    hri_pool_sum_add(engine->options.sum, hri_engine_cost(engine));
}

/* ── putting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes room in this thread's magazines; false where there is no empty one. */
static bool make_room(hri_engine *engine, hri_cell *cell)
{
    hri_magazine *previous = magazine_of(cell, HRI_DEPOT_PREVIOUS);
    if (previous && previous->count < previous->capacity) {
        swap_magazines(cell);
        return true;
    }
    hri_magazine *empty = hri_magazine_new(engine);
    if (!empty)
        return false;
    if (previous)
        to_depot(engine, previous);
    set_magazine(cell, HRI_DEPOT_PREVIOUS, magazine_of(cell, HRI_DEPOT_LOADED));
    set_magazine(cell, HRI_DEPOT_LOADED, empty);
    return true;
}

/* Under the lock. */
void hri_depot_put(const hri_spot *spot, void *block)
{
    hri_engine *engine = spot->engine;
    hri_cell *cell = own_cell(engine);
    bool pushed = cell && (push(engine, magazine_of(cell, HRI_DEPOT_LOADED), block) ||
                           (make_room(engine, cell) && push(engine, magazine_of(cell, HRI_DEPOT_LOADED), block)));
    if (!pushed)
        put_free(spot, block);
    if (cell)
        open_loaded(cell);
}

/* ── the end of a thread ────────────────────────────────────────────────────────────────────────────────────────── */

/* A thread that ends leaves its full magazines to the depot, and the rest to nobody. */
void hri_depot_leave(hri_engine *engine, hri_cell *cell)
{
    pthread_mutex_lock(&engine->lock);
    if (magazine_of(cell, HRI_DEPOT_LOADED)) {
        hri_cell_close(cell);
        settle(cell);
        for (int which = HRI_DEPOT_LOADED; which <= HRI_DEPOT_PREVIOUS; which++) {
            hri_magazine *magazine = magazine_of(cell, which);
            set_magazine(cell, which, NULL);
            if (magazine && magazine->count == magazine->capacity)
                to_depot(engine, magazine);
            else if (magazine)
                empty_magazine(engine, magazine);
        }
        hri_cell_empty(cell);
    }
    pthread_mutex_unlock(&engine->lock);
}
