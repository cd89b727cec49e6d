/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: a block that is not new is in exactly one place: with a user, in a magazine, or free in its region. `made`
 * counts them all and is what is charged; regions know which of theirs are in the depot (idle) or free.
 *
 * A cell that has a loaded magazine is open, but for the time in which its own thread works on it under the lock; then the
 * magazine's count is right, else the cell's value.
 *
 * Locking: an engine's lock guards it and all cells at its place. Charges that may run relief, construct() and destroy()
 * run with none held. `engines_lock` is taken before an engine's.
 */
#include "store/magazine.h"

#include "base/assert.h"
#include "base/checked.h"
#include "os/pages.h"
#include "os/rseq.h"
#include "store/poison.h"

#include <errno.h>
#include <stdlib.h>

struct hri_magazine {
    hri_magazine *next;
    unsigned count;
    void *none; /* below the first slot, and never equal to a block: what is put is compared with what is on top */
    void *slots[];
};

/* A thread's magazines, in its cell's own words. */
enum {
    LOADED,
    PREVIOUS,
    SEEN, /* the top at the janitor's last visit */
};

#define REGION_BYTES_MIN ((size_t)64 << 10)
#define REGION_BYTES_MAX ((size_t)4 << 20)
#define REGION_BLOCKS_MIN 8

/* So many free blocks are loaded at a time where a magazine is filled from a region. */
#define REFILL 16

static pthread_mutex_t engines_lock = PTHREAD_MUTEX_INITIALIZER;
static hri_engine *engines;

/* ── magazines ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static size_t magazine_bytes(const hri_engine *engine)
{
    return sizeof(hri_magazine) + engine->slots * sizeof(void *);
}

/* Runs no relief, so it may be called under the lock. */
static hri_magazine *new_magazine(hri_engine *engine)
{
    hri_magazine *magazine = engine->empty;
    if (magazine) {
        engine->empty = magazine->next;
        return magazine;
    }
    size_t bytes = magazine_bytes(engine);
    if (hr_budget_try_charge(engine->options.budget, bytes) != 0)
        return NULL;
    magazine = malloc(bytes);
    if (!magazine) {
        hr_budget_uncharge(engine->options.budget, bytes);
        return NULL;
    }
    *magazine = (hri_magazine){0};
    return magazine;
}

static void keep_empty(hri_engine *engine, hri_magazine *magazine)
{
    magazine->next = engine->empty;
    engine->empty = magazine;
}

static void free_empties(hri_engine *engine)
{
    while (engine->empty) {
        hri_magazine *magazine = engine->empty;
        engine->empty = magazine->next;
        free(magazine);
        hr_budget_uncharge(engine->options.budget, magazine_bytes(engine));
    }
}

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
    hri_magazine *loaded = magazine_of(cell, LOADED);
    if (loaded)
        loaded->count =
            (unsigned)((atomic_load_explicit(&cell->value, memory_order_relaxed) - (uintptr_t)loaded->slots) /
                       sizeof(void *));
}

