/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers: one engine for each size. Where sizes differ they grow by a quarter of a power of two, so that at most a
 * fifth of a buffer is wasted. Locking: the engines' own.
 */
#define HR_NO_INLINE 1
#include "base/assert.h"
#include "base/checked.h"
#include "pool/handle.h"
#include "pool/oversize.h"
#include "pool/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The parts of an engine that gets and puts need: close together for all of them. The address of a way marks the blocks
 * of its engine, so that a put needs nothing of their region. */
typedef struct hri_way {
    hri_mark used;
    hri_place place; /* of small blocks; 0: the way is longer */
} hri_way;

struct hr_byte_pool {
    struct hr_pool_face_ face; /* of the only engine; with many sizes only the library knows which */
    hri_handle handle;
    hri_pool pool;
    hri_oversize oversize;
    hr_budget *budget;
    size_t min_bytes, max_bytes;
    unsigned first_step; /* see below */
    bool wipe;
    hri_engine *engines;
    hri_way *ways;      /* to theirs */
    uintptr_t ways_end; /* from the first one on */
};

static hri_handles handles = {.size = sizeof(hr_byte_pool), .offset = offsetof(hr_byte_pool, handle)};

/* Sizes are steps: 16, 32, 48, 64, and from there on four for each power of two. This is the largest one that is not
 * more than `bytes`, by its number. */
static unsigned step_of(size_t bytes)
{
    if (bytes < 64)
        return (unsigned)(bytes / 16);
    unsigned power = 63 - (unsigned)__builtin_clzll(bytes);
    return 4 * (power - 6) + (unsigned)(bytes >> (power - 2));
}

/* The next size that buffers have. */
static size_t grow(size_t bytes)
{
    size_t power = (size_t)1 << (63 - (unsigned)__builtin_clzll(bytes));
    size_t step = power / 4 > 16 ? power / 4 : 16;
    return (bytes / step + 1) * step;
}

static unsigned count_sizes(size_t min_bytes, size_t max_bytes)
{
    unsigned count = 1;
    for (size_t bytes = min_bytes; bytes < max_bytes; bytes = grow(bytes))
        count++;
    return count;
}

static void free_parts(hr_byte_pool *pool)
{
    while (pool->pool.count > 0)
        hri_engine_destroy(&pool->engines[--pool->pool.count]);
    hri_oversize_destroy(&pool->oversize);
    free(pool->engines);
    free(pool->ways);
}

/* Makes the engines, from the smallest size up. */
static int make_engines(hr_byte_pool *pool, size_t min_bytes, bool few)
{
    size_t bytes = min_bytes;
    unsigned count = count_sizes(min_bytes, pool->max_bytes);
    pool->pool.engines = pool->engines = calloc(count, sizeof *pool->engines);
    pool->ways = calloc(count, sizeof *pool->ways);
    pool->ways_end = count * sizeof *pool->ways;
    if (!pool->engines || !pool->ways)
        return -ENOMEM;
    for (; pool->pool.count < count; pool->pool.count++) {
        hri_engine_options options = {
            .budget = pool->budget,
            .sum = &pool->pool.sum,
            .pool = count > 1 ? (void *)&pool->ways[pool->pool.count] : pool,
            .block_bytes = bytes < pool->max_bytes ? bytes : pool->max_bytes,
            .scratch = !pool->wipe,
            .few = few,
        };
        hri_engine *engine = &pool->engines[pool->pool.count];
        int error = hri_engine_init(engine, &options);
        if (error)
            return error;
        pool->ways[pool->pool.count] = (hri_way){engine->used, engine->own_pages ? 0 : engine->place};
        bytes = grow(bytes);
    }
    return 0;
}

static int make_parts(hr_byte_pool *pool, size_t min_bytes, bool few)
{
    int error = hri_oversize_init(&pool->oversize, pool->budget, &pool->pool.sum, pool->wipe);
    if (error)
        return error;
    error = make_engines(pool, min_bytes, few);
    if (error)
        free_parts(pool);
    return error;
}

/* Sizes beyond this are no buffers. */
#define SIZE_MAX_BYTES ((size_t)1 << 40)

