/* SPDX-License-Identifier: Apache-2.0 */
/* Two shelves. What may be evicted is in a cache of headroom's: it yields when the guard asks, never what is being sent,
 * and calls let_go() for what has left it. What is pinned is in a table of uthash, whose own memory is plain malloc's:
 * some bytes an object, not charged, but the guard sees them in what is resident.
 *
 * Invariant: an object is in its shelf and in the shelf's bytes, or in neither.
 * Locking: none. One thread serves; the cache has locks of its own.
 */
#include "store.h"

#include <errno.h>
#include <string.h>

/* What the library's header and malloc's word take of each piece of memory. */
#define OVERHEAD_BYTES 40
#define BLOCK_ROOM ((uint64_t)(BLOCK_BYTES - OVERHEAD_BYTES - sizeof(struct block)))

struct shelf shelves[SHELF_COUNT] = {
    [SHELF_CACHE] = {.name = "cache"},
    [SHELF_PINNED] = {.name = "pinned"},
};

/* An estimate is enough: what it misses is charged when the memory is taken. */
static uint64_t footprint(uint64_t size)
{
    return (size + OVERHEAD_BYTES + 15) & ~UINT64_C(15);
}

uint64_t object_cost(const char *key, uint64_t size_bytes)
{
    uint64_t rest = size_bytes % BLOCK_ROOM;
    return footprint(sizeof(struct object) + strlen(key) + 1) + size_bytes / BLOCK_ROOM * BLOCK_BYTES +
           (rest ? footprint(sizeof(struct block) + rest) : 0);
}

struct object *object_new(hr_ticket *ticket, const char *key)
{
    size_t key_size = strlen(key) + 1;
    struct object *object = memory_take(ticket, sizeof *object + key_size);
    if (!object)
        return NULL;
    *object = (struct object){.references = 1};
    memcpy(object->key, key, key_size);
    return object;
}

/* Hangs a new block behind the last one. */
static struct block *add_block(struct object *object, hr_ticket *ticket, uint64_t room)
{
    if (room > BLOCK_ROOM)
        room = BLOCK_ROOM;
    struct block *block = memory_take(ticket, sizeof *block + room);
    if (!block)
        return NULL;
    *block = (struct block){.room = (uint32_t)room};
    *(object->last ? &object->last->next : &object->first) = block;
    object->last = block;
    return block;
}

bool object_append(struct object *object, hr_ticket *ticket, uint64_t length_bytes, const char *bytes, size_t size)
{
    while (size > 0) {
        uint64_t room = length_bytes - object->size_bytes;
        if (length_bytes == LENGTH_UNKNOWN) /* what is at hand; but it may come byte by byte */
            room = size > object->size_bytes / 8 ? size : object->size_bytes / 8;
        struct block *block = object->last;
        if (!block || block->size == block->room)
            block = add_block(object, ticket, room);
        if (!block)
            return false;
        uint32_t part = block->room - block->size;
        if (part > size)
            part = (uint32_t)size;
        memcpy(block->bytes + block->size, bytes, part);
        block->size += part;
        object->size_bytes += part;
        bytes += part;
        size -= part;
    }
    return true;
}

static void object_free(struct object *object)
{
    for (struct block *block = object->first, *next; block; block = next) {
        next = block->next;
        memory_give(block);
    }
    memory_give(object);
}

void object_release(void *released)
{
    struct object *object = released;
    if (!object)
        return;
    hr_cache_ref ref = object->lent;
    if (ref.entry_)
        hr_cache_release(object->shelf->cache, &ref);
    else if (--object->references == 0)
        object_free(object);
}

/* The cache has evicted, replaced or removed an object, and nobody reads it: any thread. */
static void let_go(void *context, const void *data)
{
    struct shelf *shelf = context;
    struct object *object = (struct object *)(uintptr_t)data;
    shelf->bytes -= object->size_bytes;
    object_free(object);
}

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

static int put_cached(struct shelf *shelf, struct object *object)
{
    hr_cache_held held = {
        .data = object,
        .bytes = object_cost(object->key, object->size_bytes),
        .drop = let_go,
        .context = shelf,
    };
    return hr_cache_put_held(shelf->cache, object->key, strlen(object->key), &held);
}

static int put_pinned(struct shelf *shelf, struct object *object)
{
    struct object *old;
    HASH_FIND_STR(shelf->objects, object->key, old);
    HASH_ADD_KEYPTR(hh, shelf->objects, object->key, strlen(object->key), object);
    if (!object->hh.tbl)
        return -ENOMEM; /* the old one stays */
    if (!old)
        return 0;
    HASH_DEL(shelf->objects, old);
    shelf->bytes -= old->size_bytes;
    object_release(old);
    return 1;
}

int shelf_put(struct shelf *shelf, struct object *object)
{
    shelf->bytes += object->size_bytes; /* first, since it may be evicted at once */
    object->shelf = shelf;
    int result = shelf->cache ? put_cached(shelf, object) : put_pinned(shelf, object);
    if (result < 0)
        shelf->bytes -= object->size_bytes;
    return result;
}

struct object *shelf_get(struct shelf *shelf, const char *key)
{
    struct object *object;
    hr_cache_ref ref;
    if (shelf->cache) {
        if (hr_cache_get(shelf->cache, key, strlen(key), &ref) != 0)
            return NULL;
        object = (struct object *)(uintptr_t)ref.data;
        object->lent = ref;
    } else {
        HASH_FIND_STR(shelf->objects, key, object);
        if (object)
            object->references++;
    }
    return object;
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

void shelf_read(struct shelf *shelf, struct shelf_figures *ret_figures)
{
    hr_cache_figures cache = {.entries = HASH_COUNT(shelf->objects)};
    if (shelf->cache)
        hr_cache_read(shelf->cache, &cache);
    ret_figures->objects = cache.entries;
    ret_figures->bytes = shelf->bytes;
    ret_figures->evictions = cache.evicted_full + cache.evicted_level + cache.evicted_relief;
}
