/* SPDX-License-Identifier: Apache-2.0 */
/* Records and places.
 *
 * A record is mapped when a thread first needs one, and never unmapped: a thread that drains walks the list of all
 * records without a lock. When its thread ends, it goes to the next thread that needs one. The cell at place 0 of a
 * record is always closed. The words that it does not need are the record's own: the next record in the list, and the
 * next one that is free.
 *
 * A thread knows of its end by a key's destructor. Destructors that run after that one find closed cells, and no new
 * record is made for them.
 *
 * Locking: `lock` guards the places, the free records and who has one; a leaf. The list of records only grows.
 */
#include "os/cells.h"

#include "base/assert.h"
#include "base/fork.h"
#include "base/lock.h"
#include "os/pages.h"
#include "os/rseq.h"

#include <headroom/base.h>

#include <pthread.h>

#define RECORD_BYTES (HRI_PLACES_MAX * sizeof(hri_cell))

/* After there was no memory for a record, this many questions are answered without trying again. */
#define ATTEMPT_PAUSE 4096

_Static_assert(sizeof(hri_cell) == 64, "a cell is a cache line");

static hri_cell closed[HRI_PLACES_MAX];

_Thread_local hri_cell *hri_cells_mine = closed;

/* The name by which pool_inline.h in programs reads it. */
extern HR_API
    __attribute__((alias("hri_cells_mine"), tls_model("initial-exec"))) _Thread_local hri_cell *hr_cells_mine_;

static __attribute__((tls_model("initial-exec"))) _Thread_local unsigned pause;
static __attribute__((tls_model("initial-exec"))) _Thread_local bool ended;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(hri_cell *) first;
static hri_cell *first_free;
static _Atomic unsigned threads;
static uint64_t places[HRI_PLACES_MAX / 64]; /* a bit for each that is taken */
#define ENDS_MAX 4
static void (*_Atomic at_end[ENDS_MAX])(hri_cell *record);
static pthread_key_t key;
static bool have_key;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

/* ── a record's own words ───────────────────────────────────────────────────────────────────────────────────────── */

enum {
    NEXT,
    NEXT_FREE,
};

static hri_cell *link_of(const hri_cell *record, int which)
{
    return (hri_cell *)(uintptr_t)atomic_load_explicit(&record->more[which], memory_order_relaxed);
}

static void set_link(hri_cell *record, int which, hri_cell *other)
{
    atomic_store_explicit(&record->more[which], (uintptr_t)other, memory_order_relaxed);
}

hri_cell *hri_cells_first(void)
{
    return atomic_load_explicit(&first, memory_order_acquire);
}

hri_cell *hri_cells_next(const hri_cell *record)
{
    return link_of(record, NEXT);
}

unsigned hri_cells_threads(void)
{
    return atomic_load_explicit(&threads, memory_order_relaxed);
}

/* ── who has which ──────────────────────────────────────────────────────────────────────────────────────────────── */

/* Under the lock. */
static void free_record(hri_cell *record)
{
    set_link(record, NEXT_FREE, first_free);
    first_free = record;
    atomic_fetch_sub_explicit(&threads, 1, memory_order_relaxed);
}

static void end_thread(void *record)
{
    ended = true;
    hri_cells_mine = closed;
    atomic_signal_fence(memory_order_seq_cst); /* a signal handler must not use what is another thread's in a moment */
    for (unsigned i = 0; i < ENDS_MAX; i++) {
        void (*hook)(hri_cell *) = atomic_load_explicit(&at_end[i], memory_order_acquire);
        if (hook)
            hook(record);
    }
    hri_inner_lock(&lock);
    free_record(record);
    hri_inner_unlock(&lock);
}

void hri_cells_at_end(void (*hook)(hri_cell *record))
{
    pthread_mutex_lock(&lock);
    unsigned i = 0;
    while (i < ENDS_MAX && at_end[i] && at_end[i] != hook)
        i++;
    HRI_ASSERT(i < ENDS_MAX);
    if (i < ENDS_MAX)
        atomic_store_explicit(&at_end[i], hook, memory_order_release);
    pthread_mutex_unlock(&lock);
}

static void prepare(void)
{
    have_key = hri_rseq_usable(NULL) && pthread_key_create(&key, end_thread) == 0;
}

/* Takes a free record, or maps one. Under the lock. */
static hri_cell *take_record(void)
{
    hri_cell *record = first_free;
    if (record) {
        first_free = link_of(record, NEXT_FREE);
    } else {
        void *pages;
        if (hri_pages_map(RECORD_BYTES, &pages) != 0)
            return NULL;
        record = pages;
        set_link(record, NEXT, atomic_load_explicit(&first, memory_order_relaxed));
        atomic_store_explicit(&first, record, memory_order_release);
    }
    atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
    return record;
}

static hri_cell *enter(void)
{
    pthread_once(&prepared, prepare);
    if (!have_key || ended || !hri_rseq_registered())
        return NULL;
    hri_inner_lock(&lock);
    hri_cell *record = take_record();
    hri_inner_unlock(&lock);
    if (record && pthread_setspecific(key, record) != 0) { /* which may allocate */
        hri_inner_lock(&lock);
        free_record(record);
        hri_inner_unlock(&lock);
        record = NULL;
    }
    if (record)
        hri_cells_mine = record;
    return record;
}

bool hri_cells_have_mine(void)
{
    return hri_cells_mine != closed;
}

hri_cell *hri_cells_own(hri_place place)
{
    hri_cell *record = hri_cells_mine;
    if (record == closed) {
        if (pause > 0) {
            pause--;
            return NULL;
        }
        record = enter();
        if (!record) {
            pause = ATTEMPT_PAUSE;
            return NULL;
        }
    }
    return hri_cells_at(record, place);
}

/* ── places ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

hri_place hri_cells_claim(void)
{
    pthread_once(&prepared, prepare);
    if (!have_key)
        return 0;
    hri_place place = 0;
    hri_inner_lock(&lock);
    places[0] |= 1; /* place 0 is nobody's */
    for (unsigned i = 0; i < HRI_PLACES_MAX / 64 && place == 0; i++) {
        if (places[i] == UINT64_MAX)
            continue;
        unsigned bit = (unsigned)__builtin_ctzll(~places[i]);
        places[i] |= UINT64_C(1) << bit;
        place = (hri_place)((i * 64 + bit) * sizeof(hri_cell));
    }
    hri_inner_unlock(&lock);
    return place;
}

void hri_cells_unclaim(hri_place place)
{
    unsigned index = place / (unsigned)sizeof(hri_cell);
    hri_inner_lock(&lock);
    places[index / 64] &= ~(UINT64_C(1) << index % 64);
    hri_inner_unlock(&lock);
}

/* ── fork ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

void hri_cells_fork(hri_fork moment)
{
    hri_fork_lock(&lock, moment);
    if (moment != HRI_FORK_CHILD)
        return;
    hri_rseq_fork();
    first_free = NULL;
    for (hri_cell *record = hri_cells_first(); record; record = hri_cells_next(record)) {
        if (record == hri_cells_mine)
            continue;
        set_link(record, NEXT_FREE, first_free);
        first_free = record;
    }
    atomic_store_explicit(&threads, hri_cells_mine != closed, memory_order_relaxed);
}
