/* SPDX-License-Identifier: Apache-2.0 */
/* Options and results of programs that were compiled with another version: see hr_sized_() in base.h.
 *
 * Options are copied into a whole struct, of which the rest is zero and so the default. A result is read into a whole
 * struct, of which the program gets as much as it has room for. Where both sizes are the same, nothing is copied. */
#include <errno.h>
#include <headroom/headroom.h>
#include <string.h>

/* Structs that programs give, and that programs get. */
typedef union given {
    hr_guard_options guard;
    hr_byte_pool_options byte_pool;
    hr_object_pool_options object_pool;
    hr_slice_pool_options slice_pool;
    hr_cache_options cache;
    hr_stream_options stream;
    hr_batch_options batch;
    hr_survey_options survey;
} given;

typedef union got {
    hr_figures guard;
    hr_thresholds thresholds;
    hr_budget_figures budget;
    hr_refusal refusal;
    hr_pool_figures pool;
    hr_cache_figures cache;
    hr_stream_result stream;
    hr_batch_figures batch;
    hr_history_file_figures history_file;
    hr_trend trend;
    hr_page_parts page;
} got;

/* The sizes that this library knows: of what a call takes, and of what it fills. */
static const struct sizes {
    size_t in, out;
} table[] = {
    [HR_SIZED_GUARD_NEW_] = {.in = sizeof(hr_guard_options)},
    [HR_SIZED_GUARD_READ_] = {.out = sizeof(hr_figures)},
    [HR_SIZED_GUARD_THRESHOLDS_] = {.out = sizeof(hr_thresholds)},
    [HR_SIZED_BUDGET_READ_] = {.out = sizeof(hr_budget_figures)},
    [HR_SIZED_BUDGET_REFUSAL_] = {.out = sizeof(hr_refusal)},
    [HR_SIZED_BYTE_POOL_NEW_] = {.in = sizeof(hr_byte_pool_options)},
    [HR_SIZED_BYTE_POOL_READ_] = {.out = sizeof(hr_pool_figures)},
    [HR_SIZED_OBJECT_POOL_NEW_] = {.in = sizeof(hr_object_pool_options)},
    [HR_SIZED_OBJECT_POOL_READ_] = {.out = sizeof(hr_pool_figures)},
    [HR_SIZED_SLICE_POOL_NEW_] = {.in = sizeof(hr_slice_pool_options)},
    [HR_SIZED_SLICE_POOL_READ_] = {.out = sizeof(hr_pool_figures)},
    [HR_SIZED_CACHE_NEW_] = {.in = sizeof(hr_cache_options)},
    [HR_SIZED_CACHE_READ_] = {.out = sizeof(hr_cache_figures)},
    [HR_SIZED_STREAM_RUN_] = {.in = sizeof(hr_stream_options), .out = sizeof(hr_stream_result)},
    [HR_SIZED_STREAM_NEW_] = {.in = sizeof(hr_stream_options)},
    [HR_SIZED_STREAM_CONTINUE_] = {.out = sizeof(hr_stream_result)},
    [HR_SIZED_BATCH_NEW_] = {.in = sizeof(hr_batch_options)},
    [HR_SIZED_BATCH_READ_] = {.out = sizeof(hr_batch_figures)},
    [HR_SIZED_HISTORY_FILE_READ_] = {.out = sizeof(hr_history_file_figures)},
    [HR_SIZED_TREND_READ_] = {.out = sizeof(hr_trend)},
    [HR_SIZED_PAGE_READ_PARTS_] = {.out = sizeof(hr_page_parts)},
    [HR_SIZED_SURVEY_NEW_] = {.in = sizeof(hr_survey_options)},
};

#define CALLS (sizeof table / sizeof *table)