/* `options` has its budget, and min_bytes and max_bytes. */
static int make(const hr_byte_pool_options *options, bool few, hr_byte_pool **ret_pool)
{
    size_t min_bytes = options->min_bytes, max_bytes = options->max_bytes;
    if (min_bytes == 0 || min_bytes > max_bytes || max_bytes > SIZE_MAX_BYTES)
        return -EINVAL;
    hr_byte_pool *pool = hri_handle_take(&handles);
    if (!pool)
        return -ENOMEM;
    pool->pool.oversize = &pool->oversize;
    pool->budget = options->budget;
    pool->min_bytes = min_bytes;
    pool->max_bytes = max_bytes;
    pool->first_step = step_of(min_bytes);
    pool->wipe = options->wipe;
    int error = make_parts(pool, min_bytes, few);
    if (error)
        goto free_pool;
    error = hri_pool_open(&pool->pool, options->name ? options->name : "bytes", options->budget);
    if (error)
        goto free_parts;
    pool->face.size_bytes = max_bytes;
    if (pool->pool.count == 1)
        hri_pool_open_face(&pool->pool, &pool->face, !pool->wipe);
    *ret_pool = pool;
    return 0;

free_parts:
    free_parts(pool);
free_pool:
    hri_handle_give(&handles, pool);
    return error;
}

int hr_byte_pool_new(hr_guard *guard, const hr_byte_pool_options *options, hr_byte_pool **ret_pool)
{
    if (!guard || !options || !ret_pool || (options->size_bytes && (options->min_bytes || options->max_bytes)))
        return -EINVAL;
    hr_byte_pool_options fitted = *options;
    fitted.budget = hri_pool_budget(guard, options->budget);
    if (options->size_bytes)
        fitted.min_bytes = fitted.max_bytes = options->size_bytes;
    return fitted.budget ? make(&fitted, false, ret_pool) : -EINVAL;
}

int hri_byte_pool_new_few(hr_budget *budget, const char *name, size_t size_bytes, hr_byte_pool **ret_pool)
{
    hr_byte_pool_options options = {.name = name, .budget = budget, .min_bytes = size_bytes, .max_bytes = size_bytes};
    return make(&options, true, ret_pool);
}

int hr_byte_pool_free(hr_byte_pool *pool)
{
    HRI_NOTE_CALLER();
    if (!pool)
        return 0;
    if (!hri_handle_is_open(&pool->handle))
        return -EINVAL;
    int error = hri_pool_close(&pool->pool);
    if (error)
        return error;
    hri_oversize_destroy(&pool->oversize);
    free(pool->engines);
    free(pool->ways);
    hri_handle_give(&handles, pool);
    return 0;
}

/* The number of the engine of the smallest buffers that are large enough. The first one's are of min_bytes, which need
 * not be a step, and the last one's of max_bytes. */
static inline unsigned engine_for(const hr_byte_pool *pool, size_t size)
{
    return size <= pool->min_bytes ? 0 : step_of(size - 1) + 1 - pool->first_step;
}

static __attribute__((noinline)) void *get_locked(hr_byte_pool *pool, size_t size)
{
    if (!hri_handle_is_open(&pool->handle)) {
        errno = EINVAL;
        return NULL;
    }
    if (size <= pool->max_bytes)
        return hri_engine_get(&pool->engines[engine_for(pool, size)], true);
    return hri_oversize_get(&pool->oversize, size);
}

/* A pool that was freed has no sizes. */
static void *get(hr_byte_pool *pool, size_t size)
{
    void *block = NULL;
    if (!pool) {
        errno = EINVAL;
        return NULL;
    }
    if (size - 1 < pool->max_bytes) {
        unsigned number = engine_for(pool, size);
        const hri_way *way = &pool->ways[number];
        block = way->place ? hri_place_pop(way->place, way->used) : hri_pages_pop(&pool->engines[number]);
    }
    return block ? block : get_locked(pool, size);
}

void *hr_byte_pool_get_slowly_(hr_byte_pool *pool, size_t size)
{
    HRI_NOTE_CALLER();
    return get(pool, size);
}

