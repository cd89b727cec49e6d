/* SPDX-License-Identifier: Apache-2.0 */
/* A batch, and what a fork makes of it. */
#ifndef HRI_FLOW_BATCH_H
#define HRI_FLOW_BATCH_H

#include "base/duty.h"
#include "flow/buffers.h"

#include <headroom/flow.h>
#include <pthread.h>

struct hr_batch {
    hr_batch_options options;
    const hri_clock *clock;
    hri_duties *duties; /* NULL: no guard, or not by age */
    hri_duty duty;
    hri_buffers buffers;

    pthread_mutex_t lock;
    pthread_cond_t flushed; /* a flush is over */
    char *items;
    size_t count;
    uint64_t bytes;
    int64_t since_ns;      /* when the oldest item came */
    int64_t next_since_ns; /* and the oldest of those that came during the flush */
    int64_t retry_ns;      /* after a failed flush, age counts again from here */
    bool flushing;
    pthread_t flusher;
    size_t flushing_count;
    uint64_t flushing_bytes;
    bool inherited; /* what is being flushed is the parent's */
    int timer;      /* below 0: nobody has asked for it yet */
    hr_batch_figures figures;
    hr_batch *next; /* of all batches */
};

/* Has a batch come through forks, or no more. Enlisting gives 0 or a negative errno. */
int hri_batch_enlist(hr_batch *batch);
void hri_batch_delist(hr_batch *batch);

/* All batches through a fork: before any guard. */
void hri_batches_fork(hri_fork moment);

#endif