static int make(unsigned call, void *object, const void *in, void *out)
{
    switch (call) {
    case HR_SIZED_GUARD_NEW_:
        return hr_guard_new(in, out);
    case HR_SIZED_BYTE_POOL_NEW_:
        return hr_byte_pool_new(object, in, out);
    case HR_SIZED_OBJECT_POOL_NEW_:
        return hr_object_pool_new(object, in, out);
    case HR_SIZED_SLICE_POOL_NEW_:
        return hr_slice_pool_new(object, in, out);
    case HR_SIZED_CACHE_NEW_:
        return hr_cache_new(object, in, out);
    case HR_SIZED_STREAM_RUN_:
        return hr_stream_run(in, out);
    case HR_SIZED_STREAM_NEW_:
        return hr_stream_new(in, out);
    case HR_SIZED_BATCH_NEW_:
        return hr_batch_new(in, out);
    case HR_SIZED_SURVEY_NEW_:
        return hr_survey_new(in, out);
    default:
        return -EINVAL;
    }
}

static int read_into(unsigned call, void *object, void *out)
{
    switch (call) {
    case HR_SIZED_GUARD_READ_:
        return hr_guard_read(object, out);
    case HR_SIZED_GUARD_THRESHOLDS_:
        return hr_guard_thresholds(object, out);
    case HR_SIZED_BUDGET_READ_:
        return hr_budget_read(object, out);
    case HR_SIZED_BUDGET_REFUSAL_:
        return hr_budget_refusal(out);
    case HR_SIZED_BYTE_POOL_READ_:
        return hr_byte_pool_read(object, out);
    case HR_SIZED_OBJECT_POOL_READ_:
        return hr_object_pool_read(object, out);
    case HR_SIZED_SLICE_POOL_READ_:
        return hr_slice_pool_read(object, out);
    case HR_SIZED_CACHE_READ_:
        return hr_cache_read(object, out);
    case HR_SIZED_STREAM_CONTINUE_:
        return hr_stream_continue(object, out);
    case HR_SIZED_BATCH_READ_:
        return hr_batch_read(object, out);
    case HR_SIZED_HISTORY_FILE_READ_:
        return hr_history_file_read(object, out);
    case HR_SIZED_TREND_READ_:
        return hr_trend_read(object, out);
    case HR_SIZED_PAGE_READ_PARTS_:
        return hr_page_read_parts(out);
    default:
        return -EINVAL;
    }
}

static int answer(unsigned call, void *object, const void *in, void *out)
{
    return table[call].in ? make(call, object, in, out) : read_into(call, object, out);
}

/* Results of streams are written even when a call fails. */
static bool is_written(unsigned call, int error)
{
    return error == 0 || call == HR_SIZED_STREAM_RUN_ || call == HR_SIZED_STREAM_CONTINUE_;
}

/* With options of this library. */
static int answer_out(unsigned call, void *object, const void *in, void *out, size_t out_bytes)
{
    size_t known = table[call].out;
    if (known == 0 || !out || out_bytes >= known) {
        int error = answer(call, object, in, out);
        if (known && out && out_bytes > known && is_written(call, error))
            memset((char *)out + known, 0, out_bytes - known);
        return error;
    }
    got whole = {0};
    int error = answer(call, object, in, &whole);
    if (is_written(call, error))
        memcpy(out, &whole, out_bytes);
    return error;
}

static bool is_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

int hr_sized_(unsigned call, void *object, const void *in, void *out, uint64_t sizes)
{
    size_t in_bytes = (size_t)(sizes >> 32), out_bytes = (size_t)(sizes & UINT32_MAX);
    if (call >= CALLS)
        return -EINVAL;
    size_t known = table[call].in;
    if (known == 0 || !in || in_bytes == known)
        return answer_out(call, object, in, out, out_bytes);
    if (in_bytes > known && !is_zero((const char *)in + known, in_bytes - known))
        return -E2BIG;
    given whole;
    memset(&whole, 0, sizeof whole);
    memcpy(&whole, in, in_bytes < known ? in_bytes : known);
    return answer_out(call, object, &whole, out, out_bytes);
}
