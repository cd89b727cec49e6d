/* SPDX-License-Identifier: Apache-2.0 */
/* A world of our own for tests: a root directory whose /proc and /sys say what the test writes there, and a clock that
 * goes when the test says so. */
#ifndef HRT_SUPPORT_WORLD_H
#define HRT_SUPPORT_WORLD_H

#include "base/clock.h"

typedef struct hrt_world {
    char root[64];
    int64_t now_ns;
    hri_clock clock; /* reads now_ns */
} hrt_world;

/* Makes an empty world at second 1,000. */
void hrt_world_new(hrt_world *world);
void hrt_world_free(hrt_world *world);

/* Writes a file, with the folders that lead to it. An open file sees its new content. */
void hrt_world_write(const hrt_world *world, const char *path, const char *text);

/* Writes what this world's process and host have: resident (all of it anonymous) and available bytes. */
void hrt_world_set_process(const hrt_world *world, uint64_t resident_bytes, uint64_t available_bytes);

/* Puts the process into a v2 group /app of 100 MiB, and sets what that group uses. */
void hrt_world_set_group(const hrt_world *world, uint64_t limit_bytes, uint64_t anonymous_bytes, uint64_t cache_bytes);

#endif
