/* SPDX-License-Identifier: Apache-2.0 */
#include "relief/shedding.h"

#include <string.h>

/* 2^64 ÷ the golden ratio: its multiples spread evenly over all 64 bits (Knuth, TAOCP 3, 6.4). */
#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

/* The finalizer of MurmurHash3 (A. Appleby): every bit of the key moves every bit of the result. */
static uint64_t mix(uint64_t key)
{
    key = (key ^ key >> 33) * UINT64_C(0xFF51AFD7ED558CCD);
    key = (key ^ key >> 33) * UINT64_C(0xC4CEB9FE1A85EC53);
    return key ^ key >> 33;
}

/* Begins a new period where one has passed. After two of them nothing is recent. */
static void turn_period(hri_shedding *shedding, int64_t now_ns)
{
    int64_t age_ns = now_ns - shedding->since_ns;
    if (age_ns < HRI_SHEDDING_PERIOD_NS)
        return;
    if (age_ns >= 2 * HRI_SHEDDING_PERIOD_NS)
        memset(shedding->counts, 0, sizeof shedding->counts);
    shedding->now ^= 1;
    memset(shedding->counts[shedding->now], 0, sizeof *shedding->counts);
    shedding->since_ns = now_ns;
}

double hri_shedding_rank(hri_shedding *shedding, int64_t now_ns, uint8_t priority, uint64_t key)
{
    turn_period(shedding, now_ns);
    shedding->counts[shedding->now][priority]++;
    uint64_t below = 0, equal = 0, total = 0;
    for (unsigned i = 0; i < 256; i++) {
        uint64_t count = (uint64_t)shedding->counts[0][i] + shedding->counts[1][i];
        below += i < priority ? count : 0;
        equal += i == priority ? count : 0;
        total += count;
    }
    uint64_t place = key ? mix(key) : ++shedding->unkeyed * GOLDEN;
    double among_equals = (double)(place >> 11) * 0x1p-53;
    return ((double)below + (double)equal * among_equals) / (double)total;
}
