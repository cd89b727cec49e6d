/* SPDX-License-Identifier: Apache-2.0 */
/* Admission and tickets. A request is judged by the level that its grant would lead to, under the tree's lock, by a
 * ceiling on the root's use that the watcher keeps ready. So two requests cannot both take the last of the room. A
 * request that is refused has changed nothing, not even the level.
 *
 * A large request may go up to where degraded begins. A small one may go further, as far towards critical as its rank
 * among the recent ones says (shedding.h). So the share that is shed grows with the use, lowest priorities first.
 */
#include "relief/relief.h"

#include "alloc/alloc.h"
#include "base/checked.h"
#include "budget/grant.h"

#include <errno.h>

const char *hr_verdict_text(hr_verdict verdict)
{
    static const char *const names[] = {"admitted", "too large", "overloaded", "no budget"};
    return (unsigned)verdict <= HR_REFUSED_NO_BUDGET ? names[verdict] : "unknown";
}

/* The largest request that passes while relief achieves nothing, however large those are that degraded serves. */
#define PROBE_BYTES_MAX 1024

#define RETRY_MIN_NS (1 * HRI_MILLISECOND)
#define RETRY_MAX_NS (60 * HRI_SECOND)

/* A request on its way to its verdict. */
struct asking {
    const hr_request *request;
    bool small; /* as small as is served when degraded */
    bool open;  /* whatever the level: it answers to limits alone */
    hri_demand demand;
};

/* Finds how far beyond where degraded begins a small request may go. */
static double find_rank(hri_relief *relief, const hr_request *request)
{
    pthread_mutex_lock(&relief->judging);
    double rank = hri_shedding_rank(&relief->shedding, hri_clock_now(relief->clock), request->priority, request->key);
    pthread_mutex_unlock(&relief->judging);
    return rank;
}

/* Promises what is asked for. Only what would lead beyond degrade_at pays for a rank. */
static void promise(hri_relief *relief, struct asking *asking)
{
    hri_demand *demand = &asking->demand;
    if (!asking->open)
        demand->ceiling = asking->small ? HRI_CEILING_DEGRADE : HRI_CEILING_ADMIT;
    if (!hri_budget_promise(demand) && asking->small &&
        (demand->shortage.ceiling || (demand->ceiling && demand->shortage.sample))) {
        demand->rank = find_rank(relief, asking->request);
        hri_budget_attempt(demand, false);
    }
    if (!demand->granted)
        hri_relief_obtain(relief, demand);
    hri_demand_tell(demand);
}

/* The time after which it makes sense to ask again. By then as many bytes as are missing have been given back, at the
 * rate of late, and the level has come down after that. */
static int64_t retry_after(hri_relief *relief, const hri_shortage *shortage)
{
    uint64_t over = shortage->ceiling ? hri_relief_excess(relief) : 0;
    uint64_t need = hri_max(over, hri_shortage_lacks(shortage));
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
    const hri_shortage *shortage = &asking->demand.shortage;
    hri_purger_run_own(&relief->purger);
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
    hri_budget_refuse_by_level(asking->demand.budget, shortage, ticket->level);
    bool too_large = level < HR_CRITICAL && !asking->small;
    ticket->verdict = too_large ? HR_REFUSED_TOO_LARGE : HR_REFUSED_OVERLOADED;
    return ticket->verdict;
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
static hr_level sample(hri_relief *relief, const struct asking *asking)
{
    hr_level level = hri_level_word_get(&relief->watcher->word);
    bool unwatched = !hri_monitor_is_running(relief->monitor);
    if (level > HR_NORMAL || (unwatched && hri_watcher_is_stale(relief->watcher)))
        level = hri_watcher_sample(relief->watcher, HRI_ON_REQUEST);
    if (unwatched && is_shut(asking, level)) {
        hri_relief_act(relief, HRI_ACTOR_REQUEST);
        level = hri_level_word_get(&relief->watcher->word);
    }
    return level;
}

/* Observe only: what would have been refused is counted and admitted, unless relief could have made room. */
static bool observe(hri_relief *relief, hr_level level, struct asking *asking)
{
    hri_demand *demand = &asking->demand;
    bool helps = is_shut(asking, level) ? hri_relief_could_recover(relief)
                                        : !demand->shortage.hopeless && hri_relief_observe(relief, &demand->shortage);
    hri_demand_force(demand);
    if (!demand->granted) /* more than a counter holds: refused, and counted as such */
        return false;
    if (!helps && demand->shortage.ceiling)
        hri_budget_refuse_by_level(demand->budget, &demand->shortage, level < HR_CRITICAL ? HR_DEGRADED : HR_CRITICAL);
    else if (!helps)
        hri_budget_refuse(&demand->shortage);
    hri_demand_tell(demand);
    return true;
}

hr_verdict hri_relief_admit(hri_relief *relief, const hr_request *request, hr_ticket *ret_ticket)
{
    struct asking asking = {
        .request = request,
        .small = request->bytes <= relief->degraded_request_bytes,
        .open = request->health || request->bytes == 0,
        .demand = {.budget = request->budget ? request->budget : &relief->tree->root,
                   .bytes = request->bytes,
                   .promise = true},
    };
    hri_demand *demand = &asking.demand;
    *ret_ticket = (hr_ticket){.asked_bytes = request->bytes, .limit_name = ""};
    bool observes = relief->tree->hooks.observes;
    hr_level level = sample(relief, &asking);
    if (level == HR_CRITICAL && !asking.open && !observes)
        asking.open = is_probe(relief, &asking);
    if (is_shut(&asking, level)) { /* whatever the room */
        demand->ceiling = asking.small ? HRI_CEILING_CRITICAL : HRI_CEILING_ADMIT;
        hri_budget_fall_short(demand);
    } else {
        promise(relief, &asking);
    }
    if (!demand->granted && observes)
        observe(relief, level, &asking);
    if (!demand->granted)
        return refuse(relief, level, &asking, ret_ticket);
    ret_ticket->budget_ = demand->budget;
    ret_ticket->left_bytes = request->bytes;
    return HR_ADMITTED;
}

/* In a tree that observes: grants what goes beyond a ticket, and counts it. */
static bool observe_overspent(hr_ticket *ticket, uint64_t bytes)
{
    hri_demand more = {.budget = ticket->budget_, .bytes = bytes - ticket->left_bytes, .promise = true};
    if (!ticket->budget_->tree->hooks.observes)
        return false;
    hri_demand_force(&more);
    hri_demand_tell(&more);
    if (!more.granted)
        return false;
    hri_budget_refuse(
        &(hri_shortage){.budget = ticket->budget_, .asked_bytes = bytes, .left_bytes = ticket->left_bytes});
    ticket->left_bytes = bytes;
    return true;
}

int hr_ticket_spend(hr_ticket *ticket, uint64_t bytes)
{
    if (!ticket || !ticket->budget_)
        return -EINVAL;
    if (bytes > ticket->left_bytes && !observe_overspent(ticket, bytes))
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
