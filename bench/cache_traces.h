/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded traces for caches: the same requests on any machine. */
#ifndef BENCH_CACHE_TRACES_H
#define BENCH_CACHE_TRACES_H

#include <stddef.h>
#include <stdint.h>

#define TRACE_REQUESTS 2000000u
#define TRACE_OBJECTS_MAX 4000000u /* numbers of objects are below this */

struct trace {
    const char *name;
    const char *key;       /* the same, as a part of a figure's name */
    double skew;           /* Zipf's exponent over the popular objects */
    double scanned;        /* share of requests that belong to scans: runs of objects that nobody else asks for */
    uint32_t scan_objects; /* how long one is */
    double once;           /* share of requests for objects that are asked for once */
    uint32_t shift_every;  /* a part of the popular objects is replaced after this many requests; 0: never */
};

extern const struct trace traces[];
extern const size_t trace_count;

/* Writes TRACE_REQUESTS numbers of objects. */
void trace_make(const struct trace *trace, uint32_t *ret_requests);

#endif
