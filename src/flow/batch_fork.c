/* SPDX-License-Identifier: Apache-2.0 */
/* Batches across fork(). The parent flushes the items that a batch keeps at that moment, so the child's batch is empty,
 * and works.
 *
 * A thread that forks in on_flush comes back from there in the child, too. Until then the items that it flushes stay
 * where they are; then they are dropped, whatever on_flush said (`inherited`).
 *
 * Locking: `lock` guards the list, and is taken before any batch's. guard/fork.c, which knows in which order the rooms'
 * locks nest, takes them all.
 */
#include "flow/batch.h"

#include "base/fork.h"
#include "os/file.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static hr_batch *first;

int hri_batch_enlist(hr_batch *batch)
{
    int error = hri_fork_handle();
    if (error)
        return error;
    pthread_mutex_lock(&lock);
    batch->next = first;
    first = batch;
    pthread_mutex_unlock(&lock);
    return 0;
}

void hri_batch_delist(hr_batch *batch)
{
    pthread_mutex_lock(&lock);
    hr_batch **at = &first;
    while (*at != batch)
        at = &(*at)->next;
    *at = batch->next;
    pthread_mutex_unlock(&lock);
}

static void leave_to_parent(hr_batch *batch)
{
    batch->inherited = batch->flushing && pthread_equal(batch->flusher, pthread_self());
    batch->flushing = batch->inherited;
    batch->count = batch->inherited ? batch->flushing_count : 0;
    batch->bytes = batch->inherited ? batch->flushing_bytes : 0;
    batch->retry_ns = INT64_MIN;
    batch->figures = (hr_batch_figures){0};
    hri_file_close(batch->timer); /* setting it would set the parent's */
    batch->timer = -1;
    if (batch->duties)
        hri_duty_set(batch->duties, &batch->duty, HRI_NEVER);
}

void hri_batches_fork(hri_fork moment)
{
    if (moment == HRI_FORK_BEFORE)
        hri_fork_lock(&lock, moment);
    for (hr_batch *batch = first; batch; batch = batch->next) {
        hri_fork_wait(&batch->lock, &batch->flushed, moment);
        if (moment == HRI_FORK_CHILD)
            leave_to_parent(batch);
    }
    if (moment != HRI_FORK_BEFORE)
        hri_fork_lock(&lock, moment);
}
