/* SPDX-License-Identifier: Apache-2.0 */
/* How much a cache may hold, and how it gives back.
 *
 * While the level is normal it may grow up to max_bytes. From warning on each put first evicts bytes: those that would
 * lift the guard's use above the *line*, and at most its own size. The line is half way from warning to degraded. So a
 * full cache stands just below the line, and others can have the half above it at once, before relief begins. From
 * degraded on each put evicts its own bytes, until the level has come down: a cache that went on to the line kept it up
 * for ever. Entries differ in size, so evictions free more than they must; the next put may use the rest. Once a cache
 * had to give, it is held to the bytes that were left. In normal times that bound rises by a step in each interval,
 * until it is where it was before. Otherwise the cache would take back at once what was freed for somebody else.
 *
 * A line at the use that the guard had when warning began was tried. That use depends on what was promised and on what
 * the process had besides at that moment, and `make demo` held 75 % of the limit in objects instead of 80 %.
 *
 * `bytes` counts what is coming too, so that puts at the same time do not all find the same room.
 */
#include "cache/cache.h"

#include "base/checked.h"
#include "base/clock.h"
#include "budget/budget.h"
#include "budget/grant.h"

#include <errno.h>
#include <stdio.h>

/* After pressure: by one part in GROWTH_STEPS of what it held before, and STEP_LEAST_BYTES at least, each interval. */
#define GROWTH_STEPS 32
#define GROWTH_INTERVAL_NS (100 * HRI_MILLISECOND)
#define STEP_LEAST_BYTES (64 * 1024)

/* Entries that are evicted under one lock, at most. */
#define BATCH 32
/* Bytes that are evicted between two looks at the clock. */
#define SLICE_BYTES (128 * 1024)

