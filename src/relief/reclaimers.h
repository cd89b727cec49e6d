/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of reclaimers: the callers' nodes, in the order in which they are asked. */
#ifndef HRI_RELIEF_RECLAIMERS_H
#define HRI_RELIEF_RECLAIMERS_H

#include "base/clock.h"
#include "base/fork.h"

#include <headroom/relief.h>
#include <pthread.h>

/* A call that is running, on the stack of the thread that runs it. */
typedef struct hri_reclaim_call {
    const hr_reclaimer *node;
    pthread_t thread;
    bool removed; /* the node left from inside its own call: it may be gone */
    struct hri_reclaim_call *next;
} hri_reclaim_call;

typedef struct hri_reclaimers {
    const hri_clock *clock;
    pthread_mutex_t lock; /* guards the rest; never held while a reclaimer runs */
    pthread_cond_t returned;
    hr_reclaimer *first; /* by priority, then by age */
    uint64_t last_order; /* of registration */
    hri_reclaim_call *calls;
} hri_reclaimers;

/* The aim of a run. */
typedef struct hri_reclaim_goal {
    const hr_budget *inside; /* ask only reclaimers of this budget and below; NULL: all */
    uint64_t want_bytes;     /* 0: the janitor's question, to each once */
    int64_t deadline_ns;
    bool unasked; /* out: the time was up before all were asked, or another thread was in a call that freed something */
} hri_reclaim_goal;

int hri_reclaimers_init(hri_reclaimers *reclaimers, const hri_clock *clock);
void hri_reclaimers_destroy(hri_reclaimers *reclaimers);

void hri_reclaimers_fork(hri_reclaimers *reclaimers, hri_fork moment);

/* Gives 0 or -EEXIST. */
int hri_reclaimers_add(hri_reclaimers *reclaimers, hr_reclaimer *node);
void hri_reclaimers_remove(hri_reclaimers *reclaimers, hr_reclaimer *node);

/* Is there anybody to ask? */
bool hri_reclaimers_any(hri_reclaimers *reclaimers);

/* How long a reclaimer is asked for at a time. */
#define HRI_RECLAIM_SLICE_NS (500 * HRI_MICROSECOND)

/* Asks reclaimers in order, in slices and as long as each gives, until the goal is reached, none gives more, or the
 * deadline has passed. Gives the bytes freed. */
uint64_t hri_reclaimers_run(hri_reclaimers *reclaimers, hri_reclaim_goal *goal);

/* Is this thread inside a reclaimer? Then it must not start relief again. */
bool hri_reclaiming(void);

#endif
