/* SPDX-License-Identifier: Apache-2.0 */
#include "lru_map.h"

#include "bench.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
    UT_hash_handle hh;
    uint32_t key_size, value_size;
    unsigned char bytes[]; /* key, value */
};

struct lru_map {
    pthread_mutex_t lock;
    struct entry *entries; /* the least recently used first */
    uint64_t entry_bytes, max_bytes;
};

static uint64_t footprint(void *block)
{
    return malloc_usable_size(block) + sizeof(size_t);
}

lru_map *lru_map_new(uint64_t max_bytes)
{
    lru_map *map = calloc(1, sizeof *map);
    bench_require(map != NULL, "calloc");
    pthread_mutex_init(&map->lock, NULL);
    map->max_bytes = max_bytes;
    return map;
}

uint64_t lru_map_bytes(const lru_map *map)
{
    return map->entry_bytes +
           (map->entries ? HASH_OVERHEAD(hh, map->entries) - HASH_COUNT(map->entries) * sizeof(UT_hash_handle) : 0);
}

static void drop(lru_map *map, struct entry *entry)
{
    HASH_DEL(map->entries, entry);
    map->entry_bytes -= footprint(entry);
    free(entry);
}

void lru_map_free(lru_map *map)
{
    while (map->entries)
        drop(map, map->entries);
    free(map);
}

static struct entry *find(lru_map *map, const void *key, size_t key_size)
{
    struct entry *entry;
    HASH_FIND(hh, map->entries, key, (unsigned)key_size, entry);
    return entry;
}

void lru_map_put(lru_map *map, const void *key, size_t key_size, const void *value, size_t value_size)
{
    struct entry *entry = malloc(sizeof *entry + key_size + value_size);
    bench_require(entry != NULL, "malloc");
    entry->key_size = (uint32_t)key_size;
    entry->value_size = (uint32_t)value_size;
    memcpy(entry->bytes, key, key_size);
    memcpy(entry->bytes + key_size, value, value_size);
    pthread_mutex_lock(&map->lock);
    struct entry *old = find(map, key, key_size);
    if (old)
        drop(map, old);
    HASH_ADD_KEYPTR(hh, map->entries, entry->bytes, (unsigned)key_size, entry);
    map->entry_bytes += footprint(entry);
    while (lru_map_bytes(map) > map->max_bytes)
        drop(map, map->entries);
    pthread_mutex_unlock(&map->lock);
}

bool lru_map_get(lru_map *map, const void *key, size_t key_size, void *ret_value, size_t size)
{
    pthread_mutex_lock(&map->lock);
    struct entry *entry = find(map, key, key_size);
    if (entry) {
        memcpy(ret_value, entry->bytes + entry->key_size, size < entry->value_size ? size : entry->value_size);
        HASH_DEL(map->entries, entry);
        HASH_ADD_KEYPTR(hh, map->entries, entry->bytes, entry->key_size, entry);
    }
    pthread_mutex_unlock(&map->lock);
    return entry != NULL;
}
