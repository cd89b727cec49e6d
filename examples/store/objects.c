/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table of chains whose size is fixed at start, so that it never needs memory later, and a list by use.
 *
 * Invariant: an object is in a chain, in the list and in the figures, or in none of them; the shelf holds one reference
 * while it is. Locking: the shelf's lock covers chains, list, references and figures. Memory is taken before it and
 * given back after it, since both may run code of the guard's that evicts here.
 */
#include "objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Chains are short while objects are larger than this on average; smaller ones only make them longer. */
#define BYTES_PER_BUCKET 8192
#define BUCKETS_MIN 1024
#define BUCKETS_MAX (UINT32_C(1) << 24)
/* How many objects leave the table under one hold of the lock. */
#define EVICT_BATCH 32

static uint32_t hash_key(const char *key, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a: keys are short */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)key[i]) * 0x100000001b3;
    return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t bucket_count(void)
{
    hr_figures figures = {.limit_bytes = UINT64_C(1) << 30};
    if (memory_guard())
        hr_guard_read(memory_guard(), &figures);
    uint32_t count = BUCKETS_MIN;
    while (count < BUCKETS_MAX && count < figures.limit_bytes / BYTES_PER_BUCKET)
        count *= 2;
    return count;
}

int shelf_open(struct shelf *shelf, const char *name, hr_budget *budget, bool yields)
{
    uint32_t count = bucket_count();
    *shelf = (struct shelf){.name = name, .budget = budget, .yields = yields, .bucket_mask = count - 1};
    shelf->buckets =
        budget ? hr_calloc(budget, count, sizeof(struct object *)) : calloc(count, sizeof(struct object *));
    if (!shelf->buckets)
        return -errno;
    return -pthread_mutex_init(&shelf->lock, NULL);
}

void shelf_close(struct shelf *shelf)
{
    if (!shelf->buckets)
        return;
    for (struct object *object = shelf->newest, *older; object; object = older) {
        older = object->older;
        object_free(object);
    }
    memory_give(shelf->buckets);
    pthread_mutex_destroy(&shelf->lock);
    *shelf = (struct shelf){0};
}

uint64_t object_cost(size_t key_size, uint64_t body_bytes)
{
    return memory_footprint(sizeof(struct object) + key_size) +
           (body_bytes == BODY_LENGTH_UNKNOWN ? 0 : body_cost(body_bytes));
}

struct object *object_new(hr_ticket *ticket, const char *key, size_t key_size)
{
    struct object *object = memory_take(ticket, sizeof *object + key_size);
    if (!object)
        return NULL;
    *object = (struct object){.references = 1, .hash = hash_key(key, key_size), .key_size = (uint8_t)key_size};
    memcpy(object->key, key, key_size);
    return object;
}

void object_free(struct object *object)
{
    if (!object)
        return;
    body_free(&object->body);
    memory_give(object);
}

/* ── the table and the list, under the lock ─────────────────────────────────────────────────────────────────────── */

static struct object **bucket_of(struct shelf *shelf, uint32_t hash)
{
    return &shelf->buckets[hash & shelf->bucket_mask];
}

static struct object *find(struct shelf *shelf, const char *key, size_t key_size)
{
    uint32_t hash = hash_key(key, key_size);
    struct object *object = *bucket_of(shelf, hash);
    while (object && (object->hash != hash || object->key_size != key_size || memcmp(object->key, key, key_size) != 0))
        object = object->next_in_bucket;
    return object;
}

static void list_add(struct shelf *shelf, struct object *object)
{
    object->newer = NULL;
    object->older = shelf->newest;
    *(shelf->newest ? &shelf->newest->newer : &shelf->oldest) = object;
    shelf->newest = object;
}

static void list_remove(struct shelf *shelf, struct object *object)
{
    *(object->newer ? &object->newer->older : &shelf->newest) = object->older;
    *(object->older ? &object->older->newer : &shelf->oldest) = object->newer;
}

