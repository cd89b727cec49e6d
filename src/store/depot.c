/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: a block that is not new is in exactly one place: with a user, in a magazine, or free in its region; regions
 * know which of theirs are in the depot (idle) or free.
 *
 * A cell that has a loaded magazine is open, but for the time in which its own thread works on it under the lock; then the
 * magazine's count is right, else the cell's value.
 *
 * Locking: the engine's lock guards it and all cells at its place.
 */
#include "store/depot.h"

#include "base/assert.h"
#include "base/checked.h"
#include "budget/budget.h"
#include "os/pages.h"
#include "os/rseq.h"
#include "store/magazine.h"

#define REGION_BYTES_MIN ((size_t)64 << 10)
#define REGION_BYTES_MAX ((size_t)4 << 20)
#define REGION_BLOCKS_MIN 8

/* So many free blocks are loaded at a time where a magazine is filled from a region. */
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

hri_region *hri_depot_region(const hri_engine *engine, const void *block)
{
    hri_region *region = hri_region_find(block);
    return region && region->owner == engine ? region : NULL;
}

/* ── marks ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Whoever puts a magazine into the depot leaves a mark on each of its blocks: where the magazine lies, and a number that is
 * another each time. Who takes it out need not come by the blocks again, which have passed to his processor's cache: what
 * their marks say is no longer true of the magazine. Numbers come again, so a mark that does seem true is looked into. */
#define MARK_NUMBER_BITS 16
#define MAGAZINES_MAX (1u << (HRI_BLOCK_STATE_SHIFT - MARK_NUMBER_BITS))

/* A word that no block has: a place, and no number. */
#define NO_WORD hri_block_word(HRI_BLOCK_AWAY, (MAGAZINES_MAX - 1) << MARK_NUMBER_BITS)

static uint32_t next_mark(hri_engine *engine)
{
    if (++engine->mark_number >> MARK_NUMBER_BITS)
        engine->mark_number = 1; /* no mark is 0 */
    return engine->full->count << MARK_NUMBER_BITS | engine->mark_number;
}

/* The magazine in the depot that has this mark; NULL: none has. */
static const hri_magazine *marked_by(const hri_engine *engine, uint32_t mark)
{
    const hri_magazine *full = engine->full;
    uint32_t place = mark >> MARK_NUMBER_BITS;
    const hri_magazine *magazine = full && place < full->count ? full->slots[place] : NULL;
    return magazine && magazine->mark == mark ? magazine : NULL;
}

static bool is_in_depot(const hri_engine *engine, uint32_t mark, const void *block)
{
    return hri_magazine_has(marked_by(engine, mark), block);
}

bool hri_depot_is_away(const hri_engine *engine, hri_region *region, const void *block)
{
    const uint32_t *word = hri_region_away(region, block);
    return word && !is_in_depot(engine, hri_block_below(*word), block);
}

/* Puts a block that is away back to its region; what is none is a fault. */
static void put_in_region(hri_engine *engine, void *block)
{
    hri_region *region = hri_depot_region(engine, block);
    if (region && hri_depot_is_away(engine, region, block) && hri_region_put(region, block))
        engine->free++;
    else
        hri_fault("%p is in a pool twice, or is no block of it", block);
}

/* Is the block of the magazine's `at`th slot with nobody else, as far as its mark tells? */
static bool is_alone(const hri_engine *engine, const hri_magazine *magazine, unsigned at, uint32_t mark)
{
    const void *block = magazine->slots[at];
    return !is_in_depot(engine, mark, block) &&
           (mark != magazine->mark || hri_magazine_slot(magazine, at, block) == at);
}

/* Marks a magazine's blocks. What was put twice, or is foreign, shows here: it is dropped. Blocks come together that were
 * handed out together: most have the word of the one before, which is `known` to be no mark of a magazine that is there. */
static void mark_blocks(hri_engine *engine, hri_magazine *magazine)
{
    const uint32_t marked = hri_block_word(HRI_BLOCK_AWAY, magazine->mark);
    static hri_region none;
    hri_region_view view = hri_region_view_of(&none);
    uint32_t known = NO_WORD;
    for (unsigned at = 0; at < magazine->count;) {
        const void *block = magazine->slots[at];
        hri_block_number number = hri_region_view_number(&view, block);
        if (number == HRI_NO_BLOCK) {
            hri_region *region = hri_depot_region(engine, block);
            view = hri_region_view_of(region ? region : &none);
            number = hri_region_view_number(&view, block);
        }
        uint32_t word = number == HRI_NO_BLOCK ? 0 : view.words[number];
        if (word != known) {
            uint32_t mark = hri_block_below(word);
            if (hri_block_state_of(word) != HRI_BLOCK_AWAY || !is_alone(engine, magazine, at, mark)) {
                hri_fault("%p is in a pool twice, or is no block of it", block);
                magazine->slots[at] = magazine->slots[--magazine->count];
                continue;
            }
            known = mark == magazine->mark || marked_by(engine, mark) ? NO_WORD : word;
        }
        view.words[number] = marked;
        at++;
    }
}

/* ── regions and their blocks ───────────────────────────────────────────────────────────────────────────────────── */

void *hri_depot_take_free(hri_engine *engine)
{
    if (engine->free == 0)
        return NULL;
    hri_region *region = engine->regions;
    while (region->first_free == HRI_NO_BLOCK)
        region = region->next;
    engine->free--;
    return hri_region_take_free(region);
}

/* The pages of a block that is new again have gone, but for what it shares with its neighbours: a page on average, where
 * blocks do not begin with pages. */
