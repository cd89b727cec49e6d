/* SPDX-License-Identifier: Apache-2.0 */
/* The cache that yields: what may be dropped, kept for as long as there is room.
 *
 *     hr_cache *cache;
 *     int error = hr_cache_new(guard, &(hr_cache_options){.name = "pages", .ttl_ns = 60000000000}, &cache);
 *     error = hr_cache_put(cache, key, key_size, page, page_size, 0);
 *
 *     hr_cache_ref ref;
 *     if (hr_cache_get(cache, key, key_size, &ref) == 0) {
 *         send(ref.data, ref.size);             // stays as it is until released, whatever becomes of the entry
 *         hr_cache_release(cache, &ref);
 *     }
 *
 * Keys and values are bytes, and copied. Each entry is charged to the cache's budget with all that it costs, and so are
 * the tables. Nobody has to guess a size for a cache. It grows until use is half way from `warn_at` to `degrade_at`.
 * From there on it does not grow: each put evicts as much as it brings in. When memory is short, the guard asks it, and
 * it evicts the coldest entries, never one that is borrowed. After that it grows again in steps, so that what it gave
 * is not taken back at once. A step is a 32nd of what it had, or 64 KiB, and comes each 100 ms. A put beyond it makes
 * others go. `max_bytes`, or a budget with a limit, bounds it besides.
 *
 * ── loading ────────────────────────────────────────────────────────────────────────────────────────────────────────
 * With `load` a get that misses loads. One thread loads a key, the others that want it wait for that one:
 *
 *     static int load(void *database, const void *key, size_t key_size, hr_cache_loading *loading)
 *     {
 *         struct row row;
 *         int error = find(database, key, key_size, &row);
 *         return error ? error : hr_cache_supply(loading, row.bytes, row.size, 0);
 *     }
 *
 * A value that there is no room to keep is still handed out, and gone once it is released.
 *
 * ── large values ───────────────────────────────────────────────────────────────────────────────────────────────────
 * A put has the value twice for a moment: in the caller's buffer, and in the cache. An upload is better written where
 * it will stay. It is reserved with the length that the client names, filled as it comes, and committed when it is
 * whole:
 *
 *     hr_cache_ref body;
 *     error = hr_cache_reserve(cache, key, key_size, length, 0, &body);     // -EDQUOT: answer 507, before the body
 *     if (!error && receive_all(client, body.data, body.size))
 *         error = hr_cache_commit(cache, &body);                            // from here on others find it
 *     hr_cache_release(cache, &body);                                       // before the commit: it is thrown away
 *
 * Of a body without a length, reserve as much as is accepted, and set `body.size` to what came before the commit: the
 * rest is given back. examples/upload.c is a whole program.
 *
 * ── values that are the caller's ───────────────────────────────────────────────────────────────────────────────────
 * hr_cache_put_held() takes a pointer instead of bytes: an object with references of its own, a file, a chain of
 * buffers. Its bytes are charged by the caller; the cache says when it lets go. hr_alloc_cost() says how much
 * hr_alloc() has charged for an object:
 *
 *     void *object = hr_alloc(budget, size);
 *     hr_cache_held held = {.data = object, .size = size, .bytes = hr_alloc_cost(size), .drop = free_object};
 *     if (object && hr_cache_put_held(cache, key, key_size, &held) < 0)
 *         hr_free(object);
 *
 * The entries to evict are chosen by S3-FIFO (docs/cache.md): a hit only counts, and moves nothing.
 */
#ifndef HEADROOM_CACHE_H
#define HEADROOM_CACHE_H

#include <headroom/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hr_cache hr_cache;
typedef struct hr_cache_loading hr_cache_loading;

/* Finds the value of a key that is missing, and gives it to hr_cache_supply(). It runs on the thread that asked, with
 * no lock held; it may use the cache, but not get the key that it loads (-EDEADLK). Two loads that each get the
 * other's key block each other for load_wait_ns.
 *
 * returns  0 once it has supplied a value: without one the get returns -ENOENT. -ENOENT or another negative errno,
 *          which the get returns
 */
