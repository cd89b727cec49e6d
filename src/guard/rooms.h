/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's rooms under one roof, for the files that wire them (guard.c) and face the user (guard/face.c). */
#ifndef HRI_GUARD_ROOMS_H
#define HRI_GUARD_ROOMS_H

#include "base/figures.h"
#include "base/offer.h"
#include "os/file.h"
#include "relief/relief.h"
#include "report/journal.h"
#include "report/history.h"
#include "report/status.h"

#include <headroom/guard.h>

/* The figures that yielders of one kind publish. */
#define HRI_YIELDER_KINDS_MAX 4
typedef struct hri_yielder_source {
    const hri_yielder_kind *kind;
    hri_yielders *yielders;
    hri_figure_source source;
} hri_yielder_source;

struct hr_guard {
    hri_offer offer; /* first, see base/offer.h */
    hr_guard *next;  /* in the list of all guards, see guard/fork.c */
    const hri_clock *clock;
    hr_level_fn *on_level;
    void *context;
    _Atomic int64_t interval_ns;
    int64_t cleanup_interval_ns;

    hri_budget_tree tree;
    hri_watcher watcher;
    hri_monitor monitor;
    hri_relief relief;
    hri_history history;
    hri_yielders yielders;
    hri_yielder_source yielder_sources[HRI_YIELDER_KINDS_MAX]; /* a kind each; the first without one ends them */
    hri_duties duties;                                         /* done by the monitor */
    hri_journal history_file;
    hri_figure_registry figures; /* what budgets and the like publish to reports */
    hri_figure_source budgets;
    hri_figure_source history_files;

    pthread_mutex_t fd_lock; /* guards the making of `fd`, and what yielders publish */
    _Atomic int fd;          /* below 0: nobody has asked for it yet */
    hri_file_mark fd_mark;

    hri_status status; /* the monitor's own, as what follows */
    bool says_status;  /* a guard of this machine, and not of a test's world */
    int64_t next_status_ns;
    bool tightens;        /* the heap: the level that was told last is above normal */
    int64_t next_rest_ns; /* of the heap; the monitor's own, as the others */
    int64_t next_cleanup_ns;
    int64_t next_record_ns;
};

/* Puts a guard into the list of those that live through a fork; takes it out. Gives 0 or -ENOMEM. */
int hri_guard_enlist(hr_guard *guard);
void hri_guard_delist(hr_guard *guard);

/* Makes the registry of those who can yield, once the rooms that it connects are there. Gives 0 or a negative errno. */
int hri_guard_init_yielders(hr_guard *guard);

/* The interval that is taken for the one that was asked for: at least 1 ms. */
int64_t hri_guard_interval(int64_t asked_ns);

/* Adds the figures of this moment to the history, and who holds most. */
void hri_guard_record(hr_guard *guard);
void hri_guard_note_holders(hr_guard *guard);

/* After each sample. Blocks that come back into pools while the level stays up would keep it there: nobody asks for
 * them once relief has enough. Idle pages of the heap count for the kernel and not for the level, so they go back. */
void hri_guard_follow_level(hr_guard *guard);

/* Finds the memory that no budget knows of, where it is more than `*bytes`, which the largest budget holds. It counts
 * only where it is not the budget's own limit that is short. Gives its holder's name, and its size in `*bytes`; NULL:
 * none. */
const char *hri_guard_larger_holder(const hri_snapshot *snapshot, uint64_t *bytes);

/* Writes what is new in the history to the history file, if there is one. */
void hri_guard_write_history(hr_guard *guard);

/* Says how the process is to whoever lists them, twice a second at most. Where it cannot be written now, perhaps
 * because another guard of this process says it, it is tried again later. The monitor's. */
void hri_guard_say_status(hr_guard *guard, int64_t now_ns);

#endif