void *hri_byte_pool_try_get(hr_byte_pool *pool)
{
    return hri_engine_get(&pool->engines[0], false);
}

/* Of no engine, where the block is none of the pool's. */
static inline hri_spot spot_of(const hr_byte_pool *pool, const void *block)
{
    hri_spot spot = hri_engine_find(block);
    if (spot.engine < pool->engines || spot.engine >= pool->engines + pool->pool.count)
        spot.engine = NULL;
    return spot;
}

static __attribute__((noinline)) void put_slowly(hr_byte_pool *pool, void *block)
{
    if (!hri_handle_is_open(&pool->handle) || !block)
        return;
    const hri_spot spot = spot_of(pool, block);
    if (spot.engine) {
        if (!hri_engine_claim(&spot, block))
            return;
        if (pool->wipe)
            explicit_bzero(block, spot.engine->usable_bytes);
        hri_engine_take(&spot, block);
    } else if (!hri_oversize_put(&pool->oversize, block)) {
        hri_pool_sum_fault(&pool->pool.sum, block);
    }
}

/* Puts a small block, of one of many sizes: its mark, which can be read, says which. */
static inline bool push_small(const hr_byte_pool *pool, void *block)
{
#ifdef HR_POOL_INLINE_
    if (pool->face.put_place)
        return hr_pool_push_any_(pool, block);
    uintptr_t at = hr_pool_address_(block) - sizeof(uintptr_t), piece = at >> HR_PIECE_SHIFT_;
    if (hri_region_pieces[piece & (HR_PIECES_ - 1)] != piece)
        return false;
    uintptr_t way = ~*hr_pool_mark_at_(at), offset = way - (uintptr_t)pool->ways;
    if (offset >= pool->ways_end || offset % sizeof(hri_way))
        return false;
    hri_place place = ((const hri_way *)way)->place;
    return place && hr_pool_push_(place, ~way, hr_pool_mark_at_(at), block);
#else
    (void)pool, (void)block;
    return false;
#endif
}

static inline bool push_pages(const hr_byte_pool *pool, void *block)
{
    const hri_engine *engine = hri_pages_owner(block);
    return engine >= pool->engines && engine < pool->engines + pool->pool.count && hri_pages_push(engine, block);
}

void hri_byte_pool_put(hr_byte_pool *pool, void *block)
{
    if (pool && (pool->wipe || !(push_small(pool, block) || push_pages(pool, block))))
        put_slowly(pool, block);
}

void hr_byte_pool_put_slowly_(hr_byte_pool *pool, void *block)
{
    HRI_NOTE_CALLER();
    hri_byte_pool_put(pool, block);
}

void *hr_byte_pool_get(hr_byte_pool *pool, size_t size)
{
#ifdef HR_POOL_INLINE_
    void *block;
    if (pool && size <= pool->face.size_bytes && hr_pool_pop_any_(pool, &block))
        return block;
#endif
    HRI_NOTE_CALLER();
    return get(pool, size);
}

void hr_byte_pool_put(hr_byte_pool *pool, void *block)
{
#ifdef HR_POOL_INLINE_
    if (pool && hr_pool_push_any_(pool, block))
        return;
#endif
    HRI_NOTE_CALLER();
    hri_byte_pool_put(pool, block);
}

uint64_t hr_byte_pool_trim(hr_byte_pool *pool)
{
    HRI_NOTE_CALLER();
    return pool && hri_handle_is_open(&pool->handle) ? hri_pool_trim(&pool->pool, UINT64_MAX) : 0;
}

uint64_t hri_byte_pool_trim_some(hr_byte_pool *pool, uint64_t want_bytes)
{
    return hri_pool_trim(&pool->pool, want_bytes);
}

int hr_byte_pool_read(hr_byte_pool *pool, hr_pool_figures *ret_figures)
{
    HRI_NOTE_CALLER();
    if (!pool || !ret_figures || !hri_handle_is_open(&pool->handle))
        return -EINVAL;
    hr_pool_figures figures = {0};
    hri_pool_read(&pool->pool, &figures);
    *ret_figures = figures;
    return 0;
}
