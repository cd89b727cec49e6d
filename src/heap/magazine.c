/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: a block that is away is with a user, in one magazine, or is a magazine.
 *
 * A magazine is itself a block of the heap, which a thread earns. Each call that exchanges one, or would if there were
 * one, earns more room in it. After n of them it has at most 8 * 2^(n-1) slots and n * 512 bytes of blocks, and never
 * more than 128 slots and 32 KiB. So a thread that seldom allocates keeps few blocks, and 10,000 of them keep some
 * megabytes. A block of 64 KiB that was freed once is not kept for its size. From 8 calls on magazines grow only while
 * all together have room for at most a 64th of what is committed, or 256 KiB.
 *
 * One cell of each record, at `places[HRI_HEAP_CLASSES]`, has a bit in its `more[HELD]` for each class whose cell has
 * magazines. So a drain of 10,000 threads looks at one cache line of each, and at the cells that have something.
 *
 * A thread without cells (without restartable sequences, at its end, under a memory checker) gets from and puts to
 * the magazine on top of the depot, under the lock. While the heap is tight no thread has
 * magazines, and a block that is put goes back to its span.
 */
#include "heap/magazine.h"

#include "base/assert.h"
#include "base/checked.h"
#include "heap/poison.h"
#include "heap/span.h"
#include "os/rseq.h"

#define SUMMARY HRI_HEAP_CLASSES
#define CALLS_FIRST 8
#define CALL_BYTES ((uint64_t)512)
#define ROOM_BYTES_MIN ((uint64_t)256 << 10)
#define DEPOT_BYTES_MIN ((uint64_t)128 << 10)

/* A thread's words in the cell of a class. */
enum {
    LOADED,
    PREVIOUS,
    CALLS, /* that have earned something */
    SEEN,  /* the top at the last visit to sleepers */
    BYTES = HRI_HEAP_CELL_BYTES,
};

/* In that of the summary. */
enum {
    HELD,
};

typedef struct depot {
    hri_heap_magazine *full;  /* with blocks; the first may be in part */
    hri_heap_magazine *empty; /* a few, for exchanges */
    unsigned empty_count;
} depot;

#define EMPTY_MAX 4

hri_place hri_heap_places[64];
_Static_assert(SUMMARY < HRI_HEAP_LARGE, "codes that are no class have no place");

static depot depots[HRI_HEAP_CLASSES];
static uint64_t depot_bytes;
static uint64_t own_bytes;  /* of magazines */
static uint64_t room_bytes; /* of the blocks that would fill all magazines */
static bool prepared;
static bool tight;
static unsigned wanted = HRI_HEAP_CLASSES;

/* Threads have no magazines where a memory checker has to see each block. */
static void prepare(void)
{
    prepared = true;
    if (!hri_rseq_usable(NULL) || hri_checkers_watch()) /* the first is asked in any case: see hri_heap_push() */
        return;
    hri_place places[HRI_HEAP_CLASSES + 1];
    for (unsigned i = 0; i <= HRI_HEAP_CLASSES; i++) {
        places[i] = hri_cells_claim();
        if (places[i])
            continue;
        while (i-- > 0) /* all or none */
            hri_cells_unclaim(places[i]);
        return;
    }
    for (unsigned i = 0; i <= HRI_HEAP_CLASSES; i++)
        hri_heap_places[i] = places[i];
}

/* ── magazines ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static unsigned slots_max(unsigned class)
{
    uint64_t slots = HRI_HEAP_MAGAZINE_BYTES / hri_heap_class_bytes[class];
    return (unsigned)hri_max(1, hri_min(slots, HRI_HEAP_SLOTS_MAX));
}

static unsigned class_of_magazine(unsigned capacity)
{
    return hri_heap_general_class(sizeof(hri_heap_magazine) + capacity * sizeof(void *) + HRI_HEAP_WORD);
}

static uint64_t room_of(unsigned class, const hri_heap_magazine *magazine)
{
    return (uint64_t)magazine->capacity * hri_heap_class_bytes[class];
}

static void free_magazine(unsigned class, hri_heap_magazine *magazine)
{
    unsigned own = class_of_magazine(magazine->capacity);
    own_bytes -= hri_heap_class_bytes[own];
    room_bytes -= room_of(class, magazine);
    hri_heap_uncarve(own, magazine);
}

/* An empty magazine of `slots`; NULL: there is no committed memory for one, which is noted. */
static hri_heap_magazine *new_magazine(unsigned class, unsigned slots)
{
    depot *d = &depots[class];
    void *block;
    for (hri_heap_magazine *magazine; (magazine = d->empty) != NULL;) {
        d->empty = magazine->next;
        d->empty_count--;
        if (magazine->capacity >= slots)
            return magazine;
        free_magazine(class, magazine);
    }
    unsigned own = class_of_magazine(slots);
    if (hri_heap_carve(own, &block, 1) == 0) {
        wanted = own;
        return NULL;
    }
    hri_heap_magazine *magazine = block;
    hri_poison_block_lift(magazine, hri_heap_class_bytes[own]);
    *magazine = (hri_heap_magazine){.capacity = slots};
    own_bytes += hri_heap_class_bytes[own];
    room_bytes += room_of(class, magazine);
    return magazine;
}

