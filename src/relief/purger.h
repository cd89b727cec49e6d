/* SPDX-License-Identifier: Apache-2.0 */
/* When to purge: a purge locks the allocator and takes from 0.2 to hundreds of milliseconds (lessons 11), so it is
 * rate-limited by a least interval and by its own cost, timed, and run by whoever serves a request only where that one
 * would be refused otherwise. */
#ifndef HRI_RELIEF_PURGER_H
#define HRI_RELIEF_PURGER_H

#include "base/clock.h"
#include "base/fork.h"
#include "os/process.h"

#include <pthread.h>
#include <stdbool.h>

/* A purge may take at most one part in this many of the time. */
#define HRI_PURGE_SHARE 20

/* Why a purge is asked for, and so what it waits for besides its cost: all of it after a purge. */
typedef enum hri_purge_need {
    HRI_PURGE_ORDINARY, /* the allocator may keep something: the interval, twice as long after each fruitless purge */
    HRI_PURGE_WANTED,   /* what was given back is all that the level waits for: the interval */
    HRI_PURGE_URGENT,   /* the limit is near, and much was given back: the urgent interval */
    HRI_PURGE_NEEDED,   /* demands would be refused for much that was given back: the same, and whatever it costs
                         * while purges do return something, or twice as much is kept as the last one left */
    HRI_PURGE_NEEDS
} hri_purge_need;

typedef struct hri_purger {
    const hri_clock *clock;
    int64_t interval_ns;        /* negative: never */
    int64_t urgent_interval_ns; /* the same for one that is urgent; its cost limits that too */
    hri_process process;        /* opened at start: a purge is due when descriptors may have run out too */
    bool inherited;             /* `process` is the parent's, before a fork */
    pthread_mutex_t lock;
    pthread_cond_t done;              /* nobody purges any more */
    int64_t next_ns[HRI_PURGE_NEEDS]; /* not before this, for each need */
    int64_t ended_ns;                 /* the last one */
    uint64_t left_bytes;              /* what it left of what the allocator was thought to keep */
    unsigned fruitless;               /* purges in a row that returned next to nothing: each doubles the interval */
    uint64_t count;
    int64_t longest_ns;
} hri_purger;

int hri_purger_init(hri_purger *purger, const hri_clock *clock, int64_t interval_ns, int64_t urgent_interval_ns);
void hri_purger_destroy(hri_purger *purger);
void hri_purger_fork(hri_purger *purger, hri_fork moment);

#define HRI_PURGE_FRUITLESS_MAX 6

/* Purges if it is time to. A purge that returns less than a part in HRI_PURGE_SHARE of what the allocator is thought to
 * keep makes the next ordinary one come later, unless more is kept by then: what looks kept is in use. One with more
 * need does not wait for that, for what was given back since is another matter: a purge that came too early to return
 * anything must not be what we are killed for, nor keep a level up. Nor does it make the next one later, whatever it
 * returns. Gives whether it did, and by how much the resident set shrank. */
bool hri_purger_run(hri_purger *purger, uint64_t kept_bytes, hri_purge_need need, uint64_t *ret_bytes);

/* Waits for the end of a purge that another thread is at. Gives whether there was one. */
bool hri_purger_await(hri_purger *purger);

void hri_purger_read(hri_purger *purger, uint64_t *ret_count, int64_t *ret_longest_ns);

#endif
