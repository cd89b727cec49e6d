/* SPDX-License-Identifier: Apache-2.0 */
/* Peers of the pools that are programs of their own and time themselves. Go's sync.Pool is compiled where Go is
 * installed, and DPDK's rte_mempool (pool_dpdk.c) is built where DPDK was when headroom was configured.
 */
#ifndef BENCH_POOL_PEERS_H
#define BENCH_POOL_PEERS_H

#include <stdbool.h>

/* Makes ready a peer; false, and said by bench_missing(), where it is not there. */
bool bench_pool_go(void);
bool bench_pool_dpdk(void);

/* A bench_measure whose context is the pattern: "pair", "batch", "threads" or "handoff". Nanoseconds for one block. */
double bench_pool_go_ns(void *pattern);
double bench_pool_dpdk_ns(void *pattern);

#endif
