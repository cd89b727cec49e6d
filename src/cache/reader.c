/* SPDX-License-Identifier: Apache-2.0 */
/* Gets that take no lock, and write no memory that another thread reads or writes.
 *
 * Each thread has a *reader* of each cache: a cache line of its own (os/cells.h). A get
 *
 *   1. says in `reading` for which hash it looks, and in how large a table;
 *   2. follows the chain;
 *   3. puts the entry that it finds into `lent`, and clears `reading`.
 *
 * The reference points to the place in `lent`; giving it back clears that, from any thread. A miss, an entry that has
 * expired, and a sixth reference of a thread at a time take the shard's lock, and count in the entry.
 *
 * ── why it is correct ──────────────────────────────────────────────────────────────────────────────────────────────
 * An entry is unlinked under the shard's lock first, freed later (retired.c). In between, the thread that frees it
 * calls the fence (os/rseq.h), which is a full barrier on each processor that runs a thread of ours. A get that began
 * before the fence has its `reading` seen after it, or what it has put into `lent` since. A get that begins after the
 * fence no longer finds the entry. So it is enough to look at `reading`, then at `lent`, of all readers.
 *
 * Which entries can a reader be at? Those of its bucket: all whose hashes agree with its own in the lower `bits` of
 * them. A table that grows splits buckets, so that stays true while entries move. An entry that was unlinked keeps its
 * `chain`, which leads to entries of the same bucket. A table shrinks only when it is empty, and then another memory is
 * used. Chains have no loops at any time, and a reader that misses an entry because it moved looks again with the lock.
 *
 * No thread waits for a reader: an entry that is looked at waits, in a list, and the thread goes on.
 */
#include "cache/cache.h"

#include "base/assert.h"

#define MANY_READERS ((uintptr_t)1)

/* Of `flags`. */
#define ENTERED 1u /* the cache knows that this record reads */
#define NOTED 2u   /* what it gives back may be retired */

/* Of `reading`. */
#define READING (UINT64_C(1) << 63)
#define BITS_SHIFT 32

static hri_cache_reader *reader_in(hri_cell *record, const hr_cache *cache)
{
    return (hri_cache_reader *)(void *)hri_cells_at(record, cache->place);
}

static hri_cache_reader *next_reader(const hr_cache *cache, hri_cell **record)
{
    *record = *record ? hri_cells_next(*record) : hri_cells_first();
    return *record && cache->place ? reader_in(*record, cache) : NULL;
}

#define EACH_READER(cache, reader)                                                                                     \
    hri_cell *record_ = NULL;                                                                                          \
    for (hri_cache_reader * reader; (reader = next_reader(cache, &record_)) != NULL;)

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* ── the thread itself ──────────────────────────────────────────────────────────────────────────────────────────── */

/* A thread's first get. From here on a thread that retires entries takes this reader into account. That thread unlinks
 * before it looks at `readers`; this one looks for entries after it has changed `readers`. */
static __attribute__((noinline)) bool enter(hr_cache *cache)
{
    hri_cell *cell = cache->place ? hri_cells_own(cache->place) : NULL;
    if (!cell)
        return false;
    hri_cache_reader *reader = (hri_cache_reader *)(void *)cell;
    uintptr_t before = 0;
    if (!atomic_compare_exchange_strong(&cache->readers, &before, (uintptr_t)reader) && before != (uintptr_t)reader)
        atomic_store(&cache->readers, MANY_READERS);
    atomic_fetch_or_explicit(&reader->flags, ENTERED, memory_order_relaxed);
    return true;
}

static _Atomic(hri_cache_entry *) *free_place(hri_cache_reader *reader)
{
    for (unsigned i = 0; i < HRI_CACHE_LENDINGS; i++)
        if (!atomic_load_explicit(&reader->lent[i], memory_order_acquire))
            return &reader->lent[i];
    return NULL;
}

/* Only what is there and not expired is lent without the lock. */
static hri_cache_entry *find(hri_cache_shard *shard, unsigned bits, const hri_cache_item *item)
{
    hri_cache_bucket *table = atomic_load_explicit(&shard->table, memory_order_acquire);
    hri_cache_entry *entry = table->bits == bits ? hri_cache_table_find(table, item) : NULL;
    if (!entry || entry->kind > HRI_CACHE_HELD)
        return NULL;
    return entry->expires_ns && hri_cache_entry_is_expired(entry, hri_cache_now()) ? NULL : entry;
}