typedef int hr_cache_load_fn(void *context, const void *key, size_t key_size, hr_cache_loading *loading);

/* Zero means default everywhere. */
typedef struct hr_cache_options {
    const char *name;       /* for reports; "cache" */
    hr_budget *budget;      /* who pays; NULL: the root */
    uint64_t max_bytes;     /* what its entries may cost in all, without such as are replaced or removed while they are
                               borrowed; 0: the budget's own limit, less table_bytes; HR_NONE: any */
    int64_t ttl_ns;         /* how long an entry may be found; 0: until it is evicted */
    unsigned shards;        /* parts with a lock each, a power of two up to 256; 0: by processors and size */
    int priority;           /* among the guard's reclaimers: lowest is asked first */
    hr_cache_load_fn *load; /* NULL: a miss is -ENOENT */
    int64_t load_wait_ns;   /* 10 s: how long others wait for one that loads; negative: for ever */
    int64_t failed_ttl_ns;  /* for how long a load's error is the answer without another load; 0: not at all. It
                               is kept as an entry, which no walk visits. Remove and clear forget it */
    void *context;          /* for load */
} hr_cache_options;

/* A borrowed value. {0} is an empty one. */
typedef struct hr_cache_ref {
    void *data;   /* aligned for any type, unless it is the caller's own; written only from reserve to commit */
    size_t size;  /* before a commit it may be made smaller */
    void *entry_; /* the library's, from here on */
    struct hr_cache *cache_; /* scope.h */
    uintptr_t seal_;
} hr_cache_ref;

/* Since the cache was made; bytes are of this instant. */
typedef struct hr_cache_figures {
    uint64_t entries;
    uint64_t bytes;          /* what they cost in all, held values included */
    uint64_t table_bytes;    /* what the cache costs besides: itself, tables and memories of evicted keys */
    uint64_t max_bytes;      /* HR_NONE: no bound of its own */
    uint64_t growth_bytes;   /* what it may grow to for now, after pressure, and not less than `bytes`; HR_NONE: free */
    uint64_t pinned;         /* entries that are borrowed or reserved, also such as are no longer in the cache */
    uint64_t hits;           /* gets that found an entry */
    uint64_t misses;         /* gets that found none, or one that had expired */
    double hit_ratio;        /* hits ÷ both; 0 before the first get */
    uint64_t puts;           /* entries taken in, loads and commits included */
    uint64_t replaced;       /* of which took the place of another */
    uint64_t removed;        /* by hr_cache_remove() and hr_cache_clear() */
    uint64_t evicted_full;   /* to keep to max_bytes, or to the step of growth after pressure */
    uint64_t evicted_level;  /* to make room for a put, from half way to degraded on */
    uint64_t evicted_relief; /* because the guard asked, or hr_cache_trim() */
    uint64_t evicted_bytes;  /* by the three above */
    uint64_t expired;        /* found too old */
    uint64_t refused_large;  /* puts and reservations: -E2BIG */
    uint64_t refused_budget; /* puts and reservations: -EDQUOT; and results of loads that were not kept for that */
    uint64_t loads;
    uint64_t load_failures;
    uint64_t load_waits;    /* gets that waited for another's load */
    uint64_t load_timeouts; /* of which gave up */
    int64_t load_longest_ns;
    int64_t oldest_ns; /* how long ago the oldest of those that go next came in */
} hr_cache_figures;

/* Makes a cache. Without a guard it belongs to no budget, never yields, and is bounded by max_bytes alone.
 *
 * returns  0; -EINVAL for a budget of another guard, or shards that are no power of two up to 256; -ENOMEM, -EDQUOT
 * threads  any
 * memory   allocates
 * undo     hr_cache_free()
 */
HR_API HR_MUST_CHECK int hr_cache_new(hr_guard *guard, const hr_cache_options *options, hr_cache **ret_cache);

/* Frees a cache and all its entries. NULL is fine.
 *
 * returns  0; -EBUSY while entries are borrowed or loaded: nothing has changed then
 * threads  one, as the last user of the cache; not from a reclaimer
 */
