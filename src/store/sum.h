/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool has charged, in blocks of all its sizes together, and the most that this ever was. It is counted where blocks
 * are paid for and given back, which no fast path does: after the charge, and before the uncharge, so that it is never more
 * than the budget says.
 */
#ifndef HRI_STORE_SUM_H
#define HRI_STORE_SUM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct hri_pool_sum {
    _Atomic uint64_t charged_bytes;
    _Atomic uint64_t peak_bytes;
    _Atomic uint64_t leaving_bytes;  /* no longer counted, and not yet uncharged */
    _Atomic uint64_t refunded_bytes; /* uncharged, ever */
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