static void open_loaded(const hri_engine *engine, hri_cell *cell)
{
    hri_magazine *loaded = magazine_of(cell, LOADED);
    if (loaded)
        hri_cell_open_between(cell, (uintptr_t)(loaded->slots + loaded->count), (uintptr_t)loaded->slots,
                              (uintptr_t)(loaded->slots + engine->slots));
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

static hri_region *region_of(const hri_engine *engine, const void *block)
{
    hri_region *region = hri_region_find(block);
    return region && region->owner == engine ? region : NULL;
}

/* Puts a block that is away back to its region; what is none is a fault. */
static void put_in_region(hri_engine *engine, void *block)
{
    hri_region *region = region_of(engine, block);
    if (region && hri_region_put(region, block))
        engine->free++;
    else
        hri_fault("%p is in a pool twice, or is no block of it", block);
}

static void *take_free_block(hri_engine *engine)
{
    if (engine->free == 0)
        return NULL;
    hri_region *region = engine->regions;
    while (region->first_free == HRI_NO_BLOCK)
        region = region->next;
    engine->free--;
    return hri_region_take_free(region);
}

static void *take_new_block(hri_engine *engine)
{
    void *block = NULL;
    for (hri_region *region = engine->regions; region && !block; region = region->next)
        block = hri_region_take_new(region);
    return block;
}

static void link_region(hri_engine *engine, hri_region *region)
{
    region->next = engine->regions;
    if (region->next)
        region->next->link = &region->next;
    region->link = &engine->regions;
    engine->regions = region;
    engine->regions_bytes += region->map_bytes;
}

static void unlink_region(hri_engine *engine, hri_region *region)
{
    *region->link = region->next;
    if (region->next)
        region->next->link = region->link;
    engine->regions_bytes -= region->map_bytes;
}

static bool add_region(hri_engine *engine)
{
    const hri_engine_options *options = &engine->options;
    uint64_t bytes = hri_max(REGION_BYTES_MIN, hri_min(engine->regions_bytes / 4, REGION_BYTES_MAX));
    bytes = hri_max(bytes, REGION_BLOCKS_MIN * options->block_bytes);
    hri_region *region = hri_region_new(engine, options->block_bytes, options->align, (size_t)bytes);
    if (region)
        link_region(engine, region);
    return region != NULL;
}

/* What a block costs: itself, and its part of a region's head. */
static uint64_t cost(const hri_engine *engine)
{
    return engine->options.block_bytes + sizeof(hri_block_number) + engine->options.block_bytes / 256;
}

/* ── the depot ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes a thread's full magazine in. What was put twice, or is foreign, shows here: it is dropped. */
static void to_depot(hri_engine *engine, hri_magazine *magazine)
{
    unsigned count = 0;
    for (unsigned i = 0; i < magazine->count; i++) {
        hri_region *region = region_of(engine, magazine->slots[i]);
        if (region && hri_region_mark(region, magazine->slots[i], true))
            magazine->slots[count++] = magazine->slots[i];
        else
            hri_fault("%p is in a pool twice, or is no block of it", magazine->slots[i]);
    }
    magazine->count = count;
    magazine->next = engine->full;
    engine->full = magazine;
    engine->depot_blocks += count;
}

static hri_magazine *from_depot(hri_engine *engine)
{
    hri_magazine *magazine = engine->full;
    if (!magazine)
        return NULL;
    engine->full = magazine->next;
    engine->depot_blocks -= magazine->count;
    engine->depot_blocks_min = hri_min(engine->depot_blocks_min, engine->depot_blocks);
    for (unsigned i = 0; i < magazine->count; i++)
        hri_region_mark(hri_region_find(magazine->slots[i]), magazine->slots[i], false);
    return magazine;
}

static void empty_magazine(hri_engine *engine, hri_magazine *magazine)
{
    for (unsigned i = 0; i < magazine->count; i++)
        put_in_region(engine, magazine->slots[i]);
    magazine->count = 0;
    keep_empty(engine, magazine);
}

static void empty_depot(hri_engine *engine, uint64_t blocks)
{
    hri_magazine *magazine;
    while (blocks > 0 && (magazine = from_depot(engine)) != NULL) {
        blocks -= hri_min(blocks, magazine->count);
        empty_magazine(engine, magazine);
    }
}

/* ── threads ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes the magazines of a closed cell away. */
static void strip(hri_engine *engine, hri_cell *cell)
{
    settle(cell);
    for (int which = LOADED; which <= PREVIOUS; which++) {
        hri_magazine *magazine = magazine_of(cell, which);
        set_magazine(cell, which, NULL);
        if (magazine)
            empty_magazine(engine, magazine);
    }
    hri_cell_empty(cell);
}

static bool has_slept(hri_cell *cell)
{
    uint64_t top = atomic_load_explicit(&cell->value, memory_order_relaxed);
    return atomic_exchange_explicit(&cell->more[SEEN], top, memory_order_relaxed) == top;
}

/* Takes back what threads have in magazines: of all, or of those that have done nothing since the last time. */
static void collect(hri_engine *engine, bool sleepers_only, bool alone)
{
    bool others = false;
    if (!engine->place)
        return;
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record)) {
        hri_cell *cell = hri_cells_at(record, engine->place);
        if (!magazine_of(cell, LOADED) || (sleepers_only && !has_slept(cell)))
            continue;
        hri_cell_close(cell);
        others |= record != hri_cells_mine;
    }
    if (others && !alone)
        hri_rseq_fence();
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record)) {
        hri_cell *cell = hri_cells_at(record, engine->place);
        if (magazine_of(cell, LOADED) && !hri_cell_is_open(cell))
            strip(engine, cell);
    }
}

/* ── getting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void swap_magazines(hri_cell *cell)
{
    hri_magazine *loaded = magazine_of(cell, LOADED);
    set_magazine(cell, LOADED, magazine_of(cell, PREVIOUS));
    set_magazine(cell, PREVIOUS, loaded);
}

static void *pop(hri_magazine *magazine)
{
    return magazine && magazine->count > 0 ? magazine->slots[--magazine->count] : NULL;
}

/* Loads a full magazine in the place of the previous one, and that in the place of the loaded one; both are empty. */
static void load(hri_engine *engine, hri_cell *cell, hri_magazine *magazine)
{
    hri_magazine *previous = magazine_of(cell, PREVIOUS);
    if (previous)
        keep_empty(engine, previous);
    set_magazine(cell, PREVIOUS, magazine_of(cell, LOADED));
    set_magazine(cell, LOADED, magazine);
}

