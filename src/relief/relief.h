/* SPDX-License-Identifier: Apache-2.0 */
/* Relief as a whole: who is asked, when, for how much, and what follows from it. */
#ifndef HRI_RELIEF_RELIEF_H
#define HRI_RELIEF_RELIEF_H

#include "gauge/monitor.h"
#include "gauge/watcher.h"
#include "relief/purger.h"
#include "relief/reclaimers.h"
#include "relief/reserve.h"
#include "relief/shedding.h"
#include "relief/stall.h"

#include <headroom/guard.h>

/* Kinds of news about bytes. */
typedef enum hri_relief_news {
    HRI_RELIEVED, /* reclaimers gave them back, */
    HRI_PURGED,   /* or the process's malloc by a purge */
    HRI_SPARED,   /* relief would have been asked for them, where the tree only observes; at most once a second */
} hri_relief_news;

/* Called with no lock held. */
typedef void hri_relief_told_fn(void *context, hri_relief_news news, uint64_t bytes);

typedef struct hri_relief {
    /* Set by whoever makes it, and constant. */
    const hri_clock *clock;
    hri_watcher *watcher;
    hri_budget_tree *tree;
    hri_monitor *monitor;
    uint64_t degraded_request_bytes;
    hri_relief_told_fn *told;
    void *context;

    hri_reclaimers reclaimers;
    hri_purger purger;
    hri_reserve reserve;
    atomic_flag acting;      /* the emergency is one thread's business at a time */
    pthread_mutex_t judging; /* guards the next two, which only requests beyond degrade_at touch; a leaf */
    hri_shedding shedding;
    hri_stall stall;
    _Atomic uint64_t reliefs;
    _Atomic uint64_t relieved_bytes;
    _Atomic uint64_t purged_bytes; /* by which purges shrank the resident set */
    _Atomic uint64_t cleanups;
    _Atomic uint64_t cleaned_bytes;
    _Atomic uint64_t cleanup_before_bytes; /* resident set around the last cleanup */
    _Atomic uint64_t cleanup_after_bytes;
    _Atomic uint64_t would_have_relieved; /* times, where the tree only observes */
    _Atomic int64_t spared_ns;            /* when that was last told */
} hri_relief;

/* Makes the rest. For the intervals see hri_purger. Gives 0 or a negative errno. */
int hri_relief_init(hri_relief *relief, uint64_t reserve_bytes, int64_t purge_interval_ns,
                    int64_t urgent_purge_interval_ns);
void hri_relief_destroy(hri_relief *relief);

void hri_relief_fork(hri_relief *relief, hri_fork moment);

/* Fills in the figures of relief. */
void hri_relief_read(hri_relief *relief, hr_figures *figures);

/* Runs reclaimers towards a goal and counts what they gave. */
uint64_t hri_relief_run(hri_relief *relief, hri_reclaim_goal *goal);

/* A reclaimer has freed something. */
void hri_relief_note_aid(hri_relief *relief);

/* Observe only (hri_budget_hooks.observes): nobody is asked for anything, no page goes back. The bytes that relief
 * would have been asked for are counted. A shortage gives whether pools and caches inside the budget that bound could
 * have made room: then the demand would not have been refused. Of the program's own reclaimers nobody knows what they
 * have. */
bool hri_relief_observe(hri_relief *relief, const hri_shortage *shortage);

/* Could pools and caches have brought use below recover_below? */
bool hri_relief_could_recover(hri_relief *relief);

/* How long a demand, or a round of the emergency, may spend in reclaimers. */
#define HRI_RELIEF_DEADLINE_NS (20 * HRI_MILLISECOND)

/* Gets a demand granted that did not fit, or not; the budget's hook. */
void hri_relief_obtain(hri_relief *relief, struct hri_demand *demand);

/* Purges where that is worth it by the rule of the purger, with what a look saw. Gives whether it did. */
bool hri_relief_purge(hri_relief *relief, const hri_snapshot *snapshot, uint64_t need_bytes, bool urgent);

/* Gives the bytes that a purge is expected to return sooner or later. */
uint64_t hri_relief_retained(const hri_relief *relief, const hri_snapshot *snapshot);

/* Looks at the level, and relieves where it asks for that; the budget's hook. */
void hri_relief_sample(hri_relief *relief, hri_occasion occasion, bool quiet);

/* The thread that acts on an emergency, and so how long it may take. */
typedef enum hri_actor {
    HRI_ACTOR_REQUEST, /* a thread that serves somebody: one slice, no purge; the monitor, where it runs, does the
                          rest */
    HRI_ACTOR_MONITOR,
    HRI_ACTOR_CALLER, /* hr_guard_check() */
} hri_actor;

/* The emergency: while the level is degraded or worse, gives back until use is below recover_below, then has the level
 * decided anew, with what relief achieved. */
void hri_relief_act(hri_relief *relief, hri_actor actor);

/* Asks at once for the bytes that a new level needs: the reserve. */
void hri_relief_level_changed(hri_relief *relief, hr_level to);

/* Purges above normal, or while somebody waits; for the monitor. */
void hri_relief_trim(hri_relief *relief);

/* The bytes that would have to be given back to get the worst ledger below recover_below. */
uint64_t hri_relief_excess(hri_relief *relief);

/* Notes whether anything was achieved while the level is degraded or worse. */
void hri_relief_note_progress(hri_relief *relief);

/* How long a guard that is short must have achieved nothing before that is called a stall, and how often one small
 * request may pass then: by the dwell. */
int64_t hri_relief_patience(const hri_relief *relief);
int64_t hri_relief_probe_interval(const hri_relief *relief);

/* The janitor: asks for what is expired or idle, and purges. Gives bytes freed. */
uint64_t hri_relief_clean(hri_relief *relief);

/* hr_relieve() and hr_admit(). */
uint64_t hri_relief_relieve(hri_relief *relief, uint64_t want_bytes);
hr_verdict hri_relief_admit(hri_relief *relief, const hr_request *request, hr_ticket *ret_ticket);

#endif
