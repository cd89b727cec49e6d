/* SPDX-License-Identifier: Apache-2.0 */
/* A batch: an array that is filled at its end and handed on from its front.
 *
 * While on_flush has the first `flushing_count` items, others are added behind them; then those that were taken are
 * moved out. One flush runs at a time, so items leave in the order in which they came, and a flush that failed has
 * changed nothing.
 *
 * Locking: `lock` guards everything; on_flush runs without it. The duties' lock is taken under it.
 */
#include "flow/batch.h"

#include "base/answer.h"
#include "base/checked.h"
#include "base/offer.h"
#include "base/uncancelled.h"
#include "base/wait.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/timer.h"

#include <errno.h>
#include <headroom/guard.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 1024

/* ── when ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static uint64_t shrink(const hr_batch *batch, uint64_t most)
{
    if (!batch->options.guard || most == HR_NONE)
        return most;
    return hri_max(1, most >> (unsigned)hri_yielders_level(hri_offer_of(batch->options.guard)->yielders));
}

static bool is_full(const hr_batch *batch)
{
    return batch->count >= batch->options.items_max || batch->bytes >= batch->options.bytes_max;
}

static bool is_enough(const hr_batch *batch)
{
    return batch->count >= shrink(batch, batch->options.items_max) ||
           batch->bytes >= shrink(batch, batch->options.bytes_max);
}

static int64_t due_ns(const hr_batch *batch)
{
    if (batch->count == 0 || batch->options.age_max_ns <= 0)
        return HRI_NEVER;
    int64_t age_max_ns = batch->options.age_max_ns;
    int64_t due = batch->since_ns < HRI_NEVER - age_max_ns ? batch->since_ns + age_max_ns : HRI_NEVER;
    return hri_later(due, batch->retry_ns);
}

/* Tells those who flush by age when to come; under the lock. They may come early, and then find that it is not time. */
static void plan(hr_batch *batch)
{
    int64_t due = due_ns(batch);
    if (batch->duties)
        hri_duty_set(batch->duties, &batch->duty, due);
    if (batch->timer < 0)
        return;
    if (due == HRI_NEVER)
        hri_timer_clear(batch->timer);
    else
        hri_timer_set(batch->timer, due - hri_clock_now(batch->clock));
}

/* ── flushing ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static void remove_first(hr_batch *batch, size_t count, uint64_t bytes)
{
    size_t item_bytes = batch->options.item_bytes;
    batch->count -= count;
    batch->bytes -= bytes;
    if (batch->count)
        memmove(batch->items, batch->items + count * item_bytes, batch->count * item_bytes);
    batch->since_ns = batch->next_since_ns;
}

/* Flushes what is there, and what came meanwhile if that is enough for another; called, and left, under the lock. */
static int flush(hr_batch *batch)
{
    HRI_UNCANCELLED; /* on_flush is to come back */
    int error;
    do {
        size_t count = batch->count;
        uint64_t bytes = batch->bytes;
        batch->flushing = true;
        batch->flusher = pthread_self();
        batch->flushing_count = count;
        batch->flushing_bytes = bytes;
        pthread_mutex_unlock(&batch->lock);
        error = hri_answer(batch->options.on_flush(batch->options.context, batch->items, count));
        pthread_mutex_lock(&batch->lock);
        batch->flushing = false;
        if (batch->inherited) {
            batch->inherited = false;
            remove_first(batch, count, bytes);
            error = 0;
        } else if (error) {
            batch->figures.failed++;
            batch->figures.last_error = error;
            batch->retry_ns = hri_clock_now(batch->clock) + batch->options.age_max_ns;
        } else {
            remove_first(batch, count, bytes);
            batch->figures.flushed += count;
            batch->figures.flushes++;
            batch->retry_ns = INT64_MIN;
        }
        pthread_cond_broadcast(&batch->flushed);
    } while (!error && batch->count && is_enough(batch));
    plan(batch);
    return error;
}

