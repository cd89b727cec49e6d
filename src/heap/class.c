/* SPDX-License-Identifier: Apache-2.0 */
/* The tables are constants, so that blocks are there before main() and before any constructor. */
#include "heap/class.h"

#define KIB 1024u

const uint32_t hri_heap_class_bytes[64] = {
    16,       32,       48,        64,        80,       96,  112, 128, /* one in each granule */
    144,      160,      176,       192,       208,      224, 240,      /* */
    272,      304,      336,       368,       400,      432, 464, 496, /* every other one */
    528,      640,      768,       896,                                /* from here on four in each doubling */
    1040,     1280,     1536,      1792,                               /* */
    2064,     2560,     3072,      3584,                               /* */
    4112,     5120,     6144,      7168,                               /* */
    8208,     10240,    12288,     14336,     16384,                   /* the last of those with a word in front */
    16 * KIB, 20 * KIB, 24 * KIB,  28 * KIB,  32 * KIB,                /* whole pages */
    36 * KIB, 40 * KIB, 44 * KIB,  48 * KIB,                           /* eight in this doubling */
    52 * KIB, 56 * KIB, 60 * KIB,  64 * KIB,                           /* */
    80 * KIB, 96 * KIB, 112 * KIB, 128 * KIB,                          /* four in this one */
};

/* By granules: the smallest class that has as many. */
const uint8_t hri_heap_small_classes[65] = {
    0,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 15, 16, 16, 17, 17,
    18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 23, 23, 24, 24, 24, 24, 24, 24, 24, 25, 25, 25,
    25, 25, 25, 25, 25, 26, 26, 26, 26, 26, 26, 26, 26, 27, 27, 27, 27, 27, 27, 27, 27,
};
