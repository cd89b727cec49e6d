/* SPDX-License-Identifier: Apache-2.0 */
/* Admission and tickets. A request is judged by the level that its grant would lead to, under the tree's lock, by a
 * ceiling on the root's use that the watcher keeps ready: so two requests cannot both take the last of the room, and a
 * request that is refused has changed nothing, not even the level.
 *
 * A large request may go up to where degraded begins. A small one may go further, as far towards critical as its rank
 * among the recent ones says (shedding.h): so the share that is shed grows with the use, lowest priorities first.
 */
#include "relief/relief.h"

#include "alloc/alloc.h"
#include "base/checked.h"

#include <errno.h>

const char *hr_verdict_text(hr_verdict verdict)
{
    static const char *const names[] = {"admitted", "too large", "overloaded", "no budget"};
    return (unsigned)verdict <= HR_REFUSED_NO_BUDGET ? names[verdict] : "unknown";
}

/* The largest request that passes while relief achieves nothing, however large those are that degraded serves. */
#define PROBE_BYTES_MAX 1024

/* Longer than a thread waits for its turn on a busy processor. */
#define TURN_NS (100 * HRI_MILLISECOND)

#define RETRY_MIN_NS (1 * HRI_MILLISECOND)
#define RETRY_MAX_NS (60 * HRI_SECOND)

/* A request on its way to its verdict. */
struct asking {
    const hr_request *request;
    hr_budget *budget;
    bool small;  /* as small as is served when degraded */
    bool open;   /* whatever the level: it answers to limits alone */
    double rank; /* below 0: not known yet */
    hri_shortage shortage;
    hri_patience patience;
};

/* How far beyond where degraded begins a small request may go. */
static hri_ceiling own_ceiling(hri_relief *relief, struct asking *asking)
{
    if (asking->rank < 0) {
        pthread_mutex_lock(&relief->judging);
        asking->rank = hri_shedding_rank(&relief->shedding, asking->request->priority, asking->request->key);
        pthread_mutex_unlock(&relief->judging);
    }
    hri_ceiling from = hri_watcher_ceiling(relief->watcher, HRI_GATE_DEGRADE);
    hri_ceiling to = hri_watcher_ceiling(relief->watcher, HRI_GATE_CRITICAL);
    from.used_bytes = hri_add(from.used_bytes, hri_share(hri_sub(to.used_bytes, from.used_bytes), asking->rank));
    if (to.granted_bytes == INT64_MAX)
        from.granted_bytes = INT64_MAX;
    else
        from.granted_bytes += (int64_t)((double)(to.granted_bytes - from.granted_bytes) * asking->rank);
    return from;
}

/* One attempt. Only what would lead beyond degrade_at pays for a rank. */
static int promise(hri_relief *relief, struct asking *asking)
{
    uint64_t bytes = asking->request->bytes;
    hri_ceiling ceiling = hri_watcher_ceiling(relief->watcher, asking->small ? HRI_GATE_DEGRADE : HRI_GATE_ADMIT);
    int error = hri_budget_promise(asking->budget, bytes, asking->open ? NULL : &ceiling, &asking->shortage);
    if (error && asking->shortage.ceiling && asking->small) {
        ceiling = own_ceiling(relief, asking);
        error = hri_budget_promise(asking->budget, bytes, &ceiling, &asking->shortage);
    }
    return error;
}

/* Did the last reading leave room? Between a reading and the next attempt other threads may be granted all of that, and
 * give it back before the next reading: then the attempt has failed although the bytes are there. */
static bool has_room(hri_relief *relief, const struct asking *asking)
{
    uint64_t left = hri_watcher_left(relief->watcher, asking->small ? HRI_GATE_DEGRADE : HRI_GATE_ADMIT);
    return asking->request->bytes <= left && hri_clock_now(relief->clock) < asking->patience.deadline_ns + TURN_NS;
}

