/* SPDX-License-Identifier: Apache-2.0 */
/* A small harness for benchmarks: ratios measured side by side.
 *
 * Absolute times drift by tens of percent on shared machines, so a case stands in a group with the cases that it is
 * compared to. The first case is headroom's, the others are its peers. Rounds alternate between all cases of a group,
 * so that drift hits all alike. A ratio is the median of the ratios of the rounds, not the ratio of two medians.
 *
 * A program fills an array of groups and hands it to bench_main(). It prints one line of JSON a figure:
 *
 *     {"name": …, "metric": …, "value": …, "unit": …, "peers": {name: value}, "ratios": {name: ratio}}
 *
 * and {"missing": peer, "package": …, "why": …} or {"skipped": figure, "why": …} for what cannot be measured here.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_CASES_MAX 8

/* Repeats the thing `count` times. Groups of several threads run it on each; `thread` counts from 0. */
typedef void bench_loop(void *context, unsigned thread, uint64_t count);

/* Measures once by its own means, in the group's unit: for what no loop can repeat. */
typedef double bench_measure(void *context);

/* A case has a loop or a measure; one that has neither is left out. */
typedef struct bench_case {
    const char *name; /* the peer's; headroom's own is called "headroom" */
    bench_loop *loop;
    bench_measure *measure;
    void *context;
} bench_case;

typedef struct bench_group {
    const char *name;                  /* of the figure */
    const char *metric;                /* NULL: "time" */
    const char *unit;                  /* "ns", "us" or "ms" for one pass of a loop; NULL: "ns"; a measure's own */
    unsigned threads;                  /* 0: 1; more are tied to a processor each */
    unsigned rounds;                   /* 0: 7 */
    bench_case cases[BENCH_CASES_MAX]; /* the first is headroom's */
} bench_group;

/* Runs the groups named in the arguments, or all.
 *
 *     PROGRAM [NAME...]               measures
 *     PROGRAM --loop NAME CASE COUNT  runs one loop once, for tools that count instructions
 *
 * Gives the program's exit status.
 */
int bench_main(int argc, char **argv, const bench_group *groups, size_t group_count);

/* Says that a peer cannot be measured, and which Debian package brings it. */
void bench_missing(const char *peer, const char *package, const char *why);

/* Ends the program if `ok` is 0: a benchmark of what fails measures nothing. */
void bench_require(int ok, const char *what);

int64_t bench_now_ns(void);

/* Sorts the values. */
double bench_median(double *values, size_t count);

/* Keeps a value, and the memory behind it, from being optimised away. */
static inline void bench_keep(const void *value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

#endif
