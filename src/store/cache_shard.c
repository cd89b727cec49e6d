/* SPDX-License-Identifier: Apache-2.0 */
/* A shard: two tables of uthash, and S3-FIFO over them (Yang et al., "FIFO Queues are All You Need for Cache Eviction",
 * SOSP 2023). docs/cache.md says what it was measured against.
 *
 * New keys come into the small queue. Its oldest go on to the main queue if they were asked for twice meanwhile, else
 * they are evicted, and their hashes are remembered for as long as the main queue turns over: a key that comes back by
 * then goes to the main queue at once. There, whoever was asked for gets another round. uthash's tables keep their
 * entries in the order in which they were added, so each queue is a table, and a hit moves nothing: it counts.
 *
 * Sizes are bytes: the small queue is to have a tenth of the shard's.
 *
 * All of it runs under the shard's lock. Tables are charged without relief, which would come back here; where that is
 * refused, a table does not grow, and its chains do.
 */
#include "store/cache.h"

#include "base/assert.h"
#include "base/checked.h"
#include "budget/budget.h"
#include "os/heap.h"

#include <stdlib.h>

#define SEEN_TO_STAY 2 /* in the small queue */
#define SMALL_PARTS 10 /* one of so many parts is the small queue's */

/* How many entries are given another round in search of one to evict; then the oldest goes, whatever it was. */
#define LOOKS_MAX 256

#define GHOST_WAYS 4u
#define GHOSTS_MIN 64u

/* Tables that were refused memory ask again after so many entries. */
#define DENIED_ADDS 1024

/* ── memory of tables ───────────────────────────────────────────────────────────────────────────────────────────── */

static void *table_alloc(hri_cache_shard *shard, size_t size)
{
    hr_budget *budget = shard->cache->budget;
    uint64_t bytes = hri_heap_estimate(size);
    if (budget && hri_budget_charge_block(budget, &(hri_block_charge){.bytes = bytes, .quiet = true}) != 0)
        return NULL;
    void *block = malloc(size);
    if (block) {
        shard->table_bytes += bytes;
    } else if (budget) {
        shard->owed_bytes += bytes;
    }
    return block;
}

static void table_free(hri_cache_shard *shard, void *block, size_t size)
{
    uint64_t bytes = hri_heap_estimate(size);
    free(block);
    shard->table_bytes -= bytes;
    shard->owed_bytes += bytes;
}

void hri_cache_shard_lock(hri_cache_shard *shard)
{
    pthread_mutex_lock(&shard->lock);
}

/* Uncharging can run the guard's callback, so what tables gave back waits until here. */
void hri_cache_shard_unlock(hri_cache_shard *shard)
{
    uint64_t owed_bytes = shard->owed_bytes;
    shard->owed_bytes = 0;
    pthread_mutex_unlock(&shard->lock);
    if (owed_bytes && shard->cache->budget)
        hri_budget_uncharge_block(shard->cache->budget, owed_bytes, 0);
}

/* uthash.h calls these by name where its macros stand: in the functions below, which all have a `shard`. By itself it
 * doubles a table whenever one chain gets long, which under churn happens again and again; here a table is let grow
 * when it has as many entries as buckets, and then does so at the next one. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 1U
#undef uthash_malloc
#undef uthash_free
#define uthash_malloc(size) table_alloc(shard, size)
#define uthash_free(block, size) table_free(shard, block, size)

static bool table_add(hri_cache_shard *shard, hri_cache_entry *entry)
{
    hri_cache_entry *head = shard->queues[entry->queue];
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, head, entry->hh.key, entry->hh.keylen, entry->hh.hashv, entry);
    shard->queues[entry->queue] = head;
    return entry->hh.tbl != NULL;
}

static void table_take(hri_cache_shard *shard, hri_cache_entry *entry)
{
    hri_cache_entry *head = shard->queues[entry->queue];
    HASH_DELETE(hh, head, entry);
    shard->queues[entry->queue] = head;
}

static hri_cache_entry *table_find(hri_cache_shard *shard, unsigned queue, const hri_cache_item *item)
{
    hri_cache_entry *found;
    HASH_FIND_BYHASHVALUE(hh, shard->queues[queue], item->key, item->key_size, item->hash, found);
    return found;
}

/* ── queues ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool enqueue(hri_cache_shard *shard, hri_cache_entry *entry, uint8_t queue)
{
    entry->queue = queue;
    UT_hash_table *table = shard->queues[queue] ? shard->queues[queue]->hh.tbl : NULL;
    if (shard->denied && ++shard->denied > DENIED_ADDS)
        shard->denied = 0;
    if (table)
        table->noexpand = shard->denied || table->num_items < table->num_buckets;
    bool added = table_add(shard, entry);
    if (!added && table) {
        table->noexpand = 1;
        shard->denied = 1;
        added = table_add(shard, entry);
    }
    if (added)
        shard->queue_bytes[queue] += hri_cache_entry_bytes(entry);
    return added;
}

static void dequeue(hri_cache_shard *shard, hri_cache_entry *entry)
{
    for (hri_cache_cursor *cursor = shard->cursors; cursor; cursor = cursor->other)
        if (cursor->next == entry)
            cursor->next = hri_cache_shard_next(shard, entry);
    shard->queue_bytes[entry->queue] -= hri_cache_entry_bytes(entry);
    table_take(shard, entry);
}

/* Ends an entry's time in the shard, which it has left. Gives whether nobody has borrowed it. */
static bool let_go(hri_cache_shard *shard, hri_cache_entry *entry)
{
    uint64_t bytes = hri_cache_entry_bytes(entry);
    shard->entries--;
    atomic_fetch_sub_explicit(&shard->bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&shard->cache->bytes, bytes, memory_order_relaxed);
    return atomic_fetch_sub_explicit(&entry->state, HRI_CACHE_LISTED, memory_order_acq_rel) == HRI_CACHE_LISTED;
}

