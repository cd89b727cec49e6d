/* SPDX-License-Identifier: Apache-2.0 */
/* Objects: one engine, which constructs and destroys; what is reset or wiped has to come by, and so is never pushed by
 * the program itself.
 */
#define HR_NO_INLINE 1
#include "base/assert.h"
#include "base/uncancelled.h"
#include "pool/handle.h"
#include "pool/pool.h"

#include "os/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct hr_object_pool {
    struct hr_pool_face_ face;
    hri_handle handle;
    hri_pool pool;
    void (*reset)(void *object, void *context);
    void *context;
    size_t size;
    bool wipe;
    hri_engine engine;
};

static hri_handles handles = {.size = sizeof(hr_object_pool), .offset = offsetof(hr_object_pool, handle)};

#define OBJECT_BYTES_MAX ((size_t)1 << 30)

int hr_object_pool_new(hr_guard *guard, const hr_object_pool_options *options, hr_object_pool **ret_pool)
{
    if (!guard || !options || !ret_pool)
        return -EINVAL;
    size_t align = options->align;
    hr_budget *budget = hri_pool_budget(guard, options->budget);
    if (!budget || options->size == 0 || options->size > OBJECT_BYTES_MAX || (align & (align - 1)) != 0 ||
        align > hri_page_size() || (options->wipe && options->construct))
        return -EINVAL;
    hr_object_pool *pool = hri_handle_take(&handles);
    if (!pool)
        return -ENOMEM;
    pool->reset = options->reset;
    pool->context = options->context;
    pool->size = options->size;
    pool->wipe = options->wipe;
    pool->pool.engines = &pool->engine;
    pool->pool.count = 1;
    hri_engine_options engine = {
        .budget = budget,
        .sum = &pool->pool.sum,
        .pool = pool,
        .block_bytes = options->size,
        .align = align > 16 ? align : 16,
        .construct = options->construct,
        .destroy = options->destroy,
        .context = options->context,
    };
    int error = hri_engine_init(&pool->engine, &engine);
    if (error)
        goto free_pool;
    error = hri_pool_open(&pool->pool, options->name ? options->name : "objects", budget);
    if (error)
        goto destroy_engine;
    pool->face.size_bytes = options->size;
    hri_pool_open_face(&pool->pool, &pool->face, !pool->reset && !pool->wipe);
    *ret_pool = pool;
    return 0;

destroy_engine:
    hri_engine_destroy(&pool->engine);
free_pool:
    hri_handle_give(&handles, pool);
    return error;
}

int hr_object_pool_free(hr_object_pool *pool)
{
    HRI_NOTE_CALLER();
    if (!pool)
        return 0;
    if (!hri_handle_is_open(&pool->handle))
        return -EINVAL;
    int error = hri_pool_close(&pool->pool);
    if (!error)
        hri_handle_give(&handles, pool);
    return error;
}

static void *get(hr_object_pool *pool)
{
    if (!pool || !hri_handle_is_open(&pool->handle)) {
        errno = EINVAL;
        return NULL;
    }
    hri_engine *engine = &pool->engine;
    void *object = engine->own_pages ? hri_pages_pop(engine) : hri_place_pop(engine->place, engine->used);
    return object ? object : hri_engine_get(engine, true);
}

void *hr_object_pool_get_slowly_(hr_object_pool *pool)
{
    HRI_NOTE_CALLER();
    return get(pool);
}

static void reset(const hr_object_pool *pool, void *object)
{
    if (!pool->reset)
        return;
    HRI_UNCANCELLED; /* the object is nobody's meanwhile */
    pool->reset(object, pool->context);
}

static void put(hr_object_pool *pool, void *object)
{
    if (!pool || !object || !hri_handle_is_open(&pool->handle))
        return;
    const hri_spot spot = hri_engine_find(object);
    if (spot.engine != &pool->engine) {
        hri_pool_sum_fault(&pool->pool.sum, object);
        return;
    }
    if (!hri_engine_claim(&spot, object))
        return;
    reset(pool, object);
    if (pool->wipe)
        explicit_bzero(object, pool->size);
    hri_engine_take(&spot, object);
}

void hr_object_pool_put_slowly_(hr_object_pool *pool, void *object)
{
    HRI_NOTE_CALLER();
    put(pool, object);
}

void *hr_object_pool_get(hr_object_pool *pool)
{
#ifdef HR_POOL_INLINE_
    void *object;
    if (pool && hr_pool_pop_any_(pool, &object))
        return object;
#endif
    HRI_NOTE_CALLER();
    return get(pool);
}

void hr_object_pool_put(hr_object_pool *pool, void *object)
{
#ifdef HR_POOL_INLINE_
    if (pool && hr_pool_push_any_(pool, object))
        return;
#endif
    HRI_NOTE_CALLER();
    put(pool, object);
}

uint64_t hr_object_pool_trim(hr_object_pool *pool)
{
    HRI_NOTE_CALLER();
    return pool && hri_handle_is_open(&pool->handle) ? hri_pool_trim(&pool->pool, UINT64_MAX) : 0;
}

int hr_object_pool_read(hr_object_pool *pool, hr_pool_figures *ret_figures)
{
    HRI_NOTE_CALLER();
    if (!pool || !ret_figures || !hri_handle_is_open(&pool->handle))
        return -EINVAL;
    hr_pool_figures figures = {0};
    hri_pool_read(&pool->pool, &figures);
    *ret_figures = figures;
    return 0;
}
