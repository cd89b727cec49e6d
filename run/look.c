/* SPDX-License-Identifier: Apache-2.0 */
/* One look: what the tree uses, and what is left of its limit and of those around it.
 *
 * Behind a wall the tree's use is that of its group. Without one it is the sum of what its processes have of anonymous
 * memory, and no more than the use of the group that they are in. Far from the limit a large tree is added up seldom;
 * in between its use is taken to grow by as much as the group's. The limits around it, those of groups and of the host,
 * count with the same slack as the default limit: a sidecar that fills the container is seen too. Resource limits
 * refuse and do not kill, so they decide nothing here.
 */
#include "supervisor.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define RATE_NS (RUN_SECOND_NS / 5)
#define FAR_SHARE 2000 /* adding up takes one part in this many of the time, far from the limit, */
#define NEAR_SHARE 20  /* and from three quarters of it on */

int run_look_open(run_supervisor *run)
{
    hr_survey_options where = {.pid = run_proc_number(run->pid), .stays = true};
    run_tree_open(&run->tree, run->options.pid ? run->pid : getpid(), run->options.pid != 0);
    return hr_survey_new(&where, &run->inside);
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t room(uint64_t used_bytes, uint64_t limit_bytes)
{
    return used_bytes < limit_bytes ? limit_bytes - used_bytes : 0;
}

/* Takes one limit into account. */
static void weigh(run_use *use, uint64_t used_bytes, uint64_t limit_bytes)
{
    double share = limit_bytes > 0 ? (double)used_bytes / (double)limit_bytes : 1;
    if (share > use->share) {
        use->share = share;
        use->near_bytes = limit_bytes;
    }
    use->left_bytes = at_most(use->left_bytes, room(used_bytes, limit_bytes));
}

static bool is_group(const hr_ledger *ledger)
{
    return strcmp(ledger->name, "cgroup") == 0;
}

/* The use of the command's own group, HR_NONE where that is not known. */
static uint64_t own_group_bytes(const hr_survey *survey)
{
    bool known = survey->ledger_count > 0 && is_group(&survey->ledgers[0]);
    return known ? survey->ledgers[0].use_bytes : HR_NONE;
}

static uint64_t doubtful_bytes(const run_supervisor *run)
{
    const hr_survey *inside = run->inside;
    return inside && inside->cgroup_version == 1 && inside->doubtful_bytes != HR_NONE ? inside->doubtful_bytes : 0;
}

/* Version 1 does not tell the kernel memory of processes from names of files, which it takes back. So both count in no
 * use, and a tree of 1,000 processes was killed at 65 % of its limit. A wall holds without this. */
static uint64_t own_kernel_bytes(const run_supervisor *run)
{
    return run->wall.kind == RUN_WALL_NONE ? at_most(doubtful_bytes(run), run->tree.kernel_bytes) : 0;
}

/* The tree's use by the last sum, and what its group has grown by since. */
static uint64_t estimate(const run_supervisor *run, uint64_t group_bytes)
{
    uint64_t bytes = run->tree.anonymous_bytes;
    if (group_bytes != HR_NONE)
        bytes = at_most(bytes + room(run->summed_group_bytes, group_bytes), group_bytes);
    return bytes + own_kernel_bytes(run);
}

static uint64_t tree_bytes(run_supervisor *run, int64_t now_ns)
{
    uint64_t group_bytes = own_group_bytes(run->inside);
    if (run->wall.kind != RUN_WALL_NONE && group_bytes != HR_NONE)
        return group_bytes;
    if (run->tree.root == 0)
        return group_bytes != HR_NONE ? group_bytes : 0;
    /* Others of the group may have grown: nothing is done before the tree is added up again. */
    uint64_t near_bytes = estimate(run, group_bytes) + doubtful_bytes(run);
    bool near = near_bytes > run->use.limit_bytes / 4 * 3 || run->use.left_bytes < run->use.near_bytes / 4;
    if (run_tree_refresh(&run->tree, now_ns, near || group_bytes == HR_NONE ? NEAR_SHARE : FAR_SHARE))
        run->summed_group_bytes = group_bytes;
    return estimate(run, group_bytes);
}

/* The tree's own limit comes first: where the heap holds it, the watch steps in behind it. */
static void weigh_all(run_supervisor *run, const hr_survey *survey, size_t first, run_use *use)
{
    uint64_t beside = own_kernel_bytes(run);
    run->kernel_left_bytes = HR_NONE;
    weigh(use, use->use_bytes, use->limit_bytes);
    use->left_bytes = room(use->use_bytes, run_wall_bytes(run, use->limit_bytes));
    for (size_t i = first; i < survey->ledger_count; i++) {
        const hr_ledger *ledger = &survey->ledgers[i];
        if (!is_group(ledger) || ledger->limit_bytes == HR_NONE || ledger->use_bytes == HR_NONE)
            continue;
        weigh(use, ledger->use_bytes + beside, run_limit_below(ledger->limit_bytes));
        run->kernel_left_bytes = at_most(run->kernel_left_bytes, room(ledger->use_bytes + beside, ledger->limit_bytes));
    }
    if (survey->host_available_bytes != HR_NONE)
        weigh(use, use->use_bytes, run_limit_below(use->use_bytes + survey->host_available_bytes));
}

/* The heap may fill the room that the wall and the limits around leave, and no more. It stops a little below, so that
 * what programs need beside their heap does not bring the watch in. */
static void bound_heap(run_supervisor *run, const run_use *use, uint64_t charged_bytes)
{
    uint64_t left = use->left_bytes, slack = run_slack(use->limit_bytes);
    if (run->wall.kind != RUN_WALL_NONE)
        left = at_most(left, room(use->use_bytes, run->wall.now_bytes));
    run_heap_bound(&run->heap, use->limit_bytes, at_most(use->use_bytes, charged_bytes) + room(slack, left));
}

void run_look_around(run_supervisor *run)
{
    run_use use = {.limit_bytes = run->use.limit_bytes};
    weigh_all(run, run->around, 0, &use);
    bound_heap(run, &use, 0);
}

void run_look_rest(run_supervisor *run)
{
    run_use use = {.limit_bytes = run->use.limit_bytes};
    if (hr_survey_again(run->around) == 0)
        weigh_all(run, run->around, 0, &use);
}

static void follow_rate(run_supervisor *run)
{
    int64_t span_ns = run->sampled_ns - run->rate_ns;
    if (run->rate_ns && span_ns < RATE_NS)
        return;
    if (run->rate_ns)
        run->rate = ((double)run->use.use_bytes - (double)run->rate_bytes) * RUN_SECOND_NS / (double)span_ns;
    run->rate_bytes = run->use.use_bytes;
    run->rate_ns = run->sampled_ns;
}

static void follow_kills(run_supervisor *run)
{
    char text[RUN_TEXT_BYTES];
    uint64_t kills = run_kills(run);
    if (kills == HR_NONE || kills <= run->kills)
        return;
    if (run->wall.kind != RUN_WALL_NONE)
        run_tell(run, "the kernel has killed a process of %s (%d): %s", run->name, run->pid, run_use_text(run, text));
    else
        run_tell(run, "the kernel has killed a process in the group of %s (%d): %s", run->name, run->pid,
                 run_use_text(run, text));
    run->kills = kills;
    run_record_kills(run);
}

void run_look(run_supervisor *run)
{
    uint64_t charged_bytes = run_heap_charged(&run->heap); /* before: what comes meanwhile counts as use alone */
    if (hr_survey_again(run->inside) != 0)
        return; /* it has ended: the last figures stay */
    run->sampled_ns = run_now_ns();
    run_use use = {.limit_bytes = run->use.limit_bytes};
    use.use_bytes = tree_bytes(run, run->sampled_ns);
    weigh_all(run, run->inside, run->wall.kind != RUN_WALL_NONE, &use); /* the wall is the tree's own limit */
    bound_heap(run, &use, charged_bytes);
    run->use = use;
    if (use.use_bytes > run->peak_bytes)
        run->peak_bytes = use.use_bytes;
    follow_rate(run);
    if (use.share > 0.9)
        follow_kills(run);
}