/* Frees what stands in the way of a request, where the budget that bound allows it. */
static bool make_room(hri_relief *relief, struct asking *asking)
{
    const hri_shortage *shortage = &asking->shortage;
    hri_patience *patience = &asking->patience;
    if (patience->deadline_ns == 0 && (shortage->ceiling || shortage->narrowed)) {
        hri_relief_begin(relief, patience);
        hri_watcher_look(relief->watcher, HRI_LOOK_FRESH | HRI_LOOK_DUE);
        return true; /* the fresh figures may be all that was needed */
    }
    if (!shortage->ceiling)
        return hri_relief_shortage(relief, shortage, patience);
    if (has_room(relief, asking)) {
        hri_watcher_look(relief->watcher, HRI_LOOK_FRESH | HRI_LOOK_DUE);
        return true;
    }
    if (hri_relief_purge_for(relief, shortage, patience))
        return true;
    hri_shortage all = *shortage;
    const hri_level_rules *rules = &relief->watcher->rules;
    hri_ceiling degrade = hri_watcher_ceiling(relief->watcher, HRI_GATE_DEGRADE);
    /* A grant that would lead to degraded would have relief aim under recover_below: aim there at once. */
    if (shortage->asked_bytes > hri_budget_left_below(relief->tree, &degrade))
        all.asked_bytes = hri_add(all.asked_bytes, 1 + hri_sub(hri_share(shortage->limit_bytes, rules->degrade_at),
                                                               hri_share(shortage->limit_bytes, rules->recover_below)));
    bool freed = hri_relief_shortage(relief, &all, patience);
    hri_watcher_look(relief->watcher, HRI_LOOK_FRESH);
    return freed || has_room(relief, asking);
}

/* When it makes sense to ask again: once as much has been given back as stands in the way, at the rate of late, and
 * once the level has come down after that. */
static int64_t retry_after(hri_relief *relief, const hri_shortage *shortage)
{
    uint64_t over = shortage->ceiling ? hri_relief_excess(relief) : 0;
    uint64_t need = hri_max(over, hri_sub(shortage->asked_bytes, shortage->left_bytes));
    uint64_t per_s = atomic_load_explicit(&relief->watcher->released_per_s, memory_order_relaxed);
    int64_t dwell_ns = hri_relief_probe_interval(relief), wait_ns = dwell_ns;
    if (shortage->hopeless)
        wait_ns = RETRY_MAX_NS;
    else if (per_s > 0)
        wait_ns = (int64_t)((double)hri_min(need, per_s * 60) / (double)per_s * (double)HRI_SECOND);
    if (shortage->ceiling && per_s > 0 && relief->watcher->rules.dwell_ns > 0)
        wait_ns += hri_earlier(dwell_ns, RETRY_MAX_NS);
    return hri_later(RETRY_MIN_NS, hri_earlier(wait_ns, RETRY_MAX_NS));
}

static hr_verdict refuse(hri_relief *relief, hr_level level, struct asking *asking, hr_ticket *ticket)
{
    hri_shortage *shortage = &asking->shortage;
    hri_relief_note_progress(relief);
    ticket->left_bytes = shortage->left_bytes;
    ticket->limit_bytes = shortage->limit_bytes;
    ticket->retry_after_ns = retry_after(relief, shortage);
    ticket->verdict = HR_REFUSED_NO_BUDGET;
    if (!shortage->ceiling) {
        hri_budget_refuse(shortage);
        ticket->limit_name = hri_budget_limit_name(shortage->budget);
        return ticket->verdict;
    }
    ticket->level = level < HR_CRITICAL ? HR_DEGRADED : HR_CRITICAL;
    ticket->limit_name = hri_budget_level_name(ticket->level);
    hri_budget_refuse_by_level(asking->budget, shortage, ticket->level);
    bool too_large = level < HR_CRITICAL && !asking->small;
    ticket->verdict = too_large ? HR_REFUSED_TOO_LARGE : HR_REFUSED_OVERLOADED;
    return ticket->verdict;
}

/* A level that refuses whatever the room: the shortage that it stands for. */
static hri_shortage level_shortage(hri_relief *relief, const struct asking *asking)
{
    hri_ceiling ceiling = hri_watcher_ceiling(relief->watcher, asking->small ? HRI_GATE_CRITICAL : HRI_GATE_ADMIT);
    hri_accounts accounts;
    hri_budget_tree_glance(relief->tree, &accounts);
    return (hri_shortage){
        .budget = &relief->tree->root,
        .asked_bytes = asking->request->bytes,
        .left_bytes = hri_budget_left_below(relief->tree, &ceiling),
        .limit_bytes = accounts.limit_bytes,
        .ceiling = true,
    };
}

/* While relief achieves nothing, refusing everything would go on for ever: a small request may find out whether that
 * is still needed. */
