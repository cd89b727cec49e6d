/* SPDX-License-Identifier: Apache-2.0 */
/* The cache, as its own files and guard/cache.c see it.
 *
 * A cache is cut into shards by the hash of the key. A shard has a table of its entries (table.c), which stand in
 * S3-FIFO's two queues besides (shard.c).
 *
 * Locking: each shard has a lock over its tables and counts, and no two are held at once. Under it nothing of the
 * program's runs and nothing is charged that could run it: only tables, by a quiet charge. Entries are charged
 * before it is taken and uncharged after it is given back. A get that finds its entry takes no lock, and writes to
 * its thread's own memory alone: reader.c. So an entry that has left its shard may still be looked at, and is freed by
 * way of retired.c.
 */
#ifndef HRI_STORE_CACHE_H
#define HRI_STORE_CACHE_H

#include "base/checked.h"
#include "base/fork.h"
#include "base/yield.h"
#include "os/cells.h"

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

typedef enum hri_cache_kind {
    HRI_CACHE_VALUE,
    HRI_CACHE_HELD,     /* the value is a hr_cache_held */
    HRI_CACHE_FAILED,   /* the value is a load's error, an int */
    HRI_CACHE_RESERVED, /* in no shard yet: its one borrower writes the value */
} hri_cache_kind;

/* An entry and its bytes in one block: the key, next to what is looked at to find it, then the value, aligned. */
typedef struct hri_cache_entry {
    _Atomic(struct hri_cache_entry *) chain; /* the next in its bucket; stays as it is once it has left */
    uint32_t hash;
    uint32_t key_size;
    _Atomic uint32_t state; /* twice the borrowers, and 1 while it is in its shard: at 0 it is freed */
    uint32_t value_size;
    int64_t expires_ns; /* 0: never; while it is reserved, its ttl_ns */
    uint32_t born;      /* in ticks since the cache was made, see HRI_CACHE_TICK_NS */
    uint8_t kind;
    _Atomic uint8_t seen; /* gets since it came into its queue, 3 at most; and HRI_CACHE_LENT */
    uint8_t queue;
    uint8_t spare;
    struct hri_cache_entry *older, *newer; /* in its queue; `newer`: among those that are retired */
    unsigned char key[];
} hri_cache_entry;