bool hri_cache_reader_get(hr_cache *cache, const hri_cache_item *item, hr_cache_ref *ret_ref)
{
    hri_cache_reader *reader = (hri_cache_reader *)(void *)hri_cells_mine_at(cache->place);
    if (!(load(&reader->flags) & ENTERED)) {
        if (!enter(cache))
            return false;
        reader = (hri_cache_reader *)(void *)hri_cells_mine_at(cache->place);
    }
    _Atomic(hri_cache_entry *) *place = free_place(reader);
    if (!place)
        return false;
    hri_cache_shard *shard = hri_cache_shard_of(cache, item->hash);
    unsigned bits = atomic_load_explicit(&shard->bits, memory_order_relaxed);
    atomic_store_explicit(&reader->reading, READING | (uint64_t)bits << BITS_SHIFT | item->hash, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    hri_cache_entry *entry = find(shard, bits, item);
    if (entry)
        atomic_store_explicit(place, entry, memory_order_release);
    atomic_store_explicit(&reader->reading, 0, memory_order_release);
    if (!entry)
        return false;
    atomic_store_explicit(&reader->hits, load(&reader->hits) + 1, memory_order_relaxed);
    hri_cache_entry_see(entry, HRI_CACHE_LENT);
    int error = hri_cache_lend(cache, entry, ret_ref);
    HRI_ASSERT(!error);
    (void)error;
    ret_ref->entry_ = (char *)place + HRI_CACHE_LENT_BIT;
    return true;
}

void hri_cache_reader_release(hr_cache *cache, void *entry)
{
    _Atomic(hri_cache_entry *) *place = (void *)((char *)entry - HRI_CACHE_LENT_BIT);
    hri_cache_reader *reader = (void *)((char *)place - (uintptr_t)place % sizeof *reader);
    const hri_cache_entry *returned = atomic_load_explicit(place, memory_order_relaxed);
    atomic_store_explicit(place, NULL, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    if (load(&reader->flags) & NOTED)
        hri_cache_retired_return(cache, returned);
}

/* ── the others ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool has(const hri_cache_reader *reader, const hri_cache_entry *entry)
{
    for (unsigned i = 0; i < HRI_CACHE_LENDINGS; i++)
        if (atomic_load_explicit(&reader->lent[i], memory_order_acquire) == entry)
            return true;
    return false;
}

bool hri_cache_reader_has(const hr_cache *cache, const hri_cache_entry *entry)
{
    EACH_READER(cache, reader)
    if (has(reader, entry))
        return true;
    return false;
}

bool hri_cache_reader_is_alone(hr_cache *cache)
{
    atomic_thread_fence(memory_order_seq_cst);
    uintptr_t only = atomic_load(&cache->readers);
    return !only || only == (uintptr_t)hri_cells_mine_at(cache->place);
}

/* Is a shard, or a bucket of `bits` that a hash is in, the one that is read? */
static bool is_shard_of(const hr_cache *cache, uint64_t reading, uint32_t hash)
{
    return ((((uint32_t)reading ^ hash) >> 24) & (cache->shard_count - 1)) == 0;
}

static bool is_bucket_of(uint64_t reading, uint32_t hash)
{
    unsigned bits = (unsigned)(reading >> BITS_SHIFT) & 63;
    return (((uint32_t)reading ^ hash) & ((UINT64_C(1) << bits) - 1)) == 0;
}

bool hri_cache_reader_looks_at(const hr_cache *cache, const hri_cache_entry *entry, bool note)
{
    bool looks = false;
    EACH_READER(cache, reader)
    {
        uint64_t reading = atomic_load_explicit(&reader->reading, memory_order_acquire);
        looks |= reading && is_shard_of(cache, reading, entry->hash) && is_bucket_of(reading, entry->hash);
        if (!has(reader, entry))
            continue;
        looks = true;
        if (note)
            atomic_fetch_or(&reader->flags, NOTED);
    }
    return looks;
}

bool hri_cache_reader_looks_into(const hr_cache *cache, const hri_cache_shard *shard)
{
    EACH_READER(cache, reader)
    {
        uint64_t reading = atomic_load_explicit(&reader->reading, memory_order_acquire);
        uint32_t hash = (uint32_t)reading;
        if (reading && &cache->shards[(hash >> 24) & (cache->shard_count - 1)] == shard)
            return true;
    }
    return false;
}

void hri_cache_reader_unnote(const hr_cache *cache)
{
    EACH_READER(cache, reader)
    if (load(&reader->flags) & NOTED)
        atomic_fetch_and(&reader->flags, ~(uint64_t)NOTED);
}

/* Is there the same entry in front of this place? */
static bool is_counted(const hr_cache *cache, const _Atomic(hri_cache_entry *) *place, const hri_cache_entry *entry)
{
    EACH_READER(cache, reader)
    for (unsigned i = 0; i < HRI_CACHE_LENDINGS; i++) {
        if (&reader->lent[i] == place)
            return false;
        if (atomic_load_explicit(&reader->lent[i], memory_order_relaxed) == entry)
            return true;
    }
    return false;
}

void hri_cache_reader_count(hr_cache *cache, uint64_t *ret_hits, uint64_t *ret_lent)
{
    *ret_hits = *ret_lent = 0;
    hri_cache_retired_lock(cache); /* so that what is lent is not freed while its state is read */
    EACH_READER(cache, reader)
    {
        *ret_hits += load(&reader->hits);
        for (unsigned i = 0; i < HRI_CACHE_LENDINGS; i++) {
            const hri_cache_entry *entry = atomic_load_explicit(&reader->lent[i], memory_order_acquire);
            *ret_lent += entry && !hri_cache_entry_is_pinned(entry) && !is_counted(cache, &reader->lent[i], entry);
        }
    }
    pthread_mutex_unlock(&cache->retired.lock);
}

/* ── its beginning and its end ──────────────────────────────────────────────────────────────────────────────────── */

void hri_cache_reader_open(hr_cache *cache)
{
    cache->place = hri_cells_claim();
}

void hri_cache_reader_close(hr_cache *cache)
{
    EACH_READER(cache, reader)
    {
        atomic_store_explicit(&reader->hits, 0, memory_order_relaxed);
        atomic_store_explicit(&reader->flags, 0, memory_order_release);
    }
    if (cache->place)
        hri_cells_unclaim(cache->place);
}

/* The child's other threads are gone, and with them what they looked for; what they had borrowed stays borrowed. A list
 * that is being looked through would be lost to the child. */
void hri_cache_reader_fork(hr_cache *cache, hri_fork moment)
{
    if (moment == HRI_FORK_BEFORE)
        hri_cache_retired_lock(cache);
    else
        hri_fork_lock(&cache->retired.lock, moment);
    if (moment != HRI_FORK_CHILD)
        return;
    EACH_READER(cache, reader)
    atomic_store_explicit(&reader->reading, 0, memory_order_relaxed);
}