/* Entries that the janitor looks at under one lock. */
#define SWEEP 64

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void store(_Atomic uint64_t *value, uint64_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

/* ── growth ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Holds the cache to `bytes`, of which it had `before_bytes`. */
static void restrain(hr_cache *cache, uint64_t bytes, uint64_t before_bytes)
{
    uint64_t goal = load(&cache->growth_bytes) == HR_NONE ? 0 : load(&cache->goal_bytes);
    goal = hri_max(goal, before_bytes);
    store(&cache->goal_bytes, goal);
    store(&cache->step_bytes, hri_max(goal / GROWTH_STEPS, STEP_LEAST_BYTES));
    atomic_store_explicit(&cache->grown_ns, hri_cache_now(), memory_order_relaxed);
    store(&cache->growth_bytes, bytes);
}

/* The bytes that it may grow to by now. */
static uint64_t grow(hr_cache *cache)
{
    uint64_t bytes = load(&cache->growth_bytes);
    if (bytes == HR_NONE)
        return HR_NONE;
    int64_t grown_ns = atomic_load_explicit(&cache->grown_ns, memory_order_relaxed);
    int64_t intervals = (hri_cache_now() - grown_ns) / GROWTH_INTERVAL_NS;
    if (intervals < 1 ||
        !atomic_compare_exchange_strong_explicit(&cache->grown_ns, &grown_ns, grown_ns + intervals * GROWTH_INTERVAL_NS,
                                                 memory_order_relaxed, memory_order_relaxed))
        return bytes;
    bytes = hri_add(bytes, hri_mul((uint64_t)intervals, load(&cache->step_bytes)));
    if (bytes >= load(&cache->goal_bytes))
        bytes = HR_NONE;
    store(&cache->growth_bytes, bytes);
    return bytes;
}

static bool is_pressed(hr_cache *cache)
{
    return cache->yielders && hri_yielders_level(cache->yielders) >= HR_WARNING;
}

/* Puts may go a step ahead, so that an emptied cache takes small ones at once. */
static uint64_t grow_ahead(hr_cache *cache)
{
    uint64_t bytes = grow(cache);
    return bytes == HR_NONE ? HR_NONE : hri_add(bytes, load(&cache->step_bytes));
}

uint64_t hri_cache_room_growth(hr_cache *cache)
{
    uint64_t bytes = is_pressed(cache) ? load(&cache->growth_bytes) : grow_ahead(cache);
    return hri_max(bytes, load(&cache->bytes));
}

/* From warning on: how much of `bytes` would lift the guard's use above the line. */
static uint64_t over_the_line(hr_cache *cache, uint64_t bytes)
{
    hr_budget_figures root = {0};
    uint64_t now_bytes = load(&cache->bytes);
    if (load(&cache->growth_bytes) == HR_NONE)
        restrain(cache, now_bytes, now_bytes);
    atomic_store_explicit(&cache->grown_ns, hri_cache_now(), memory_order_relaxed);
    hr_budget_read(&cache->budget->tree->root, &root);
    return hri_min(bytes, hri_sub(hri_add(root.used_bytes, bytes), hri_yielders_line(cache->yielders)));
}

/* How much the cache has to evict for `bytes` to come to `before_bytes`; and why. */
static uint64_t price(hr_cache *cache, uint64_t before_bytes, uint64_t bytes, hri_cache_cause *ret_cause)
{
    uint64_t after = hri_add(before_bytes, bytes), full = hri_sub(after, hri_cache_max(cache));
    *ret_cause = HRI_CACHE_FULL;
    if (!is_pressed(cache))
        return hri_max(full, hri_sub(after, grow_ahead(cache)));
    uint64_t over = over_the_line(cache, bytes);
    if (over > full)
        *ret_cause = HRI_CACHE_LEVEL;
    return hri_max(over, full);
}

void hri_cache_follow_budget(hr_cache *cache)
{
    hr_budget_figures figures;
    if (!cache->follows_budget || hr_budget_read(cache->budget, &figures) != 0)
        return;
    store(&cache->limit_bytes, figures.limit_bytes);
}

/* ── coming ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Refuses an item for which nothing can be evicted, `over_bytes` beyond what binds: the level, or the cache's own
 * bound. */
static int refuse(hr_cache *cache, uint64_t bytes, uint64_t over_bytes, hri_cache_cause cause)
{
    hr_budget_figures root = {0};
    if (cause == HRI_CACHE_LEVEL)
        hr_budget_read(&cache->budget->tree->root, &root);
    hr_refusal refusal = {
        .asked_bytes = bytes,
        .left_bytes = hri_sub(bytes, over_bytes),
        .limit_bytes = cause == HRI_CACHE_LEVEL ? root.limit_bytes : hri_cache_max(cache),
        .level = cause == HRI_CACHE_LEVEL ? hri_yielders_level(cache->yielders) : HR_NORMAL,
    };
    if (refusal.level)
        snprintf(refusal.limit_name, sizeof refusal.limit_name, "level %s", hr_level_text(refusal.level));
    else
        snprintf(refusal.limit_name, sizeof refusal.limit_name, "%s", cache->name);
    hri_refusal_note(&refusal);
    atomic_fetch_add_explicit(&cache->refused_budget, 1, memory_order_relaxed);
    return -EDQUOT;
}

/* Borrows what is under the item's key. */
static hri_cache_entry *borrow_old(hri_cache_shard *shard, const hri_cache_item *item)
{
    hri_cache_shard_lock(shard);
    hri_cache_entry *old = hri_cache_shard_find(shard, item);
    if (old)
        hri_cache_entry_pin(shard, old);
    hri_cache_shard_unlock(shard);
    return old;
}

void hri_cache_room_settle(hr_cache *cache, hri_cache_entry *old)
{
    if (old)
        hri_cache_entry_unpin(cache, old);
}

/* May an item come though less could be evicted than it brings? The steps of growth make others go, and refuse nothing:
 * an emptied cache would have nothing to evict. Above the line it may not, but an upload may below degraded. Held bytes
 * are charged already, so only the cache's own bound binds them. */
static bool may_come_without(const hr_cache *cache, const hri_cache_item *item, hri_cache_cause cause)
{
    if (cause == HRI_CACHE_FULL)
        return true;
    return item->kind == HRI_CACHE_RESERVED && hri_yielders_level(cache->yielders) < HR_DEGRADED;
}

int hri_cache_room_take(hr_cache *cache, const hri_cache_item *item, uint64_t bytes, hri_cache_entry **ret_old)
{
    hri_cache_shard *shard = hri_cache_shard_of(cache, item->hash);
    *ret_old = NULL;
    if (bytes > hri_cache_max(cache)) /* which may have been raised */
        hri_cache_follow_budget(cache);
    uint64_t max = hri_cache_max(cache);
    if (bytes > max || bytes > INT64_MAX) {
        atomic_fetch_add_explicit(&cache->refused_large, 1, memory_order_relaxed);
        return -E2BIG;
    }
    uint64_t before = atomic_fetch_add_explicit(&cache->bytes, bytes, memory_order_relaxed);
    hri_cache_cause cause = HRI_CACHE_FULL;
    uint64_t full = hri_sub(before + bytes, max);
    uint64_t over = item->kind == HRI_CACHE_HELD ? full : price(cache, before, bytes, &cause);
    if (over == 0)
        return 0;
    hri_cache_entry *old = item->kind == HRI_CACHE_RESERVED ? NULL : borrow_old(shard, item);
    uint64_t replaced = old ? hri_cache_entry_bytes(old) : 0;
    over = hri_sub(over, replaced);
    full = hri_sub(full, replaced);
    bool may_come = may_come_without(cache, item, cause);
    uint64_t want = may_come ? hri_min(over, before) : over;
    uint64_t got = want && want <= before ? hri_cache_evict(cache, shard, want, cause) : 0;
    if (got >= over || (may_come && got >= full)) {
        *ret_old = old;
        return 0;
    }
    hri_cache_room_settle(cache, old);
    hri_cache_room_give(cache, bytes);
    return refuse(cache, bytes, over, cause);
}

void hri_cache_room_give(hr_cache *cache, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&cache->bytes, bytes, memory_order_relaxed);
}