static void keep_magazine(unsigned class, hri_heap_magazine *magazine)
{
    depot *d = &depots[class];
    HRI_ASSERT(magazine->count == 0);
    if (d->empty_count == EMPTY_MAX) {
        free_magazine(class, magazine);
        return;
    }
    magazine->next = d->empty;
    d->empty = magazine;
    d->empty_count++;
}

static void empty_magazine(unsigned class, hri_heap_magazine *magazine)
{
    while (magazine->count > 0)
        hri_heap_uncarve(class, magazine->slots[--magazine->count]);
    free_magazine(class, magazine);
}

unsigned hri_heap_magazine_wanted(void)
{
    unsigned class = wanted;
    wanted = HRI_HEAP_CLASSES;
    return class;
}

uint64_t hri_heap_magazines_own_bytes(void)
{
    return own_bytes;
}

/* ── the depot ───────────────────────────────────────────────────────────────────────────────────────────────────── */

uint64_t hri_heap_depot_excess(void)
{
    return hri_sub(depot_bytes, hri_max(DEPOT_BYTES_MIN, hri_heap_pages_sum.committed_bytes / 32));
}

/* Puts a magazine into the depot. Where that has too much, blocks go back to their spans, where other classes can use
 * their memory. */
static void to_depot(unsigned class, hri_heap_magazine *magazine)
{
    if (hri_heap_depot_excess() > 0) {
        empty_magazine(class, magazine);
        return;
    }
    magazine->next = depots[class].full;
    depots[class].full = magazine;
    depot_bytes += magazine->count * (uint64_t)hri_heap_class_bytes[class];
}

static hri_heap_magazine *from_depot(unsigned class)
{
    hri_heap_magazine *magazine = depots[class].full;
    if (!magazine)
        return NULL;
    depots[class].full = magazine->next;
    depot_bytes -= magazine->count * (uint64_t)hri_heap_class_bytes[class];
    return magazine;
}

/* Without a cell: the magazine on top. */
static void *get_shared(unsigned class)
{
    void *block;
    hri_heap_magazine *magazine = from_depot(class);
    if (!magazine)
        return hri_heap_carve(class, &block, 1) ? block : NULL;
    block = magazine->slots[--magazine->count];
    if (magazine->count > 0)
        to_depot(class, magazine);
    else
        keep_magazine(class, magazine);
    return block;
}

static void put_shared(unsigned class, void *block)
{
    hri_heap_magazine *magazine = depots[class].full;
    if (hri_checkers_watch() || tight) {
        hri_heap_uncarve(class, block);
        return;
    }
    if (magazine && magazine->count < magazine->capacity) {
        magazine = from_depot(class);
    } else {
        magazine = new_magazine(class, (unsigned)hri_min(slots_max(class), 4 * HRI_HEAP_SLOTS_FIRST));
        if (!magazine) {
            hri_heap_uncarve(class, block);
            return;
        }
    }
    magazine->slots[magazine->count++] = block;
    to_depot(class, magazine);
}

void hri_heap_depot_empty(uint64_t bytes)
{
    hri_heap_magazine *magazine;
    for (unsigned class = 0; class < HRI_HEAP_CLASSES; class ++) {
        while (bytes > 0 && (magazine = from_depot(class)) != NULL) {
            bytes -= hri_min(bytes, magazine->count * (uint64_t)hri_heap_class_bytes[class]);
            empty_magazine(class, magazine);
        }
        while ((magazine = depots[class].empty) != NULL) {
            depots[class].empty = magazine->next;
            depots[class].empty_count--;
            free_magazine(class, magazine);
        }
    }
}

/* ── a thread's magazines ────────────────────────────────────────────────────────────────────────────────────────── */

static hri_heap_magazine *magazine_of(const hri_cell *cell, int which)
{
    return (hri_heap_magazine *)(uintptr_t)atomic_load_explicit(&cell->more[which], memory_order_relaxed);
}

static void set_magazine(hri_cell *cell, int which, hri_heap_magazine *magazine)
{
    atomic_store_explicit(&cell->more[which], (uintptr_t)magazine, memory_order_relaxed);
}

static uint64_t top_of(const hri_cell *cell)
{
    return atomic_load_explicit(&cell->value, memory_order_relaxed);
}

