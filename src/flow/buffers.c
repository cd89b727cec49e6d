/* SPDX-License-Identifier: Apache-2.0 */
#define HR_NO_INLINE 1
#include "flow/buffers.h"

#include "base/assert.h"
#include "base/checked.h"
#include "base/offer.h"
#include "os/pages.h"
#include "pool/pool.h"

#include <errno.h>
#include <headroom/guard.h>

bool hri_buffers_fit(hr_guard *guard, hr_budget *budget)
{
    const hr_budget *root = budget;
    while (root && hr_budget_parent(root))
        root = hr_budget_parent(root);
    return !guard || !root || root == hri_offer_of(guard)->root;
}

int hri_buffers_init(hri_buffers *buffers, hr_budget *budget, const char *name, size_t bytes)
{
    size_t page = hri_page_size();
    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return -EINVAL;
    buffers->bytes = (bytes + page - 1) / page * page;
    return hri_byte_pool_new_few(budget, name, buffers->bytes, &buffers->pool);
}

void hri_buffers_destroy(hri_buffers *buffers)
{
    int error = hr_byte_pool_free(buffers->pool);
    HRI_ASSERT(error == 0);
    (void)error;
}

int hri_buffer_get(hri_buffers *buffers, bool wanted, void **ret_buffer)
{
    void *buffer = wanted ? hri_byte_pool_try_get(buffers->pool) : hr_byte_pool_get(buffers->pool, buffers->bytes);
    if (!buffer)
        return -errno;
    *ret_buffer = buffer;
    return 0;
}

void hri_buffer_put(hri_buffers *buffers, void *buffer)
{
    hr_byte_pool_put(buffers->pool, buffer);
}

void hri_buffers_narrow(hri_buffers *buffers, unsigned most)
{
    hr_pool_figures figures = {0};
    (void)hr_byte_pool_read(buffers->pool, &figures);
    uint64_t more = hri_sub(figures.in_use + figures.idle, most);
    if (more && figures.idle)
        hri_byte_pool_trim_some(buffers->pool, more * buffers->bytes);
}

uint64_t hri_buffers_peak_bytes(const hri_buffers *buffers)
{
    hr_pool_figures figures = {0};
    (void)hr_byte_pool_read(buffers->pool, &figures);
    return figures.peak_bytes;
}
