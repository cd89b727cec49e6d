/* SPDX-License-Identifier: Apache-2.0 */
/* The trees of tests/fixtures/layouts: machines and containers as their /proc and /sys describe them, and the figures
 * that must come out. Each is one text file; its README has the format. */
#ifndef HRT_SUPPORT_LAYOUTS_H
#define HRT_SUPPORT_LAYOUTS_H

#include "support/world.h"

#include <headroom/base.h>

#include <limits.h>

#define HRT_TEXT_BYTES 512

/* What expected.json says. Counts that are null are HR_NONE, texts "", the version 0. */
typedef struct hrt_layout {
    char name[64];
    char path[PATH_MAX];
    uint64_t limit_bytes;
    char limit_source[HRT_TEXT_BYTES];
    uint64_t cgroup_version;
    char cgroup_path[HRT_TEXT_BYTES];
    uint64_t cgroup_bytes;
    uint64_t cgroup_cache_bytes;
    char level[16];
    char findings[HRT_TEXT_BYTES]; /* their names, with a space between two */
} hrt_layout;

/* Calls `visit` for each layout. Gives their number. */
unsigned hrt_layouts_each(void (*visit)(const hrt_layout *layout));

/* Unpacks a layout's tree into a world. */
void hrt_layout_unpack(const hrt_layout *layout, const hrt_world *world);

/* Calls `visit` for each file of a world, with its path in the world and its size. */
typedef void hrt_file_fn(const char *path, size_t size, void *context);
void hrt_world_each(const hrt_world *world, hrt_file_fn *visit, void *context);

/* Reads a file of a world and terminates it. Gives its length. */
size_t hrt_world_read(const hrt_world *world, const char *path, char *buffer, size_t size);

/* Cuts each file of each layout at each `step`th byte, and each of its first and last ones. No half-read number may
 * come out. Gives 0, or 1 once it has printed the offences. */
unsigned hrt_layouts_cut(size_t step);

/* Makes each file of each layout in turn unreadable, absent and a folder. Gives 0, or 1 once it has printed the
 * offences. */
unsigned hrt_layouts_hide(void);

#endif