/* Loads some free blocks of regions. */
static void refill(hri_engine *engine, hri_cell *cell)
{
    hri_magazine *loaded = magazine_of(cell, LOADED);
    if (!loaded && engine->free > 1) {
        loaded = new_magazine(engine);
        set_magazine(cell, LOADED, loaded);
    }
    void *block;
    while (loaded && loaded->count < engine->slots && loaded->count < REFILL &&
           (block = take_free_block(engine)) != NULL) {
        loaded->slots[loaded->count++] = block;
        engine->hits++;
    }
}

/* Gives a block that is idle, or NULL. Under the lock. */
static void *take_idle(hri_engine *engine)
{
    hri_cell *cell = own_cell(engine);
    void *block = NULL;
    if (cell) {
        block = pop(magazine_of(cell, LOADED));
        if (!block && magazine_of(cell, PREVIOUS) && magazine_of(cell, PREVIOUS)->count > 0) {
            swap_magazines(cell);
            block = pop(magazine_of(cell, LOADED));
        }
        if (!block && engine->full) {
            engine->hits += engine->full->count;
            load(engine, cell, from_depot(engine));
            block = pop(magazine_of(cell, LOADED));
        }
        if (!block && engine->free > 0) {
            refill(engine, cell);
            block = pop(magazine_of(cell, LOADED));
        }
        open_loaded(engine, cell);
    } else if (engine->full && engine->free == 0) {
        empty_depot(engine, 1);
    }
    if (!block && (block = take_free_block(engine)) != NULL)
        engine->hits++;
    return block;
}

/* Takes a new block, which is paid for. Under the lock. */
static void *take_paid(hri_engine *engine)
{
    void *block = take_new_block(engine);
    if (!block && add_region(engine))
        block = take_new_block(engine);
    if (!block)
        return NULL;
    engine->misses++;
    engine->made++;
    engine->charged_bytes += cost(engine);
    engine->peak_bytes = hri_max(engine->peak_bytes, engine->charged_bytes);
    return block;
}

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
    hri_region_unmake(region_of(engine, block), block);
    engine->made--;
    engine->charged_bytes -= cost(engine);
    pthread_mutex_unlock(&engine->lock);
    hr_budget_uncharge(engine->options.budget, cost(engine));
}

/* Pays for a new block and makes it, or finds an idle one after all. */
static void *make_block(hri_engine *engine)
{
    const hri_engine_options *options = &engine->options;
    int error = hr_budget_try_charge(options->budget, cost(engine));
    if (error) { /* what other threads have in hand comes before relief */
        pthread_mutex_lock(&engine->lock);
        collect(engine, false, false);
        void *block = take_idle(engine);
        pthread_mutex_unlock(&engine->lock);
        if (block)
            return block;
        error = hr_budget_charge(options->budget, cost(engine));
    }
    if (error)
        return refuse(engine, error);
    pthread_mutex_lock(&engine->lock);
    void *block = take_paid(engine);
    pthread_mutex_unlock(&engine->lock);
    if (!block) {
        hr_budget_uncharge(options->budget, cost(engine));
        return refuse(engine, -ENOMEM);
    }
    error = options->construct ? options->construct(block, options->context) : 0;
    if (!error)
        return block;
    unmake(engine, block);
    return refuse(engine, error);
}

void *hri_engine_get(hri_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    void *block = take_idle(engine);
    pthread_mutex_unlock(&engine->lock);
    if (!block)
        block = make_block(engine);
    if (block)
        hri_poison_lift(block, engine->options.block_bytes);
    return block;
}

/* ── putting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool is_in(const hri_magazine *magazine, const void *block)
{
    for (unsigned i = 0; magazine && i < magazine->count; i++)
        if (magazine->slots[i] == block)
            return true;
    return false;
}

static bool push(const hri_engine *engine, hri_magazine *magazine, void *block)
{
    if (!magazine || magazine->count == engine->slots)
        return false;
    magazine->slots[magazine->count++] = block;
    return true;
}

/* Makes room in this thread's magazines; false where there is no empty one to be had. */
static bool make_room(hri_engine *engine, hri_cell *cell)
{
    hri_magazine *previous = magazine_of(cell, PREVIOUS);
    if (previous && previous->count < engine->slots) {
        swap_magazines(cell);
        return true;
    }
    hri_magazine *empty = new_magazine(engine);
    if (!empty)
        return false;
    if (previous)
        to_depot(engine, previous);
    set_magazine(cell, PREVIOUS, magazine_of(cell, LOADED));
    set_magazine(cell, LOADED, empty);
    return true;
}

