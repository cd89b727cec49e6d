/* SPDX-License-Identifier: Apache-2.0 */
/* The map that people write themselves: a table of uthash and a lock, the least recently used goes first. The peer of
 * hr_cache. */
#ifndef BENCH_LRU_MAP_H
#define BENCH_LRU_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lru_map lru_map;

/* Makes a map that keeps to `max_bytes`, footprints of entries and table included. */
lru_map *lru_map_new(uint64_t max_bytes);
void lru_map_free(lru_map *map);

void lru_map_put(lru_map *map, const void *key, size_t key_size, const void *value, size_t value_size);

/* Copies a value out under the lock: it may be gone after it. False: there is none. */
bool lru_map_get(lru_map *map, const void *key, size_t key_size, void *ret_value, size_t size);

/* The bytes of entries and table now. */
uint64_t lru_map_bytes(const lru_map *map);

#endif
