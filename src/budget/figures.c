/* SPDX-License-Identifier: Apache-2.0 */
/* The figures that budgets publish to reports: each by its path, such as "root/cache". */
#include "budget/budget.h"

#include <stdio.h>
#include <string.h>

static const hri_figure figures[] = {
    {"used_bytes", NULL, HRI_BYTES, "held and promised"},
    {"promised_bytes", NULL, HRI_BYTES, "admitted and not yet spent"},
    {"limit_bytes", NULL, HRI_BYTES, "its own limit"},
    {"left_bytes", NULL, HRI_BYTES, "what it alone would still grant"},
    {"peak_bytes", NULL, HRI_BYTES, "the most that was used"},
    {"total_bytes", "held_bytes", HRI_COUNTER_BYTES, "everything ever held"},
    {"reserve_bytes", NULL, HRI_BYTES, "what is guaranteed to it"},
    {"refused", "refusals", HRI_COUNTER, "what its limit refused"},
    {"refused_by_level", "refusals_by_level", HRI_COUNTER, "requests that a level refused"},
    {"waiting", NULL, HRI_COUNT, "callers that wait for room"},
    {"wait_longest_ns", "wait_longest_seconds", HRI_NANOSECONDS, "the longest wait"},
    {"would_have_refused", NULL, HRI_COUNTER, "granted; else it would have been refused"},
};

/* Puts the path of a budget that is being visited, whose ancestors stay as long as it does; a long one loses its
 * front. */
static void put_path(const hr_budget *budget, char *path, size_t size)
{
    char *at = path + size - 1;
    *at = '\0';
    for (; budget; budget = budget->parent) {
        size_t length = strlen(budget->name);
        if (length + 1 > (size_t)(at - path))
            break;
        at -= length;
        memcpy(at, budget->name, length);
        if (budget->parent)
            *--at = '/';
    }
    if (at == path + size - 1) /* not even its own name fits */
        snprintf(path, size, "%s", budget ? budget->name : "");
    else
        memmove(path, *at == '/' ? at + 1 : at, strlen(*at == '/' ? at + 1 : at) + 1);
}

struct visitor {
    hri_figures_visit *visit;
    void *context;
};

static int visit_budget(void *context, hr_budget *budget, const hr_budget_figures *read)
{
    const struct visitor *visitor = context;
    char path[HRI_FIGURES_NAME_BYTES];
    const uint64_t values[] = {
        read->used_bytes,
        read->promised_bytes,
        read->limit_bytes,
        read->left_bytes,
        read->peak_bytes,
        read->total_bytes,
        read->reserve_bytes,
        read->refused,
        read->refused_by_level,
        read->waiting,
        (uint64_t)read->wait_longest_ns,
        read->would_have_refused,
    };
    put_path(budget, path, sizeof path);
    visitor->visit(visitor->context, path, values);
    return 0;
}

static void each_budget(void *context, hri_figures_visit *visit, void *visitor)
{
    hri_budget_tree_walk(context, visit_budget, &(struct visitor){visit, visitor});
}

void hri_budget_publish(hri_budget_tree *tree, hri_figure_source *ret_source)
{
    *ret_source = (hri_figure_source){
        .noun = "budget",
        .figures = figures,
        .count = sizeof figures / sizeof *figures,
        .each = each_budget,
        .context = tree,
    };
}
