/* SPDX-License-Identifier: Apache-2.0 */
/* Connects yielders of memory (base/yield.h) with relief. Behind each stands a reclaimer, so pools, caches
 * and the program's own reclaimers are asked in one order, by the same rules.
 */
#include "guard/rooms.h"

#include <errno.h>
#include <stdlib.h>

static void visit_kind(void *context, hri_figures_visit *visit, void *visitor)
{
    hri_yielder_source *source = context;
    hri_yielders_each(source->yielders, source->kind, visit, visitor);
}

/* Has reports show yielders of a kind, from the first one on. */
static void publish(hr_guard *guard, const hri_yielder_kind *kind)
{
    pthread_mutex_lock(&guard->fd_lock); /* two may come first at once */
    hri_yielder_source *at = guard->yielder_sources, *end = at + HRI_YIELDER_KINDS_MAX;
    while (at < end && at->kind && at->kind != kind)
        at++;
    if (at < end && !at->kind) {
        at->kind = kind;
        at->yielders = &guard->yielders;
        at->source = (hri_figure_source){
            .noun = kind->noun, .figures = kind->figures, .count = kind->count, .each = visit_kind, .context = at};
        hri_figures_add(&guard->figures, &at->source);
    }
    pthread_mutex_unlock(&guard->fd_lock);
}

static int connect_yielder(void *context, hri_yielder *yielder)
{
    hr_guard *guard = context;
    hr_reclaimer *reclaimer = calloc(1, sizeof *reclaimer);
    if (!reclaimer)
        return -ENOMEM;
    *reclaimer = (hr_reclaimer){
        .name = yielder->name,
        .priority = yielder->priority,
        .reclaim = yielder->yield,
        .context = yielder->context,
        .budget = yielder->budget,
    };
    yielder->connection = reclaimer;
    if (yielder->kind)
        publish(guard, yielder->kind);
    return hri_reclaimers_add(&guard->relief.reclaimers, reclaimer);
}

static void disconnect_yielder(void *context, hri_yielder *yielder)
{
    hr_guard *guard = context;
    hri_reclaimers_remove(&guard->relief.reclaimers, yielder->connection);
    free(yielder->connection);
}

int hri_guard_init_yielders(hr_guard *guard)
{
    static const hri_level_word normal; /* where the guard only observes, nobody yields */
    guard->yielders = (hri_yielders){
        .level = guard->tree.hooks.observes ? &normal : &guard->watcher.word,
        .line_bytes = &guard->watcher.line_bytes,
        .connect = connect_yielder,
        .disconnect = disconnect_yielder,
        .context = guard,
    };
    int error = hri_yielders_init(&guard->yielders);
    if (!error)
        guard->tree.yielders = &guard->yielders;
    return error;
}
