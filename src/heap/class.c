/* SPDX-License-Identifier: Apache-2.0 */
/* The tables are constants, so that blocks are there before main() and before any constructor. */
#include "heap/class.h"

#define KIB 1024u

const uint32_t hri_heap_class_bytes[64] = {
    16,       32,       48,        64,        80,       96,  112, 128, /* one in each granule */
    144,      160,      176,       192,       208,      224, 240,      /* */
    272,      304,      336,       368,       400,      432, 464, 496, /* every other one */
    528,      656,      784,       912,                                /* from here on four in each doubling */
    1040,     1296,     1552,      1808,                               /* */
    2064,     2576,     3088,      3600,                               /* */
    4112,     4384,     5136,      6160,      7184,     /* one more, for a page with up to 280 bytes beside it */
    8208,     10256,    12304,     16368,               /* seven, six, five and four to a span */
    16 * KIB, 20 * KIB, 24 * KIB,  28 * KIB,  32 * KIB, /* whole pages */
    36 * KIB, 40 * KIB, 44 * KIB,  48 * KIB,            /* eight in this doubling */
    52 * KIB, 56 * KIB, 60 * KIB,  64 * KIB,            /* */
    80 * KIB, 96 * KIB, 112 * KIB, 128 * KIB,           /* four in this one */
};

/* As many granules in a row have one class. */
#define G1(class) class,
#define G2(class) G1(class) G1(class)
#define G4(class) G2(class) G2(class)
#define G8(class) G4(class) G4(class)
#define G16(class) G8(class) G8(class)
#define G32(class) G16(class) G16(class)
#define G64(class) G32(class) G32(class)
#define G128(class) G64(class) G64(class)

/* By granules: the smallest class that has as many. */
/* clang-format off */
const uint8_t hri_heap_general_classes[HRI_HEAP_GENERAL_MAX / HRI_HEAP_GRANULE + 1] = {
    G1(0) G1(0) G1(1) G1(2) G1(3) G1(4) G1(5) G1(6) G1(7) G1(8) G1(9) G1(10) G1(11) G1(12) G1(13) G1(14) G2(15)
    G2(16) G2(17) G2(18) G2(19) G2(20) G2(21) G2(22) G2(23) G8(24) G8(25) G8(26) G8(27) G16(28) G16(29) G16(30)
    G16(31) G32(32) G32(33) G32(34) G32(35) G16(36) G1(36) G32(37) G8(37) G4(37) G2(37) G1(37) G64(38) G64(39)
    G64(40) G128(41) G128(42) G128(43) G64(43) G32(43) G16(43) G8(43) G4(43) G2(43)
};
/* clang-format on */
