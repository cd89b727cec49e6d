/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes of bytes, with a secret seed, so that nobody can choose keys that collide. Words are folded by a
 * multiplication of 64 × 64 bits, as in Wang Yi's wyhash. */
#ifndef HRI_BASE_HASH_H
#define HRI_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hri_hash_fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hri_hash(const void *bytes, size_t size, uint64_t seed)
{
    const unsigned char *at = bytes;
    uint64_t hash = seed ^ size, word;
    for (size_t left = size; left > 0;) {
        size_t part = left < sizeof word ? left : sizeof word;
        word = 0;
        if (part == sizeof word)
            memcpy(&word, at, sizeof word);
        else
            memcpy(&word, at, part);
        hash = hri_hash_fold(hash ^ UINT64_C(0xa0761d6478bd642f), word ^ UINT64_C(0xe7037ed1a0b428db) ^ seed);
        at += part;
        left -= part;
    }
    return hri_hash_fold(hash ^ seed, UINT64_C(0x8ebc6af09c88c6e3));
}

#endif