static bool is_probe(hri_relief *relief, const struct asking *asking)
{
    if (!asking->small || asking->request->bytes > PROBE_BYTES_MAX)
        return false;
    hri_relief_note_progress(relief);
    int64_t now_ns = hri_clock_now(relief->clock);
    pthread_mutex_lock(&relief->judging);
    bool passes = hri_stall_age(&relief->stall, now_ns, hri_relief_patience(relief)) > 0 &&
                  hri_stall_probe(&relief->stall, now_ns, hri_relief_probe_interval(relief));
    pthread_mutex_unlock(&relief->judging);
    return passes;
}

static bool is_shut(const struct asking *asking, hr_level level)
{
    return !asking->open && (level == HR_CRITICAL || (level == HR_DEGRADED && !asking->small));
}

/* Gives the level that a request finds. Where no monitor relieves, a request that would find it shut does: else nobody
 * would, and the level would stay for ever. */
static hr_level look(hri_relief *relief, const struct asking *asking)
{
    hr_level level = hri_level_word_get(&relief->watcher->word);
    bool unwatched = !hri_monitor_is_running(relief->monitor);
    if (level > HR_NORMAL || (unwatched && hri_watcher_is_stale(relief->watcher)))
        level = hri_watcher_look(relief->watcher, 0);
    if (unwatched && is_shut(asking, level)) {
        hri_relief_act(relief, HRI_ACTOR_REQUEST);
        level = hri_level_word_get(&relief->watcher->word);
    }
    return level;
}

/* Observe only: what would have been refused is counted and admitted, unless relief could have made room. */
static hr_verdict observe(hri_relief *relief, hr_level level, struct asking *asking, hr_ticket *ticket)
{
    bool helps = is_shut(asking, level) ? hri_relief_could_recover(relief)
                                        : !asking->shortage.hopeless && hri_relief_observe(relief, &asking->shortage);
    if (!helps && asking->shortage.ceiling)
        hri_budget_refuse_by_level(asking->budget, &asking->shortage, level < HR_CRITICAL ? HR_DEGRADED : HR_CRITICAL);
    else if (!helps)
        hri_budget_refuse(&asking->shortage);
    if (hri_budget_promise_anyway(asking->budget, asking->request->bytes))
        return refuse(relief, level, asking, ticket);
    ticket->budget_ = asking->budget;
    ticket->left_bytes = asking->request->bytes;
    return HR_ADMITTED;
}

hr_verdict hri_relief_admit(hri_relief *relief, const hr_request *request, hr_ticket *ret_ticket)
{
    struct asking asking = {
        .request = request,
        .budget = request->budget ? request->budget : &relief->tree->root,
        .small = request->bytes <= relief->degraded_request_bytes,
        .open = request->health || request->bytes == 0,
        .rank = -1,
    };
    *ret_ticket = (hr_ticket){.asked_bytes = request->bytes, .limit_name = ""};
    bool observes = relief->tree->hooks.observes;
    hr_level level = look(relief, &asking);
    if (level == HR_CRITICAL && !asking.open && !observes)
        asking.open = is_probe(relief, &asking);
    int error = -EDQUOT;
    if (is_shut(&asking, level)) {
        asking.shortage = level_shortage(relief, &asking);
    } else {
        do
            error = promise(relief, &asking);
        while (error && !observes && !asking.shortage.hopeless && make_room(relief, &asking));
    }
    if (error && observes)
        return observe(relief, level, &asking, ret_ticket);
    if (error)
        return refuse(relief, level, &asking, ret_ticket);
    ret_ticket->budget_ = asking.budget;
    ret_ticket->left_bytes = request->bytes;
    return HR_ADMITTED;
}

int hr_ticket_spend(hr_ticket *ticket, uint64_t bytes)
{
    if (!ticket || !ticket->budget_)
        return -EINVAL;
    if (bytes > ticket->left_bytes) {
        hri_shortage shortage = {.budget = ticket->budget_, .asked_bytes = bytes, .left_bytes = ticket->left_bytes};
        uint64_t more = bytes - ticket->left_bytes;
        if (!ticket->budget_->tree->hooks.observes || hri_budget_promise_anyway(ticket->budget_, more))
            return -EDQUOT;
        hri_budget_refuse(&shortage);
        ticket->left_bytes = bytes;
    }
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

void hr_ticket_return(hr_ticket *ticket, uint64_t bytes)
{
    if (!ticket || !ticket->budget_)
        return;
    bytes = hri_min(bytes, ticket->left_bytes);
    ticket->left_bytes -= bytes;
    hri_budget_unpromise(ticket->budget_, bytes);
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