/* ── ghosts: a hash is in one of GHOST_WAYS places, and each newcomer takes the place of the oldest there ──────── */

static struct hri_cache_ghost *ghost_set(const hri_cache_ghosts *ghosts, uint32_t hash)
{
    return &ghosts->slots[hash & (ghosts->count - 1) & ~(GHOST_WAYS - 1)];
}

static void ghost_put(hri_cache_ghosts *ghosts, struct hri_cache_ghost ghost)
{
    struct hri_cache_ghost *set = ghost_set(ghosts, ghost.hash), *oldest = set;
    for (unsigned i = 1; i < GHOST_WAYS; i++)
        if (ghosts->time - set[i].time > ghosts->time - oldest->time)
            oldest = &set[i];
    *oldest = ghost;
}

/* Makes room for as many ghosts as the main queue has entries, as far as that is granted. */
static void ghosts_fit(hri_cache_shard *shard)
{
    hri_cache_ghosts *ghosts = &shard->ghosts, larger = *ghosts;
    uint32_t wanted = shard->queues[HRI_CACHE_MAIN] ? HASH_COUNT(shard->queues[HRI_CACHE_MAIN]) : 0;
    if (ghosts->count && ghosts->count >= wanted)
        return;
    larger.count = ghosts->count ? 2 * ghosts->count : GHOSTS_MIN;
    size_t size = larger.count * sizeof *larger.slots;
    larger.slots = table_alloc(shard, size);
    if (!larger.slots)
        return;
    memset(larger.slots, 0, size);
    for (uint32_t i = 0; i < ghosts->count; i++)
        if (ghosts->slots[i].time)
            ghost_put(&larger, ghosts->slots[i]);
    if (ghosts->count)
        table_free(shard, ghosts->slots, ghosts->count * sizeof *ghosts->slots);
    *ghosts = larger;
}

static void ghosts_note(hri_cache_shard *shard, uint32_t hash)
{
    ghosts_fit(shard);
    hri_cache_ghosts *ghosts = &shard->ghosts;
    if (!ghosts->count)
        return;
    ghosts->time += ghosts->time == UINT32_MAX ? 2 : 1; /* 0 is an empty place */
    ghost_put(ghosts, (struct hri_cache_ghost){hash, ghosts->time});
}

static bool ghosts_have(hri_cache_shard *shard, uint32_t hash)
{
    const hri_cache_ghosts *ghosts = &shard->ghosts;
    if (!ghosts->count || !shard->queues[HRI_CACHE_MAIN])
        return false;
    uint32_t lifetime = HASH_COUNT(shard->queues[HRI_CACHE_MAIN]);
    struct hri_cache_ghost *set = ghost_set(ghosts, hash);
    for (unsigned i = 0; i < GHOST_WAYS; i++) {
        if (set[i].time && set[i].hash == hash) {
            bool recent = ghosts->time - set[i].time < lifetime;
            set[i].time = 0;
            return recent;
        }
    }
    return false;
}

/* ── what others call ───────────────────────────────────────────────────────────────────────────────────────────── */

bool hri_cache_entry_is_expired(const hri_cache_entry *entry, int64_t now_ns)
{
    return entry->expires_ns && now_ns >= entry->expires_ns;
}

/* Most of the time goes into waiting for memory. So a bucket of the second table is on its way while the first is looked
 * through, and a value while its entry is borrowed, which takes atomics that hold loads back. */
hri_cache_entry *hri_cache_shard_find(hri_cache_shard *shard, const hri_cache_item *item)
{
    const hri_cache_entry *head = shard->queues[HRI_CACHE_SMALL];
    if (head)
        __builtin_prefetch(&head->hh.tbl->buckets[item->hash & (head->hh.tbl->num_buckets - 1)]);
    hri_cache_entry *found = table_find(shard, HRI_CACHE_MAIN, item);
    if (!found)
        found = table_find(shard, HRI_CACHE_SMALL, item);
    if (found)
        __builtin_prefetch(hri_cache_entry_value(found));
    return found;
}

