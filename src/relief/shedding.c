/* SPDX-License-Identifier: Apache-2.0 */
#include "relief/shedding.h"

/* At this many requests all counts are halved: what was asked for long ago fades. */
#define COUNTED_MAX 65536

/* 2^64 ÷ the golden ratio: its multiples spread evenly over all 64 bits (Knuth, TAOCP 3, 6.4). */
#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

/* The finalizer of MurmurHash3 (A. Appleby): every bit of the key moves every bit of the result. */
static uint64_t mix(uint64_t key)
{
    key = (key ^ key >> 33) * UINT64_C(0xFF51AFD7ED558CCD);
    key = (key ^ key >> 33) * UINT64_C(0xC4CEB9FE1A85EC53);
    return key ^ key >> 33;
}

static void fade(hri_shedding *shedding)
{
    shedding->total = 0;
    for (unsigned i = 0; i < 256; i++)
        shedding->total += shedding->counts[i] /= 2;
}

double hri_shedding_rank(hri_shedding *shedding, uint8_t priority, uint64_t key)
{
    if (shedding->total >= COUNTED_MAX)
        fade(shedding);
    shedding->counts[priority]++;
    shedding->total++;
    uint32_t below = 0;
    for (unsigned i = 0; i < priority; i++)
        below += shedding->counts[i];
    uint64_t place = key ? mix(key) : ++shedding->unkeyed * GOLDEN;
    double among_equals = (double)(place >> 11) * 0x1p-53;
    return (below + shedding->counts[priority] * among_equals) / shedding->total;
}
