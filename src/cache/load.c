/* SPDX-License-Identifier: Apache-2.0 */
/* Loading with single flight: a key that is missing is loaded by the thread that missed it first, and the others wait
 * for that one.
 *
 * A flight is on the stack of the thread that loads, a waiter on the stack of the thread that waits. Both are in the
 * shard's lists, under its lock. A thread that lands hands the entry to each waiter, borrowed for it, and forgets them.
 * A waiter that gives up takes itself out. So nothing is allocated for it, and a waiter never looks at a flight that
 * has landed.
 */
#include "cache/cache.h"

#include "base/answer.h"
#include "base/clock.h"
#include "base/uncancelled.h"
#include "base/wait.h"

#include <errno.h>

struct waiter {
    struct waiter *next;
    hri_cache_entry *entry; /* borrowed for it; NULL: the load has failed */
    int error;
    bool done;
};

struct hri_cache_flight {
    struct hri_cache_flight *next;
    const hri_cache_item *item;
    pthread_t thread;
    struct waiter *waiters;
    bool outdated; /* the key was put or removed meanwhile */
};

struct hr_cache_loading {
    hr_cache *cache;
    const hri_cache_item *item;
    hri_cache_entry *entry; /* borrowed */
    hri_cache_entry *old;   /* see hri_cache_room_take() */
    uint64_t room_bytes;    /* counted in for it; 0: it is not to be kept */
    int error;              /* why there is no entry */
    bool supplied;
};

static bool is_about(const struct hri_cache_flight *flight, const hri_cache_item *item)
{
    return flight->item->hash == item->hash && flight->item->key_size == item->key_size &&
           memcmp(flight->item->key, item->key, item->key_size) == 0;
}

static struct hri_cache_flight *find_flight(hri_cache_shard *shard, const hri_cache_item *item)
{
    struct hri_cache_flight *flight = shard->flights;
    while (flight && !is_about(flight, item))
        flight = flight->next;
    return flight;
}

void hri_cache_load_outdate(hri_cache_shard *shard, const hri_cache_item *item)
{
    for (struct hri_cache_flight *flight = shard->flights; flight; flight = flight->next)
        if (!item || is_about(flight, item))
            flight->outdated = true;
}

/* Those of other threads stay behind; this thread may be inside its own load, or walk. */
void hri_cache_load_fork(hri_cache_shard *shard)
{
    for (struct hri_cache_flight **at = &shard->flights; *at;) {
        (*at)->waiters = NULL;
        if (pthread_equal((*at)->thread, pthread_self()))
            at = &(*at)->next;
        else
            *at = (*at)->next;
    }
    for (hri_cache_cursor **at = &shard->cursors; *at;) {
        if (*at == &shard->sweep || pthread_equal((*at)->thread, pthread_self()))
            at = &(*at)->other;
        else
            *at = (*at)->other;
    }
}

/* ── the one that loads ─────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes the entry of what is loading, and counts room in for it. Where there is none it can still be handed out. */
static int supply(hr_cache_loading *loading, hri_cache_item *item)
{
    hr_cache *cache = loading->cache;
    uint64_t bytes = hri_cache_entry_cost(item);
    hri_cache_room_settle(cache, loading->old);
    bool keep = hri_cache_room_take(cache, item, bytes, &loading->old) == 0;
    int error = 0;
    loading->entry = hri_cache_entry_new(cache, item, HRI_CACHE_BORROWED, &error);
    if (!keep)
        return error;
    if (!loading->entry) {
        hri_cache_room_give(cache, bytes);
        return error;
    }
    loading->room_bytes = hri_cache_entry_bytes(loading->entry);
    atomic_fetch_add_explicit(&cache->bytes, loading->room_bytes - bytes, memory_order_relaxed);
    return 0;
}

int hr_cache_supply(hr_cache_loading *loading, const void *value, size_t value_size, int64_t ttl_ns)
{
    if (!loading || (!value && value_size))
        return -EINVAL;
    if (loading->supplied)
        return -EALREADY;
    if (value_size > UINT32_MAX)
        return -E2BIG;
    hri_cache_item item = *loading->item;
    item.value = value;
    item.value_size = value_size;
    item.ttl_ns = ttl_ns;
    loading->error = supply(loading, &item);
    loading->supplied = loading->error == 0;
    return loading->error;
}

/* Remembers a failure as an entry. Where there is no room for that, it is not remembered. */
static void supply_failure(hr_cache_loading *loading)
{
    hri_cache_item item = *loading->item;
    item.value = &loading->error;
    item.value_size = sizeof loading->error;
    item.ttl_ns = loading->cache->failed_ttl_ns;
    item.kind = HRI_CACHE_FAILED;
    (void)supply(loading, &item);
}

