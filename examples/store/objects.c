/* SPDX-License-Identifier: Apache-2.0 */
/* Two shelves. Objects that may be evicted are in a cache of headroom's, which writes, keeps and drops their bytes: it
 * evicts when the guard asks, except for what is being sent. Pinned objects are in a table of uthash. The table's own
 * memory is plain malloc's, some bytes an object. Nobody charges it, but the guard sees it in the resident set.
 *
 * A body is in one piece, which it is written to once, as it comes: room that the cache has reserved, or a block of the
 * pinned budget's. Only one whose length nobody names moves, when its room is full.
 *
 * Invariant: a pinned object is in its shelf and in the shelf's bytes, or in neither.
 * Locking: none. One thread serves; the cache has locks of its own.
 */
#include "store.h"

#include <errno.h>
#include <string.h>

struct shelf shelves[SHELF_COUNT] = {
    [SHELF_CACHE] = {.name = "cache"},
    [SHELF_PINNED] = {.name = "pinned"},
};

int shelves_open(void)
{
    shelves[SHELF_CACHE].budget = memory.cache;
    shelves[SHELF_PINNED].budget = memory.pinned;
    hr_cache_options options = {.name = "cache", .budget = memory.cache, .max_bytes = HR_NONE, .shards = 1};
    return hr_cache_new(memory.guard, &options, &shelves[SHELF_CACHE].cache);
}

void shelves_close(void)
{
    struct shelf *pinned = &shelves[SHELF_PINNED];
    while (pinned->objects)
        shelf_remove(pinned, pinned->objects->key);
    hr_cache_free(shelves[SHELF_CACHE].cache);
}

/* ── drafts ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

uint64_t object_cost(const struct shelf *shelf, uint64_t size_bytes)
{
    return size_bytes + (shelf->cache ? KEY_MAX : sizeof(struct object));
}

/* The bytes that are there already move to the new room; the old one is given back. */
static int grow_cached(struct draft *draft, uint64_t room_bytes)
{
    hr_cache_ref ref;
    hr_cache *cache = draft->shelf->cache;
    int error = hr_cache_reserve(cache, draft->key, strlen(draft->key), room_bytes, 0, &ref);
    if (error)
        return error;
    if (draft->size_bytes)
        memcpy(ref.data, draft->bytes, draft->size_bytes);
    hr_cache_release(cache, &draft->ref);
    draft->ref = ref;
    draft->bytes = ref.data;
    return 0;
}

static int grow_pinned(struct draft *draft, hr_ticket *ticket, uint64_t room_bytes)
{
    size_t size = sizeof(struct object) + room_bytes;
    struct object *object = draft->object;
    if (object) { /* a block that grows is charged by itself */
        hr_ticket_release(ticket);
        object = memory_resize(draft->shelf->budget, object, size);
    } else if ((object = memory_take(ticket, size)) != NULL) {
        *object = (struct object){.references = 1};
        memcpy(object->key, draft->key, sizeof object->key);
    }
    if (!object)
        return -errno;
    draft->object = object;
    draft->bytes = object->bytes;
    return 0;
}

int draft_grow(struct draft *draft, hr_ticket *ticket, uint64_t room_bytes)
{
    int error = draft->shelf->cache ? grow_cached(draft, room_bytes) : grow_pinned(draft, ticket, room_bytes);
    if (!error)
        draft->room_bytes = room_bytes;
    return error;
}

void draft_drop(struct draft *draft)
{
    if (draft->shelf->cache)
        hr_cache_release(draft->shelf->cache, &draft->ref);
    else
        memory_give(draft->object);
    draft->object = NULL;
    draft->bytes = NULL;
}

static int put_cached(struct draft *draft)
{
    hr_cache_ref old;
    hr_cache *cache = draft->shelf->cache;
    bool replaced = hr_cache_get(cache, draft->key, strlen(draft->key), &old) == 0;
    if (replaced)
        hr_cache_release(cache, &old);
    draft->ref.size = draft->size_bytes;
    int error = hr_cache_commit(cache, &draft->ref);
    if (!error)
        hr_cache_release(cache, &draft->ref);
    return error ? error : replaced;
}

static void object_release(struct object *object)
{
    if (--object->references == 0)
        memory_give(object);
}

static int put_pinned(struct draft *draft)
{
    struct object *old, *object = draft->object;
    struct shelf *shelf = draft->shelf;
    if (draft->size_bytes < draft->room_bytes)
        object = memory_resize(shelf->budget, object, sizeof *object + draft->size_bytes);
    if (!object)
        return -errno;
    draft->object = object;
    object->size_bytes = draft->size_bytes;
    HASH_FIND_STR(shelf->objects, object->key, old);
    HASH_ADD_KEYPTR(hh, shelf->objects, object->key, strlen(object->key), object);
    if (!object->hh.tbl)
        return -ENOMEM; /* the old one stays */
    draft->object = NULL;
    shelf->bytes += object->size_bytes;
    if (!old)
        return 0;
    HASH_DEL(shelf->objects, old);
    shelf->bytes -= old->size_bytes;
    object_release(old);
    return 1;
}

int draft_put(struct draft *draft)
{
    int result = draft->shelf->cache ? put_cached(draft) : put_pinned(draft);
    if (result >= 0)
        draft->bytes = NULL;
    return result;
}

/* ── objects ────────────────────────────────────────────────────────────────────────────────────────────────────── */

bool shelf_lend(struct shelf *shelf, const char *key, struct loan *ret_loan)
{
    struct loan loan = {.shelf = shelf};
    if (shelf->cache) {
        if (hr_cache_get(shelf->cache, key, strlen(key), &loan.ref) != 0)
            return false;
        loan.bytes = loan.ref.data;
        loan.size_bytes = loan.ref.size;
    } else {
        HASH_FIND_STR(shelf->objects, key, loan.object);
        if (!loan.object)
            return false;
        loan.object->references++;
        loan.bytes = loan.object->bytes;
        loan.size_bytes = loan.object->size_bytes;
    }
    *ret_loan = loan;
    return true;
}

void loan_release(struct loan *loan)
{
    if (loan->object)
        object_release(loan->object);
    else
        hr_cache_release(loan->shelf->cache, &loan->ref);
}

bool shelf_remove(struct shelf *shelf, const char *key)
{
    if (shelf->cache)
        return hr_cache_remove(shelf->cache, key, strlen(key)) == 0;
    struct object *object;
    HASH_FIND_STR(shelf->objects, key, object);
    if (object) {
        HASH_DEL(shelf->objects, object);
        shelf->bytes -= object->size_bytes;
        object_release(object);
    }
    return object != NULL;
}

static int add_size(void *context, const void *key, size_t key_size, const hr_cache_ref *value)
{
    (void)key, (void)key_size;
    *(uint64_t *)context += value->size;
    return 0;
}

void shelf_read(struct shelf *shelf, struct shelf_figures *ret_figures)
{
    hr_cache_figures cache = {.entries = HASH_COUNT(shelf->objects)};
    *ret_figures = (struct shelf_figures){.bytes = shelf->bytes};
    if (shelf->cache) {
        hr_cache_read(shelf->cache, &cache);
        hr_cache_walk(shelf->cache, add_size, &ret_figures->bytes);
    }
    ret_figures->objects = cache.entries;
    ret_figures->evictions = cache.evicted_full + cache.evicted_level + cache.evicted_relief;
}
