/* SPDX-License-Identifier: Apache-2.0 */
/* Giving idle blocks back to the kernel, for whoever is short, and for the janitor.
 *
 * Each call counts what it gave back itself: what is charged changes meanwhile, since others make blocks.
 *
 * Locking: destroy() and uncharging, which may tell the program of a new level, run without a lock.
 */
#include "base/checked.h"
#include "base/uncancelled.h"
#include "heap/commit.h"
#include "pool/depot.h"
#include "pool/magazine.h"
#include "pool/poison.h"

/* The most that is given back under one lock. */
#define DROP_BLOCKS 64u
#define DROP_BYTES ((uint64_t)1 << 20)

/* The goal of one call, and what it has given back. */
struct task {
    uint64_t want_bytes; /* so much at least, if there is as much */
    uint64_t most_bytes;
    uint64_t freed_bytes;
    uint64_t pass; /* its number: each region is looked at once */
};

/* Not under the lock. */
static void refund(hri_engine *engine, struct task *task, uint64_t bytes)
{
    if (bytes > 0)
        hri_engine_refund(engine, bytes);
    task->freed_bytes += bytes;
}

/* Blocks that are no longer made. Under the lock. */
static void count_out(hri_engine *engine, uint64_t blocks)
{
    engine->made -= blocks;
    engine->trimmed += blocks;
    hri_engine_uncount(engine, blocks * hri_engine_cost(engine));
}

/* ── whole regions ──────────────────────────────────────────────────────────────────────────────────────────────── */

/* Gives back a whole region, which is off the list. Not under the lock. */
static void drop_region(hri_engine *engine, hri_region *region)
{
    HRI_UNCANCELLED;
    const hri_engine_options *options = &engine->options;
    hri_block_number number;
    while (options->destroy && (number = hri_region_take_free(region)) != HRI_NO_BLOCK) {
        void *block = hri_region_block(region, number);
        hri_poison_lift(block, engine->room_bytes);
        options->destroy(block, options->context);
    }
    hri_poison_lift(region, region->run.pages * HRI_HEAP_PAGE);
    hri_region_free(region);
}

/* Takes off the list a region without a block that is away, and with no more blocks than may go; NULL: there is
 * none. */
static hri_region *take_idle_region(hri_engine *engine, uint64_t most_blocks)
{
    hri_region *region = engine->regions;
    while (region && (region->free != region->used || region->used > most_blocks))
        region = region->next;
    if (!region)
        return NULL;
    hri_depot_unlink(engine, region);
    engine->free -= region->used;
    hri_depot_note_idle(engine);
    count_out(engine, region->used);
    return region;
}

static bool drop_idle_region(hri_engine *engine, struct task *task)
{
    uint64_t cost = hri_engine_cost(engine);
    pthread_mutex_lock(&engine->lock);
    hri_region *region = take_idle_region(engine, (task->most_bytes - task->freed_bytes) / cost);
    pthread_mutex_unlock(&engine->lock);
    if (!region)
        return false;
    uint64_t bytes = region->used * cost;
    drop_region(engine, region);
    refund(engine, task, bytes);
    return true;
}

/* ── blocks of whole pages ──────────────────────────────────────────────────────────────────────────────────────── */

/* Under the lock, which is not held meanwhile. */
static void destroy_blocks(hri_engine *engine, void *const *blocks, unsigned count)
{
    const hri_engine_options *options = &engine->options;
    if (!options->destroy)
        return;
    HRI_UNCANCELLED;
    pthread_mutex_unlock(&engine->lock);
    for (unsigned i = 0; i < count; i++) {
        hri_poison_lift(blocks[i], engine->room_bytes);
        options->destroy(blocks[i], options->context);
    }
    pthread_mutex_lock(&engine->lock);
}

/* Gives back free blocks: some at a time, since others wait for the lock. They have to: if they found the blocks gone
 * and not yet uncharged, they would be refused. */
static bool drop_blocks(hri_engine *engine, struct task *task)
{
    void *blocks[DROP_BLOCKS];
    uint64_t cost = hri_engine_cost(engine), most = hri_min(DROP_BLOCKS, DROP_BYTES / cost + 1);
    uint64_t want_bytes = hri_min(task->want_bytes, task->most_bytes) - task->freed_bytes;
    unsigned count = 0;
    pthread_mutex_lock(&engine->lock);
    while (count < most && count * cost < want_bytes && (blocks[count] = hri_depot_take_free(engine)) != NULL)
        count++;
    hri_depot_note_idle(engine);
    engine->leaving += count;
    destroy_blocks(engine, blocks, count);
    engine->leaving -= count;
    uint64_t gone = hri_pages_give(engine, blocks, count);
    count_out(engine, count);
    pthread_mutex_unlock(&engine->lock);
    hri_heap_tell(gone);
    refund(engine, task, count * cost);
    return count > 0;
}

/* ── blocks that share pages ────────────────────────────────────────────────────────────────────────────────────── */

