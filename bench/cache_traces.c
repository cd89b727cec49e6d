/* SPDX-License-Identifier: Apache-2.0 */
/* Popular objects are drawn by Zipf's law from a table of its sums. Scans and one-hit wonders ask for numbers of their
 * own, behind those of the popular objects.
 */
#include "cache_traces.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define POPULAR 100000u
#define SCANNED 400000u /* what scans go round in: a scan meets what an earlier one has read only after all the rest */
#define SHIFT_OBJECTS 25000u

const struct trace traces[] = {
    {.name = "Zipf 0.6", .key = "zipf_06", .skew = 0.6},
    {.name = "Zipf 0.8", .key = "zipf_08", .skew = 0.8},
    {.name = "Zipf 1.0", .key = "zipf_10", .skew = 1.0},
    {.name = "Zipf 1.2", .key = "zipf_12", .skew = 1.2},
    {.name = "Zipf 0.8, scans between", .key = "scans_between", .skew = 0.8, .scanned = 0.4, .scan_objects = 1},
    {.name = "Zipf 0.8, short scans", .key = "scans_short", .skew = 0.8, .scanned = 0.4, .scan_objects = 2000},
    {.name = "Zipf 0.8, long scans", .key = "scans_long", .skew = 0.8, .scanned = 0.4, .scan_objects = 50000},
    {.name = "shifting working set", .key = "shift", .skew = 1.0, .shift_every = 200000},
    {.name = "one-hit wonders", .key = "one_hit", .skew = 1.0, .once = 0.5},
};

const size_t trace_count = sizeof traces / sizeof *traces;

/* xorshift64*, Vigna 2016 */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static double next_share(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

static uint32_t draw(const double *sums, double share)
{
    uint32_t low = 0, high = POPULAR - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (sums[middle] < share)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void trace_make(const struct trace *trace, uint32_t *ret_requests)
{
    double *sums = malloc(POPULAR * sizeof *sums), sum = 0;
    uint32_t *names = malloc(POPULAR * sizeof *names);
    if (!sums || !names) {
        fputs("cache traces: no memory\n", stderr);
        exit(1);
    }
    for (uint32_t i = 0; i < POPULAR; i++) {
        sums[i] = sum += pow(i + 1, -trace->skew);
        names[i] = i;
    }
    /* A scan begins so often that its requests are the share that they are to be. */
    double begin_scan = trace->scanned / (trace->scanned + trace->scan_objects * (1 - trace->scanned));
    uint64_t state = 42;
    uint32_t fresh = POPULAR + SCANNED, scan_left = 0, scan_at = 0;
    for (uint32_t i = 0; i < TRACE_REQUESTS; i++) {
        if (trace->shift_every && i && i % trace->shift_every == 0)
            for (uint32_t n = 0; n < SHIFT_OBJECTS; n++)
                names[next_random(&state) % POPULAR] = fresh++;
        double kind = next_share(&state), share = next_share(&state) * sum;
        if (scan_left == 0 && kind < begin_scan)
            scan_left = trace->scan_objects;
        if (scan_left > 0) {
            scan_left--;
            ret_requests[i] = POPULAR + scan_at++ % SCANNED;
        } else if (kind < trace->once) {
            ret_requests[i] = fresh++;
        } else {
            ret_requests[i] = names[draw(sums, share)];
        }
    }
    free(sums);
    free(names);
}
