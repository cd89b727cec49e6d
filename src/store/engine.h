/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of all pools: blocks of one size, handed out and taken back through magazines.
 *
 * A *magazine* is a stack of idle blocks. Each thread has two, the loaded one and the one before it, so that getting and
 * putting around the end of one does not go to the *depot* each time, which has the full and the empty ones of the pool
 * (Bonwick and Adams, USENIX 2001). The loaded one is a cell (os/cells.h): its owner works on it in restartable
 * sequences, and anybody may drain it.
 *
 *     get: loaded ─► previous ─► depot ─► free block of a region ─► new block, charged ─► drain all threads ─► refused
 *     put: loaded ─► previous ─► depot ─► back to its region
 *
 * How many blocks a magazine has: store/magazine.h.
 */
#ifndef HRI_STORE_ENGINE_H
#define HRI_STORE_ENGINE_H

#include "base/yield.h"
#include "os/cells.h"
#include "store/region.h"
#include "store/sum.h"

#include <headroom/budget.h>
#include <headroom/pool.h>
#include <pthread.h>

typedef struct hri_magazine hri_magazine;

/* What an engine is to be. */
typedef struct hri_engine_options {
    hr_budget *budget;  /* NULL: nobody pays */
    hri_pool_sum *sum;  /* of the pool; NULL: none is kept */
    size_t block_bytes; /* what users get; an engine's own are rounded up, with a red zone in debug builds */
    size_t align;       /* a power of two up to a page; 0: 16 */
    int (*construct)(void *block, void *context);
    void (*destroy)(void *block, void *context);
    void *context;
    bool scratch;    /* nobody relies on what is in a block that comes out again */
    unsigned blocks; /* few blocks of whole pages, at most so many at a time, see below; 0: as many as users ask for */
} hri_engine_options;

/* An engine of few blocks has one region, mapped for just these. A block costs what it holds; the region's head, a page,
 * is nobody's. Idle ones wait in the region, none in a thread's magazine. */
typedef struct hri_engine {
    /* Constant once made. */
    hri_engine_options options;
    size_t usable_bytes; /* of a block */
    hri_place place;     /* 0: threads have no magazines */

    pthread_mutex_t lock; /* guards the rest, and the cells at `place`; charges are made outside of it */
    hri_region *regions;
    size_t regions_bytes;
    hri_magazine *full;   /* the depot: a stack of magazines; NULL: none yet */
    hri_magazine *empty;  /* a list */
    hri_magazine *stale;  /* a list of those that are to be freed */
    uint32_t mark_number; /* the last that a magazine in the depot got */
    unsigned slots;       /* of a new magazine */
    unsigned meetings;    /* of threads at the lock, since magazines grew or the janitor was here */
    uint64_t depot_blocks;
    uint64_t made;     /* blocks that are not new: in use and idle */
    uint64_t free;     /* of those, in regions */
    uint64_t leaving;  /* of those, taken out to be destroyed and given back */
    uint64_t idle_min; /* the least of `free` + `depot_blocks` since the janitor's last visit: nobody needed that */
    uint64_t passes;   /* over the regions, for pages that can go */
    uint64_t hits;     /* beside those that threads count themselves */
    uint64_t misses, trimmed, refused;
    struct hri_engine *next; /* in the list of all engines */
} hri_engine;

/* What a block costs: itself, and its part of a region's head. */
static inline uint64_t hri_engine_cost(const hri_engine *engine)
{
    if (engine->options.blocks)
        return engine->usable_bytes;
    return engine->options.block_bytes + HRI_BLOCK_HEAD_BYTES + engine->options.block_bytes / 256;
}

int hri_engine_init(hri_engine *engine, const hri_engine_options *options);

/* Gives -EBUSY while blocks are out: then it is still there. */
int hri_engine_destroy(hri_engine *engine);

/* Takes a block from this thread's magazine at a place, or puts one there, if that goes without the lock: as the header does
 * it, for pools that it does not know enough of. The block was looked at. */
static inline void *hri_place_pop(hri_place place)
{
    void *block = NULL;
#ifdef HR_POOL_INLINE_
    const struct hr_pool_face_ face = {.get_place = place};
    if (!hr_pool_pop_(&face, &block))
        return NULL;
#else
    (void)place;
#endif
    return block;
}

static inline bool hri_place_push(hri_place place, void *block)
{
#ifdef HR_POOL_INLINE_
    const struct hr_pool_face_ face = {.put_place = place};
    return hr_pool_push_(&face, block);
#else
    (void)place, (void)block;
    return false;
#endif
}

/* Gives a block, or NULL with errno. Where it is not `needed` nobody is asked for memory so that it can be had. */
void *hri_engine_get(hri_engine *engine, bool needed);

/* Takes a block back; false, and a fault, if it is none of this engine's that is away. */
bool hri_engine_put(hri_engine *engine, void *block);

/* Could this be put now, as far as can be told? For what is done to it before. Without a look at its memory. */
bool hri_engine_may_put(hri_engine *engine, const void *block);

/* Gives back to the kernel what is idle, at least `want_bytes` of it if there is as much. Gives the bytes uncharged. */
uint64_t hri_engine_trim(hri_engine *engine, uint64_t want_bytes);

/* The janitor's visit: gives back what has not been needed since the last one. */
uint64_t hri_engine_reap(hri_engine *engine);

/* What a charge counted leaves the pool's sum, and is refunded then; without a lock, since that may tell the program of a new
 * level. */
void hri_engine_uncount(hri_engine *engine, uint64_t bytes);
void hri_engine_refund(hri_engine *engine, uint64_t bytes);

/* Adds the figures to `figures`; drains. */
void hri_engine_read(hri_engine *engine, hr_pool_figures *figures);

void hri_engine_fork(hri_engine *engine, hri_fork moment);

/* The list of all engines through a fork: before those of any guard. */
void hri_engines_fork(hri_fork moment);

#endif
