/* SPDX-License-Identifier: Apache-2.0 */
/* Admission and tickets. A request is judged by the level that its grant would lead to, under the tree's lock, by a
 * ceiling on the root's use that the watcher keeps ready: so two requests cannot both take the last of the room, and a
 * request that is refused has changed nothing, not even the level.
 */
#include "relief/relief.h"

#include "base/checked.h"

#include <errno.h>

const char *hr_verdict_text(hr_verdict verdict)
{
    static const char *const names[] = {"admitted", "too large", "overloaded", "no budget"};
    return (unsigned)verdict <= HR_REFUSED_NO_BUDGET ? names[verdict] : "unknown";
}

static uint64_t ceiling(const hri_relief *relief, uint64_t bytes)
{
    const hri_watcher *watcher = relief->watcher;
    bool small = bytes <= relief->degraded_request_bytes;
    return atomic_load_explicit(small ? &watcher->critical_ceiling_bytes : &watcher->degrade_ceiling_bytes,
                                memory_order_relaxed);
}

/* Frees what stands in the way of a request, where the budget that bound allows it. */
static bool make_room(hri_relief *relief, const hri_shortage *shortage, int64_t *deadline_ns)
{
    if (*deadline_ns == 0 && (shortage->ceiling || shortage->narrowed)) {
        *deadline_ns = hri_relief_deadline(relief);
        hri_watcher_look(relief->watcher, HRI_LOOK_FRESH);
        return true; /* the fresh figures may be all that was needed */
    }
    if (!shortage->ceiling)
        return hri_relief_shortage(relief, shortage, deadline_ns);
    /* The grant would lead to degraded, where relief would aim under recover_below: aim there at once. */
    hri_shortage all = *shortage;
    const hri_level_rules *rules = &relief->watcher->rules;
    uint64_t margin = hri_sub(hri_share(shortage->limit_bytes, rules->degrade_at),
                              hri_share(shortage->limit_bytes, rules->recover_below));
    all.asked_bytes = hri_add(all.asked_bytes, margin + 1);
    bool freed = hri_relief_shortage(relief, &all, deadline_ns);
    hri_watcher_look(relief->watcher, HRI_LOOK_FRESH);
    return freed;
}

/* What a refused request is told. */
static hr_verdict refuse(hri_relief *relief, hr_verdict verdict, hri_shortage *shortage, hr_ticket *ticket)
{
    if (verdict == HR_REFUSED_NO_BUDGET) {
        hri_budget_refuse(shortage);
    } else {
        hri_budget_count_refusal(relief->tree);
    }
    ticket->left_bytes = shortage->left_bytes;
    ticket->limit_name = hri_budget_limit_name(shortage->budget);
    ticket->retry_after_ns = relief->watcher->rules.dwell_ns;
    return verdict;
}

/* A level that refuses whatever the room: the shortage that it stands for. */
static hri_shortage level_shortage(hri_relief *relief, uint64_t asked_bytes)
{
    hri_accounts accounts;
    hri_budget_tree_read(relief->tree, &accounts);
    uint64_t used = hri_add(accounts.held_bytes, accounts.promised_bytes);
    return (hri_shortage){
        .budget = &relief->tree->root,
        .asked_bytes = asked_bytes,
        .left_bytes = hri_sub(ceiling(relief, asked_bytes), used),
        .limit_bytes = accounts.limit_bytes,
        .ceiling = true,
    };
}

hr_verdict hri_relief_admit(hri_relief *relief, const hr_request *request, hr_ticket *ret_ticket)
{
    hr_budget *budget = request->budget ? request->budget : &relief->tree->root;
    uint64_t bytes = request->bytes;
    *ret_ticket = (hr_ticket){.asked_bytes = bytes, .limit_name = ""};
    hr_level level = hri_level_word_get(&relief->watcher->word);
    bool unwatched = !hri_monitor_is_running(relief->monitor) && hri_watcher_is_stale(relief->watcher);
    if (level > HR_NORMAL || unwatched)
        level = hri_watcher_look(relief->watcher, 0);
    hri_shortage shortage = {0};
    int64_t deadline_ns = 0;
    int error = -EDQUOT;
    bool too_large = bytes > relief->degraded_request_bytes;
    if (level == HR_CRITICAL || (level == HR_DEGRADED && too_large)) {
        shortage = level_shortage(relief, bytes);
    } else {
        do
            error = hri_budget_promise(budget, bytes, ceiling(relief, bytes), &shortage);
        while (error && !shortage.hopeless && make_room(relief, &shortage, &deadline_ns));
    }
    if (error && !shortage.ceiling)
        return refuse(relief, HR_REFUSED_NO_BUDGET, &shortage, ret_ticket);
    if (error)
        return refuse(relief, level < HR_CRITICAL && too_large ? HR_REFUSED_TOO_LARGE : HR_REFUSED_OVERLOADED,
                      &shortage, ret_ticket);
    ret_ticket->budget_ = budget;
    ret_ticket->left_bytes = bytes;
    return HR_ADMITTED;
}

int hr_ticket_spend(hr_ticket *ticket, uint64_t bytes)
{
    if (!ticket || !ticket->budget_)
        return -EINVAL;
    if (bytes > ticket->left_bytes)
        return -EDQUOT;
    hri_budget_spend(ticket->budget_, bytes);
    ticket->left_bytes -= bytes;
    return 0;
}

void *hr_ticket_alloc(hr_ticket *ticket, size_t size)
{
    if (!ticket || !ticket->budget_) {
        errno = EINVAL;
        return NULL;
    }
    return hri_alloc_promised(ticket->budget_, size, &ticket->left_bytes);
}

void hr_ticket_release(hr_ticket *ticket)
{
    if (!ticket || !ticket->budget_)
        return;
    hr_budget *budget = ticket->budget_;
    ticket->budget_ = NULL;
    hri_budget_unpromise(budget, ticket->left_bytes);
    ticket->left_bytes = 0;
}
