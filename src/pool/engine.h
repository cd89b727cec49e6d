/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of all pools: blocks of one size, handed out and taken back through magazines.
 *
 * A *magazine* is a stack of idle blocks. Each thread has two, the loaded one and the one before it, so that getting
 * and putting around the end of one does not go to the *depot* each time. The depot has the full and the empty ones of
 * the pool (Bonwick and Adams, USENIX 2001). The loaded one is a cell (os/cells.h): its owner works on it in
 * restartable sequences, and any thread may drain it.
 *
 *     get: loaded ─► previous ─► depot ─► free block of a region ─► new block, charged ─► drain all threads ─► refused
 *     put: loaded ─► previous ─► depot ─► back to its region
 *
 * How many blocks a magazine has: pool/magazine.h.
 *
 * Blocks are of two kinds. *Small* ones share pages: they lie in a region, and the mark in front of each says whose it
 * is. Blocks of *whole pages* lie in the heap by themselves, and their word in its page map says that.
 */
#ifndef HRI_STORE_ENGINE_H
#define HRI_STORE_ENGINE_H

#include "base/yield.h"
#include "heap/segment.h"
#include "os/cells.h"
#include "pool/region.h"
#include "pool/sum.h"

#include <headroom/budget.h>
#include <headroom/pool.h>
#include <pthread.h>
#include <stdalign.h>

typedef struct hri_magazine hri_magazine;

/* The options of an engine. */
typedef struct hri_engine_options {
    hr_budget *budget;  /* NULL: nobody pays */
    hri_pool_sum *sum;  /* of the pool; NULL: none is kept */
    const void *pool;   /* whose address marks the small blocks that users have; NULL: the engine */
    size_t block_bytes; /* what users get; an engine's own are from one block to the next */
    size_t align;       /* a power of two up to a page; 0: 16 */
    int (*construct)(void *block, void *context);
    void (*destroy)(void *block, void *context);
    void *context;
    bool scratch; /* nobody relies on what is in a block, when it is new or comes out again */
    bool few;     /* blocks of whole pages, none of which waits in a thread's magazine */
} hri_engine_options;

/* Its address without the lowest bits is the heap's number of the owner of its blocks. */
typedef struct hri_engine {
    /* Constant once made. */
    alignas(16) hri_engine_options options;
    size_t usable_bytes; /* of a block */
    size_t room_bytes;   /* with the red zone of debug builds */
    hri_mark used;       /* the mark of a small block that a user has */
    hri_place place;     /* 0: threads have no magazines */
    bool own_pages;      /* blocks are of whole pages */

    pthread_mutex_t lock; /* guards the rest, and the cells at `place`; charges are made outside of it */
    hri_region *regions;
    size_t regions_bytes;
    void *free_pages;    /* blocks of whole pages that wait for nobody, linked; NULL: none */
    hri_magazine *full;  /* the depot: a stack of magazines; NULL: none yet */
    hri_magazine *empty; /* a list */
    hri_magazine *stale; /* a list of those that are to be freed */
    unsigned slots;      /* of a new magazine */
    unsigned meetings;   /* of threads at the lock, since magazines grew or the janitor was here */
    uint64_t depot_blocks;
    uint64_t made;     /* blocks that are not new: in use and idle */
    uint64_t free;     /* of those, in regions or among `free_pages` */
    uint64_t leaving;  /* of those, taken out to be destroyed and given back */
    uint64_t idle_min; /* the least of `free` + `depot_blocks` since the janitor's last visit: nobody needed that */
    uint64_t passes;   /* over the regions, for pages that can go */
    uint64_t hits;     /* beside those that threads count themselves */
    uint64_t misses, trimmed, refused;
    struct hri_engine *next; /* in the list of all engines */
} hri_engine;

/* The bytes that a block costs: itself, and a small one its part of a region's head. */
static inline uint64_t hri_engine_cost(const hri_engine *engine)
{
    if (engine->options.few)
        return engine->usable_bytes;
    size_t bytes = engine->options.block_bytes;
    return engine->own_pages ? bytes : bytes + HRI_BLOCK_HEAD_BYTES + bytes / 256;
}

int hri_engine_init(hri_engine *engine, const hri_engine_options *options);

/* Gives -EBUSY while blocks are out: then it is still there. */
int hri_engine_destroy(hri_engine *engine);

/* Gives a block, or NULL with errno. Where it is not `needed` nobody is asked for memory for it. */
void *hri_engine_get(hri_engine *engine, bool needed);

/* ── blocks of whole pages ──────────────────────────────────────────────────────────────────────────────────────── */

