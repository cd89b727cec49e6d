/* SPDX-License-Identifier: Apache-2.0 */
/* Making, reading and freeing: the tree and its budgets. Changes of their accounts are in budget.c, with the rules. */
#include "budget/accounts.h"

#include "base/assert.h"
#include "base/fork.h"
#include "base/lock.h"
#include "base/uncancelled.h"
#include "budget/grant.h"
#include "budget/pending.h"
#include "budget/stock.h"
#include "budget/wait.h"
#include "budget/local.h"
#include "os/rseq.h"
#include "os/share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int hri_budget_tree_init(hri_budget_tree *tree, uint64_t limit_bytes, const hri_budget_hooks *hooks)
{
    *tree = (hri_budget_tree){
        .kernel_limit_bytes = HR_NONE,
        .lease = hri_lease_without_limit(),
        .word = hri_word_alone,
        .stock_ceiling_bytes = HR_NONE,
        .limit_name = "root",
        .hooks = *hooks,
    };
    tree->root = (hr_budget){.tree = tree, .name = "root", .limit_bytes = limit_bytes};
    for (unsigned i = 0; i < HRI_CEILINGS; i++)
        tree->ceilings[i] = (hri_ceiling){HR_NONE, INT64_MAX};
    atomic_init(&tree->cross_bytes, HR_NONE);
    hri_rseq_usable(NULL); /* charges rely on its having been asked */
    int error = hri_lock_init(&tree->lock);
    if (!error)
        hri_pending_enlist(tree);
    return error;
}

void hri_budget_tree_destroy(hri_budget_tree *tree)
{
    hri_section section = hri_section_enter_tree(tree);
    hri_stock_drain(&tree->root);
    hri_stock_leave(&tree->root);
    hri_section_leave(&section);
    hri_pending_delist(tree);
    pthread_mutex_destroy(&tree->lock);
}

/* ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The cells are not read at one instant, so a promise may be seen in one and its end in the other. */
uint64_t hri_budget_promised(const hr_budget *budget)
{
    uint64_t bytes = budget->promised_bytes + hri_stock_counted(budget, HRI_STOCK_PROMISED);
    return bytes > INT64_MAX ? 0 : hri_min(bytes, budget->used_bytes);
}

static uint64_t total(const hr_budget *budget)
{
    return budget->total_bytes + hri_stock_counted(budget, HRI_STOCK_TAKEN) +
           hri_stock_counted(budget, HRI_STOCK_BLOCKS);
}

static void read_root(hri_budget_tree *tree, uint64_t stocks_bytes, hri_accounts *ret_accounts)
{
    uint64_t used = hri_sub(tree->root.used_bytes, stocks_bytes);
    uint64_t promises = hri_min(hri_budget_promised(&tree->root), used), held = used - promises;
    uint64_t freed = atomic_load_explicit(&tree->freed_bytes, memory_order_relaxed) +
                     hri_stock_counted(&tree->root, HRI_STOCK_FREED);
    uint64_t blocks = atomic_load_explicit(&tree->block_bytes, memory_order_relaxed) +
                      hri_stock_counted(&tree->root, HRI_STOCK_BLOCKS);
    *ret_accounts = (hri_accounts){
        .held_bytes = held,
        .promised_bytes = promises,
        .total_bytes = total(&tree->root),
        .peak_bytes = tree->root.peak_bytes,
        .own_limit_bytes = tree->root.limit_bytes,
        .limit_bytes = hri_budget_limit(&tree->root),
        .block_bytes = hri_min(hri_sub(blocks, freed), held),
        .stocks_bytes = stocks_bytes,
        .waited_for = tree->first_waiter != NULL,
    };
    *(tree->hooks.observes ? &ret_accounts->would_have_refused : &ret_accounts->refused) = tree->refusals.counts;
    ret_accounts->hand_uncharged_bytes = hri_sub(ret_accounts->total_bytes - held, freed);
}

void hri_budget_tree_read(hri_budget_tree *tree, hri_accounts *ret_accounts)
{
    hri_section section = hri_section_enter_tree(tree);
    hri_stock_drain(&tree->root);
    read_root(tree, 0, ret_accounts);
    hri_section_leave(&section);
}

void hri_budget_tree_snapshot(hri_budget_tree *tree, hri_accounts *ret_accounts)
{
    hri_section section = hri_section_enter_tree(tree);
    read_root(tree, hri_stock_snapshot(&tree->root), ret_accounts);
    hri_section_leave(&section);
}

