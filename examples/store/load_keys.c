/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that the load has written. Nothing of a body is kept: a version's bytes are a function of seed, key and
 * version, and are made again when they are to be compared.
 *
 * Invariant: a key that is not busy has no request under way. Locking: none; one thread drives the load.
 */
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static uint64_t seed_value;
static uint64_t random_state;
static struct load_key *keys;
static size_t key_count;
static size_t key_capacity;

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): each value is a function of its place alone. */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

void load_random_seed(uint64_t seed)
{
    seed_value = seed;
    random_state = mix(seed + 1);
}

uint64_t load_random(void)
{
    return mix(random_state += 0x9e3779b97f4a7c15);
}

double load_random_ratio(void)
{
    return (double)(load_random() >> 11) * 0x1p-53;
}

size_t load_key_add(enum load_class class)
{
    if (key_count == key_capacity) {
        size_t capacity = key_capacity ? key_capacity * 2 : 1024;
        struct load_key *grown = realloc(keys, capacity * sizeof *keys);
        if (!grown)
            return SIZE_MAX;
        keys = grown;
        key_capacity = capacity;
    }
    keys[key_count] = (struct load_key){.class = class};
    return key_count++;
}

struct load_key *load_key_at(size_t index)
{
    return &keys[index];
}

size_t load_key_count(void)
{
    return key_count;
}

size_t load_key_pick(enum load_class class)
{
    for (int tries = 0; tries < 32 && key_count > 0; tries++) {
        size_t index = (size_t)(load_random() % key_count);
        const struct load_key *key = &keys[index];
        if (key->acknowledged.number && !key->busy && (class == LOAD_CLASSES || key->class == class))
            return index;
    }
    return SIZE_MAX;
}

void load_content(size_t index, uint32_t version, uint64_t offset, char *buffer, size_t size)
{
    uint64_t stream = mix(seed_value ^ mix(index * 0x9e3779b97f4a7c15 + version));
    while (size > 0) {
        uint64_t word = mix(stream + offset / 8);
        size_t skip = (size_t)(offset % 8), part = 8 - skip < size ? 8 - skip : size;
        memcpy(buffer, (const char *)&word + skip, part);
        buffer += part;
        offset += part;
        size -= part;
    }
}

static uint64_t digest_of(size_t index, const struct load_version *version)
{
    char buffer[16384];
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return 0;
    XXH3_64bits_reset(state);
    for (uint64_t offset = 0; offset < version->size_bytes;) {
        uint64_t left = version->size_bytes - offset;
        size_t part = left < sizeof buffer ? (size_t)left : sizeof buffer;
        load_content(index, version->number, offset, buffer, part);
        XXH3_64bits_update(state, buffer, part);
        offset += part;
    }
    uint64_t digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return digest;
}

static bool matches(size_t index, const struct load_version *version, uint64_t size_bytes, uint64_t digest)
{
    return version->number && version->size_bytes == size_bytes && digest_of(index, version) == digest;
}

bool load_matches(size_t index, uint64_t size_bytes, uint64_t digest)
{
    const struct load_key *key = &keys[index];
    return matches(index, &key->acknowledged, size_bytes, digest) || matches(index, &key->pending, size_bytes, digest);
}
