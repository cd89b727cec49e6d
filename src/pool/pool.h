/* SPDX-License-Identifier: Apache-2.0 */
/* The part that all kinds of pools share: how they stand in their guard's registry. */
#ifndef HRI_STORE_POOL_H
#define HRI_STORE_POOL_H

#include "base/yield.h"
#include "budget/budget.h"
#include "pool/engine.h"
#include "pool/oversize.h"

typedef struct hri_pool {
    hri_yielder yielder;
    hri_yielders *yielders;
    hri_engine *engines; /* one for each size, the smallest first */
    unsigned count;
    char *name;
    hri_pool_sum sum;       /* of the engines and of `oversize` */
    hri_oversize *oversize; /* NULL: it hands out none */
} hri_pool;

/* The budget that a pool is to charge: the one asked for, or the root. NULL: it belongs to another guard. */
hr_budget *hri_pool_budget(hr_guard *guard, hr_budget *budget);

/* Registers a pool whose engines are made; one that nobody pays for (`budget` NULL) has nobody to yield to. Gives 0 or
 * a negative errno. */
int hri_pool_open(hri_pool *pool, const char *name, hr_budget *budget);

/* Lets programs work on a thread's magazine of a pool's only engine by themselves; `puts`: also when they put. */
void hri_pool_open_face(const hri_pool *pool, struct hr_pool_face_ *face, bool puts);

/* Frees the engines' blocks and takes the pool out. Gives 0, or -EBUSY while blocks are out: then it is as before. */
int hri_pool_close(hri_pool *pool);

/* A byte pool of few buffers of whole pages, which cost what they hold, for the rooms above: for which `budget` pays,
 * or, where that is NULL, nobody. Used through <headroom/pool.h>. Gives 0 or a negative errno. */
int hri_byte_pool_new_few(hr_budget *budget, const char *name, size_t size_bytes, hr_byte_pool **ret_pool);

/* As hr_byte_pool_get() of its size, but runs no relief; and hr_byte_pool_trim() of as much as is wanted. */
void *hri_byte_pool_try_get(hr_byte_pool *pool);
uint64_t hri_byte_pool_trim_some(hr_byte_pool *pool, uint64_t want_bytes);

/* As hr_byte_pool_put(), for whom has noted his caller. */
void hri_byte_pool_put(hr_byte_pool *pool, void *block);

uint64_t hri_pool_trim(hri_pool *pool, uint64_t want_bytes);
void hri_pool_read(hri_pool *pool, hr_pool_figures *figures);

#endif