void hri_budget_tree_take_refusers(hri_budget_tree *tree, hri_refusers *ret_refusers)
{
    hri_section section = hri_section_enter_tree(tree);
    *ret_refusers = tree->refusals.refusers;
    tree->refusals.refusers.count = 0;
    hri_section_leave(&section);
}

/* The bytes that a charge would get now; HR_NONE: there is no limit. */
static uint64_t left(const hr_budget *budget)
{
    bool limited =
        hri_budget_limit(budget) != HR_NONE || (!budget->parent && hri_tree_lease_left(budget->tree) != HR_NONE);
    return limited ? hri_budget_left(budget) : HR_NONE;
}

static void read_budget(hr_budget *budget, hr_budget_figures *ret_figures)
{
    bool observes = budget->tree->hooks.observes;
    *ret_figures = (hr_budget_figures){
        .used_bytes = budget->used_bytes,
        .promised_bytes = hri_budget_promised(budget),
        .peak_bytes = budget->peak_bytes,
        .total_bytes = total(budget),
        .limit_bytes = hri_budget_limit(budget),
        .left_bytes = left(budget),
        .reserve_bytes = budget->reserve_bytes,
        .reserved_bytes = budget->claimed_bytes - budget->used_bytes,
        .refused = observes ? 0 : budget->refused,
        .refused_by_level = observes ? 0 : budget->refused_by_level,
        .waiting = budget->waiting,
        .waits = budget->waits,
        .wait_longest_ns = hri_wait_longest(budget),
        .would_have_refused = observes ? budget->refused + budget->refused_by_level : 0,
    };
}

int hr_budget_read(hr_budget *budget, hr_budget_figures *ret_figures)
{
    if (!budget || !ret_figures)
        return -EINVAL;
    if (!budget->parent && !hri_section_interrupted())
        hri_budget_sample(budget->tree, HRI_ON_SHORTAGE,
                          true); /* what is left of the root is what the kernel leaves it now */
    hri_section section = hri_section_enter(budget);
    hri_stock_drain(budget);
    hri_local_cover_children(budget);
#ifdef HRI_DEBUG
    hri_budget_audit(section.tree);
#endif
    read_budget(budget, ret_figures);
    hri_section_leave(&section);
    return 0;
}

const char *hr_budget_name(const hr_budget *budget)
{
    return budget ? budget->name : "";
}

hr_budget *hr_budget_parent(const hr_budget *budget)
{
    return budget ? budget->parent : NULL;
}

const char *hri_budget_limit_name(hr_budget *budget)
{
    if (budget->parent)
        return budget->name;
    hri_section section = hri_section_enter_tree(budget->tree);
    const char *name = section.tree->limit_name;
    hri_section_leave(&section);
    return name;
}

bool hri_budget_is_inside(const hr_budget *budget, const hr_budget *ancestor)
{
    while (budget && budget != ancestor)
        budget = budget->parent;
    return budget != NULL;
}

/* The bytes that a budget holds by itself: local children's bytes are in its own too. */
static uint64_t itself(const hr_budget *budget)
{
    uint64_t bytes = budget->own_bytes;
    for (const hr_budget *child = budget->first_child; child; child = child->next_sibling)
        if (atomic_load_explicit(&child->local, memory_order_relaxed))
            bytes = hri_sub(bytes, child->own_bytes);
    return bytes;
}

size_t hri_budget_tree_holders(hri_budget_tree *tree, unsigned seen_max, hri_holder *list, size_t capacity)
{
    size_t count = 0;
    hri_section section = hri_section_enter_tree(tree);
    for (hr_budget *at = &tree->root; at && seen_max > 0; at = hri_budget_next(at, &tree->root), seen_max--) {
        uint64_t held = itself(at);
        size_t place = count;
        while (place > 0 && list[place - 1].bytes < held)
            place--;
        if (held == 0 || place == capacity)
            continue;
        count += count < capacity;
        memmove(&list[place + 1], &list[place], (count - 1 - place) * sizeof *list);
        list[place].budget = at;
        list[place].bytes = held;
    }
    for (size_t i = 0; i < count; i++)
        snprintf(list[i].name, sizeof list[i].name, "%s", ((const hr_budget *)list[i].budget)->name);
    hri_section_leave(&section);
    return count;
}

/* ── what others say about it ───────────────────────────────────────────────────────────────────────────────────── */