bool hri_cache_shard_add(hri_cache_shard *shard, hri_cache_entry *entry)
{
    entry->seen = 0;
    uint8_t queue = ghosts_have(shard, entry->hh.hashv) ? HRI_CACHE_MAIN : HRI_CACHE_SMALL;
    if (!enqueue(shard, entry, queue))
        return false;
    shard->entries++;
    shard->puts++;
    atomic_fetch_add_explicit(&shard->bytes, hri_cache_entry_bytes(entry), memory_order_relaxed);
    return true;
}

bool hri_cache_shard_take(hri_cache_shard *shard, hri_cache_entry *entry)
{
    dequeue(shard, entry);
    return let_go(shard, entry);
}

hri_cache_entry *hri_cache_shard_next(hri_cache_shard *shard, hri_cache_entry *entry)
{
    if (entry && entry->hh.next)
        return entry->hh.next;
    if (entry && entry->queue == HRI_CACHE_SMALL)
        return NULL;
    hri_cache_entry *main = shard->queues[HRI_CACHE_MAIN];
    return !entry && main ? main : shard->queues[HRI_CACHE_SMALL];
}

/* Which queue's turn is it? */
static uint8_t queue_to_cut(const hri_cache_shard *shard)
{
    uint64_t small = shard->queue_bytes[HRI_CACHE_SMALL], main = shard->queue_bytes[HRI_CACHE_MAIN];
    bool too_large = small > (small + main) / SMALL_PARTS;
    return (too_large && shard->queues[HRI_CACHE_SMALL]) || !shard->queues[HRI_CACHE_MAIN] ? HRI_CACHE_SMALL
                                                                                           : HRI_CACHE_MAIN;
}

/* Judges the oldest entry of a queue: it is its oldest no longer, or the only one. Gives it if it is to be evicted. */
static hri_cache_entry *judge(hri_cache_shard *shard, uint8_t queue, bool force)
{
    hri_cache_entry *entry = shard->queues[queue];
    unsigned needed = queue == HRI_CACHE_SMALL ? SEEN_TO_STAY : 1;
    bool pinned = hri_cache_entry_is_pinned(entry);
    bool stays = pinned || (entry->seen >= needed && !force), alone = !entry->hh.next;
    if (stays) {
        entry->seen = queue == HRI_CACHE_SMALL || !entry->seen ? 0 : entry->seen - 1;
        if (alone && queue == HRI_CACHE_MAIN)
            return NULL; /* it is the newest too */
        dequeue(shard, entry);
        if (enqueue(shard, entry, HRI_CACHE_MAIN))
            return NULL;
        /* No memory even to keep it. Who has borrowed it keeps it. */
        return let_go(shard, entry) ? entry : NULL;
    }
    dequeue(shard, entry);
    if (queue == HRI_CACHE_SMALL)
        ghosts_note(shard, entry->hh.hashv);
    bool mine = let_go(shard, entry);
    HRI_ASSERT(mine); /* nobody borrows without the lock */
    return mine ? entry : NULL;
}

hri_cache_entry *hri_cache_shard_evict(hri_cache_shard *shard)
{
    uint64_t most = hri_min(shard->entries * (HRI_CACHE_SEEN_MAX + 2), LOOKS_MAX);
    hri_cache_entry *entry = NULL;
    for (uint64_t looks = 0; !entry && shard->entries && looks < most; looks++)
        entry = judge(shard, queue_to_cut(shard), false);
    /* Many were asked for, or are borrowed: now the first one that can go, does. No more can be before it than are
     * borrowed. */
    uint64_t left = hri_min(shard->entries, atomic_load_explicit(&shard->pinned, memory_order_relaxed) + 1);
    for (; !entry && left > 0 && shard->entries; left--)
        entry = judge(shard, queue_to_cut(shard), true);
    return entry;
}

void hri_cache_shard_check(hri_cache_shard *shard)
{
    uint64_t entries = 0, bytes[HRI_CACHE_QUEUES] = {0};
    hri_cache_entry *entry = NULL;
    while ((entry = hri_cache_shard_next(shard, entry)) != NULL) {
        HRI_ASSERT(atomic_load_explicit(&entry->state, memory_order_relaxed) & HRI_CACHE_LISTED);
        HRI_ASSERT(entry->queue < HRI_CACHE_QUEUES && entry->seen <= HRI_CACHE_SEEN_MAX);
        entries++;
        bytes[entry->queue] += hri_cache_entry_bytes(entry);
    }
    uint64_t sum = bytes[HRI_CACHE_SMALL] + bytes[HRI_CACHE_MAIN];
    HRI_ASSERT(entries == shard->entries && sum == atomic_load_explicit(&shard->bytes, memory_order_relaxed));
    HRI_ASSERT(bytes[HRI_CACHE_SMALL] == shard->queue_bytes[HRI_CACHE_SMALL]);
}

void hri_cache_shard_destroy(hri_cache_shard *shard)
{
    HRI_ASSERT(!shard->entries);
    if (shard->ghosts.count)
        table_free(shard, shard->ghosts.slots, shard->ghosts.count * sizeof *shard->ghosts.slots);
    shard->ghosts = (hri_cache_ghosts){0};
}