/* The word of such a block while a user has it; its idle form (heap/class.h) while it is in a magazine, or nobody's. */
static inline uint64_t hri_pages_used(const hri_engine *engine, const void *block)
{
    return hri_heap_word(block, (uintptr_t)engine >> 4, HRI_HEAP_POOLED);
}

/* The engine that a block is of which begins with a page; NULL: it is none. Any address, without a look at it. */
static inline hri_engine *hri_pages_owner(const void *block)
{
    const uint64_t *at = (uintptr_t)block % HRI_HEAP_PAGE ? NULL : hri_heap_page_word(block);
    uint64_t word = at ? __atomic_load_n(at, __ATOMIC_RELAXED) : 0;
    if (hri_heap_word_class(word) != HRI_HEAP_POOLED)
        return NULL;
    return (hri_engine *)(uintptr_t)(hri_heap_word_owner(word, block) << 4);
}

/* Changes a block's word from used to idle, or back. Of several threads that try one succeeds. */
static inline bool hri_pages_change(const hri_engine *engine, const void *block, bool to_used)
{
    uint64_t used = hri_pages_used(engine, block), idle = hri_heap_word_idle(used), from = to_used ? idle : used;
    return __atomic_compare_exchange_n(hri_heap_page_word(block), &from, to_used ? used : idle, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* Takes a block from this thread's magazine, or puts it there; NULL or false: that does not go without the lock. */
void *hri_pages_pop(hri_engine *engine);
bool hri_pages_push(const hri_engine *engine, void *block);

/* Gives blocks that are in no list back to the heap, and their pages to the kernel. Gives how many bytes went, as
 * hri_heap_pooled_put(). */
uint64_t hri_pages_give(const hri_engine *engine, void *const *blocks, unsigned count);

/* ── all blocks ─────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes a small block from this thread's magazine; NULL: that does not go without the lock. It is left to the header
 * where it knows enough of the pool. `place` and `used` are the engine's. */
static inline void *hri_place_pop(hri_place place, hri_mark used)
{
    void *block = NULL;
#ifdef HR_POOL_INLINE_
    if (!hr_pool_pop_(place, used, &block))
        return NULL;
#endif
    (void)place, (void)used;
    return block;
}

/* A block of an engine's, as it is found without a look at it. */
typedef struct hri_spot {
    hri_engine *engine; /* NULL: the address is no block's */
    hri_region *region; /* NULL: a block of whole pages */
    hri_block_number number;
} hri_spot;

static inline hri_spot hri_engine_find(const void *block)
{
    hri_region *region = hri_region_find(block);
    if (!region)
        return (hri_spot){.engine = hri_pages_owner(block)};
    hri_block_number number = hri_region_number(region, block);
    return number == HRI_NO_BLOCK ? (hri_spot){0} : (hri_spot){region->owner, region, number};
}

/* Puts a small block whose mark is `mark` into this thread's magazine; false: it is another one, or that does not go
 * without the lock. */
static inline bool hri_place_push(hri_place place, hri_mark mark, void *block)
{
#ifdef HR_POOL_INLINE_
    return hr_pool_push_(place, mark, hri_block_mark(block), block);
#else
    (void)place, (void)mark, (void)block;
    return false;
#endif
}

/* Taking a block back has two steps. The first takes it from its user, so that nobody else can put it while it is
 * reset; false, and a fault: no user has it. The second makes it idle. */
bool hri_engine_claim(const hri_spot *spot, void *block);
void hri_engine_take(const hri_spot *spot, void *block);

/* Both; false, and a fault, if it is none of this engine's that a user has. */
bool hri_engine_put(hri_engine *engine, void *block);

/* Gives back to the kernel what is idle, at least `want_bytes` of it if there is as much. Gives the bytes uncharged. */
uint64_t hri_engine_trim(hri_engine *engine, uint64_t want_bytes);

/* The janitor's visit: gives back what has not been needed since the last one. */
uint64_t hri_engine_reap(hri_engine *engine);

/* Takes bytes that a charge counted out of the pool's sum; then they are refunded. Without a lock, since that may tell
 * the program of a new level. */
void hri_engine_uncount(hri_engine *engine, uint64_t bytes);
void hri_engine_refund(hri_engine *engine, uint64_t bytes);

/* Adds the figures to `figures`; drains. */
void hri_engine_read(hri_engine *engine, hr_pool_figures *figures);

void hri_engine_fork(hri_engine *engine, hri_fork moment);

/* The list of all engines through a fork: before those of any guard. */
void hri_engines_fork(hri_fork moment);

#endif