uint64_t hr_cache_make_room(hr_cache *cache, uint64_t bytes)
{
    if (!cache)
        return 0;
    hri_cache_cause cause;
    uint64_t before = load(&cache->bytes), over = hri_min(price(cache, before, bytes, &cause), before);
    return over ? hri_cache_evict(cache, NULL, over, cause) : 0;
}

/* ── going ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Evicts from one shard, a batch at most. */
static uint64_t evict_from(hr_cache *cache, hri_cache_shard *shard, uint64_t want_bytes, hri_cache_cause cause)
{
    hri_cache_entry *victims[BATCH];
    unsigned count = 0;
    uint64_t freed = 0;
    hri_cache_shard_lock(shard);
    while (count < BATCH && freed < want_bytes && (victims[count] = hri_cache_shard_evict(shard)) != NULL)
        freed += hri_cache_entry_bytes(victims[count++]);
    shard->evicted[cause] += count;
    shard->evicted_bytes += freed;
    hri_cache_shard_unlock(shard);
    hri_cache_retire_all(cache, victims, count, cause == HRI_CACHE_RELIEF);
    return freed;
}

/* Shards are to shrink alike: one is passed over that has less than its part, unless nothing comes of the others. */
uint64_t hri_cache_evict(hr_cache *cache, const hri_cache_shard *shard, uint64_t want_bytes, hri_cache_cause cause)
{
    static _Atomic unsigned turn;
    unsigned at = shard ? (unsigned)(shard - cache->shards) : atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed);
    uint64_t freed = 0;
    for (unsigned in_vain = 0; freed < want_bytes && in_vain < 2 * cache->shard_count; at++) {
        hri_cache_shard *next = &cache->shards[at & (cache->shard_count - 1)];
        bool has_its_part = load(&next->bytes) >= load(&cache->bytes) / cache->shard_count;
        uint64_t got = 0;
        while ((has_its_part || in_vain >= cache->shard_count) && freed < want_bytes) {
            got = evict_from(cache, next, want_bytes - freed, cause);
            freed += got;
            has_its_part = load(&next->bytes) >= load(&cache->bytes) / cache->shard_count;
            if (!got)
                break;
            in_vain = 0;
        }
        in_vain += !got;
    }
    return freed;
}

/* Takes expired entries out of one shard, from where it last stopped. Gives whether there are more to look at. */
static bool sweep(hr_cache *cache, hri_cache_shard *shard, int64_t now_ns, uint64_t *freed_bytes)
{
    hri_cache_entry *expired[SWEEP];
    unsigned count = 0;
    hri_cache_shard_lock(shard);
    hri_cache_entry *entry = shard->sweep.next ? shard->sweep.next : hri_cache_shard_next(shard, NULL);
    for (unsigned looks = 0; entry && looks < SWEEP; looks++) {
        hri_cache_entry *next = hri_cache_shard_next(shard, entry);
        if (hri_cache_entry_is_expired(entry, now_ns)) {
            uint64_t bytes = hri_cache_entry_bytes(entry);
            shard->expired++;
            if (hri_cache_shard_take(shard, entry)) {
                expired[count++] = entry;
                *freed_bytes += bytes;
            }
        }
        entry = next;
    }
    shard->sweep.next = entry;
    hri_cache_table_settle(shard);
    hri_cache_shard_unlock(shard);
    hri_cache_retire_all(cache, expired, count, false);
    return entry != NULL;
}

static uint64_t clean(hr_cache *cache, int64_t deadline_ns)
{
    uint64_t freed = 0;
    hri_cache_follow_budget(cache);
    for (unsigned done = 0; done < cache->shard_count;) {
        int64_t now_ns = hri_cache_now();
        if (now_ns >= deadline_ns)
            break;
        if (!sweep(cache, &cache->shards[cache->sweep_shard], now_ns, &freed)) {
            cache->sweep_shard = (cache->sweep_shard + 1) % cache->shard_count;
            done++;
        }
    }
    hri_cache_retired_flush(cache);
    return freed;
}

uint64_t hri_cache_yield(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    hr_cache *cache = context;
    if (want_bytes == 0)
        return clean(cache, deadline_ns);
    uint64_t before = load(&cache->bytes), freed = hri_cache_retired_flush(cache), got;
    if (freed >= want_bytes)
        return freed;
    do {
        got = hri_cache_evict(cache, NULL, hri_min(want_bytes - freed, SLICE_BYTES), HRI_CACHE_RELIEF);
        freed += got;
    } while (got && freed < want_bytes && hri_cache_now() < deadline_ns);
    restrain(cache, load(&cache->bytes), before);
    return freed;
}

uint64_t hri_cache_spare(void *context)
{
    const hr_cache *cache = context;
    return load(&cache->bytes);
}

uint64_t hr_cache_trim(hr_cache *cache, uint64_t want_bytes)
{
    return cache ? hri_cache_evict(cache, NULL, want_bytes, HRI_CACHE_RELIEF) : 0;
}