/* Where a value begins, behind a key. */
static inline size_t hri_cache_value_offset(size_t key_size)
{
    return (sizeof(hri_cache_entry) + key_size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static inline void *hri_cache_entry_value(hri_cache_entry *entry)
{
    return (char *)entry + hri_cache_value_offset(entry->key_size);
}

#define HRI_CACHE_SEEN_MAX 3
#define HRI_CACHE_LENT 0x80 /* a thread may have it in its reader */
#define HRI_CACHE_LISTED 1u
#define HRI_CACHE_BORROWED 2u
#define HRI_CACHE_TICK_NS (INT64_C(1) << 26) /* a fifteenth of a second: 32 bits are nine years */

enum {
    HRI_CACHE_SMALL,
    HRI_CACHE_MAIN,
    HRI_CACHE_QUEUES,
};

typedef struct hri_cache_queue {
    hri_cache_entry *oldest, *newest;
    uint64_t bytes;
    uint32_t entries;
} hri_cache_queue;

/* One of a table's buckets, or in front of them one of its own words. */
typedef union hri_cache_bucket {
    unsigned bits;                   /* the first: it has 1 << bits buckets */
    union hri_cache_bucket *retired; /* the second: the next of those that wait to be freed */
    _Atomic(hri_cache_entry *) first;
} hri_cache_bucket;

#define HRI_CACHE_FIRST_BITS 3 /* of the table that lies in the shard */
#define HRI_CACHE_TABLE_WORDS 2

/* One thread's part of one cache: its cell at the cache's place. Only the thread writes to it, with two exceptions: any
 * thread may clear an entry of `lent`, and a thread that retires entries sets flags. */
#define HRI_CACHE_LENDINGS 5
typedef struct hri_cache_reader {
    _Alignas(64) _Atomic uint64_t reading; /* the hash that it looks for now, and in how large a table; 0: none */
    _Atomic(hri_cache_entry *) lent[HRI_CACHE_LENDINGS];
    _Atomic uint64_t hits;
    _Atomic uint64_t flags;
} hri_cache_reader;

_Static_assert(sizeof(hri_cache_reader) == sizeof(hri_cell), "a reader is a cell");

typedef enum hri_cache_cause {
    HRI_CACHE_FULL,
    HRI_CACHE_LEVEL,
    HRI_CACHE_RELIEF,
    HRI_CACHE_CAUSES,
} hri_cache_cause;

/* A place between entries that stays good when they go: in the shard's list for as long as the lock is not held. */
typedef struct hri_cache_cursor {
    hri_cache_entry *next;
    struct hri_cache_cursor *other;
    pthread_t thread;
} hri_cache_cursor;

/* Keys that were evicted of late, as S3-FIFO remembers them: their hashes, and when. */
typedef struct hri_cache_ghosts {
    struct hri_cache_ghost {
        uint32_t hash, time;
    } * slots;
    uint32_t count; /* a power of two, or 0 */
    uint32_t time;  /* evictions so far */
} hri_cache_ghosts;

struct hri_cache_flight; /* load.c */

typedef struct hri_cache_shard {
    /* A get with the lock writes these: one cache line, since it goes from processor to processor. */
    _Alignas(64) pthread_mutex_t lock; /* guards what follows, except for the atomics */
    uint64_t hits;
    _Atomic uint64_t pinned; /* entries that are borrowed by their count */
    /* A get without the lock reads these. */
    _Alignas(64) _Atomic(hri_cache_bucket *) table;
    _Atomic unsigned bits; /* the table's */
    hr_cache *cache;
    hri_cache_bucket *retired_tables;
    hri_cache_cursor *cursors;
    hri_cache_cursor sweep; /* where the janitor goes on */
    /* Puts and misses write these. */
    _Alignas(64) hri_cache_queue queues[HRI_CACHE_QUEUES];
    uint64_t misses;
    _Atomic uint64_t bytes; /* of both queues */
    uint64_t entries;
    uint64_t puts, replaced, removed, expired;
    uint64_t evicted[HRI_CACHE_CAUSES], evicted_bytes;
    uint64_t loads, load_failures, load_waits, load_timeouts;
    int64_t load_longest_ns;
    uint64_t owed_bytes; /* given back by tables, to be uncharged without the lock */
    unsigned denied;     /* adds since the table was refused the memory to grow; 0: it was not */
    hri_cache_ghosts ghosts;
    struct hri_cache_flight *flights;
    pthread_cond_t landed;
    hri_cache_bucket first[HRI_CACHE_TABLE_WORDS + (1 << HRI_CACHE_FIRST_BITS)];
} hri_cache_shard;

/* Entries that have left their shards, and wait until no reader looks at them. */
typedef struct hri_cache_retired {
    pthread_mutex_t lock;
    hri_cache_entry *first;
    uint64_t new_bytes; /* of those that came since they were last looked through */
    unsigned new_count;
    unsigned lookers; /* threads that look through a list which they have taken out */
} hri_cache_retired;

struct hr_cache {
    /* Constant once made. */
    char *name;
    hr_budget *budget; /* NULL: nobody pays */
    hri_yielders *yielders;
    uint64_t seed;
    int64_t ttl_ns;
    int64_t born_ns;
    hr_cache_load_fn *load;
    int64_t load_wait_ns;
    int64_t failed_ttl_ns;
    void *context;
    bool follows_budget; /* its limit is the budget's, which pays for the tables too */
    unsigned shard_count;
    hri_place place;           /* of its readers in the records of threads; 0: all gets take the lock */
    _Atomic uintptr_t readers; /* the only record that has read; MANY_READERS; 0: none has */

    hri_yielder yielder;
    _Atomic uint64_t limit_bytes;        /* the option's, or the budget's when it was last read */
    _Atomic uint64_t table_bytes;        /* what the cache itself and its tables cost */
    _Atomic uint64_t wanted_bytes;       /* that a table was refused last: entries leave that room too */
    _Alignas(64) _Atomic uint64_t bytes; /* of entries that are in it, and of those that are coming */
    _Atomic uint64_t growth_bytes;       /* what it may grow to, see room.c; HR_NONE: free */
    _Atomic int64_t grown_ns;            /* when that last rose */
    _Atomic uint64_t step_bytes;         /* by how much it rises */
    _Atomic uint64_t goal_bytes;         /* at which it is free again */
    _Atomic uint64_t refused_large, refused_budget;
    unsigned sweep_shard; /* the janitor's */
    hri_cache_retired retired;
    hri_cache_shard shards[];
};

/* An entry that is to be put, found or removed. */
typedef struct hri_cache_item {
    const void *key;
    size_t key_size;
    uint32_t hash;
    const void *value; /* NULL where it is reserved */
    size_t value_size;
    int64_t ttl_ns;
    hri_cache_kind kind;
} hri_cache_item;

/* ── cache.c ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes a cache that `budget` pays for, and that yields through `yielders`; NULL: nobody pays, nobody asks it. */
int hri_cache_new(hr_budget *budget, hri_yielders *yielders, const hr_cache_options *options, hr_cache **ret_cache);

int64_t hri_cache_now(void);

/* The upper bits choose the shard, the lower ones the table's bucket. */
static inline hri_cache_shard *hri_cache_shard_of(hr_cache *cache, uint32_t hash)
{
    return &cache->shards[(hash >> 24) & (cache->shard_count - 1)];
}

static inline bool hri_cache_is_key(const void *key, size_t key_size)
{
    return key && key_size > 0 && key_size < UINT32_MAX;
}

/* An item for a key, without a value. */
hri_cache_item hri_cache_item_of(const hr_cache *cache, const void *key, size_t key_size);

/* Takes an item in, in the place of what is under its key. Gives 0 or 1, as hr_cache_put_held(), or a negative errno;
 * then the key has nothing. */
int hri_cache_put(hr_cache *cache, const hri_cache_item *item);

/* Puts an entry into its shard, in the place of what is under its key. Gives 0; 1 if there was another. */
int hri_cache_link(hr_cache *cache, const hri_cache_item *item, hri_cache_entry *entry);

/* Makes an entry for which there is room of `room_bytes`. Gives NULL and an error: the room is given back. */
hri_cache_entry *hri_cache_make(hr_cache *cache, const hri_cache_item *item, uint64_t room_bytes, int *ret_error);

/* Fills a borrowed entry's reference, or gives it back if it is a failure, whose error is the result. */
int hri_cache_lend(hr_cache *cache, hri_cache_entry *entry, hr_cache_ref *ret_ref);

/* ── entry.c: one entry, and who pays for it ────────────────────────────────────────────────────────────────────── */

/* The bytes that an entry will cost, beside a held value. */
uint64_t hri_cache_entry_cost(const hri_cache_item *item);

/* Charges and makes an entry in no shard, borrowed once if `state` says so. Gives NULL and an error. */
hri_cache_entry *hri_cache_entry_new(hr_cache *cache, const hri_cache_item *item, uint32_t state, int *ret_error);

/* Makes an entry of a reserved one whose value is written, and has `value_size` bytes. Gives it: it may have moved. */
hri_cache_entry *hri_cache_entry_finish(hr_cache *cache, hri_cache_entry *entry, size_t value_size);

/* The bytes that an entry costs, a held value included. */
uint64_t hri_cache_entry_bytes(hri_cache_entry *entry);

/* Frees an entry that nobody can reach any more. It is left to the caller to uncharge what is given. No lock is
 * held. */
uint64_t hri_cache_entry_dispose(hri_cache_entry *entry);

/* Borrows an entry that is in its shard: under the lock. */
void hri_cache_entry_pin(hri_cache_shard *shard, hri_cache_entry *entry);
void hri_cache_entry_unpin(hr_cache *cache, hri_cache_entry *entry);

/* Notes a get. It writes only what is not there already: entries that many ask for stay in all processors' caches. */
static inline void hri_cache_entry_see(hri_cache_entry *entry, uint8_t lent)
{
    uint8_t before = atomic_load_explicit(&entry->seen, memory_order_relaxed), after = before | lent;
    if ((before & (HRI_CACHE_LENT - 1)) < HRI_CACHE_SEEN_MAX)
        after++;
    if (after != before)
        atomic_store_explicit(&entry->seen, after, memory_order_relaxed);
}

static inline bool hri_cache_entry_is_pinned(const hri_cache_entry *entry)
{
    return atomic_load_explicit(&entry->state, memory_order_acquire) >= HRI_CACHE_BORROWED;
}

/* ── table.c: under the shard's lock ──────────────────────────────────────────────────────────────────────── */

void hri_cache_table_init(hri_cache_shard *shard);

hri_cache_entry *hri_cache_shard_find(hri_cache_shard *shard, const hri_cache_item *item);

/* The same in a table that may change meanwhile: it may miss an entry that is there. Any thread that is reading. */
hri_cache_entry *hri_cache_table_find(hri_cache_bucket *table, const hri_cache_item *item);

/* Frees the tables that waited for readers; all that are left, where there can be none. */
void hri_cache_table_settle(hri_cache_shard *shard);

/* Adds an entry that the shard does not count yet, and takes one out that it no longer counts. */
void hri_cache_table_add(hri_cache_shard *shard, hri_cache_entry *entry);
void hri_cache_table_take(hri_cache_shard *shard, hri_cache_entry *entry);

/* Charged memory of zeros for tables; NULL: there is none. */
void *hri_cache_table_alloc(hri_cache_shard *shard, size_t size);
void hri_cache_table_free(hri_cache_shard *shard, void *block);

/* ── shard.c: under the shard's lock ────────────────────────────────────────────────────────────────────────────── */

void hri_cache_shard_lock(hri_cache_shard *shard);
void hri_cache_shard_unlock(hri_cache_shard *shard);

/* Adds an entry. */
void hri_cache_shard_add(hri_cache_shard *shard, hri_cache_entry *entry);

/* Takes an entry out. Gives whether the caller is to free it; else its borrowers do. */
bool hri_cache_shard_take(hri_cache_shard *shard, hri_cache_entry *entry);

/* Takes the coldest entry out that is not borrowed, for the caller to free, or NULL. */
hri_cache_entry *hri_cache_shard_evict(hri_cache_shard *shard);

/* The entry behind one, over both queues; of NULL the first. */
hri_cache_entry *hri_cache_shard_next(hri_cache_shard *shard, hri_cache_entry *entry);

bool hri_cache_entry_is_expired(const hri_cache_entry *entry, int64_t now_ns);

/* Recounts a shard, and aborts where it contradicts itself. */
void hri_cache_shard_check(hri_cache_shard *shard);

/* Gives back what the tables keep; they are empty. */
void hri_cache_shard_destroy(hri_cache_shard *shard);

/* ── reader.c: gets without a lock ────────────────────────────────────────────────────────────────────────── */

/* Lends an entry to this thread. False: it has to be looked for under the lock. */
bool hri_cache_reader_get(hr_cache *cache, const hri_cache_item *item, hr_cache_ref *ret_ref);

/* Is a reference's `entry_` a place in a reader? Then this gives it back. */
#define HRI_CACHE_LENT_BIT 1u
static inline bool hri_cache_reader_lent(const void *entry)
{
    return (uintptr_t)entry & HRI_CACHE_LENT_BIT;
}
void hri_cache_reader_release(hr_cache *cache, void *entry);

/* Does a reader have the entry? It may have got it just now, and be missed. */
bool hri_cache_reader_has(const hr_cache *cache, const hri_cache_entry *entry);

/* Can only this thread have read? Then no fence is needed. To be asked after the entry has left its shard. */
bool hri_cache_reader_is_alone(hr_cache *cache);

/* After a fence: may a reader still look at an entry that has left its shard, or at a shard's former tables? With
 * `note`, the thread that gives the entry back looks for it among those that are retired. */
bool hri_cache_reader_looks_at(const hr_cache *cache, const hri_cache_entry *entry, bool note);
bool hri_cache_reader_looks_into(const hr_cache *cache, const hri_cache_shard *shard);

/* Nothing is noted any more. */
void hri_cache_reader_unnote(const hr_cache *cache);

/* Sums over all readers. An entry that several have counts once, and one that is pinned as well counts there. */
void hri_cache_reader_count(hr_cache *cache, uint64_t *ret_hits, uint64_t *ret_lent);

void hri_cache_reader_open(hr_cache *cache);
void hri_cache_reader_close(hr_cache *cache);
void hri_cache_reader_fork(hr_cache *cache, hri_fork moment);

/* ── retired.c ────────────────────────────────────────────────────────────────────────────────────────────── */

/* Frees an entry that is in no shard and not borrowed by its count, as soon as no reader looks at it: at once, or
 * soon. NULL is fine. No lock is held. */
void hri_cache_retire(hr_cache *cache, hri_cache_entry *entry);

/* The same for some. With `now` only what is still looked at waits. */
void hri_cache_retire_all(hr_cache *cache, hri_cache_entry *const *entries, unsigned count, bool now);

/* Takes the lock of those that are retired in a moment when nobody looks through them: until it is given back, no entry
 * of the cache is freed. */
void hri_cache_retired_lock(hr_cache *cache);

/* An entry was given back whose reader was noted: frees it, if it is retired. It may be gone, and is not looked
 * into. */
void hri_cache_retired_return(hr_cache *cache, const hri_cache_entry *entry);

/* Frees what nobody looks at any more. Gives its bytes. */
uint64_t hri_cache_retired_flush(hr_cache *cache);

/* ── room.c: how much it may hold ───────────────────────────────────────────────────────────────────────────────── */

/* Makes sure that `bytes` may come, and counts them in. If that takes an eviction, the entry under the item's key
 * counts as gone already: it is borrowed meanwhile, for hri_cache_room_settle(). For a reserved item it does not count
 * as gone: both will be there. Gives 0, or -E2BIG or -EDQUOT: then nothing is counted in. */
int hri_cache_room_take(hr_cache *cache, const hri_cache_item *item, uint64_t bytes, hri_cache_entry **ret_old);
void hri_cache_room_settle(hr_cache *cache, hri_cache_entry *old);
void hri_cache_room_give(hr_cache *cache, uint64_t bytes);

/* Evicts `want_bytes`, from `shard` first where it has its part. Gives what it could. */
uint64_t hri_cache_evict(hr_cache *cache, const hri_cache_shard *shard, uint64_t want_bytes, hri_cache_cause cause);

/* The yielder's callback. */
uint64_t hri_cache_yield(void *context, uint64_t want_bytes, int64_t deadline_ns);
uint64_t hri_cache_spare(void *context);

/* Reads the limit of the budget anew, where that bounds the cache. Takes the lock of the budgets' tree. */
void hri_cache_follow_budget(hr_cache *cache);

/* Gives the size that the cache may grow to for now, never below what it has; HR_NONE: free. */
uint64_t hri_cache_room_growth(hr_cache *cache);

/* Gives the most that entries may cost in all. Where the budget pays for the tables too, these count. */
static inline uint64_t hri_cache_max(const hr_cache *cache)
{
    uint64_t limit_bytes = atomic_load_explicit(&cache->limit_bytes, memory_order_relaxed);
    if (!cache->follows_budget || limit_bytes == HR_NONE)
        return limit_bytes;
    uint64_t table_bytes = atomic_load_explicit(&cache->table_bytes, memory_order_relaxed);
    return hri_sub(limit_bytes, hri_add(table_bytes, atomic_load_explicit(&cache->wanted_bytes, memory_order_relaxed)));
}

/* ── load.c ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Loads a key that was missed, or waits for who does. The shard's lock is held, and given back. */
int hri_cache_load(hr_cache *cache, hri_cache_shard *shard, const hri_cache_item *item, hr_cache_ref *ret_ref);

/* A value that is being loaded for this key (NULL: for any) is old by now: it is handed out, and not kept. Under the
 * lock. */
void hri_cache_load_outdate(hri_cache_shard *shard, const hri_cache_item *item);

void hri_cache_load_fork(hri_cache_shard *shard);

#endif