/* Is this thread in on_flush? */
static bool is_flusher(const hr_batch *batch)
{
    return batch->flushing && pthread_equal(batch->flusher, pthread_self());
}

/* Waits until nobody flushes; under the lock. Gives 0, or -EDEADLK to him who does. */
static int wait_for_flusher(hr_batch *batch)
{
    while (batch->flushing) {
        if (is_flusher(batch))
            return -EDEADLK;
        hri_wait_on(&batch->flushed, &batch->lock);
    }
    return 0;
}

int hr_batch_flush(hr_batch *batch)
{
    if (!batch)
        return -EINVAL;
    pthread_mutex_lock(&batch->lock);
    int error = wait_for_flusher(batch);
    if (!error && batch->count)
        error = flush(batch);
    pthread_mutex_unlock(&batch->lock);
    return error;
}

int hr_batch_flush_aged(hr_batch *batch)
{
    if (!batch)
        return -EINVAL;
    int error = 0;
    pthread_mutex_lock(&batch->lock);
    if (!batch->flushing) { /* else it plans anew when it is done */
        if (hri_clock_now(batch->clock) >= due_ns(batch))
            error = flush(batch);
        else
            plan(batch);
    }
    pthread_mutex_unlock(&batch->lock);
    return error;
}

static void run_duty(void *context)
{
    (void)hr_batch_flush_aged(context); /* the figures say that it failed, and the next add that it is full */
}

/* ── adding ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void append(hr_batch *batch, const void *item, uint64_t bytes)
{
    size_t item_bytes = batch->options.item_bytes;
    memcpy(batch->items + batch->count * item_bytes, item, item_bytes);
    batch->bytes = hri_add(batch->bytes, bytes);
    batch->figures.added++;
    bool first = batch->count == (batch->flushing ? batch->flushing_count : 0);
    batch->count++;
    if (!first)
        return;
    int64_t now_ns = hri_clock_now(batch->clock);
    if (batch->flushing) {
        batch->next_since_ns = now_ns;
    } else {
        batch->since_ns = now_ns;
        if (!is_enough(batch))
            plan(batch);
    }
}

/* An item of the batch itself, which on_flush was shown: it is another one when the flush is done. */
static bool is_own(const hr_batch *batch, const void *item)
{
    uintptr_t offset = (uintptr_t)item - (uintptr_t)batch->items;
    return offset < batch->count * batch->options.item_bytes;
}

int hr_batch_add_sized(hr_batch *batch, const void *item, uint64_t bytes)
{
    if (!batch || !item)
        return -EINVAL;
    int error = 0;
    pthread_mutex_lock(&batch->lock);
    while (is_full(batch) && batch->flushing && !is_flusher(batch) && !is_own(batch, item))
        hri_wait_on(&batch->flushed, &batch->lock);
    if (is_full(batch)) {
        batch->figures.refused++;
        error = -ENOBUFS;
    } else {
        append(batch, item, bytes);
        if (!batch->flushing && is_enough(batch))
            error = flush(batch);
    }
    pthread_mutex_unlock(&batch->lock);
    return error;
}

int hr_batch_add(hr_batch *batch, const void *item)
{
    return hr_batch_add_sized(batch, item, batch ? batch->options.item_bytes : 0);
}

/* ── making, reading, freeing ───────────────────────────────────────────────────────────────────────────────────── */

static int fit(hr_batch_options *options)
{
    if (!options->item_bytes || !options->on_flush || options->age_max_ns < 0 ||
        !hri_buffers_fit(options->guard, options->budget))
        return -EINVAL;
    if (!options->bytes_max)
        options->bytes_max = HR_NONE;
    if (!options->items_max)
        options->items_max = options->bytes_max == HR_NONE
                                 ? ITEMS_MAX
                                 : (size_t)hri_min(SIZE_MAX, hri_max(1, options->bytes_max / options->item_bytes));
    if (!options->budget && options->guard)
        options->budget = hri_offer_of(options->guard)->root;
    return 0;
}