static unsigned count_in(const hri_cell *cell, const hri_heap_magazine *loaded)
{
    return (unsigned)((top_of(cell) - (uintptr_t)loaded->slots) / sizeof(void *));
}

/* Makes the count right of a closed cell's loaded magazine. */
static void settle(hri_cell *cell)
{
    hri_heap_magazine *loaded = magazine_of(cell, LOADED);
    if (loaded)
        loaded->count = count_in(cell, loaded);
}

static _Atomic uint64_t *held_by(hri_cell *record)
{
    return &hri_cells_at(record, hri_heap_places[SUMMARY])->more[HELD];
}

/* This thread's cell, closed and settled; NULL: it has none. */
static hri_cell *own_cell(unsigned class)
{
    if (!prepared)
        prepare();
    hri_place place = hri_heap_places[class];
    if (!place || tight || !hri_cells_have_mine())
        return NULL;
    hri_cell *cell = hri_cells_mine_at(place);
    hri_cell_close(cell);
    settle(cell);
    return cell;
}

static void open_cell(unsigned class, hri_cell *cell)
{
    hri_heap_magazine *loaded = magazine_of(cell, LOADED);
    if (!loaded)
        return;
    atomic_fetch_or_explicit(held_by(hri_cells_mine), UINT64_C(1) << class, memory_order_relaxed);
    atomic_store_explicit(&cell->more[BYTES], hri_heap_class_bytes[class], memory_order_relaxed);
    hri_cell_open_between(cell, (uintptr_t)(loaded->slots + loaded->count), (uintptr_t)loaded->slots,
                          (uintptr_t)(loaded->slots + loaded->capacity));
}

/* A magazine for an exchange, of what the calls before have earned; NULL: that is none yet, or no memory is there. */
static hri_heap_magazine *next_magazine(unsigned class, hri_cell *cell)
{
    uint64_t calls = atomic_load_explicit(&cell->more[CALLS], memory_order_relaxed);
    if (calls < CALLS_FIRST || room_bytes < hri_max(ROOM_BYTES_MIN, hri_heap_pages_sum.committed_bytes / 64))
        atomic_store_explicit(&cell->more[CALLS], ++calls, memory_order_relaxed);
    uint64_t slots = hri_min((uint64_t)HRI_HEAP_SLOTS_FIRST << hri_min(calls - 1, CALLS_FIRST), slots_max(class));
    slots = hri_min(slots, calls * CALL_BYTES / hri_heap_class_bytes[class]);
    return slots > 0 ? new_magazine(class, (unsigned)slots) : NULL;
}

static void swap(hri_cell *cell)
{
    hri_heap_magazine *loaded = magazine_of(cell, LOADED);
    set_magazine(cell, LOADED, magazine_of(cell, PREVIOUS));
    set_magazine(cell, PREVIOUS, loaded);
}

/* Makes a full magazine the loaded one, and the loaded one, which is empty, no longer the thread's. */
static void load(unsigned class, hri_cell *cell, hri_heap_magazine *full)
{
    hri_heap_magazine *loaded = magazine_of(cell, LOADED);
    set_magazine(cell, LOADED, full);
    if (loaded)
        keep_magazine(class, loaded);
}

/* Gets a block into an empty cell. */
static void *refill(unsigned class, hri_cell *cell)
{
    void *block;
    hri_heap_magazine *magazine = from_depot(class);
    if (magazine) {
        load(class, cell, magazine);
        return magazine->slots[--magazine->count];
    }
    if (hri_heap_carve(class, &block, 1) == 0)
        return NULL;
    magazine = next_magazine(class, cell);
    if (magazine) {
        magazine->count = hri_heap_carve(class, magazine->slots, (magazine->capacity + 1) / 2);
        load(class, cell, magazine);
    }
    return block;
}

void *hri_heap_magazine_get(unsigned class)
{
    hri_cell *cell = own_cell(class);
    if (!cell)
        return get_shared(class);
    hri_heap_magazine *loaded = magazine_of(cell, LOADED), *previous = magazine_of(cell, PREVIOUS);
    void *block;
    if ((!loaded || loaded->count == 0) && previous && previous->count > 0) {
        swap(cell);
        loaded = previous;
    }
    if (loaded && loaded->count > 0)
        block = loaded->slots[--loaded->count];
    else
        block = refill(class, cell);
    open_cell(class, cell);
    return block;
}

/* Makes room in a cell whose magazines are full. */
static hri_heap_magazine *make_room(unsigned class, hri_cell *cell)
{
    hri_heap_magazine *loaded = magazine_of(cell, LOADED), *previous = magazine_of(cell, PREVIOUS);
    hri_heap_magazine *next = next_magazine(class, cell);
    if (!next)
        return NULL;
    if (previous)
        to_depot(class, previous);
    set_magazine(cell, PREVIOUS, loaded);
    set_magazine(cell, LOADED, next);
    return next;
}