HR_API int hr_cache_free(hr_cache *cache);

/* Puts a copy of a value under a key, in the place of what was there. `ttl_ns` 0 is the cache's own, negative is none.
 *
 * A put that is refused takes away what was under the key: a cache must not answer with what is known to be old.
 *
 * returns  0; -E2BIG if it is larger than the cache may ever be, or 4 GiB; -EDQUOT if there is no room for it;
 *          -ENOMEM. -EINVAL without a key, which an empty one is too, or for a key of 4 GiB. There is no room because
 *          of a limit, or above half way to degraded if the cache has not as much to evict
 * threads  any
 * memory   allocates; may run reclaimers and the guard's callback, and so not under a lock that they take
 * cost     a copy, and the eviction of as much where the cache may not grow
 */
HR_API HR_MUST_CHECK int hr_cache_put(hr_cache *cache, const void *key, size_t key_size, const void *value,
                                      size_t value_size, int64_t ttl_ns);

/* Reserves room for a value of `value_size` bytes under a key: `ret_ref->data` is writable, and nobody else sees it.
 * The bytes are charged now. A value that is under the key stays there until the commit. `ttl_ns` is as for
 * hr_cache_put(), and begins with the commit. Clearing the cache leaves reservations alone; hr_cache_free() is -EBUSY
 * while there are any.
 *
 * An upload is refused only where there is no room for it. A cache that may not grow evicts as much as it brings, if it
 * has that much; from degraded on a cache that has less refuses it.
 *
 * returns  0; -E2BIG and -EDQUOT as hr_cache_put(), and then what is under the key stays, unless relief has evicted it;
 *          -ENOMEM; -EINVAL without a key
 * threads  any; several may write values for one key, and the last one that commits stays
 * memory   allocates; may run reclaimers and the guard's callback, and so not under a lock that they take
 * undo     hr_cache_release(), or hr_cache_commit() and hr_cache_release()
 */
HR_API HR_MUST_CHECK int hr_cache_reserve(hr_cache *cache, const void *key, size_t key_size, size_t value_size,
                                          int64_t ttl_ns, hr_cache_ref *ret_ref);

/* Publishes a reserved value, in the place of what is under its key. `ref->size` says how many bytes of it were
 * written: made smaller than what was reserved, the rest is given back, and `ref->data` may have moved. The value is
 * not written any more; it stays borrowed, as after a get, until hr_cache_release().
 *
 * returns  0; -EALREADY: it was committed before, or never reserved; -EINVAL: it is larger than what was reserved, or
 *          an empty reference. It never fails for want of memory
 * threads  any, also another one than reserved
 * memory   never allocates from the budget
 */
HR_API HR_MUST_CHECK int hr_cache_commit(hr_cache *cache, hr_cache_ref *ref);

/* A value that stays the caller's. */
typedef struct hr_cache_held {
    const void *data; /* what a get gives */
    size_t size;
    uint64_t bytes; /* what it costs, charged to the cache's budget by the caller already: hr_alloc_cost() */
    int64_t ttl_ns; /* as for hr_cache_put() */

    /* Frees it, and uncharges what it cost. Called once nobody borrows it and it is no longer in the cache, with no
     * lock held, on any thread, also inside of relief. NULL: nothing is done. */
    void (*drop)(void *context, const void *data);
    void *context; /* for drop */
} hr_cache_held;

/* As hr_cache_put(), for a value that is not copied. Since its bytes are charged already, it is taken in at any level:
 * ask hr_cache_make_room() before taking memory for it. On failure `drop` is not called: it is still the caller's.
 *
 * returns  0; 1 if it has replaced another; -E2BIG, -EDQUOT, -ENOMEM, -EINVAL
 * threads  any
 * memory   allocates the entry; may run reclaimers and the guard's callback
 */
HR_API HR_MUST_CHECK int hr_cache_put_held(hr_cache *cache, const void *key, size_t key_size,
                                           const hr_cache_held *held);

