/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/buffers.h"

#include "base/checked.h"
#include "os/pages.h"

#include <errno.h>

int hri_buffers_init(hri_buffers *buffers, hr_budget *budget, size_t bytes)
{
    size_t page = hri_page_size();
    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return -EINVAL;
    *buffers = (hri_buffers){.budget = budget, .bytes = (bytes + page - 1) / page * page};
    return 0;
}

static int charge(const hri_buffers *buffers, bool wanted)
{
    if (!buffers->budget)
        return 0;
    return wanted ? hr_budget_try_charge(buffers->budget, buffers->bytes)
                  : hr_budget_charge(buffers->budget, buffers->bytes);
}

int hri_buffer_get(hri_buffers *buffers, bool wanted, void **ret_buffer)
{
    int error = charge(buffers, wanted);
    if (error)
        return error;
    error = hri_pages_map(buffers->bytes, ret_buffer);
    if (error) {
        if (buffers->budget)
            hr_budget_uncharge(buffers->budget, buffers->bytes);
        return error;
    }
    buffers->held_bytes += buffers->bytes;
    buffers->peak_bytes = hri_max(buffers->peak_bytes, buffers->held_bytes);
    return 0;
}

void hri_buffer_put(hri_buffers *buffers, void *buffer)
{
    hri_pages_unmap(buffer, buffers->bytes);
    buffers->held_bytes -= buffers->bytes;
    if (buffers->budget)
        hr_budget_uncharge(buffers->budget, buffers->bytes);
}