/* Without magazines each put is looked at under the lock; with them one that is not the last is looked at later. */
bool hri_engine_may_put(hri_engine *engine, const void *block)
{
    if (engine->place)
        return true;
    pthread_mutex_lock(&engine->lock);
    bool away = hri_region_is_away(hri_region_find(block), block);
    pthread_mutex_unlock(&engine->lock);
    return away;
}

/* Under the lock. */
static bool put_locked(hri_engine *engine, hri_region *region, void *block)
{
    hri_cell *cell = own_cell(engine);
    bool away = hri_region_is_away(region, block) &&
                !(cell && (is_in(magazine_of(cell, LOADED), block) || is_in(magazine_of(cell, PREVIOUS), block)));
    if (away) {
        bool pushed = cell && (push(engine, magazine_of(cell, LOADED), block) ||
                               (make_room(engine, cell) && push(engine, magazine_of(cell, LOADED), block)));
        if (!pushed)
            put_in_region(engine, block);
    }
    if (cell)
        open_loaded(engine, cell);
    return away;
}

bool hri_engine_put(hri_engine *engine, void *block)
{
    hri_region *region = region_of(engine, block);
    bool put = false;
    if (region) {
        hri_poison(block, engine->options.block_bytes);
        pthread_mutex_lock(&engine->lock);
        put = put_locked(engine, region, block);
        pthread_mutex_unlock(&engine->lock);
    }
    if (!put)
        hri_fault("%p is put into a pool that it is not of, or twice", block);
    return put;
}

/* ── giving back ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Gives back a whole region, which is off the list. Not under the lock. */
static void drop_region(hri_engine *engine, hri_region *region)
{
    const hri_engine_options *options = &engine->options;
    void *block;
    while (options->destroy && (block = hri_region_take_free(region)) != NULL) {
        hri_poison_lift(block, options->block_bytes);
        options->destroy(block, options->context);
    }
    hri_poison_lift(region, region->map_bytes);
    hri_region_free(region);
}

/* Gives back one block of a region that has others away. Not under the lock: the block is away meanwhile. */
static void drop_block(hri_engine *engine, void *block)
{
    const hri_engine_options *options = &engine->options;
    hri_poison_lift(block, options->block_bytes);
    if (options->destroy)
        options->destroy(block, options->context);
    pthread_mutex_lock(&engine->lock);
    hri_region *region = region_of(engine, block);
    hri_region_put(region, block);
    hri_region_renew(region); /* the one that was put last */
    engine->made--;
    engine->charged_bytes -= cost(engine);
    pthread_mutex_unlock(&engine->lock);
    hr_budget_uncharge(engine->options.budget, cost(engine));
}

/* Takes off the list a region without a block that is away; NULL: there is none. */
static hri_region *take_idle_region(hri_engine *engine)
{
    hri_region *region = engine->regions;
    while (region && region->free != region->used)
        region = region->next;
    if (!region)
        return NULL;
    unlink_region(engine, region);
    engine->free -= region->used;
    engine->made -= region->used;
    engine->trimmed += region->used;
    engine->charged_bytes -= region->used * cost(engine);
    return region;
}

/* Gives back free blocks of regions: whole regions, then blocks with pages of their own. */
static void release(hri_engine *engine, uint64_t want_bytes)
{
    uint64_t freed = 0;
    bool pages = engine->options.block_bytes % hri_page_size() == 0;
    while (freed < want_bytes) {
        pthread_mutex_lock(&engine->lock);
        hri_region *region = take_idle_region(engine);
        void *block = !region && pages ? take_free_block(engine) : NULL;
        engine->trimmed += block != NULL;
        pthread_mutex_unlock(&engine->lock);
        if (!region && !block)
            break;
        if (block) {
            drop_block(engine, block);
            freed += cost(engine);
            continue;
        }
        uint64_t bytes = region->used * cost(engine);
        drop_region(engine, region);
        hr_budget_uncharge(engine->options.budget, bytes);
        freed += bytes;
    }
}

static uint64_t charged(hri_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    uint64_t bytes = engine->charged_bytes;
    pthread_mutex_unlock(&engine->lock);
    return bytes;
}

