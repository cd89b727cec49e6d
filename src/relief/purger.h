/* SPDX-License-Identifier: Apache-2.0 */
/* When to purge the process's malloc. A purge locks the allocator and takes from 0.2 to hundreds of milliseconds,
 * and nobody can ask an allocator what it would return. So the rule goes by effect:
 *
 *     kept      = resident anonymous - the library's own - charged by hand
 *     purge if    kept - (kept after the last purge) >= max(what is needed, kept / 20)
 *     rate        at rest: the interval; while somebody would be refused: at once; after one that returned less than a
 *                 twentieth of what was kept: twenty times as long as that took
 *
 * Memory that the program never charged is in `kept` too. A purge that returns nothing of it shows that it is in use,
 * and then only what comes to it counts. A program that grows is purged each time that it has grown by a twentieth.
 */
#ifndef HRI_RELIEF_PURGER_H
#define HRI_RELIEF_PURGER_H

#include "base/clock.h"
#include "base/fork.h"
#include "os/process.h"

#include <pthread.h>
#include <stdbool.h>

/* A purge that can return less than one part in this many of what is kept is not worth it. One that did may take such a
 * part of the time. */
#define HRI_PURGE_SHARE 20

typedef struct hri_purger {
    const hri_clock *clock;
    int64_t interval_ns;        /* negative: never */
    int64_t urgent_interval_ns; /* the same for one that is urgent */
    hri_process process;        /* opened at start: a purge is due when descriptors may have run out too */
    bool inherited;             /* `process` is the parent's, before a fork */
    pthread_mutex_t lock;
    pthread_cond_t done; /* nobody purges any more */
    bool running;
    int64_t ended_ns;    /* the last one */
    int64_t cost_ns;     /* that it took, if it returned next to nothing; else 0 */
    uint64_t left_bytes; /* that were kept after it */
    uint64_t count;
    int64_t longest_ns;
} hri_purger;

int hri_purger_init(hri_purger *purger, const hri_clock *clock, int64_t interval_ns, int64_t urgent_interval_ns);
void hri_purger_destroy(hri_purger *purger);
void hri_purger_fork(hri_purger *purger, hri_fork moment);

typedef struct hri_purge_wish {
    uint64_t retained_bytes; /* the most that the allocator may keep now */
    uint64_t need_bytes;     /* less than this is of no use */
    bool urgent;             /* somebody would be refused otherwise */
} hri_purge_wish;

/* Purges if the rule says so. A thread whose wish is urgent waits for the end of a purge that another one is at, which
 * serves it too. Gives whether there was a purge, and by how much the resident set shrank in this thread's own. */
bool hri_purger_run(hri_purger *purger, const hri_purge_wish *wish, uint64_t *ret_bytes);

/* Where a purge serves the calling thread alone: purges for a thread that is refused, at most for one part in
 * HRI_PURGE_SHARE of its processor time. It allocates no more, so nothing else makes it give back what other threads
 * freed of its blocks; without that everything is refused for ever. */
void hri_purger_run_own(const hri_purger *purger);

void hri_purger_read(hri_purger *purger, uint64_t *ret_count, int64_t *ret_longest_ns);

#endif