void hri_heap_magazine_put(unsigned class, void *block)
{
    hri_cell *cell = own_cell(class);
    if (!cell) {
        put_shared(class, block);
        return;
    }
    hri_heap_magazine *loaded = magazine_of(cell, LOADED), *previous = magazine_of(cell, PREVIOUS);
    if (loaded && loaded->count == loaded->capacity && previous && previous->count == 0) {
        swap(cell);
        loaded = previous;
    } else if (!loaded || loaded->count == loaded->capacity) {
        loaded = make_room(class, cell);
    }
    if (loaded)
        loaded->slots[loaded->count++] = block;
    else
        hri_heap_uncarve(class, block);
    open_cell(class, cell);
}

/* ── draining ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes the magazines of a closed cell away. */
static void strip(unsigned class, hri_cell *cell)
{
    settle(cell);
    for (int which = LOADED; which <= PREVIOUS; which++) {
        hri_heap_magazine *magazine = magazine_of(cell, which);
        set_magazine(cell, which, NULL);
        if (magazine)
            empty_magazine(class, magazine);
    }
    hri_cell_empty(cell);
    atomic_store_explicit(&cell->more[CALLS], 0, memory_order_relaxed);
    atomic_store_explicit(&cell->more[SEEN], 0, memory_order_relaxed);
}

static unsigned next_class(uint64_t *held)
{
    unsigned class = (unsigned)__builtin_ctzll(*held);
    *held &= *held - 1;
    return class;
}

/* Has nothing been got or put since the last visit? Where the top is the same that is likely, and no harm is done
 * otherwise. */
static bool has_slept(hri_cell *cell)
{
    uint64_t top = top_of(cell);
    return atomic_exchange_explicit(&cell->more[SEEN], top, memory_order_relaxed) == top;
}

bool hri_heap_magazines_drain(hri_heap_whose whose, bool alone)
{
    bool any = false, others = false;
    if (!hri_heap_places[SUMMARY])
        return false;
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record)) {
        for (uint64_t held = atomic_load_explicit(held_by(record), memory_order_relaxed); held;) {
            hri_cell *cell = hri_cells_at(record, hri_heap_places[next_class(&held)]);
            if (whose == HRI_HEAP_SLEEPERS && !has_slept(cell))
                continue;
            hri_cell_close(cell);
            any = true;
            others |= record != hri_cells_mine;
        }
    }
    if (others && !alone)
        hri_rseq_fence();
    for (hri_cell *record = hri_cells_first(); any && record; record = hri_cells_next(record)) {
        uint64_t before = atomic_load_explicit(held_by(record), memory_order_relaxed), left = before;
        for (uint64_t held = before; held;) {
            unsigned class = next_class(&held);
            hri_cell *cell = hri_cells_at(record, hri_heap_places[class]);
            if (hri_cell_is_open(cell))
                continue;
            strip(class, cell);
            left &= ~(UINT64_C(1) << class);
        }
        if (left != before) /* else the page of a record that was never used need not come into being */
            atomic_store_explicit(held_by(record), left, memory_order_relaxed);
    }
    return any;
}

void hri_heap_magazines_tighten(bool to)
{
    tight = to;
}

bool hri_heap_magazines_are_tight(void)
{
    return tight;
}

void hri_heap_magazines_leave(hri_cell *record)
{
    if (!hri_heap_places[SUMMARY])
        return;
    uint64_t held = atomic_load_explicit(held_by(record), memory_order_relaxed);
    if (held == 0)
        return;
    atomic_store_explicit(held_by(record), 0, memory_order_relaxed);
    while (held) {
        unsigned class = next_class(&held);
        hri_cell *cell = hri_cells_at(record, hri_heap_places[class]);
        hri_cell_close(cell);
        strip(class, cell);
    }
}

void hri_heap_magazines_count(uint64_t *blocks)
{
    for (unsigned class = 0; class < HRI_HEAP_CLASSES; class ++)
        for (const hri_heap_magazine *magazine = depots[class].full; magazine; magazine = magazine->next)
            blocks[class] += magazine->count;
    for (hri_cell *record = hri_cells_first(); hri_heap_places[SUMMARY] && record; record = hri_cells_next(record)) {
        for (uint64_t held = atomic_load_explicit(held_by(record), memory_order_relaxed); held;) {
            unsigned class = next_class(&held);
            const hri_cell *cell = hri_cells_at(record, hri_heap_places[class]);
            const hri_heap_magazine *loaded = magazine_of(cell, LOADED), *previous = magazine_of(cell, PREVIOUS);
            blocks[class] += loaded ? count_in(cell, loaded) : 0;
            blocks[class] += previous ? previous->count : 0;
        }
    }
}
