/* SPDX-License-Identifier: Apache-2.0 */
/* What all kinds of pools share: how they stand in their guard's registry. */
#ifndef HRI_STORE_POOL_H
#define HRI_STORE_POOL_H

#include "base/yield.h"
#include "budget/budget.h"
#include "store/engine.h"

typedef struct hri_pool {
    hri_yielder yielder;
    hri_yielders *yielders;
    hri_engine *engines; /* one for each size, the smallest first */
    unsigned count;
    char *name;
    _Atomic uint64_t unpooled; /* blocks that were larger than the pool's */
} hri_pool;

/* The budget that a pool is to charge: the one asked for, or the root. NULL: it belongs to another guard. */
hr_budget *hri_pool_budget(hr_guard *guard, hr_budget *budget);

/* Registers a pool whose engines are made. Gives 0 or a negative errno. */
int hri_pool_open(hri_pool *pool, const char *name, hr_budget *budget);

/* Frees the engines' blocks and takes the pool out. Gives 0, or -EBUSY while blocks are out: then it is as before. */
int hri_pool_close(hri_pool *pool);

uint64_t hri_pool_trim(hri_pool *pool, uint64_t want_bytes);
void hri_pool_read(hri_pool *pool, hr_pool_figures *figures);

#endif
