/* SPDX-License-Identifier: Apache-2.0 */
/* Two shelves. Objects that may be evicted are in a cache of headroom's. It evicts when the guard asks, except objects
 * that are being sent, and calls let_go() for each object that has left it. Pinned objects are in a table of uthash.
 * The table's own memory is plain malloc's: some bytes an object. Nobody charges it, but the guard sees it in the
 * resident set.
 *
 * Invariant: an object is in its shelf and in the shelf's bytes, or in neither.
 * Locking: none. One thread serves; the cache has locks of its own.
 */
#include "store.h"

#include <errno.h>
#include <string.h>

/* What the library's header and malloc's word take of each piece of memory. */
#define OVERHEAD_BYTES 40

struct shelf shelves[SHELF_COUNT] = {
    [SHELF_CACHE] = {.name = "cache"},
    [SHELF_PINNED] = {.name = "pinned"},
};

/* An estimate is enough: what it misses is charged when the memory is taken. */
static uint64_t footprint(uint64_t size)
{
    return (size + OVERHEAD_BYTES + 15) & ~UINT64_C(15);
}

/* ── blocks ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool is_pooled(const struct shelf *shelf, uint64_t room)
{
    return shelf->bodies && room == BLOCK_ROOM;
}

static uint64_t block_cost(const struct shelf *shelf, uint64_t room)
{
    return is_pooled(shelf, room) ? shelf->block_cost_bytes : footprint(sizeof(struct block) + room);
}

/* A pool charges by itself, in what the ticket gives back for it. */
static struct block *take_block(const struct shelf *shelf, hr_ticket *ticket, uint64_t room)
{
    struct block *block;
    if (is_pooled(shelf, room)) {
        hr_ticket_return(ticket, block_cost(shelf, room));
        block = hr_byte_pool_get(shelf->bodies, BLOCK_BYTES);
    } else {
        block = memory_take(ticket, sizeof *block + room);
    }
    if (block)
        *block = (struct block){.room = (uint32_t)room};
    return block;
}

static void give_block(const struct shelf *shelf, struct block *block)
{
    if (is_pooled(shelf, block->room))
        hr_byte_pool_put(shelf->bodies, block);
    else
        memory_give(block);
}

void shelf_give(const struct shelf *shelf, struct block *block)
{
    for (struct block *next; block; block = next) {
        next = block->next;
        give_block(shelf, block);
    }
}

/* ── objects ────────────────────────────────────────────────────────────────────────────────────────────────────── */

uint64_t object_cost(const struct shelf *shelf, const char *key, uint64_t size_bytes)
{
    uint64_t rest = size_bytes % BLOCK_ROOM;
    return footprint(sizeof(struct object) + strlen(key) + 1) +
           size_bytes / BLOCK_ROOM * block_cost(shelf, BLOCK_ROOM) + (rest ? block_cost(shelf, rest) : 0);
}

struct block *shelf_take_idle(const struct shelf *shelf, uint64_t size_bytes, struct idle *ret_idle)
{
    hr_pool_figures pool;
    *ret_idle = (struct idle){0};
    if (!shelf->bodies || hr_guard_level(memory.guard) != HR_WARNING)
        return NULL;
    for (int i = 0; i < SHELF_COUNT; i++)
        if (&shelves[i] != shelf || size_bytes < BLOCK_ROOM)
            hr_byte_pool_trim(shelves[i].bodies);
    hr_byte_pool_read(shelf->bodies, &pool);
    uint64_t cost = block_cost(shelf, BLOCK_ROOM), count = size_bytes / BLOCK_ROOM;
    struct block *first = NULL, *block;
    hr_ticket none = {0};
    for (; count > 0 && ret_idle->taken_bytes + cost <= pool.idle_bytes; count--) {
        block = take_block(shelf, &none, BLOCK_ROOM);
        if (!block)
            break;
        block->next = first;
        first = block;
        ret_idle->taken_bytes += cost;
    }
    ret_idle->left_bytes = pool.idle_bytes - ret_idle->taken_bytes;
    return first;
}

void shelf_trim(const struct shelf *shelf)
{
    if (shelf->bodies && hr_guard_level(memory.guard) >= HR_WARNING)
        hr_byte_pool_trim(shelf->bodies);
}

struct object *object_new(struct shelf *shelf, hr_ticket *ticket, const char *key)
{
    size_t key_size = strlen(key) + 1;
    struct object *object = memory_take(ticket, sizeof *object + key_size);
    if (!object)
        return NULL;
    *object = (struct object){.shelf = shelf, .references = 1};
    memcpy(object->key, key, key_size);
    return object;
}

void object_add(struct object *object, struct block *block)
{
    if (!block)
        return;
    *(object->last ? &object->last->next : &object->first) = block;
    for (; block; block = block->next) {
        object->last = block;
        object->room_bytes += block->room;
    }
}

