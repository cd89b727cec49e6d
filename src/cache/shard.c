/* SPDX-License-Identifier: Apache-2.0 */
/* A shard: a table (table.c), and S3-FIFO over its entries (Yang et al., "FIFO Queues are All You Need for Cache
 * Eviction", SOSP 2023). docs/cache.md says which methods it was compared with.
 *
 * New keys come into the small queue. Its oldest go on to the main queue if they were asked for twice meanwhile.
 * Otherwise they are evicted, and their hashes are remembered until the main queue has turned over. A key that comes
 * back by then goes to the main queue at once. There, an entry that was asked for gets another round. A hit moves
 * nothing: it counts.
 *
 * Sizes are bytes: the small queue is to have a tenth of the shard's. All of it runs under the shard's lock.
 */
#include "cache/cache.h"

#include "base/assert.h"
#include "base/checked.h"
#include "budget/budget.h"

#include <stdlib.h>

#define SEEN_TO_STAY 2 /* in the small queue */
#define SMALL_PARTS 10 /* one of this many parts is the small queue's */

/* How many entries are given another round in search of one to evict; then the oldest goes, whatever it was. */
#define SAMPLES_MAX 256

#define GHOST_WAYS 4u
#define GHOSTS_MIN 64u

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
        hri_budget_uncharge_block(shard->cache->budget, owed_bytes);
}

/* ── queues ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes an entry the newest of a queue. */
static void enqueue(hri_cache_shard *shard, hri_cache_entry *entry, uint8_t which)
{
    hri_cache_queue *queue = &shard->queues[which];
    entry->queue = which;
    entry->older = queue->newest;
    entry->newer = NULL;
    *(queue->newest ? &queue->newest->newer : &queue->oldest) = entry;
    queue->newest = entry;
    queue->bytes += hri_cache_entry_bytes(entry);
    queue->entries++;
}

static void dequeue(hri_cache_shard *shard, hri_cache_entry *entry)
{
    hri_cache_queue *queue = &shard->queues[entry->queue];
    for (hri_cache_cursor *cursor = shard->cursors; cursor; cursor = cursor->other)
        if (cursor->next == entry)
            cursor->next = hri_cache_shard_next(shard, entry);
    *(entry->older ? &entry->older->newer : &queue->oldest) = entry->newer;
    *(entry->newer ? &entry->newer->older : &queue->newest) = entry->older;
    queue->bytes -= hri_cache_entry_bytes(entry);
    queue->entries--;
}

