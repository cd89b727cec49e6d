/* SPDX-License-Identifier: Apache-2.0 */
/* A shelf is a table of uthash, which keeps its entries in the order in which they were added: the oldest is its head,
 * and an object that is used is taken off and added again.
 *
 * Invariant: an object is in the table and in the shelf's bytes or in neither; the shelf holds a reference meanwhile.
 * Locking: the shelf's lock covers the table. Memory of the guard's is taken before it and given back after it, since
 * both may run the reclaimer, which takes it. uthash's own tables are plain malloc's: some bytes an object, not charged,
 * but the guard sees them in what is resident.
 */
#include "store.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* What the library's header and malloc's word take of each piece of memory. */
#define OVERHEAD_BYTES 40
#define BLOCK_ROOM ((uint64_t)(BLOCK_BYTES - OVERHEAD_BYTES - sizeof(struct block)))

struct shelf shelves[SHELF_COUNT] = {
    [SHELF_CACHE] = {.name = "cache", .yields = true, .lock = PTHREAD_MUTEX_INITIALIZER},
    [SHELF_PINNED] = {.name = "pinned", .lock = PTHREAD_MUTEX_INITIALIZER},
};

/* How the guard asks the cache to yield: on any thread. */
static hr_reclaimer reclaimer = {.name = "cache", .reclaim = shelf_yield, .context = &shelves[SHELF_CACHE]};

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

void object_release(void *released)
{
    struct object *object = released;
    if (!object || atomic_fetch_sub(&object->references, 1) > 1)
        return;
    for (struct block *block = object->first, *next; block; block = next) {
        next = block->next;
        memory_give(block);
    }
    memory_give(object);
}

/* ── the shelf: these three are called under its lock ───────────────────────────────────────────────────────────── */

static bool add(struct shelf *shelf, struct object *object)
{
    HASH_ADD_KEYPTR(hh, shelf->objects, object->key, strlen(object->key), object);
    if (!object->hh.tbl)
        return false;
    shelf->figures.objects++;
    shelf->figures.bytes += object->size_bytes;
    return true;
}

static void take_off(struct shelf *shelf, struct object *object)
{
    HASH_DEL(shelf->objects, object);
    shelf->figures.objects--;
    shelf->figures.bytes -= object->size_bytes;
}

/* Makes an object the newest. Only a shelf that yields needs that order: where the table has no memory to take the
 * object back, it is evicted. The caller holds a reference too. */
static void touch(struct shelf *shelf, struct object *object)
{
    bool newest = !object->hh.next;
    if (!shelf->yields || newest)
        return;
    take_off(shelf, object);
    if (!add(shelf, object)) {
        object->references--;
        shelf->figures.evictions++;
    }
}

int shelves_open(void)
{
    shelves[SHELF_CACHE].budget = reclaimer.budget = memory.cache;
    shelves[SHELF_PINNED].budget = memory.pinned;
    return memory.guard ? hr_reclaimer_add(memory.guard, &reclaimer) : 0;
}

void shelves_close(void)
{
    if (memory.guard)
        hr_reclaimer_remove(memory.guard, &reclaimer);
    for (int i = 0; i < SHELF_COUNT; i++)
        for (struct object *object; (object = shelves[i].objects);) {
            take_off(&shelves[i], object);
            object_release(object);
        }
}

int shelf_put(struct shelf *shelf, struct object *object)
{
    pthread_mutex_lock(&shelf->lock);
    struct object *old;
    HASH_FIND_STR(shelf->objects, object->key, old);
    bool added = add(shelf, object); /* before the old one goes, which stays if this fails */
    if (added && old)
        take_off(shelf, old);
    pthread_mutex_unlock(&shelf->lock);
    if (!added)
        return -ENOMEM;
    object_release(old);
    return old ? 1 : 0;
}

struct object *shelf_get(struct shelf *shelf, const char *key)
{
    pthread_mutex_lock(&shelf->lock);
    struct object *object;
    HASH_FIND_STR(shelf->objects, key, object);
    if (object) {
        object->references++;
        touch(shelf, object);
    }
    pthread_mutex_unlock(&shelf->lock);
    return object;
}

bool shelf_remove(struct shelf *shelf, const char *key)
{
    pthread_mutex_lock(&shelf->lock);
    struct object *object;
    HASH_FIND_STR(shelf->objects, key, object);
    if (object)
        take_off(shelf, object);
    pthread_mutex_unlock(&shelf->lock);
    object_release(object);
    return object != NULL;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

uint64_t shelf_yield(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    struct shelf *shelf = context;
    uint64_t freed_bytes = 0;
    while (freed_bytes < want_bytes && now_ns() < deadline_ns) {
        pthread_mutex_lock(&shelf->lock);
        struct object *object = shelf->objects;
        while (object && object->references > 1)
            object = object->hh.next; /* it is being sent: to take it off would free nothing */
        if (object) {
            take_off(shelf, object);
            shelf->figures.evictions++;
        }
        pthread_mutex_unlock(&shelf->lock);
        if (!object)
            break;
        freed_bytes += object_cost(object->key, object->size_bytes);
        object_release(object);
    }
    return freed_bytes;
}

void shelf_read(struct shelf *shelf, struct shelf_figures *ret_figures)
{
    pthread_mutex_lock(&shelf->lock);
    *ret_figures = shelf->figures;
    pthread_mutex_unlock(&shelf->lock);
}