/* Takes an object off the shelf. Returns it if the shelf's reference was the last one: the caller frees it after the
 * lock. */
static struct object *take_off(struct shelf *shelf, struct object *object)
{
    struct object **link = bucket_of(shelf, object->hash);
    while (*link != object)
        link = &(*link)->next_in_bucket;
    *link = object->next_in_bucket;
    list_remove(shelf, object);
    shelf->figures.objects--;
    shelf->figures.bytes -= object->body.size_bytes;
    return --object->references == 0 ? object : NULL;
}

/* ── the shelf ──────────────────────────────────────────────────────────────────────────────────────────────────── */

bool shelf_put(struct shelf *shelf, struct object *object)
{
    pthread_mutex_lock(&shelf->lock);
    struct object *old = find(shelf, object->key, object->key_size);
    bool replaced = old;
    if (old)
        old = take_off(shelf, old);
    struct object **link = bucket_of(shelf, object->hash);
    object->next_in_bucket = *link;
    *link = object;
    list_add(shelf, object);
    shelf->figures.objects++;
    shelf->figures.bytes += object->body.size_bytes;
    pthread_mutex_unlock(&shelf->lock);
    object_free(old);
    return replaced;
}

struct object *shelf_get(struct shelf *shelf, const char *key, size_t key_size)
{
    pthread_mutex_lock(&shelf->lock);
    struct object *object = find(shelf, key, key_size);
    if (object) {
        object->references++;
        list_remove(shelf, object);
        list_add(shelf, object);
    }
    pthread_mutex_unlock(&shelf->lock);
    return object;
}

void shelf_release(struct shelf *shelf, struct object *object)
{
    pthread_mutex_lock(&shelf->lock);
    bool last = --object->references == 0;
    pthread_mutex_unlock(&shelf->lock);
    if (last)
        object_free(object);
}

bool shelf_remove(struct shelf *shelf, const char *key, size_t key_size)
{
    pthread_mutex_lock(&shelf->lock);
    struct object *object = find(shelf, key, key_size);
    bool found = object;
    if (object)
        object = take_off(shelf, object);
    pthread_mutex_unlock(&shelf->lock);
    object_free(object);
    return found;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Takes up to a batch of idle objects off the shelf, oldest first, that together cost at least `want_bytes`. They are
 * returned as a chain. The walk passes at most one busy object for each open connection. */
static struct object *take_oldest(struct shelf *shelf, uint64_t want_bytes, uint64_t *ret_bytes)
{
    struct object *taken = NULL;
    uint64_t bytes = 0;
    pthread_mutex_lock(&shelf->lock);
    struct object *object = shelf->oldest;
    for (int left = EVICT_BATCH; object && left > 0 && bytes < want_bytes;) {
        struct object *newer = object->newer;
        if (object->references == 1) {
            take_off(shelf, object);
            shelf->figures.evictions++;
            bytes += object_cost(object->key_size, object->body.size_bytes);
            object->next_in_bucket = taken;
            taken = object;
            left--;
        }
        object = newer;
    }
    pthread_mutex_unlock(&shelf->lock);
    *ret_bytes = bytes;
    return taken;
}

uint64_t shelf_yield(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    struct shelf *shelf = context;
    uint64_t freed = 0;
    while (freed < want_bytes) {
        uint64_t bytes;
        struct object *taken = take_oldest(shelf, want_bytes - freed, &bytes);
        if (!taken)
            break;
        for (struct object *next; taken; taken = next) {
            next = taken->next_in_bucket;
            object_free(taken);
        }
        freed += bytes;
        if (now_ns() >= deadline_ns)
            break;
    }
    return freed;
}

void shelf_read(struct shelf *shelf, struct shelf_figures *ret_figures)
{
    pthread_mutex_lock(&shelf->lock);
    *ret_figures = shelf->figures;
    pthread_mutex_unlock(&shelf->lock);
}