uint64_t hri_engine_trim(hri_engine *engine, uint64_t want_bytes)
{
    uint64_t before = charged(engine);
    pthread_mutex_lock(&engine->lock);
    uint64_t free_bytes = engine->free * cost(engine);
    if (want_bytes > free_bytes)
        empty_depot(engine, (want_bytes - free_bytes) / cost(engine) + 1);
    pthread_mutex_unlock(&engine->lock);
    release(engine, want_bytes);
    uint64_t freed = hri_sub(before, charged(engine));
    if (freed < want_bytes) {
        pthread_mutex_lock(&engine->lock);
        empty_depot(engine, UINT64_MAX);
        collect(engine, false, false);
        free_empties(engine);
        pthread_mutex_unlock(&engine->lock);
        release(engine, want_bytes - freed);
    }
    return hri_sub(before, charged(engine));
}

uint64_t hri_engine_reap(hri_engine *engine)
{
    uint64_t before = charged(engine);
    pthread_mutex_lock(&engine->lock);
    collect(engine, true, false);
    empty_depot(engine, engine->depot_blocks_min);
    engine->depot_blocks_min = engine->depot_blocks;
    free_empties(engine);
    pthread_mutex_unlock(&engine->lock);
    release(engine, UINT64_MAX);
    return hri_sub(before, charged(engine));
}

void hri_engine_read(hri_engine *engine, hr_pool_figures *figures)
{
    pthread_mutex_lock(&engine->lock);
    collect(engine, false, false);
    uint64_t idle = engine->free + engine->depot_blocks;
    figures->idle += idle;
    figures->in_use += engine->made - idle;
    figures->idle_bytes += idle * cost(engine);
    figures->in_use_bytes += (engine->made - idle) * cost(engine);
    figures->peak_bytes += engine->peak_bytes;
    figures->hits += engine->hits;
    figures->misses += engine->misses;
    figures->trimmed += engine->trimmed;
    figures->refused += engine->refused;
    pthread_mutex_unlock(&engine->lock);
}

/* ── beginning and end ──────────────────────────────────────────────────────────────────────────────────────────── */

/* A thread that ends leaves its full magazines to the depot, and the rest to the regions. */
static void leave(hri_engine *engine, hri_cell *cell)
{
    pthread_mutex_lock(&engine->lock);
    if (magazine_of(cell, LOADED)) {
        hri_cell_close(cell);
        settle(cell);
        for (int which = LOADED; which <= PREVIOUS; which++) {
            hri_magazine *magazine = magazine_of(cell, which);
            set_magazine(cell, which, NULL);
            if (magazine && magazine->count == engine->slots)
                to_depot(engine, magazine);
            else if (magazine)
                empty_magazine(engine, magazine);
        }
        hri_cell_empty(cell);
    }
    pthread_mutex_unlock(&engine->lock);
}

static void end_thread(hri_cell *record)
{
    pthread_mutex_lock(&engines_lock);
    for (hri_engine *engine = engines; engine; engine = engine->next)
        if (engine->place)
            leave(engine, hri_cells_at(record, engine->place));
    pthread_mutex_unlock(&engines_lock);
}

int hri_engine_init(hri_engine *engine, const hri_engine_options *options)
{
    *engine = (hri_engine){.options = *options};
    size_t page = hri_page_size(), align = options->align ? options->align : 16;
    size_t bytes = (options->block_bytes + align - 1) / align * align;
    if (bytes >= 4 * page) { /* with pages of its own a block can be given back alone */
        align = page;
        bytes = (bytes + page - 1) / page * page;
    }
    engine->options.align = align;
    engine->options.block_bytes = bytes;
    uint64_t slots = hri_max(1, hri_min(HRI_MAGAZINE_BYTES / bytes, HRI_MAGAZINE_SLOTS));
    engine->slots = (unsigned)slots;
    int error = -pthread_mutex_init(&engine->lock, NULL);
    if (error)
        return error;
#ifndef HRI_DEBUG /* debug builds look at each block by itself */
    engine->place = hri_poison_is_watched() ? 0 : hri_cells_claim();
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
        atomic_store_explicit(&cell->more[SEEN], 0, memory_order_relaxed);
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
    if (engine->place)
        hri_cells_unclaim(engine->place);
    pthread_mutex_destroy(&engine->lock);
    return 0;
}

void hri_engine_fork(hri_engine *engine, hri_fork moment)
{
    hri_fork_lock(&engine->lock, moment);
    if (moment == HRI_FORK_CHILD)
        collect(engine, false, true);
}

void hri_engines_fork(hri_fork moment)
{
    hri_fork_lock(&engines_lock, moment);
}