void hri_budget_tree_instruct(hri_budget_tree *tree, const hri_budget_view *view)
{
    hri_section section = hri_section_enter(view->demand ? view->demand->budget : &tree->root);
    bool wider = view->lease || view->kernel_limit_bytes > tree->kernel_limit_bytes;
    tree->kernel_limit_bytes = view->kernel_limit_bytes;
    tree->limit_name = view->limit_name;
    if (view->lease) {
        tree->lease = *view->lease;
        tree->word = *view->word;
        tree->read_used_bytes = view->used_bytes;
    }
    if (view->ceilings)
        memcpy(tree->ceilings, view->ceilings, sizeof tree->ceilings);
    tree->stock_ceiling_bytes = hri_min(view->stock_ceiling_bytes, view->cross_bytes);
    atomic_store_explicit(&tree->cross_bytes, view->cross_bytes, memory_order_relaxed);
    atomic_store_explicit(&tree->watched, view->watched, memory_order_relaxed);
    if (view->watched || tree->root.used_bytes > tree->stock_ceiling_bytes)
        hri_stock_drain(&tree->root);
    tree->lease_is_new = view->lease != NULL;
    if (wider)
        tree->renewal_wanted = hri_wait_serve(tree);
    if (view->demand)
        hri_demand_attempt(view->demand, &section);
    tree->lease_is_new = false;
    hri_section_leave(&section);
}

void hri_budget_tree_fork(hri_budget_tree *tree, hri_fork moment)
{
    hri_section_fork(tree, moment);
    if (moment != HRI_FORK_CHILD)
        return;
    if (tree->lease.look_bytes != HR_NONE)
        tree->lease.look_bytes = 0; /* the first grant of the child makes a reading of its own */
    hri_wait_forget(tree);
    hri_local_forget(tree);
    hri_stock_fork(tree);
}

int hr_budget_set_limit(hr_budget *budget, uint64_t limit_bytes)
{
    if (!budget)
        return -EINVAL;
    hri_section section = hri_section_enter(budget);
    hri_budget_tree *tree = section.tree;
    bool narrower = limit_bytes < budget->limit_bytes;
    budget->limit_bytes = limit_bytes;
    if (narrower)
        hri_stock_drain(budget);
    bool renew = hri_wait_serve(tree);
    hri_section_leave(&section);
    if (!budget->parent)
        hri_budget_sample(tree, HRI_ON_CROSSING, false);
    else if (renew)
        hri_budget_sample(tree, HRI_ON_SHORTAGE, true);
    return 0;
}

/* Is there room on the path for what a new reserve sets aside? */
static bool reserve_fits(const hr_budget *budget, uint64_t reserve_bytes)
{
    uint64_t claim =
        hri_sub(hri_max(budget->claimed_bytes, reserve_bytes), hri_budget_claim(budget, budget->claimed_bytes));
    for (const hr_budget *at = budget->parent; at && claim; at = at->parent) {
        if (claim > hri_budget_left(at))
            return false;
        claim = hri_budget_pass_on(at, claim);
    }
    return true;
}

int hr_budget_set_reserve(hr_budget *budget, uint64_t reserve_bytes)
{
    if (!budget || !budget->parent)
        return -EINVAL;
    hri_local_promote(budget);
    if (reserve_bytes)
        hri_budget_sample(budget->tree, HRI_ON_SHORTAGE, true);
    hri_section section = hri_section_enter(budget);
    if (reserve_bytes > budget->limit_bytes) {
        hri_section_leave(&section);
        return -EINVAL;
    }
    if (reserve_bytes > budget->reserve_bytes && !reserve_fits(budget, reserve_bytes))
        hri_stock_drain(&section.tree->root);
    bool fits = reserve_bytes <= budget->reserve_bytes || reserve_fits(budget, reserve_bytes);
    if (!fits && section.tree->hooks.observes) {
        hri_refusals_count(&section.tree->refusals, budget->parent, budget->parent->name, HR_NORMAL);
        fits = true;
    }
    if (fits)
        hri_path_set_reserve(budget, reserve_bytes);
    section.tree->renewal_wanted |= hri_wait_serve(section.tree);
    hri_section_leave(&section);
    return fits ? 0 : -EDQUOT;
}

/* ── making and freeing ─────────────────────────────────────────────────────────────────────────────────────────── */

static void link_child(hr_budget *parent, hr_budget *budget)
{
    budget->next_sibling = parent->first_child;
    if (budget->next_sibling)
        budget->next_sibling->link = &budget->next_sibling;
    budget->link = &parent->first_child;
    parent->first_child = budget;
}

static void unlink_child(hr_budget *budget)
{
    *budget->link = budget->next_sibling;
    if (budget->next_sibling)
        budget->next_sibling->link = budget->link;
}

