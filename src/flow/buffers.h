/* SPDX-License-Identifier: Apache-2.0 */
/* Where flow's buffers come from: whole pages, charged before they are mapped. The only two functions that know. */
#ifndef HRI_FLOW_BUFFERS_H
#define HRI_FLOW_BUFFERS_H

#include <headroom/budget.h>

typedef struct hri_buffers {
    hr_budget *budget; /* NULL: nobody pays */
    size_t bytes;      /* of each: whole pages */
    uint64_t held_bytes;
    uint64_t peak_bytes;
} hri_buffers;

/* `bytes` is rounded up to whole pages. Gives 0, or -EINVAL where that is no size. */
int hri_buffers_init(hri_buffers *buffers, hr_budget *budget, size_t bytes);

/* One thread at a time. What is only `wanted`, not needed, is charged without relief: reading ahead is no reason to empty
 * caches. Gives 0, -EDQUOT or -ENOMEM. */
int hri_buffer_get(hri_buffers *buffers, bool wanted, void **ret_buffer);
void hri_buffer_put(hri_buffers *buffers, void *buffer);

#endif