/* Evicts what a put of `bytes` would have to evict now: nothing while the cache may grow, as much as it brings from
 * half way to degraded on. For those who charge memory themselves.
 *
 * returns  bytes evicted
 * threads  any; not under a lock that a `drop` takes
 */
HR_API uint64_t hr_cache_make_room(hr_cache *cache, uint64_t bytes);

/* Finds an entry and borrows it. With `load` a miss loads it, or waits for another thread that does.
 *
 * returns  0; -ENOENT; with `load` also what it returned, -EDQUOT, -E2BIG, -ENOMEM, -ETIMEDOUT, -EDEADLK; -EINVAL
 * threads  any; a load runs on this one
 * memory   allocates only to load
 * cost     a hash of the key; for a hit no lock, no atomic, and nothing written that another thread reads. That holds
 *          for five references of a thread at a time, with restartable sequences: `headroom doctor` says whether there
 *          are any
 * undo     hr_cache_release(); once for each get: a copy of a reference is the same reference
 */
HR_API HR_MUST_CHECK int hr_cache_get(hr_cache *cache, const void *key, size_t key_size, hr_cache_ref *ret_ref);

/* Gives a borrowed value back. Twice is harmless, and so is an empty one. A value that is reserved and not committed is
 * thrown away.
 *
 * threads  any, also another one than borrowed
 */
HR_API void hr_cache_release(hr_cache *cache, hr_cache_ref *ref);

/* Supplies the value from within a load, once; it is copied. `ttl_ns` as for hr_cache_put().
 *
 * returns  0; -EALREADY; -E2BIG, -EDQUOT, -ENOMEM: a load returns that error
 * threads  the one that loads
 */
HR_API HR_MUST_CHECK int hr_cache_supply(hr_cache_loading *loading, const void *value, size_t value_size,
                                         int64_t ttl_ns);

/* Takes an entry out. A thread that has borrowed it keeps it. A load of the key that is under way is not kept.
 *
 * While several threads read, up to 64 entries of 16 KiB together that were removed, replaced or evicted stay charged:
 * another thread may still look at them. They go with the next ones, with the janitor, or when memory is short.
 *
 * returns  0; -ENOENT; -EINVAL
 * threads  any
 */
HR_API int hr_cache_remove(hr_cache *cache, const void *key, size_t key_size);

/* Takes all entries out.
 *
 * threads  any
 */
HR_API void hr_cache_clear(hr_cache *cache);

/* Evicts the coldest entries until `want_bytes` are free, as the guard would.
 *
 * returns  bytes evicted; fewer where the rest is borrowed
 * threads  any
 */
HR_API uint64_t hr_cache_trim(hr_cache *cache, uint64_t want_bytes);

/* Called for an entry, which is borrowed meanwhile, with no lock held. Anything else than 0 ends the walk. */
typedef int hr_cache_walk_fn(void *context, const void *key, size_t key_size, const hr_cache_ref *value);

/* Visits the entries, in no order. Entries that come or go meanwhile may be visited or not, and entries that eviction
 * moves may be visited twice.
 *
 * returns  0; what `visit` returned to end it; -EINVAL
 * threads  any; the callback may use the cache
 * memory   never allocates
 */
HR_API int hr_cache_walk(hr_cache *cache, hr_cache_walk_fn *visit, void *context);

/* Reads the figures.
 *
 * returns  0; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_cache_read(hr_cache *cache, hr_cache_figures *ret_figures);

#ifndef HR_NO_SIZES_ /* see base.h */

HR_SIZED_ int hr_cache_new(hr_guard *guard, const hr_cache_options *options, hr_cache **ret_cache)
{
    return hr_sized_(HR_SIZED_CACHE_NEW_, guard, options, ret_cache, HR_SIZES_(sizeof *options, 0));
}

HR_SIZED_ int hr_cache_read(hr_cache *cache, hr_cache_figures *ret_figures)
{
    return hr_sized_(HR_SIZED_CACHE_READ_, cache, NULL, ret_figures, HR_SIZES_(0, sizeof *ret_figures));
}

#endif

#ifdef __cplusplus
}
#endif

#endif