int hr_budget_new(hr_budget *parent, const char *name, uint64_t limit_bytes, hr_budget **ret_budget)
{
    if (!parent || !name || !ret_budget)
        return -EINVAL;
    size_t name_bytes = strlen(name) + 1;
    hr_budget *budget = malloc(sizeof *budget + name_bytes);
    if (!budget)
        return -ENOMEM;
    *budget = (hr_budget){
        .tree = parent->tree,
        .parent = parent,
        .name = memcpy(budget + 1, name, name_bytes),
        .limit_bytes = limit_bytes,
        .first_thread = hri_cells_have_mine() ? hri_cells_mine : NULL,
    };
    atomic_init(&budget->local, hri_rseq_usable(NULL));
    hri_local_promote(parent);
    hri_section section = hri_section_enter(parent);
    link_child(parent, budget);
    hri_section_leave(&section);
    *ret_budget = budget;
    return 0;
}

/* Has it children that their users have not freed? */
static bool has_children(const hr_budget *budget)
{
    const hr_budget *child = budget->first_child;
    while (child && child->condemned)
        child = child->next_sibling;
    return child != NULL;
}

/* Takes condemned budgets out that no walk stands at, from one upwards, and adds them to `dead`, a list for bury().
 * In a section, where nothing of malloc()'s may be called: a signal handler that has interrupted malloc() would wait
 * for the tree's lock, whose holder waits for malloc()'s. */
static void reap(hr_budget *budget, hr_budget **dead)
{
    while (budget->condemned && !budget->visitors && !budget->first_child) {
        hr_budget *parent = budget->parent;
        unlink_child(budget);
        budget->next_sibling = *dead;
        *dead = budget;
        budget = parent;
    }
}

/* Frees budgets that are no longer in the tree; not in a section. */
static void bury(hr_budget **dead)
{
    while (*dead) {
        hr_budget *budget = *dead;
        *dead = budget->next_sibling;
        free(budget);
    }
}

void hri_budget_use(hr_budget *budget)
{
    if (!budget)
        return;
    hri_section section = hri_section_enter(budget);
    budget->users++;
    hri_section_leave(&section);
}

void hri_budget_leave(hr_budget *budget)
{
    if (!budget)
        return;
    hri_section section = hri_section_enter(budget);
    budget->users--;
    hri_section_leave(&section);
}

int hr_budget_free(hr_budget *budget)
{
    if (!budget)
        return 0;
    if (!budget->parent)
        return -EINVAL;
    hr_budget *dead = NULL;
    hri_section section = hri_section_enter(budget);
    if (budget->used_bytes)
        hri_stock_drain(budget);
    bool busy = budget->used_bytes || budget->waiting || budget->users || has_children(budget);
    if (!busy) {
        hri_stock_leave(budget);
        hri_path_set_reserve(budget, 0);
        section.tree->renewal_wanted |= hri_wait_serve(section.tree); /* there may be room for others now */
        budget->condemned = true;
        reap(budget, &dead);
    }
    hri_section_leave(&section);
    bury(&dead);
    return busy ? -EBUSY : 0;
}

/* ── walking ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The next budget that is not condemned, which stays until it has been visited. */
static hr_budget *next_to_visit(hr_budget *budget)
{
    const hr_budget *root = &budget->tree->root;
    do
        budget = hri_budget_next(budget, root);
    while (budget && budget->condemned);
    if (budget)
        budget->visitors++;
    return budget;
}

static void leave_visited(hr_budget *budget, hr_budget **dead)
{
    budget->visitors--;
    reap(budget, dead);
}

int hri_budget_tree_walk(hri_budget_tree *tree, hr_budget_walk_fn *visit, void *context)
{
    HRI_UNCANCELLED; /* `visit` is to come back */
    int result = 0;
    hr_budget *dead = NULL;
    hri_section section = hri_section_enter_tree(tree);
    hri_stock_drain(&tree->root);
    hr_budget *budget = &tree->root;
    budget->visitors++;
    while (budget) {
        hri_section_leave(&section);
        bury(&dead);
        hr_budget_figures figures;
        hr_budget_read(budget, &figures);
        result = visit(context, budget, &figures);
        section = hri_section_enter_tree(tree); // NOLINT(clang-analyzer-unix.Malloc): a root is never condemned
        hr_budget *next = result ? NULL : next_to_visit(budget);
        leave_visited(budget, &dead); /* and what contains it */
        budget = next;
    }
    hri_section_leave(&section);
    bury(&dead);
    return result;
}
