/* SPDX-License-Identifier: Apache-2.0 */
/* Slices: a pool of arrays, whose sizes are those of a byte pool. An array that has grown is of a larger size, and goes
 * there when it comes back: which size a block has says the block.
 */
#define HR_NO_INLINE 1
#include <headroom/pool.h>

#include "base/assert.h"
#include "pool/handle.h"
#include "pool/pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct hr_slice_pool {
    hri_handle handle;
    hr_byte_pool *arrays;
    size_t item_size;
    size_t capacity;
};

static hri_handles handles = {.size = sizeof(hr_slice_pool), .offset = offsetof(hr_slice_pool, handle)};

#define CAPACITY 16
#define POOLED_TIMES 64

static int find_sizes(const hr_slice_pool_options *options, size_t *ret_min_bytes, size_t *ret_max_bytes)
{
    size_t capacity = options->capacity ? options->capacity : CAPACITY;
    size_t pooled = options->pooled_max;
    if (!pooled && __builtin_mul_overflow(capacity, POOLED_TIMES, &pooled))
        return -EINVAL;
    if (options->item_size == 0 || pooled < capacity ||
        __builtin_mul_overflow(capacity, options->item_size, ret_min_bytes) ||
        __builtin_mul_overflow(pooled, options->item_size, ret_max_bytes))
        return -EINVAL;
    return 0;
}

int hr_slice_pool_new(hr_guard *guard, const hr_slice_pool_options *options, hr_slice_pool **ret_pool)
{
    if (!guard || !options || !ret_pool)
        return -EINVAL;
    hr_byte_pool_options arrays = {
        .name = options->name ? options->name : "slices", .budget = options->budget, .wipe = options->wipe};
    int error = find_sizes(options, &arrays.min_bytes, &arrays.max_bytes);
    if (error)
        return error;
    hr_slice_pool *pool = hri_handle_take(&handles);
    if (!pool)
        return -ENOMEM;
    pool->item_size = options->item_size;
    pool->capacity = arrays.min_bytes / options->item_size;
    error = hr_byte_pool_new(guard, &arrays, &pool->arrays);
    if (error)
        hri_handle_give(&handles, pool);
    else
        *ret_pool = pool;
    return error;
}

int hr_slice_pool_free(hr_slice_pool *pool)
{
    HRI_NOTE_CALLER();
    if (!pool)
        return 0;
    if (!hri_handle_is_open(&pool->handle))
        return -EINVAL;
    int error = hr_byte_pool_free(pool->arrays);
    if (!error)
        hri_handle_give(&handles, pool);
    return error;
}

int hr_slice_pool_get(hr_slice_pool *pool, hr_slice *ret_slice)
{
    HRI_NOTE_CALLER();
    if (!pool || !ret_slice || !hri_handle_is_open(&pool->handle))
        return -EINVAL;
    void *array = hr_byte_pool_get(pool->arrays, pool->capacity * pool->item_size);
    if (!array)
        return -errno;
    *ret_slice = (hr_slice){.data = array, .capacity = pool->capacity, .pool_ = pool};
    return 0;
}

/* NULL and {0} are none of any pool. */
static bool is_a_pools(const hr_slice *slice)
{
    return slice && slice->pool_ && hri_handle_is_open(&slice->pool_->handle);
}

void hr_slice_pool_put(hr_slice_pool *pool, hr_slice *slice)
{
    HRI_NOTE_CALLER();
    if (!pool || !is_a_pools(slice) || !hri_handle_is_open(&pool->handle))
        return;
    hri_byte_pool_put(pool->arrays, slice->data); /* counts another pool's as a fault */
    if (slice->pool_ == pool)
        *slice = (hr_slice){0};
}

/* The slice is one of a pool. `ret_old` is its array before, which the caller puts; NULL: it is the same. */
static int reserve(hr_slice *slice, size_t capacity, void **ret_old)
{
    hr_slice_pool *pool = slice->pool_;
    size_t bytes;
    *ret_old = NULL;
    if (capacity <= slice->capacity)
        return 0;
    if (__builtin_mul_overflow(capacity, pool->item_size, &bytes))
        return -ENOMEM;
    void *array = hr_byte_pool_get(pool->arrays, bytes);
    if (!array)
        return -errno;
    memcpy(array, slice->data, slice->length * pool->item_size);
    *ret_old = slice->data;
    slice->data = array;
    slice->capacity = capacity;
    return 0;
}

int hr_slice_reserve(hr_slice *slice, size_t capacity)
{
    HRI_NOTE_CALLER();
    if (!is_a_pools(slice))
        return -EINVAL;
    void *old;
    int error = reserve(slice, capacity, &old);
    if (old)
        hri_byte_pool_put(slice->pool_->arrays, old);
    return error;
}

int hr_slice_push(hr_slice *slice, const void *item)
{
    HRI_NOTE_CALLER();
    if (!is_a_pools(slice) || !item)
        return -EINVAL;
    void *old = NULL;
    if (slice->length == slice->capacity) {
        int error = reserve(slice, slice->capacity > SIZE_MAX / 2 ? SIZE_MAX : slice->capacity * 2, &old);
        if (error)
            return error;
    }
    size_t size = slice->pool_->item_size;
    memcpy((char *)slice->data + slice->length * size, item, size);
    slice->length++;
    if (old) /* not before: the item may lie in it */
        hri_byte_pool_put(slice->pool_->arrays, old);
    return 0;
}

uint64_t hr_slice_pool_trim(hr_slice_pool *pool)
{
    HRI_NOTE_CALLER();
    return pool && hri_handle_is_open(&pool->handle) ? hr_byte_pool_trim(pool->arrays) : 0;
}

int hr_slice_pool_read(hr_slice_pool *pool, hr_pool_figures *ret_figures)
{
    HRI_NOTE_CALLER();
    return pool && hri_handle_is_open(&pool->handle) ? hr_byte_pool_read(pool->arrays, ret_figures) : -EINVAL;
}