/* Puts what was loaded into the shard, unless it is not to be kept. Gives an old entry that the caller is to free. */
static hri_cache_entry *keep(hri_cache_shard *shard, hr_cache_loading *loading, bool outdated)
{
    hri_cache_entry *entry = loading->entry, *old = NULL;
    if (!entry || !loading->room_bytes)
        return NULL;
    if (!outdated) {
        old = hri_cache_shard_find(shard, loading->item);
        if (old && !hri_cache_shard_take(shard, old))
            old = NULL; /* its borrowers free it */
        atomic_fetch_add_explicit(&entry->state, HRI_CACHE_LISTED, memory_order_relaxed);
        hri_cache_shard_add(shard, entry);
    } else {
        hri_cache_room_give(loading->cache, loading->room_bytes);
    }
    return old;
}

/* Ends a flight: keeps what it brought, and hands it to all that wait. */
static void land(hri_cache_shard *shard, struct hri_cache_flight *flight, hr_cache_loading *loading, int64_t taken_ns)
{
    hri_cache_shard_lock(shard);
    struct hri_cache_flight **at = &shard->flights;
    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
    hri_cache_entry *old = keep(shard, loading, flight->outdated);
    shard->loads++;
    shard->load_failures += loading->error != 0;
    shard->load_longest_ns = hri_later(shard->load_longest_ns, taken_ns);
    for (struct waiter *waiter = flight->waiters; waiter; waiter = waiter->next) {
        if (loading->entry && !loading->error) {
            hri_cache_entry_pin(shard, loading->entry);
            waiter->entry = loading->entry;
        }
        waiter->error = loading->error;
        waiter->done = true;
    }
    if (flight->waiters)
        pthread_cond_broadcast(&shard->landed);
    hri_cache_shard_unlock(shard);
    hri_cache_retire(loading->cache, old);
}

/* ── those that wait ────────────────────────────────────────────────────────────────────────────────────────────── */

/* Waits for a flight's landing. The shard's lock is held, and given back. */
static int wait_for(hr_cache *cache, hri_cache_shard *shard, struct hri_cache_flight *flight, hr_cache_ref *ret_ref)
{
    struct waiter waiter = {.next = flight->waiters};
    struct timespec until = hri_deadline_after(cache->load_wait_ns < 0 ? INT64_MAX : cache->load_wait_ns);
    int error = 0;
    flight->waiters = &waiter;
    shard->load_waits++;
    while (!waiter.done && !error)
        error = hri_wait_until(&shard->landed, &shard->lock, &until);
    if (!waiter.done) {
        struct waiter **at = &flight->waiters;
        while (*at != &waiter)
            at = &(*at)->next;
        *at = waiter.next;
        shard->load_timeouts++;
    }
    hri_cache_shard_unlock(shard);
    if (!waiter.done)
        return -ETIMEDOUT;
    return waiter.entry ? hri_cache_lend(cache, waiter.entry, ret_ref) : waiter.error;
}

int hri_cache_load(hr_cache *cache, hri_cache_shard *shard, const hri_cache_item *item, hr_cache_ref *ret_ref)
{
    struct hri_cache_flight *other = find_flight(shard, item);
    if (other && pthread_equal(other->thread, pthread_self())) {
        hri_cache_shard_unlock(shard);
        return -EDEADLK;
    }
    if (other)
        return wait_for(cache, shard, other, ret_ref);
    struct hri_cache_flight flight = {.next = shard->flights, .item = item, .thread = pthread_self()};
    shard->flights = &flight;
    hri_cache_shard_unlock(shard);
    hr_cache_loading loading = {.cache = cache, .item = item};
    int64_t begin_ns = hri_cache_now();
    HRI_UNCANCELLED; /* others wait for this flight */
    int error = hri_answer(cache->load(cache->context, item->key, item->key_size, &loading));
    if (!error && !loading.entry)
        error = loading.error ? loading.error : -ENOENT;
    loading.error = error;
    if (error && !loading.entry && cache->failed_ttl_ns > 0)
        supply_failure(&loading);
    land(shard, &flight, &loading, hri_cache_now() - begin_ns);
    hri_cache_room_settle(cache, loading.old);
    if (!error)
        return hri_cache_lend(cache, loading.entry, ret_ref);
    if (loading.entry)
        hri_cache_entry_unpin(cache, loading.entry);
    return error;
}
