/* SPDX-License-Identifier: Apache-2.0 */
/* Pools yield first of all: what is idle costs nobody anything. */
#include "pool/pool.h"

#include "base/checked.h"
#include "base/offer.h"
#include "os/clock.h"

#include <headroom/guard.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

hr_budget *hri_pool_budget(hr_guard *guard, hr_budget *budget)
{
    hr_budget *root = guard ? hri_offer_of(guard)->root : NULL;
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

/* Waits for what other threads have taken out and are about to give back. */
static void await_others(const hri_pool *pool, int64_t deadline_ns)
{
    while (hri_pool_sum_is_leaving(&pool->sum) && hri_clock_now(&hri_os_clock) < deadline_ns)
        sched_yield();
}

/* Where nothing is left to give since others are giving it back, that is what came of it. */
static uint64_t trim_for(hri_pool *pool, uint64_t want_bytes, int64_t deadline_ns)
{
    uint64_t before = hri_pool_sum_refunded(&pool->sum), freed = hri_pool_trim(pool, want_bytes);
    if (freed > 0)
        return freed;
    await_others(pool, deadline_ns);
    return hri_pool_sum_refunded(&pool->sum) - before;
}

/* Gives back the blocks that were not needed since the last time. */
static uint64_t reap(hri_pool *pool)
{
    uint64_t freed = 0;
    for (unsigned i = 0; i < pool->count; i++)
        freed += hri_engine_reap(&pool->engines[i]);
    return freed;
}

static uint64_t yield(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    return want_bytes > 0 ? trim_for(context, want_bytes, deadline_ns) : reap(context);
}

static uint64_t spare(void *context)
{
    hr_pool_figures figures = {0};
    hri_pool_read(context, &figures);
    return figures.idle_bytes;
}

static void trim_half(hri_pool *pool)
{
    hr_pool_figures figures = {0};
    hri_pool_read(pool, &figures);
    hri_pool_trim(pool, figures.idle_bytes / 2);
}

/* Half at once where the level has come to be warning, from below or from above, and then what nobody needs: so what is
 * used all the time stays. */
static void follow_level(void *context, hr_level level, bool changed)
{
    if (level > HR_WARNING)
        hri_pool_trim(context, UINT64_MAX);
    else if (level == HR_WARNING && changed)
        trim_half(context);
    else if (level == HR_WARNING)
        reap(context);
}

static const hri_figure published[] = {
    {"in_use_bytes", NULL, HRI_BYTES, "what users have"},
    {"idle_bytes", NULL, HRI_BYTES, "what waits, and can be given back"},
    {"peak_bytes", NULL, HRI_BYTES, "the most of both together"},
    {"in_use", NULL, HRI_COUNT, "blocks that users have"},
    {"idle", NULL, HRI_COUNT, "blocks that wait"},
    {"hits", NULL, HRI_COUNTER, "blocks handed out again"},
    {"misses", NULL, HRI_COUNTER, "blocks that had to be made"},
    {"trimmed", NULL, HRI_COUNTER, "blocks given back to the kernel"},
    {"refused", "refusals", HRI_COUNTER, "gets that were refused"},
    {"unpooled", NULL, HRI_COUNTER, "blocks larger than the pool's, ever"},
    {"faults", NULL, HRI_COUNTER, "puts of what no user had"},
};

static void publish(void *context, uint64_t *values)
{
    hr_pool_figures figures = {0};
    hri_pool_read(context, &figures);
    const uint64_t all[] = {figures.in_use_bytes, figures.idle_bytes, figures.peak_bytes, figures.in_use,
                            figures.idle,         figures.hits,       figures.misses,     figures.trimmed,
                            figures.refused,      figures.unpooled,   figures.faults};
    memcpy(values, all, sizeof all);
}

static const hri_yielder_kind kind = {"pool", published, sizeof published / sizeof *published, publish};

static void fork_pool(void *context, hri_fork moment)
{
    hri_pool *pool = context;
    for (unsigned i = 0; i < pool->count; i++)
        hri_engine_fork(&pool->engines[i], moment);
    if (pool->oversize)
        hri_oversize_fork(pool->oversize, moment);
}

int hri_pool_open(hri_pool *pool, const char *name, hr_budget *budget)
{
    pool->name = strdup(name);
    if (!pool->name)
        return -ENOMEM;
    pool->sum.name = pool->name;
    if (!budget)
        return 0;
    pool->yielders = budget->tree->yielders;
    pool->yielder = (hri_yielder){
        .name = pool->name,
        .kind = &kind,
        .priority = HRI_YIELD_IDLE,
        .budget = budget,
        .yield = yield,
        .spare = spare,
        .level = follow_level,
        .fork = fork_pool,
        .context = pool,
    };
    int error = hri_yielders_add(pool->yielders, &pool->yielder);
    if (error)
        free(pool->name);
    return error;
}

/* Not of blocks without marks. */
void hri_pool_open_face(const hri_pool *pool, struct hr_pool_face_ *face, bool puts)
{
    hri_place place = pool->engines->own_pages ? 0 : pool->engines->place;
    face->get_place = place;
    face->put_place = puts ? place : 0;
}

int hri_pool_close(hri_pool *pool)
{
    hr_pool_figures figures = {0};
    hri_pool_read(pool, &figures);
    if (figures.in_use > 0)
        return -EBUSY;
    if (pool->yielders)
        hri_yielders_remove(pool->yielders, &pool->yielder);
    for (unsigned i = 0; i < pool->count; i++)
        hri_engine_destroy(&pool->engines[i]);
    free(pool->name);
    return 0;
}

void hri_pool_read(hri_pool *pool, hr_pool_figures *figures)
{
    if (pool->oversize)
        hri_oversize_read(pool->oversize, figures);
    for (unsigned i = 0; i < pool->count; i++)
        hri_engine_read(&pool->engines[i], figures);
    uint64_t peak = atomic_load_explicit(&pool->sum.peak_bytes, memory_order_relaxed);
    figures->peak_bytes = hri_max(peak, figures->in_use_bytes + figures->idle_bytes);
    figures->faults = atomic_load_explicit(&pool->sum.faults, memory_order_relaxed);
}
