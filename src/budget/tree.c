/* SPDX-License-Identifier: Apache-2.0 */
/* Making, reading and freeing: the tree and its budgets. What changes their accounts is in budget.c, with the rules. */
#include "budget/accounts.h"

#include "base/wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int hri_budget_tree_init(hri_budget_tree *tree, uint64_t limit_bytes, const hri_budget_hooks *hooks)
{
    *tree =
        (hri_budget_tree){.kernel_limit_bytes = HR_NONE, .room_bytes = HR_NONE, .limit_name = "root", .hooks = *hooks};
    tree->root = (hr_budget){.tree = tree, .name = "root", .limit_bytes = limit_bytes};
    atomic_init(&tree->cross_bytes, HR_NONE);
    return hri_wait_init(&tree->lock, &tree->room_made);
}

void hri_budget_tree_destroy(hri_budget_tree *tree)
{
    hri_wait_destroy(&tree->lock, &tree->room_made);
}

void hri_budget_tree_read(hri_budget_tree *tree, hri_accounts *ret_accounts)
{
    pthread_mutex_lock(&tree->lock);
    *ret_accounts = (hri_accounts){
        .held_bytes = tree->root.held_bytes,
        .promised_bytes = tree->root.promised_bytes,
        .total_bytes = tree->root.total_bytes,
        .peak_bytes = tree->root.peak_bytes,
        .own_limit_bytes = tree->root.limit_bytes,
        .limit_bytes = hri_budget_limit(&tree->root),
        .refusals = tree->refusals,
    };
    pthread_mutex_unlock(&tree->lock);
}

void hri_budget_tree_narrow(hri_budget_tree *tree, uint64_t kernel_limit_bytes, uint64_t room_bytes,
                            const char *limit_name)
{
    pthread_mutex_lock(&tree->lock);
    bool wider = room_bytes > tree->room_bytes;
    tree->kernel_limit_bytes = kernel_limit_bytes;
    tree->room_bytes = room_bytes;
    tree->limit_name = limit_name;
    if (wider && tree->waiters)
        pthread_cond_broadcast(&tree->room_made);
    pthread_mutex_unlock(&tree->lock);
}

/* What a budget holds by itself. */
static uint64_t own_bytes(const hr_budget *budget)
{
    uint64_t own = hri_budget_used(budget);
    for (const hr_budget *child = budget->first_child; child; child = child->next_sibling)
        own -= hri_budget_used(child);
    return own;
}

/* The next budget of a walk over the whole tree, parents first; NULL after the last. */
static hr_budget *next_budget(hr_budget *budget)
{
    if (budget->first_child)
        return budget->first_child;
    while (budget && !budget->next_sibling)
        budget = budget->parent;
    return budget ? budget->next_sibling : NULL;
}

uint64_t hri_budget_tree_largest(hri_budget_tree *tree, char *ret_name, size_t size)
{
    pthread_mutex_lock(&tree->lock);
    hr_budget *largest = &tree->root;
    for (hr_budget *budget = next_budget(largest); budget; budget = next_budget(budget))
        if (own_bytes(budget) > own_bytes(largest))
            largest = budget;
    uint64_t bytes = own_bytes(largest);
    snprintf(ret_name, size, "%s", largest->name);
    pthread_mutex_unlock(&tree->lock);
    return bytes;
}

void hri_budget_tree_fork(hri_budget_tree *tree, hri_fork moment)
{
    hri_fork_wait(&tree->lock, &tree->room_made, moment);
    if (moment != HRI_FORK_CHILD)
        return;
    tree->waiters = 0; /* they have stayed behind; what they held has not, and nobody can tell what it was */
    for (hr_budget *budget = &tree->root; budget; budget = next_budget(budget))
        budget->waiting = 0;
}

const char *hri_budget_limit_name(hr_budget *budget)
{
    if (budget->parent)
        return budget->name;
    pthread_mutex_lock(&budget->tree->lock);
    const char *name = budget->tree->limit_name;
    pthread_mutex_unlock(&budget->tree->lock);
    return name;
}

bool hri_budget_is_inside(const hr_budget *budget, const hr_budget *ancestor)
{
    while (budget && budget != ancestor)
        budget = budget->parent;
    return budget != NULL;
}

int hr_budget_new(hr_budget *parent, const char *name, uint64_t limit_bytes, hr_budget **ret_budget)
{
    if (!parent || !name || !ret_budget)
        return -EINVAL;
    size_t name_bytes = strlen(name) + 1;
    hr_budget *budget = calloc(1, sizeof *budget + name_bytes);
    if (!budget)
        return -ENOMEM;
    budget->tree = parent->tree;
    budget->parent = parent;
    budget->limit_bytes = limit_bytes;
    budget->name = memcpy(budget + 1, name, name_bytes);
    pthread_mutex_lock(&parent->tree->lock);
    budget->next_sibling = parent->first_child;
    if (budget->next_sibling)
        budget->next_sibling->link = &budget->next_sibling;
    budget->link = &parent->first_child;
    parent->first_child = budget;
    pthread_mutex_unlock(&parent->tree->lock);
    *ret_budget = budget;
    return 0;
}

int hr_budget_free(hr_budget *budget)
{
    if (!budget)
        return 0;
    if (!budget->parent)
        return -EINVAL;
    pthread_mutex_lock(&budget->tree->lock);
    bool busy = budget->first_child || hri_budget_used(budget) || budget->waiting;
    if (!busy) {
        *budget->link = budget->next_sibling;
        if (budget->next_sibling)
            budget->next_sibling->link = budget->link;
    }
    pthread_mutex_unlock(&budget->tree->lock);
    if (busy)
        return -EBUSY;
    free(budget);
    return 0;
}

int hr_budget_set_limit(hr_budget *budget, uint64_t limit_bytes)
{
    if (!budget)
        return -EINVAL;
    hri_budget_tree *tree = budget->tree;
    pthread_mutex_lock(&tree->lock);
    budget->limit_bytes = limit_bytes;
    if (tree->waiters)
        pthread_cond_broadcast(&tree->room_made);
    pthread_mutex_unlock(&tree->lock);
    if (!budget->parent && tree->hooks.crossed)
        tree->hooks.crossed(tree->hooks.context, 0, false);
    return 0;
}

int hr_budget_read(hr_budget *budget, hr_budget_figures *ret_figures)
{
    if (!budget || !ret_figures)
        return -EINVAL;
    pthread_mutex_lock(&budget->tree->lock);
    *ret_figures = (hr_budget_figures){
        .used_bytes = hri_budget_used(budget),
        .promised_bytes = budget->promised_bytes,
        .peak_bytes = budget->peak_bytes,
        .total_bytes = budget->total_bytes,
        .limit_bytes = hri_budget_limit(budget),
        .left_bytes = hri_budget_room(budget) == HR_NONE ? HR_NONE : hri_budget_left(budget),
        .refused = budget->refused,
        .waiting = budget->waiting,
    };
    pthread_mutex_unlock(&budget->tree->lock);
    return 0;
}

const char *hr_budget_name(const hr_budget *budget)
{
    return budget ? budget->name : "";
}
