/* SPDX-License-Identifier: Apache-2.0 */
/* Guards across fork(). The child goes on with a copy of each guard: the accounts as they were, figures of its own, and
 * no monitor thread, since threads do not come along.
 *
 * Locking: before a fork all locks of all guards are taken, in the order in which the rooms nest them, so that the
 * child finds every account whole. Calls that a signal handler may make are kept out before that, by the gate
 * (budget/gate.h). Else a handler that has interrupted malloc() would wait for these locks, and libc's part of the fork
 * for malloc()'s.
 */
#include "guard/rooms.h"

#include "budget/gate.h"
#include "budget/pending.h"
#include "flow/batch.h"
#include "heap/heap.h"
#include "os/cells.h"
#include "os/file.h"
#include "os/resident.h"
#include "os/share.h"
#include "pool/engine.h"

#include <errno.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list; outermost of all */
static hr_guard *first;
static bool handled; /* the handlers are there */

/* The rooms whose locks come before the trees'. */
static void each_above(hri_fork moment)
{
    for (hr_guard *guard = first; guard; guard = guard->next) {
        hri_duties_fork(&guard->duties, moment);
        hri_fork_lock(&guard->fd_lock, moment);
        hri_figures_fork(&guard->figures, moment);
        hri_relief_fork(&guard->relief, moment);
        hri_yielders_fork(&guard->yielders, moment);
        hri_journal_fork(&guard->history_file, moment);
        hri_history_fork(&guard->history, moment);
        hri_watcher_fork(&guard->watcher, moment);
        hri_monitor_fork(&guard->monitor, moment);
        hri_status_fork(&guard->status, moment);
        if (moment == HRI_FORK_CHILD) /* the eventfd is shared with the parent: each is to have its own */
            hri_file_close_own(atomic_exchange_explicit(&guard->fd, -1, memory_order_relaxed), &guard->fd_mark);
    }
}

static void each_tree(hri_fork moment)
{
    for (hr_guard *guard = first; guard; guard = guard->next)
        hri_budget_tree_fork(&guard->tree, moment);
}

/* A look holds its watcher's lock and reads the accounts of all trees: so all watchers come first. */
static void each(hri_fork moment)
{
    if (moment == HRI_FORK_BEFORE)
        each_above(moment);
    hri_pending_fork(moment);
    each_tree(moment);
    hri_share_fork(moment);
    if (moment != HRI_FORK_BEFORE)
        each_above(moment);
}

static void before(void)
{
    hri_gate_fork(HRI_FORK_BEFORE);
    pthread_mutex_lock(&lock);
    hri_batches_fork(HRI_FORK_BEFORE);
    hri_engines_fork(HRI_FORK_BEFORE);
    each(HRI_FORK_BEFORE);
    hri_heap_fork(HRI_FORK_BEFORE);
    hri_cells_fork(HRI_FORK_BEFORE);
    hri_resident_fork(HRI_FORK_BEFORE);
}

/* While the child lives the monitors look more often: they learn it now. */
static void in_parent(void)
{
    hri_resident_fork(HRI_FORK_PARENT);
    for (hr_guard *guard = first; guard; guard = guard->next)
        hri_monitor_wake(&guard->monitor);
    hri_cells_fork(HRI_FORK_PARENT);
    hri_heap_fork(HRI_FORK_PARENT);
    each(HRI_FORK_PARENT);
    hri_engines_fork(HRI_FORK_PARENT);
    hri_batches_fork(HRI_FORK_PARENT);
    pthread_mutex_unlock(&lock);
    hri_gate_fork(HRI_FORK_PARENT);
}

static void in_child(void)
{
    hri_resident_fork(HRI_FORK_CHILD);
    hri_cells_fork(HRI_FORK_CHILD);
    hri_heap_fork(HRI_FORK_CHILD);
    each(HRI_FORK_CHILD);
    hri_engines_fork(HRI_FORK_CHILD);
    hri_batches_fork(HRI_FORK_CHILD);
    hri_fork_lock(&lock, HRI_FORK_CHILD);
    hri_gate_fork(HRI_FORK_CHILD);
}

/* Under the lock. */
static int handle(void)
{
    int error = handled ? 0 : -pthread_atfork(before, in_parent, in_child);
    handled |= !error;
    return error;
}

int hri_fork_handle(void)
{
    pthread_mutex_lock(&lock);
    int error = handle();
    pthread_mutex_unlock(&lock);
    return error;
}

int hri_guard_enlist(hr_guard *guard)
{
    pthread_mutex_lock(&lock);
    int error = handle();
    if (!error) {
        guard->next = first;
        first = guard;
    }
    pthread_mutex_unlock(&lock);
    return error;
}

void hri_guard_delist(hr_guard *guard)
{
    pthread_mutex_lock(&lock);
    for (hr_guard **at = &first; *at; at = &(*at)->next) {
        if (*at == guard) {
            *at = guard->next;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}
