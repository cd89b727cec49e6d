/* SPDX-License-Identifier: Apache-2.0 */
/* Address ranges and their states, sorted, in an array of the library's own pages. No lock: mappings.c has one. */
#ifndef HRI_MALLOC_RANGES_H
#define HRI_MALLOC_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum hri_range_state {
    HRI_RANGE_NONE,     /* not mapped anonymously by the program */
    HRI_RANGE_RESERVED, /* mapped, not writable, and holds nothing */
    HRI_RANGE_COUNTED,  /* writable */
    HRI_RANGE_CLOSED,   /* not writable any more, and may hold pages: counted too */
} hri_range_state;

typedef struct hri_range {
    uintptr_t from, to;
    hri_range_state state;
} hri_range;

typedef struct hri_ranges {
    hri_range *all;
    size_t count, capacity;
} hri_ranges;

/* Gives [from, to) a state, and how many bytes of it were counted or closed before. Gives false, with nothing changed, where the
 * array cannot grow. */
bool hri_ranges_set(hri_ranges *ranges, uintptr_t from, uintptr_t to, hri_range_state state, uint64_t *ret_counted);

/* How many bytes of [from, to) have a state. */
uint64_t hri_ranges_sum(const hri_ranges *ranges, uintptr_t from, uintptr_t to, hri_range_state state);

/* The state of one address. */
hri_range_state hri_ranges_at(const hri_ranges *ranges, uintptr_t at);

/* Gives all bytes of [from, to) that are in state `before` the state `after`. */
bool hri_ranges_turn(hri_ranges *ranges, uintptr_t from, uintptr_t to, hri_range_state before, hri_range_state after);

#endif
