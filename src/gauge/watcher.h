/* SPDX-License-Identifier: Apache-2.0 */
/* The watcher: reads the gauges, weighs the ledgers, decides the level, tells those who want to know.
 *
 * It looks when it is asked to: by the monitor, by charges that cross, by bytes that come back and admissions while
 * above normal, by hr_guard_check(). Changes of level are told in their order, one at a time, with no lock held; who
 * happens to look tells them, unless it looks quietly.
 */
#ifndef HRI_GAUGE_WATCHER_H
#define HRI_GAUGE_WATCHER_H

#include "base/fork.h"
#include "base/level_word.h"
#include "budget/pending.h"
#include "gauge/ledger.h"
#include "gauge/levels.h"
#include "gauge/monitor.h"
#include "gauge/rate.h"
#include "gauge/strain.h"

/* Called after a change of level, with no lock held. */
typedef void hri_changed_fn(void *context, hr_level from, hr_level to);

#define HRI_CHANGES_MAX 16

typedef struct hri_watcher {
    /* Constant once made. */
    hri_level_rules rules;
    hri_budget_tree *tree;
    hri_changed_fn *changed;
    void *context;
    bool shares; /* the lease, with other processes */

    _Atomic bool purged; /* since the last reading: the allocator retains nothing of ours */
    _Atomic bool aided;  /* reclaimers have freed something since the level rose to degraded */
    _Atomic bool tells;  /* what is granted after a reading of its own is told by another one: os/share.h */
    hri_level_word word;
    _Atomic uint64_t line_bytes;     /* see hri_yielders_line(), by the last look */
    _Atomic uint64_t reserve_bytes;  /* the dropped reserve, see hri_books */
    _Atomic uint64_t released_per_s; /* bytes that all budgets give back in a second, of late */
    _Atomic int64_t sampled_ns;      /* when the gauges were last read */

    pthread_mutex_t lock; /* guards the rest; the tree's lock may be taken under it */
    hri_gauge gauge;
    hri_reading reading;
    hri_ours ours;          /* of the reading */
    hri_pending pending;    /* likewise */
    hri_lease_word counter; /* what the lease is counted by */
    hri_lease lease;        /* issued by the reading */
    hri_surprise surprise;  /* of what the groups leave */
    uint64_t margin_bytes;  /* that the groups' lease left for what their counters may hide */
    hri_lease host_lease;   /* what the host left when its figures were read, which may have been before */
    int64_t measured_ns;    /* when untouched pages were last counted, */
    int64_t measuring_ns;   /* and how long it took */
    hri_rate released;
    hri_ledgers ledgers;
    hri_strain strain;
    hri_level_state state;
    const char *limit_source;
    struct {
        hr_level from, to;
    } changes[HRI_CHANGES_MAX]; /* not told yet */
    unsigned change_count;
    hr_level strained; /* what the strain called for at the last look */
    bool telling;
    bool inherited; /* the gauges are the parent's, before a fork */
    bool measured;  /* few blocks count as untouched that are not */
} hri_watcher;

typedef struct hri_watcher_options {
    hri_level_rules rules; /* fitted */
    const char *root;      /* where /proc and /sys are: "" for the machine itself */
    hri_declared declared;
    const hri_clock *clock;
    hri_budget_tree *tree;
    bool shares; /* see hri_watcher */
    hri_changed_fn *changed;
    void *context;
} hri_watcher_options;

/* Opens the gauges and looks once. Gives 0 or a negative errno. */
int hri_watcher_init(hri_watcher *watcher, const hri_watcher_options *options);
void hri_watcher_destroy(hri_watcher *watcher);

/* In the child the gauges are opened anew at the next look: most children never look. */
void hri_watcher_fork(hri_watcher *watcher, hri_fork moment);

/* Starts a monitor that listens to the signals of the watcher's groups. Gives 0 or a negative errno. */
int hri_watcher_start(hri_watcher *watcher, hri_monitor *monitor);

/* The first looks, and gives the level after that. The second does so quietly: it leaves what is to be told for the
 * next thread that looks. `demand` (NULL: none) is tried in the section in which the tree gets the new lease, or after
 * it if another thread has read the gauges. */
hr_level hri_watcher_sample(hri_watcher *watcher, hri_occasion occasion);
hr_level hri_watcher_sample_quietly(hri_watcher *watcher, hri_occasion occasion, struct hri_demand *demand);

/* Is the last reading too old to rely on where no monitor reads? Takes no lock. */
bool hri_watcher_is_stale(const hri_watcher *watcher);

/* Tells the changes that quiet looks left. */
void hri_watcher_tell(hri_watcher *watcher);

/* The figures of the last look. The pointers stay valid as long as the watcher. */
typedef struct hri_snapshot {
    hri_ledgers ledgers;
    hri_process_reading process;
    hri_host_reading host;
    hri_cgroup_reading binding; /* limit_bytes HR_NONE: no cgroup binds */
    uint64_t resident_bytes;    /* of what is held */
    hri_stalls stalls;
    hr_level strained; /* the level that the own group's strain calls for */
    hri_pending pending;
    hri_share_sum sharing;
    uint64_t lease_bytes; /* what was left of the lease when it was issued; HR_NONE: no end */
    int64_t time_ns;
    const char *limit_source;
} hri_snapshot;

void hri_watcher_read(hri_watcher *watcher, hri_snapshot *ret_snapshot);

/* The same with the ledgers weighed anew, by the accounts of now. */
void hri_watcher_read_now(hri_watcher *watcher, hri_snapshot *ret_snapshot, hri_accounts *ret_accounts);

/* Lists the ledgers, by the last reading and the accounts of now; gives their number. */
size_t hri_watcher_list(hri_watcher *watcher, hr_ledger ret_list[HRI_LEDGERS_MAX]);

/* The time that the next look may wait: `interval_ns` at rest. Near a limit it is at most the time in which half of
 * what is left fills at 4 GB/s, about what one core can touch, and at least HRI_WATCHER_PAUSE_NS. The same holds while
 * the child of a fork shares the process's pages: pages that either of them rewrites are charged without a grant. */
#define HRI_WATCHER_PAUSE_NS (10 * HRI_MILLISECOND)
int64_t hri_watcher_pause(hri_watcher *watcher, int64_t interval_ns);

#endif
