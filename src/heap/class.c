/* SPDX-License-Identifier: Apache-2.0 */
/* The tables are constants, so that blocks are there before main() and before any constructor. */
#include "heap/class.h"

#define KIB 1024u

const uint32_t hri_heap_class_bytes[64] = {
    16,        32,        48,        64,        80,       96, 112, 128, /* one in each granule */
    144,       176,       208,       240,                               /* from here on four in each doubling */
    272,       320,       384,       448,                               /* */
    528,       640,       768,       896,                               /* */
    1040,      1280,      1536,      1792,                              /* */
    2064,      2560,      3072,      3584,                              /* */
    4112,      5120,      6144,      7168,                              /* */
    8208,      10240,     12288,     14336,     16384,                  /* the last of those with a word in front */
    16 * KIB,  20 * KIB,  24 * KIB,  28 * KIB,  32 * KIB,               /* whole pages */
    36 * KIB,  40 * KIB,  44 * KIB,  48 * KIB,                          /* eight in each doubling */
    52 * KIB,  56 * KIB,  60 * KIB,  64 * KIB,                          /* */
    72 * KIB,  80 * KIB,  88 * KIB,  96 * KIB,                          /* */
    104 * KIB, 112 * KIB, 120 * KIB, 128 * KIB,                         /* */
};

/* By granules: the smallest class that has as many. */
const uint8_t hri_heap_small_classes[65] = {
    0,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  9,  10, 10, 11, 11, 12, 12, 13, 13, 13, 14,
    14, 14, 14, 15, 15, 15, 15, 16, 16, 16, 16, 16, 17, 17, 17, 17, 17, 17, 17, 18, 18, 18,
    18, 18, 18, 18, 18, 19, 19, 19, 19, 19, 19, 19, 19, 20, 20, 20, 20, 20, 20, 20, 20,
};