/* The block that the next byte goes to. `room` is what a new one has to have at most. */
static struct block *next_block(struct object *object, hr_ticket *ticket, uint64_t room)
{
    struct block *block = object->filling;
    if (block && block->size < block->room)
        return block;
    block = block ? block->next : object->first;
    if (!block) {
        block = take_block(object->shelf, ticket, room < BLOCK_ROOM ? room : BLOCK_ROOM);
        if (!block)
            return NULL;
        object_add(object, block);
    }
    return object->filling = block;
}

bool object_append(struct object *object, hr_ticket *ticket, uint64_t length_bytes, const char *bytes, size_t size)
{
    while (size > 0) {
        struct block *block = next_block(object, ticket, length_bytes - object->size_bytes);
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

void object_fit(struct object *object, hr_ticket *ticket)
{
    struct block *last = object->filling, **link = &object->first;
    if (!last)
        return;
    shelf_give(object->shelf, last->next);
    last->next = NULL;
    object->last = last;
    if (last->size == last->room)
        return;
    struct block *smaller = take_block(object->shelf, ticket, last->size);
    if (!smaller)
        return; /* it stays where it is */
    smaller->size = last->size;
    memcpy(smaller->bytes, last->bytes, last->size);
    while (*link != last)
        link = &(*link)->next;
    *link = object->last = object->filling = smaller;
    give_block(object->shelf, last);
}

static void object_free(struct object *object)
{
    shelf_give(object->shelf, object->first);
    memory_give(object);
}

void object_release(struct object *object)
{
    if (object && --object->references == 0)
        object_free(object);
}

void loan_release(struct loan *loan)
{
    if (loan->ref.entry_)
        hr_cache_release(loan->object->shelf->cache, &loan->ref);
    else
        object_release(loan->object);
}

/* The cache has evicted, replaced or removed an object, and nobody reads it: any thread. */
static void let_go(void *context, const void *data)
{
    struct shelf *shelf = context;
    struct object *object = (struct object *)(uintptr_t)data;
    shelf->bytes -= object->size_bytes;
    object_free(object);
}

/* Bodies are charged to the same budget as the rest of their objects. What a block costs, the pool knows. */
static int open_bodies(struct shelf *shelf)
{
    hr_byte_pool_options options = {.name = shelf->name, .budget = shelf->budget, .size_bytes = BLOCK_BYTES};
    int error = hr_byte_pool_new(memory.guard, &options, &shelf->bodies);
    if (error)
        return error;
    hr_pool_figures figures = {0};
    void *block = hr_byte_pool_get(shelf->bodies, BLOCK_BYTES);
    error = block ? hr_byte_pool_read(shelf->bodies, &figures) : -errno;
    hr_byte_pool_put(shelf->bodies, block);
    if (!error)
        shelf->block_cost_bytes = figures.in_use_bytes;
    return error;
}

int shelves_open(const struct options *options)
{
    shelves[SHELF_CACHE].budget = memory.cache;
    shelves[SHELF_PINNED].budget = memory.pinned;
    for (int i = 0; i < SHELF_COUNT && memory.guard && !options->bodies_by_malloc; i++) {
        int error = open_bodies(&shelves[i]);
        if (error)
            return error;
    }
    hr_cache_options cache_options = {.name = "cache", .budget = memory.cache, .max_bytes = HR_NONE, .shards = 1};
    return hr_cache_new(memory.guard, &cache_options, &shelves[SHELF_CACHE].cache);
}

void shelves_close(void)
{
    struct shelf *pinned = &shelves[SHELF_PINNED];
    while (pinned->objects)
        shelf_remove(pinned, pinned->objects->key);
    hr_cache_free(shelves[SHELF_CACHE].cache);
    for (int i = 0; i < SHELF_COUNT; i++)
        hr_byte_pool_free(shelves[i].bodies);
}

static int put_cached(struct shelf *shelf, struct object *object)
{
    hr_cache_held held = {
        .data = object,
        .bytes = object_cost(shelf, object->key, object->size_bytes),
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
    int result = shelf->cache ? put_cached(shelf, object) : put_pinned(shelf, object);
    if (result < 0)
        shelf->bytes -= object->size_bytes;
    return result;
}

bool shelf_lend(struct shelf *shelf, const char *key, struct loan *ret_loan)
{
    *ret_loan = (struct loan){0};
    if (shelf->cache) {
        if (hr_cache_get(shelf->cache, key, strlen(key), &ret_loan->ref) == 0)
            ret_loan->object = ret_loan->ref.data;
    } else {
        HASH_FIND_STR(shelf->objects, key, ret_loan->object);
        if (ret_loan->object)
            ret_loan->object->references++;
    }
    return ret_loan->object;
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
