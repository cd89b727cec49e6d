/* SPDX-License-Identifier: Apache-2.0 */
/* Pools yield first of all: what is idle costs nobody anything. */
#include "store/pool.h"

#include "base/checked.h"

#include <headroom/guard.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

hr_budget *hri_pool_budget(hr_guard *guard, hr_budget *budget)
{
    hr_budget *root = hr_guard_root(guard);
    if (!budget)
        return root;
    return root && budget->tree == root->tree ? budget : NULL;
}

uint64_t hri_pool_trim(hri_pool *pool, uint64_t want_bytes)
{
    uint64_t freed = 0;
    for (unsigned i = pool->count; i-- > 0 && freed < want_bytes;) /* the largest first: fewest steps */
        freed += hri_engine_trim(&pool->engines[i], want_bytes - freed);
    return freed;
}

static uint64_t yield(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)deadline_ns; /* a slice is enough for all that a pool has */
    hri_pool *pool = context;
    uint64_t freed = 0;
    if (want_bytes > 0)
        return hri_pool_trim(pool, want_bytes);
    for (unsigned i = 0; i < pool->count; i++)
        freed += hri_engine_reap(&pool->engines[i]);
    return freed;
}

static void follow_level(void *context, hr_level level)
{
    hri_pool *pool = context;
    hr_pool_figures figures = {0};
    if (level == HR_NORMAL)
        return;
    hri_pool_read(pool, &figures);
    hri_pool_trim(pool, level == HR_WARNING ? figures.idle_bytes / 2 : UINT64_MAX);
}

static void fork_pool(void *context, hri_fork moment)
{
    hri_pool *pool = context;
    for (unsigned i = 0; i < pool->count; i++)
        hri_engine_fork(&pool->engines[i], moment);
}

int hri_pool_open(hri_pool *pool, const char *name, hr_budget *budget)
{
    pool->name = strdup(name);
    if (!pool->name)
        return -ENOMEM;
    pool->yielders = budget->tree->yielders;
    pool->yielder = (hri_yielder){
        .name = pool->name,
        .priority = HRI_YIELD_IDLE,
        .budget = budget,
        .yield = yield,
        .level = follow_level,
        .fork = fork_pool,
        .context = pool,
    };
    int error = hri_yielders_add(pool->yielders, &pool->yielder);
    if (error)
        free(pool->name);
    return error;
}

int hri_pool_close(hri_pool *pool)
{
    hr_pool_figures figures = {0};
    hri_pool_read(pool, &figures);
    if (figures.in_use > 0)
        return -EBUSY;
    hri_yielders_remove(pool->yielders, &pool->yielder);
    for (unsigned i = 0; i < pool->count; i++)
        hri_engine_destroy(&pool->engines[i]);
    free(pool->name);
    return 0;
}

void hri_pool_read(hri_pool *pool, hr_pool_figures *figures)
{
    for (unsigned i = 0; i < pool->count; i++)
        hri_engine_read(&pool->engines[i], figures);
}