int hr_batch_new(const hr_batch_options *options, hr_batch **ret_batch)
{
    if (!options || !ret_batch)
        return -EINVAL;
    hr_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return -ENOMEM;
    batch->options = *options;
    batch->timer = -1;
    batch->retry_ns = INT64_MIN;
    void *items;
    int error = fit(&batch->options);
    uint64_t size = hri_mul(batch->options.items_max, batch->options.item_bytes);
    if (!error)
        error = hri_buffers_init(&batch->buffers, batch->options.budget, "batch", (size_t)hri_min(size, SIZE_MAX));
    if (error)
        goto free_batch;
    error = hri_wait_init(&batch->lock, &batch->flushed);
    if (error)
        goto destroy_buffers;
    error = hri_buffer_get(&batch->buffers, false, &items);
    if (error)
        goto destroy_wait;
    batch->items = items;
    error = hri_batch_enlist(batch);
    if (error)
        goto put_buffer;
    batch->clock = &hri_os_clock;
    if (options->guard && options->age_max_ns) {
        batch->duties = hri_offer_of(options->guard)->duties;
        batch->clock = batch->duties->clock;
        batch->duty = (hri_duty){.run = run_duty, .context = batch};
        hri_duty_add(batch->duties, &batch->duty);
    }
    *ret_batch = batch;
    return 0;

put_buffer:
    hri_buffer_put(&batch->buffers, items);
destroy_wait:
    hri_wait_destroy(&batch->lock, &batch->flushed);
destroy_buffers:
    hri_buffers_destroy(&batch->buffers);
free_batch:
    free(batch);
    return error;
}

int hr_batch_free(hr_batch *batch)
{
    if (!batch)
        return 0;
    pthread_mutex_lock(&batch->lock);
    int error = wait_for_flusher(batch);
    if (!error && batch->count)
        error = flush(batch);
    bool busy = error || batch->count;
    pthread_mutex_unlock(&batch->lock);
    if (busy)
        return -EBUSY;
    hri_batch_delist(batch);
    if (batch->duties)
        hri_duty_remove(batch->duties, &batch->duty);
    hri_file_close(batch->timer);
    hri_buffer_put(&batch->buffers, batch->items);
    hri_buffers_destroy(&batch->buffers);
    hri_wait_destroy(&batch->lock, &batch->flushed);
    free(batch);
    return 0;
}

int hr_batch_fd(hr_batch *batch)
{
    if (!batch || !batch->options.age_max_ns)
        return -EINVAL;
    pthread_mutex_lock(&batch->lock);
    int fd = batch->timer;
    if (fd < 0) {
        fd = hri_timer_open();
        batch->timer = fd < 0 ? -1 : fd;
        if (fd >= 0)
            plan(batch);
    }
    pthread_mutex_unlock(&batch->lock);
    return fd;
}

int hr_batch_read(hr_batch *batch, hr_batch_figures *ret_figures)
{
    if (!batch || !ret_figures)
        return -EINVAL;
    pthread_mutex_lock(&batch->lock);
    *ret_figures = batch->figures;
    ret_figures->items = batch->count;
    ret_figures->bytes = batch->bytes;
    ret_figures->age_ns = batch->count ? hri_clock_now(batch->clock) - batch->since_ns : 0;
    pthread_mutex_unlock(&batch->lock);
    return 0;
}

size_t hr_batch_clear(hr_batch *batch)
{
    if (!batch)
        return 0;
    size_t count = 0;
    pthread_mutex_lock(&batch->lock);
    if (wait_for_flusher(batch) == 0) {
        count = batch->count;
        batch->count = 0;
        batch->bytes = 0;
        plan(batch);
    }
    pthread_mutex_unlock(&batch->lock);
    return count;
}
