/* SPDX-License-Identifier: Apache-2.0 */
/* Go's sync.Pool as a peer: a program of its own, compiled where Go is installed, that times itself. */
#ifndef BENCH_POOL_GO_H
#define BENCH_POOL_GO_H

#include <stdbool.h>

/* Compiles it; false, and said by bench_missing(), where that cannot be done. */
bool bench_pool_go(void);

/* A bench_measure whose context is the pattern: "pair", "batch", "threads" or "handoff". Nanoseconds for one block. */
double bench_pool_go_ns(void *pattern);

#endif
