/* SPDX-License-Identifier: Apache-2.0 */
/* Locking: a local budget's lock is taken before the tree's. It is held for some nanoseconds, or while its holder waits
 * for the tree's; so whoever finds it taken yields the processor.
 */
#include "budget/section.h"

#include "budget/accounts.h"
#include "budget/wait.h"

#include <sched.h>

static bool try_lock(hr_budget *budget)
{
    return !atomic_exchange_explicit(&budget->busy, true, memory_order_acquire);
}

static void unlock(hr_budget *budget)
{
    atomic_store_explicit(&budget->busy, false, memory_order_release);
}

bool hri_section_try_local(hr_budget *budget)
{
    hri_inner_begin();
    if (try_lock(budget)) {
        if (atomic_load_explicit(&budget->local, memory_order_relaxed))
            return true;
        unlock(budget);
    }
    hri_inner_end();
    return false;
}

void hri_section_leave_local(hr_budget *budget)
{
    unlock(budget);
    hri_inner_end();
}

bool hri_section_lock_local(hr_budget *budget, bool *all)
{
    if (!atomic_load_explicit(&budget->local, memory_order_relaxed))
        return false;
    bool locked = try_lock(budget);
    if (!locked)
        *all = false;
    return locked;
}

void hri_section_unlock_local(hr_budget *budget)
{
    unlock(budget);
}

void hri_section_leave_late(hr_budget *budget, uint64_t bytes)
{
    atomic_fetch_add_explicit(&budget->late_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&budget->tree->late, true, memory_order_release);
}

/* Gives back what is late of one budget; where its own lock is taken, next time. */
static void collect_one(hr_budget *budget)
{
    bool all = true;
    if (atomic_load_explicit(&budget->late_bytes, memory_order_relaxed) == 0)
        return;
    bool local = hri_section_lock_local(budget, &all);
    if (!all) {
        atomic_store_explicit(&budget->tree->late, true, memory_order_relaxed);
        return;
    }
    hri_path_give(budget, atomic_exchange_explicit(&budget->late_bytes, 0, memory_order_relaxed));
    if (local)
        unlock(budget);
}

void hri_section_collect(hri_budget_tree *tree)
{
    if (!atomic_load_explicit(&tree->late, memory_order_relaxed))
        return;
    atomic_store_explicit(&tree->late, false, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    hr_budget *budget = &tree->root;
    do
        collect_one(budget);
    while ((budget = hri_budget_next(budget, &tree->root)) != NULL);
    tree->renewal_wanted |= hri_wait_serve(tree);
}

hri_section hri_section_enter(hr_budget *budget)
{
    hri_section section = {.tree = budget->tree};
    hri_inner_begin();
    if (atomic_load_explicit(&budget->local, memory_order_relaxed)) {
        while (!try_lock(budget))
            sched_yield();
        if (atomic_load_explicit(&budget->local, memory_order_relaxed))
            section.local = budget;
        else
            unlock(budget);
    }
    pthread_mutex_lock(&section.tree->lock); /* an inner lock, as the local one */
    hri_section_collect(section.tree);
    return section;
}

hri_section hri_section_enter_tree(hri_budget_tree *tree)
{
    return hri_section_enter(&tree->root); /* which is never local */
}

static void leave(const hri_section *section)
{
    pthread_mutex_unlock(&section->tree->lock);
    if (section->local)
        unlock(section->local);
    hri_inner_end();
}

/* While this thread was in here a handler may have left bytes, perhaps for a thread that waits. They are looked for
 * once handlers can get in by themselves. */
void hri_section_leave(const hri_section *section)
{
    leave(section);
    if (!atomic_load_explicit(&section->tree->late, memory_order_relaxed))
        return;
    hri_section again = hri_section_enter_tree(section->tree);
    leave(&again);
}

void hri_section_fork(hri_budget_tree *tree, hri_fork moment)
{
    hri_fork_lock(&tree->lock, moment);
    if (moment == HRI_FORK_BEFORE)
        hri_section_collect(tree);
}
