/* SPDX-License-Identifier: Apache-2.0 */
#include "relief/reserve.h"

#include "base/lock.h"
#include "os/pages.h"

#include <errno.h>

int hri_reserve_init(hri_reserve *reserve, uint64_t bytes)
{
    *reserve = (hri_reserve){0};
    uint64_t page = hri_page_size();
    if (bytes > PTRDIFF_MAX - page)
        return -ENOMEM;
    bytes = (bytes + page - 1) / page * page;
    int error = hri_lock_init(&reserve->lock);
    if (error || !bytes)
        return error;
    error = hri_pages_map(bytes, &reserve->pages);
    if (error) {
        pthread_mutex_destroy(&reserve->lock);
        return error;
    }
    reserve->bytes = bytes;
    hri_pages_touch(reserve->pages, bytes);
    return 0;
}

void hri_reserve_destroy(hri_reserve *reserve)
{
    if (reserve->pages)
        hri_pages_unmap(reserve->pages, reserve->bytes);
    pthread_mutex_destroy(&reserve->lock);
}

uint64_t hri_reserve_drop(hri_reserve *reserve, bool drop)
{
    pthread_mutex_lock(&reserve->lock);
    if (reserve->pages && reserve->dropped != drop) {
        if (drop)
            hri_pages_drop(reserve->pages, reserve->bytes);
        else
            hri_pages_touch(reserve->pages, reserve->bytes);
        reserve->dropped = drop;
    }
    uint64_t dropped = reserve->dropped ? reserve->bytes : 0;
    pthread_mutex_unlock(&reserve->lock);
    return dropped;
}

uint64_t hri_reserve_held(hri_reserve *reserve)
{
    pthread_mutex_lock(&reserve->lock);
    uint64_t held = reserve->dropped ? 0 : reserve->bytes;
    pthread_mutex_unlock(&reserve->lock);
    return held;
}
