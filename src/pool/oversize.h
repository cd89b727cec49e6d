/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that are larger than a pool's largest: by hr_alloc(), charged to the pool's budget, and given back when
 * they are put. Those that are out are known by their addresses, so that a block that is put is found, or is none,
 * without a look at its memory.
 */
#ifndef HRI_STORE_OVERSIZE_H
#define HRI_STORE_OVERSIZE_H

#include "base/fork.h"
#include "pool/sum.h"

#include <headroom/pool.h>
#include <pthread.h>
#include <stdbool.h>

typedef struct hri_oversize_block hri_oversize_block;

#define HRI_OVERSIZE_BUCKETS 16

typedef struct hri_oversize {
    /* Constant once made. */
    hr_budget *budget;
    hri_pool_sum *sum;
    bool wipe; /* what is handed out is zeros, and so is what goes back to the heap */

    pthread_mutex_t lock; /* guards the rest; a leaf */
    hri_oversize_block **buckets;
    hri_oversize_block *first_buckets[HRI_OVERSIZE_BUCKETS];
    unsigned bits; /* of their number */
    uint64_t out;  /* blocks that users have */
    uint64_t out_bytes;
    uint64_t served, refused;
} hri_oversize;

/* Makes a set of none. Gives 0 or a negative errno. */
int hri_oversize_init(hri_oversize *set, hr_budget *budget, hri_pool_sum *sum, bool wipe);

/* None is out. */
void hri_oversize_destroy(hri_oversize *set);

/* Gives a block, or NULL with errno. */
void *hri_oversize_get(hri_oversize *set, size_t size);

/* Takes a block back; false if it is none of these. */
bool hri_oversize_put(hri_oversize *set, void *block);

/* Adds the figures to `figures`. */
void hri_oversize_read(hri_oversize *set, hr_pool_figures *figures);

static inline void hri_oversize_fork(hri_oversize *set, hri_fork moment)
{
    hri_fork_lock(&set->lock, moment);
}

#endif
