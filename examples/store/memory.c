/* SPDX-License-Identifier: Apache-2.0 */
/* One process, one guard. The budgets are children of the guard's root, so that each class has its own figures, and
 * the pinned one a limit of its own.
 */
#include "memory.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Dropped at critical, so that refusing and evicting never wait for a page. */
#define RESERVE_BYTES (512 * 1024)

static hr_guard *guard;
static struct memory_budgets budgets;
static _Atomic uint64_t warning_bytes; /* what was held and promised when warning began */

/* Notes where warning begins, and says each change of level on stderr: one write of a line that is made on the stack,
 * since memory may be gone. */
static void on_level(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context;
    if (from == HR_NORMAL)
        warning_bytes = figures->live_bytes + figures->promised_bytes;
    char line[256], live[24], limit[24];
    int length = snprintf(line, sizeof line, "headroom-store: %s, was %s: %.1f %% of the %s limit, %s held of %s\n",
                          hr_level_text(to), hr_level_text(from), figures->use * 100, figures->use_source,
                          hr_size_format(figures->live_bytes, live, sizeof live),
                          hr_size_format(figures->limit_bytes, limit, sizeof limit));
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1) < 0)
        return; /* nobody reads: nothing that can be done about it here */
}

/* One heap for all threads: what one frees the others use again. glibc would give each thread its own, of 64 MiB of
 * address space. */
static void share_heap(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 1);
#endif
}

int memory_open(const struct options *options)
{
    share_heap();
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
    };
    int error = hr_guard_new(&guard_options, &guard);
    if (error)
        return error;
    hr_figures figures;
    hr_guard_read(guard, &figures);
    uint64_t pinned_bytes =
        figures.limit_bytes == HR_NONE ? HR_NONE : (uint64_t)((double)figures.limit_bytes * options->pinned_share);
    hr_budget *root = hr_guard_root(guard);
    error = hr_budget_new(root, "cache", HR_NONE, &budgets.cache);
    if (!error)
        error = hr_budget_new(root, "pinned", pinned_bytes, &budgets.pinned);
    if (!error)
        error = hr_budget_new(root, "connections", HR_NONE, &budgets.connections);
    if (error)
        memory_close();
    return error;
}

void memory_close(void)
{
    hr_budget_free(budgets.connections);
    hr_budget_free(budgets.pinned);
    hr_budget_free(budgets.cache);
    hr_guard_free(guard);
    budgets = (struct memory_budgets){0};
    guard = NULL;
}

const struct memory_budgets *memory_budgets(void)
{
    return &budgets;
}

hr_guard *memory_guard(void)
{
    return guard;
}

hr_level memory_level(void)
{
    return guard ? hr_guard_level(guard) : HR_NORMAL;
}

uint64_t memory_price(uint64_t bytes)
{
    hr_figures figures;
    if (memory_level() == HR_NORMAL || hr_guard_read(guard, &figures) != 0)
        return 0;
    uint64_t wanted = figures.live_bytes + figures.promised_bytes + bytes, line = warning_bytes;
    uint64_t over = wanted > line ? wanted - line : 0;
    return over < bytes ? over : bytes;
}

hr_verdict memory_admit(hr_budget *budget, uint64_t bytes, hr_ticket *ret_ticket)
{
    if (guard)
        return hr_admit(guard, &(hr_request){.bytes = bytes, .priority = 100, .budget = budget}, ret_ticket);
    *ret_ticket = (hr_ticket){.asked_bytes = bytes, .left_bytes = bytes};
    return HR_ADMITTED;
}

void *memory_take(hr_ticket *ticket, size_t size)
{
    return guard ? hr_ticket_alloc(ticket, size) : malloc(size);
}

void memory_give(void *block)
{
    if (guard)
        hr_free(block);
    else
        free(block);
}
