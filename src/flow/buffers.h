/* SPDX-License-Identifier: Apache-2.0 */
/* Flow's buffers: a byte pool of few, all of one size, which cost what they hold from when one is first handed out.
 * Idle ones wait in the pool, where any shortage of the guard finds them.
 */
#ifndef HRI_FLOW_BUFFERS_H
#define HRI_FLOW_BUFFERS_H

#include <headroom/budget.h>
#include <headroom/pool.h>

typedef struct hri_buffers {
    hr_byte_pool *pool;
    size_t bytes; /* of each: whole pages */
} hri_buffers;

/* Whether a budget is one of a guard's; either may be NULL: then there is nothing to be wrong. */
bool hri_buffers_fit(hr_guard *guard, hr_budget *budget);

/* Makes buffers possible, and none yet: `bytes` is rounded up to whole pages; `budget` NULL: nobody pays.
 * Reports show the pool by `name`. Gives 0, -EINVAL where that is no size, or -ENOMEM. */
int hri_buffers_init(hri_buffers *buffers, hr_budget *budget, const char *name, size_t bytes);

/* When all buffers are back. */
void hri_buffers_destroy(hri_buffers *buffers);

/* A buffer that is only `wanted`, not needed, is charged without relief: reading ahead is no reason to empty caches.
 * Gives 0, -EDQUOT or -ENOMEM. */
int hri_buffer_get(hri_buffers *buffers, bool wanted, void **ret_buffer);

/* The buffer waits in the pool. */
void hri_buffer_put(hri_buffers *buffers, void *buffer);

/* Gives back to the kernel what waits and is more than `most` buffers together with those that are out; all of it,
 * where none is out. */
void hri_buffers_narrow(hri_buffers *buffers, unsigned most);

/* The most that they held at once. */
uint64_t hri_buffers_peak_bytes(const hri_buffers *buffers);

#endif
