/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a pool over all its sizes: the charged bytes, the most that these ever were, and faults. A charge is
 * counted where blocks are paid for and given back, which no fast path does. It is counted after the charge, and before
 * the uncharge, so the figure is never more than the budget says.
 */
#ifndef HRI_STORE_SUM_H
#define HRI_STORE_SUM_H

#include "base/assert.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct hri_pool_sum {
    _Atomic uint64_t charged_bytes;
    _Atomic uint64_t peak_bytes;
    _Atomic uint64_t leaving_bytes;  /* no longer counted, and not yet uncharged */
    _Atomic uint64_t refunded_bytes; /* uncharged, ever */
    _Atomic uint64_t faults;
    const char *name; /* of the pool */
} hri_pool_sum;

/* A sum may be NULL: nobody wants to know. */
static inline void hri_pool_sum_add(hri_pool_sum *sum, uint64_t bytes)
{
    if (!sum)
        return;
    uint64_t now = atomic_fetch_add_explicit(&sum->charged_bytes, bytes, memory_order_relaxed) + bytes;
    uint64_t peak = atomic_load_explicit(&sum->peak_bytes, memory_order_relaxed);
    while (peak < now && !atomic_compare_exchange_weak_explicit(&sum->peak_bytes, &peak, now, memory_order_relaxed,
                                                                memory_order_relaxed)) {}
}

/* A fault: somebody puts what no user has. */
static inline void hri_pool_sum_fault(hri_pool_sum *sum, const void *block)
{
    if (sum)
        atomic_fetch_add_explicit(&sum->faults, 1, memory_order_relaxed);
    hri_fault("%p is put into the pool \"%s\", and is no block of it that a user has", block, sum ? sum->name : "");
}

static inline uint64_t hri_pool_sum_refunded(const hri_pool_sum *sum)
{
    return atomic_load_explicit(&sum->refunded_bytes, memory_order_relaxed);
}

static inline bool hri_pool_sum_is_leaving(const hri_pool_sum *sum)
{
    return atomic_load_explicit(&sum->leaving_bytes, memory_order_acquire) > 0;
}

/* Before bytes are uncharged, and after that. */
static inline void hri_pool_sum_sub(hri_pool_sum *sum, uint64_t bytes)
{
    if (!sum)
        return;
    atomic_fetch_add_explicit(&sum->leaving_bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&sum->charged_bytes, bytes, memory_order_relaxed);
}

static inline void hri_pool_sum_settle(hri_pool_sum *sum, uint64_t bytes)
{
    if (!sum)
        return;
    atomic_fetch_add_explicit(&sum->refunded_bytes, bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&sum->leaving_bytes, bytes, memory_order_release);
}

#endif