bool hri_cache_shard_take(hri_cache_shard *shard, hri_cache_entry *entry)
{
    uint64_t bytes = hri_cache_entry_bytes(entry);
    dequeue(shard, entry);
    shard->entries--;
    hri_cache_table_take(shard, entry);
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

/* Makes room for as many ghosts as the main queue has entries, or as many as are granted. */
static void ghosts_fit(hri_cache_shard *shard)
{
    hri_cache_ghosts *ghosts = &shard->ghosts, larger = *ghosts;
    uint32_t wanted = shard->queues[HRI_CACHE_MAIN].entries;
    if (ghosts->count && ghosts->count >= wanted)
        return;
    larger.count = ghosts->count ? 2 * ghosts->count : GHOSTS_MIN;
    size_t size = larger.count * sizeof *larger.slots;
    larger.slots = hri_cache_table_alloc(shard, size);
    if (!larger.slots)
        return;
    for (uint32_t i = 0; i < ghosts->count; i++)
        if (ghosts->slots[i].time)
            ghost_put(&larger, ghosts->slots[i]);
    if (ghosts->count)
        hri_cache_table_free(shard, ghosts->slots);
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
    uint32_t lifetime = shard->queues[HRI_CACHE_MAIN].entries;
    if (!ghosts->count || !lifetime)
        return false;
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

void hri_cache_shard_add(hri_cache_shard *shard, hri_cache_entry *entry)
{
    atomic_store_explicit(&entry->seen, 0, memory_order_relaxed);
    hri_cache_table_add(shard, entry);
    enqueue(shard, entry, ghosts_have(shard, entry->hash) ? HRI_CACHE_MAIN : HRI_CACHE_SMALL);
    shard->entries++;
    shard->puts++;
    atomic_fetch_add_explicit(&shard->bytes, hri_cache_entry_bytes(entry), memory_order_relaxed);
}

hri_cache_entry *hri_cache_shard_next(hri_cache_shard *shard, hri_cache_entry *entry)
{
    if (entry && entry->newer)
        return entry->newer;
    if (entry && entry->queue == HRI_CACHE_SMALL)
        return NULL;
    hri_cache_entry *main = shard->queues[HRI_CACHE_MAIN].oldest;
    return !entry && main ? main : shard->queues[HRI_CACHE_SMALL].oldest;
}

/* Which queue's turn is it? */
static uint8_t queue_to_cut(const hri_cache_shard *shard)
{
    const hri_cache_queue *small = &shard->queues[HRI_CACHE_SMALL], *main = &shard->queues[HRI_CACHE_MAIN];
    bool too_large = small->bytes > (small->bytes + main->bytes) / SMALL_PARTS;
    return (too_large && small->oldest) || !main->oldest ? HRI_CACHE_SMALL : HRI_CACHE_MAIN;
}

/* Judges the oldest entry of a queue: it gets another round in the main queue, or is taken out. Gives it then. */
static hri_cache_entry *judge(hri_cache_shard *shard, uint8_t queue, bool force)
{
    hri_cache_entry *entry = shard->queues[queue].oldest;
    unsigned needed = queue == HRI_CACHE_SMALL ? SEEN_TO_STAY : 1;
    uint8_t word = atomic_load_explicit(&entry->seen, memory_order_relaxed);
    uint8_t lent = word & HRI_CACHE_LENT, seen = word & (HRI_CACHE_LENT - 1);
    bool borrowed = hri_cache_entry_is_pinned(entry) || (lent && hri_cache_reader_has(shard->cache, entry));
    if (borrowed || (seen >= needed && !force)) {
        word = queue == HRI_CACHE_SMALL || !seen ? lent : word - 1;
        atomic_store_explicit(&entry->seen, word, memory_order_relaxed);
        dequeue(shard, entry);
        enqueue(shard, entry, HRI_CACHE_MAIN);
        return NULL;
    }
    if (queue == HRI_CACHE_SMALL)
        ghosts_note(shard, entry->hash);
    bool mine = hri_cache_shard_take(shard, entry);
    HRI_ASSERT(mine); /* nobody counts in an entry without the lock */
    return mine ? entry : NULL;
}

hri_cache_entry *hri_cache_shard_evict(hri_cache_shard *shard)
{
    uint64_t most = hri_min(shard->entries * (HRI_CACHE_SEEN_MAX + 2), SAMPLES_MAX);
    hri_cache_entry *entry = NULL;
    for (uint64_t looks = 0; !entry && shard->entries && looks < most; looks++)
        entry = judge(shard, queue_to_cut(shard), false);
    /* Many were asked for, or are borrowed: now the first one that can go, does. No more can be before it than are
     * borrowed. */
    uint64_t borrowed = hri_cells_threads() * (uint64_t)HRI_CACHE_LENDINGS;
    borrowed += atomic_load_explicit(&shard->pinned, memory_order_relaxed);
    uint64_t left = hri_min(shard->entries, borrowed + 1);
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
        HRI_ASSERT(entry->queue < HRI_CACHE_QUEUES);
        entries++;
        bytes[entry->queue] += hri_cache_entry_bytes(entry);
    }
    uint64_t sum = bytes[HRI_CACHE_SMALL] + bytes[HRI_CACHE_MAIN];
    HRI_ASSERT(bytes[HRI_CACHE_MAIN] == shard->queues[HRI_CACHE_MAIN].bytes);
    HRI_ASSERT(entries == shard->entries && sum == atomic_load_explicit(&shard->bytes, memory_order_relaxed));
    HRI_ASSERT(bytes[HRI_CACHE_SMALL] == shard->queues[HRI_CACHE_SMALL].bytes);
}

void hri_cache_shard_destroy(hri_cache_shard *shard)
{
    hri_cache_table_settle(shard);
    HRI_ASSERT(!shard->entries && !shard->retired_tables);
    if (shard->ghosts.count)
        hri_cache_table_free(shard, shard->ghosts.slots);
    shard->ghosts = (hri_cache_ghosts){0};
}