static hri_region *next_region(hri_engine *engine, uint64_t pass)
{
    hri_region *region = engine->regions;
    while (region && (region->free == 0 || region->settled || region->leaving > 0 || region->seen >= pass))
        region = region->next;
    if (region)
        region->seen = pass;
    return region;
}

/* Destroys what is leaving a region. Under the lock, which is not held during a call of destroy(). */
static void destroy_leaving(hri_engine *engine, hri_region *region)
{
    const hri_engine_options *options = &engine->options;
    hri_block_number at = 0;
    void *block;
    while ((block = hri_region_next_leaving(region, &at)) != NULL) {
        hri_poison_lift(block, engine->room_bytes);
        if (!options->destroy)
            continue;
        HRI_UNCANCELLED;
        pthread_mutex_unlock(&engine->lock);
        options->destroy(block, options->context);
        pthread_mutex_lock(&engine->lock);
    }
}

/* Gives back the pages of a region on which no block is in use, with the blocks that are on them; false where no region
 * is left. One region under a lock. */
static bool drop_pages(hri_engine *engine, struct task *task)
{
    uint64_t cost = hri_engine_cost(engine), most = (task->most_bytes - task->freed_bytes) / cost, gone = 0;
    uint64_t want = hri_min(most, (task->want_bytes - task->freed_bytes - 1) / cost + 1);
    pthread_mutex_lock(&engine->lock);
    hri_region *region = next_region(engine, task->pass);
    hri_block_number count = region ? hri_region_leave(region, want, most) : 0;
    if (count > 0) {
        engine->free -= count;
        engine->leaving += count;
        hri_depot_note_idle(engine);
        destroy_leaving(engine, region);
        gone = hri_region_renew_leaving(region);
        engine->leaving -= count;
        count_out(engine, count);
    }
    pthread_mutex_unlock(&engine->lock);
    hri_heap_tell(gone);
    refund(engine, task, count * cost);
    return region != NULL;
}

/* ── who wants it ───────────────────────────────────────────────────────────────────────────────────────────────── */

/* Gives back free blocks: those of whole pages; or regions, and then pages of them. */
static void release(hri_engine *engine, struct task *task)
{
    pthread_mutex_lock(&engine->lock);
    task->pass = ++engine->passes;
    pthread_mutex_unlock(&engine->lock);
    uint64_t end_bytes = hri_min(task->want_bytes, task->most_bytes);
    while (
        task->freed_bytes < end_bytes &&
        (engine->own_pages ? drop_blocks(engine, task) : drop_idle_region(engine, task) || drop_pages(engine, task))) {}
}

/* Frees magazines that nobody needs. */
static void free_magazines(hri_engine *engine, hri_magazine *magazines, struct task *task)
{
    task->freed_bytes += hri_magazine_free_all(engine, magazines);
}

uint64_t hri_engine_trim(hri_engine *engine, uint64_t want_bytes)
{
    struct task task = {.want_bytes = want_bytes};
    uint64_t cost = hri_engine_cost(engine);
    pthread_mutex_lock(&engine->lock);
    uint64_t free_bytes = engine->free * cost;
    if (want_bytes > free_bytes)
        hri_depot_empty(engine, (want_bytes - free_bytes) / cost + 1);
    task.most_bytes = engine->free * cost; /* what destroy() itself puts back waits for the next call */
    pthread_mutex_unlock(&engine->lock);
    release(engine, &task);
    if (task.freed_bytes < want_bytes) {
        pthread_mutex_lock(&engine->lock);
        hri_depot_empty(engine, UINT64_MAX);
        hri_depot_collect(engine, false, false);
        free_bytes = engine->free * cost;
        hri_magazine *magazines = hri_magazine_take_empty(engine);
        hri_magazine_init(engine); /* memory is short: small ones again */
        pthread_mutex_unlock(&engine->lock);
        free_magazines(engine, magazines, &task);
        task.most_bytes = task.freed_bytes + free_bytes;
        release(engine, &task);
    }
    return task.freed_bytes;
}

/* Gives back the blocks that were never needed since the last visit: the least that was idle at once, and those in the
 * magazines of threads that have slept. */
uint64_t hri_engine_reap(hri_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    uint64_t free_before = engine->free, unneeded = engine->idle_min;
    hri_depot_collect(engine, true, false);
    unneeded += engine->free - free_before;
    hri_depot_empty(engine, hri_sub(unneeded, engine->free));
    engine->idle_min = engine->free + engine->depot_blocks;
    engine->meetings = 0;
    hri_magazine *magazines = hri_magazine_take_empty(engine);
    pthread_mutex_unlock(&engine->lock);
    uint64_t bytes = unneeded * hri_engine_cost(engine);
    struct task task = {.want_bytes = bytes, .most_bytes = bytes}, empty = {0};
    release(engine, &task);
    free_magazines(engine, magazines, &empty);
    return task.freed_bytes + empty.freed_bytes;
}
