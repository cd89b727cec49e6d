/* SPDX-License-Identifier: Apache-2.0 */
/* One process, one guard. The budgets are children of the guard's root, so that each class has its own figures, and
 * the pinned one a limit of its own.
 */
#include "store.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Dropped at critical, so that refusing and evicting never wait for a page. */
#define RESERVE_BYTES (512 * 1024)

struct memory memory;

/* From this share of the limit on no body is admitted: where degraded begins, if that is known. */
static double body_share = 1;

/* Says each change of level; stderr has no buffer that would take memory. */
static void on_level(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context;
    (void)figures;
    char why[HR_EXPLANATION_BYTES];
    if (hr_report_explain(memory.guard, NULL, why, sizeof why) < 0) /* the guard is still being made */
        snprintf(why, sizeof why, "%s", hr_level_text(to));
    fprintf(stderr, "headroom-store: %s, was %s; now %s\n", hr_level_text(to), hr_level_text(from), why);
}

int memory_open(const struct options *options)
{
#ifdef __GLIBC__
    /* One heap for all threads: what one frees the others use again. */
    mallopt(M_ARENA_MAX, 1);
#endif
    if (options->unguarded)
        return 0;
    hr_guard_options guard_options = {
        .limit_bytes = options->limit_bytes,
        .warn_at = options->warn_at,
        .degrade_at = options->degrade_at,
        .critical_at = options->critical_at,
        .recover_below = options->recover_below,
        .reserve_bytes = RESERVE_BYTES,
        .on_level = on_level,
        .history_file = options->history,
        .interval_ns = options->interval_ns,
    };
    int error = hr_guard_new(&guard_options, &memory.guard);
    if (error)
        return error;
    bool fitted = options->warn_at > 0 || options->critical_at > 0 || options->recover_below > 0;
    body_share = options->degrade_at > 0 ? options->degrade_at : fitted ? 1 : 0.90;
    hr_figures figures = {.limit_bytes = HR_NONE};
    hr_guard_read(memory.guard, &figures);
    uint64_t limit = figures.limit_bytes;
    uint64_t pinned_bytes = limit == HR_NONE ? HR_NONE : (uint64_t)((double)limit * options->pinned_share);
    hr_budget *root = hr_guard_root(memory.guard);
    error = hr_budget_new(root, "cache", HR_NONE, &memory.cache);
    if (!error)
        error = hr_budget_new(root, "pinned", pinned_bytes, &memory.pinned);
    if (!error)
        error = hr_budget_new(root, "connections", HR_NONE, &memory.connections);
    return error;
}

void memory_watch_history(void)
{
    static int said;
    hr_history_file_figures figures;
    if (!memory.guard || hr_history_file_read(memory.guard, &figures) != 0 || figures.error == said)
        return;
    said = figures.error;
    if (said)
        fprintf(stderr, "headroom-store: the history file cannot be written: %s; history goes on in memory\n",
                strerror(-said));
    else
        fprintf(stderr, "headroom-store: the history file is written again\n");
}

void memory_close(void)
{
    hr_budget_free(memory.connections);
    hr_budget_free(memory.pinned);
    hr_budget_free(memory.cache);
    hr_guard_free(memory.guard);
    memory = (struct memory){0};
}

uint64_t memory_most(hr_budget *budget)
{
    hr_figures guard;
    hr_budget_figures own;
    if (!memory.guard || hr_guard_read(memory.guard, &guard) != 0 || hr_budget_read(budget, &own) != 0)
        return HR_NONE;
    uint64_t all = guard.limit_bytes;
    if (all != HR_NONE)
        all = (uint64_t)((double)all * body_share);
    return own.limit_bytes < all ? own.limit_bytes : all;
}

hr_verdict memory_admit(hr_budget *budget, uint64_t bytes, hr_ticket *ret_ticket)
{
    if (memory.guard)
        return hr_admit(memory.guard, &(hr_request){.bytes = bytes, .priority = 100, .budget = budget}, ret_ticket);
    *ret_ticket = (hr_ticket){.asked_bytes = bytes, .left_bytes = bytes};
    return HR_ADMITTED;
}

void *memory_take(hr_ticket *ticket, size_t size)
{
    return memory.guard ? hr_ticket_alloc(ticket, size) : malloc(size);
}

void *memory_resize(hr_budget *budget, void *block, size_t size)
{
    return memory.guard ? hr_realloc(budget, block, size) : realloc(block, size);
}

void memory_give(void *block)
{
    if (memory.guard)
        hr_free(block);
    else
        free(block);
}