static uint64_t spare_of_new(const hri_region *region)
{
    size_t page = hri_page_size(), shared = (region->head_bytes | region->block_bytes) % page ? page : 0;
    return (uint64_t)(region->untouched - region->used) * hri_sub(region->block_bytes, shared);
}

void hri_depot_list(hri_engine *engine, hri_region *region, uint64_t more)
{
    if (!engine->options.budget || !hri_depot_lists(engine))
        return;
    hri_span span = {
        .raw = hri_region_block(region, 0),
        .size = (size_t)region->untouched * region->block_bytes,
        .spare = spare_of_new(region),
    };
    hri_untouched_widen(&region->node, &span, more);
}

static void *take_new_block(hri_engine *engine)
{
    for (hri_region *region = engine->regions; region; region = region->next) {
        void *block = hri_region_take_new(region);
        if (!block)
            continue;
        hri_depot_list(engine, region, region->block_bytes);
        return block;
    }
    return NULL;
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

void hri_depot_unlink(hri_engine *engine, hri_region *region)
{
    *region->link = region->next;
    if (region->next)
        region->next->link = region->link;
    engine->regions_bytes -= region->map_bytes;
    if (engine->options.budget)
        hri_untouched_remove(&region->node);
}

static bool add_region(hri_engine *engine)
{
    const hri_engine_options *options = &engine->options;
    uint64_t bytes = hri_max(REGION_BYTES_MIN, hri_min(engine->regions_bytes / 4, REGION_BYTES_MAX));
    bytes = hri_max(bytes, REGION_BLOCKS_MIN * options->block_bytes);
    if (options->blocks)
        bytes = options->blocks * options->block_bytes;
    hri_region *region = hri_region_new(engine, options->block_bytes, options->align, (size_t)bytes);
    if (region)
        link_region(engine, region);
    return region != NULL;
}

/* ── the depot ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static void empty_magazine(hri_engine *engine, hri_magazine *magazine)
{
    for (unsigned i = 0; i < magazine->count; i++)
        put_in_region(engine, magazine->slots[i]);
    magazine->count = 0;
    hri_magazine_keep(engine, magazine);
}

/* Takes a thread's full magazine in. */
static void to_depot(hri_engine *engine, hri_magazine *magazine)
{
    if ((engine->full && engine->full->count == MAGAZINES_MAX) || !hri_magazine_grow(engine, &engine->full)) {
        empty_magazine(engine, magazine);
        return;
    }
    magazine->mark = next_mark(engine);
    mark_blocks(engine, magazine);
    hri_magazine_push(engine->full, magazine);
    engine->depot_blocks += magazine->count;
}

static hri_magazine *from_depot(hri_engine *engine)
{
    hri_magazine *magazine = hri_magazine_pop(engine->full);
    if (!magazine)
        return NULL;
    magazine->mark = 0;
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

/* Loads some free blocks of regions. */
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
        loaded->slots[loaded->count++] = block;
}

/* Gives a block that is idle, or NULL. Under the lock. */
void *hri_depot_take_idle(hri_engine *engine)
{
    hri_cell *cell = own_cell(engine);
    void *block = NULL;
    if (cell) {
        block = hri_magazine_pop(magazine_of(cell, HRI_DEPOT_LOADED));
        if (!block && magazine_of(cell, HRI_DEPOT_PREVIOUS) && magazine_of(cell, HRI_DEPOT_PREVIOUS)->count > 0) {
            swap_magazines(cell);
            block = hri_magazine_pop(magazine_of(cell, HRI_DEPOT_LOADED));
        }
        if (!block && engine->depot_blocks > 0) {
            load(engine, cell, from_depot(engine));
            block = hri_magazine_pop(magazine_of(cell, HRI_DEPOT_LOADED));
        }
        if (!block && engine->free > 0) {
            refill(engine, cell);
            block = hri_magazine_pop(magazine_of(cell, HRI_DEPOT_LOADED));
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

/* Takes a new block, which is paid for. Under the lock. */
void *hri_depot_take_new(hri_engine *engine)
{
    void *block = take_new_block(engine);
    if (!block && add_region(engine))
        block = take_new_block(engine);
    if (!block)
        return NULL;
    engine->misses++;
    engine->made++;
    hri_pool_sum_add(engine->options.sum, hri_engine_cost(engine));
    return block;
}

/* ── putting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes room in this thread's magazines; false where there is no empty one to be had. */
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

/* Is this the block that this thread put last? The header sends it here as well. */
static bool is_last(const hri_cell *cell, const void *block)
{
    return cell && (hri_magazine_top(magazine_of(cell, HRI_DEPOT_LOADED)) == block ||
                    hri_magazine_top(magazine_of(cell, HRI_DEPOT_PREVIOUS)) == block);
}

static bool push(hri_engine *engine, hri_cell *cell, void *block)
{
    if (hri_magazine_push(magazine_of(cell, HRI_DEPOT_LOADED), block))
        return true;
    return make_room(engine, cell) && hri_magazine_push(magazine_of(cell, HRI_DEPOT_LOADED), block);
}

/* Under the lock. */
bool hri_depot_put(hri_engine *engine, hri_region *region, void *block)
{
    hri_cell *cell = own_cell(engine);
    bool is_away = hri_depot_is_away(engine, region, block) && !is_last(cell, block);
    if (is_away && !(cell && push(engine, cell, block)))
        put_in_region(engine, block);
    if (cell)
        open_loaded(cell);
    return is_away;
}

/* ── the end of a thread ──────────────────────────────────────────────────────────────────────────────────────────── */

/* A thread that ends leaves its full magazines to the depot, and the rest to the regions. */
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
