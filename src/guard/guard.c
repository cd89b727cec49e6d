/* SPDX-License-Identifier: Apache-2.0 */
/* Wires the rooms: budget, watcher, monitor, relief and history become one guard. The rooms do not see each other
 * upwards; what they would call there they call through the hooks that are connected here.
 *
 * Locking: none of its own but `fd_lock`. The rooms' locks are leaves, except for the watcher's, under which the tree's
 * is taken. Hooks are called, and call, with none held.
 */
#include "guard/environment.h"
#include "guard/rooms.h"

#include "base/assert.h"
#include "base/lock.h"
#include "budget/grant.h"
#include "heap/heap.h"
#include "os/clock.h"
#include "os/event.h"
#include "os/file.h"
#include "os/message.h"
#include "report/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define INTERVAL_NS (1 * HRI_SECOND)
#define INTERVAL_MIN_NS (1 * HRI_MILLISECOND)
#define DWELL_NS (1 * HRI_SECOND)
#define CLEANUP_INTERVAL_NS (30 * HRI_SECOND)
#define PURGE_INTERVAL_NS (1 * HRI_SECOND)
#define DEGRADED_REQUEST_BYTES 1024
#define HEAP_REST_NS (1 * HRI_SECOND) /* how often the monitor looks after what the heap has idle */

/* ── hooks ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Names the ledger that decides the level. */
static void name_decider(char ret_name[HR_LEDGER_NAME_BYTES], const hr_figures *figures)
{
    snprintf(ret_name, HR_LEDGER_NAME_BYTES, "%s", figures->use > 0 ? figures->use_source : "");
}

/* Figures of now, by the clock of now: what was charged since the kernel's were read is in them. */
static void record(hr_guard *guard, const hr_figures *figures, bool last)
{
    hr_record entry = {
        .time_ns = hri_clock_now(guard->clock),
        .wall_ns = hri_os_wall_ns(),
        .live_bytes = figures->live_bytes,
        .total_bytes = figures->total_bytes,
        .rss_bytes = figures->rss_bytes,
        .cgroup_bytes = figures->cgroup_bytes,
        .reliefs = figures->reliefs,
        .level = figures->level,
        .limit_bytes = figures->limit_bytes,
        .relieved_bytes = figures->relieved_bytes,
        .cgroup_anonymous_bytes = figures->cgroup_anonymous_bytes,
        .cgroup_kernel_bytes = figures->cgroup_kernel_bytes,
        .cgroup_cache_bytes = figures->cgroup_cache_bytes,
        .refusals = figures->refusals,
        .refusals_degraded = figures->refusals_degraded,
        .refusals_critical = figures->refusals_critical,
        .would_have_refused = figures->would_have_refused,
        .would_have_refused_degraded = figures->would_have_refused_degraded,
        .would_have_refused_critical = figures->would_have_refused_critical,
        .use = figures->use,
    };
    hri_refusers refusers;
    name_decider(entry.decided_by, figures);
    hri_budget_tree_take_refusers(&guard->tree, &refusers);
    hri_history_note_refusers(&guard->history, &refusers, &entry, last);
    hri_history_add(&guard->history, &entry);
    hri_guard_note_holders(guard);
}

void hri_guard_record(hr_guard *guard)
{
    hr_figures figures;
    hr_guard_read(guard, &figures);
    record(guard, &figures, false);
}

/* At each record: of a tree of thousands it looks at a part. */
#define HOLDERS_SEEN 256

void hri_guard_note_holders(hr_guard *guard)
{
    hri_holder list[HRI_HOLDERS_MAX];
    size_t count = hri_budget_tree_holders(&guard->tree, HOLDERS_SEEN, list, HRI_HOLDERS_MAX);
    hri_history_note_holders(&guard->history, list, count, hri_clock_now(guard->clock));
}

static void note(hr_guard *guard, hr_event event)
{
    event.time_ns = hri_clock_now(guard->clock);
    event.wall_ns = hri_os_wall_ns();
    hri_history_note(&guard->history, &event);
}

static void relief_told(void *context, hri_relief_news news, uint64_t bytes)
{
    static const hr_event_kind kinds[] = {
        [HRI_RELIEVED] = HR_EVENT_RELIEF, [HRI_PURGED] = HR_EVENT_PURGE, [HRI_SPARED] = HR_EVENT_WOULD_RELIEVE};
    hr_guard *guard = context;
    hr_level level = hri_level_word_get(&guard->watcher.word);
    note(guard,
         (hr_event){.kind = kinds[news], .from = level, .to = level, .freed_bytes = bytes, .live_bytes = HR_NONE});
}

static void note_level(hr_guard *guard, const hr_figures *figures, hr_level from, hr_level to)
{
    hr_event event = {
        .kind = HR_EVENT_LEVEL, .from = from, .to = to, .live_bytes = figures->live_bytes, .use = figures->use};
    name_decider(event.decided_by, figures);
    note(guard, event);
}

/* The process has one heap: it is tight while any guard's level is above normal. */
static void tighten_heap(hr_guard *guard, bool tight)
{
    static _Atomic unsigned tight_guards;
    if (tight == guard->tightens)
        return;
    guard->tightens = tight;
    unsigned before = tight ? atomic_fetch_add(&tight_guards, 1) : atomic_fetch_sub(&tight_guards, 1);
    if (before == !tight)
        hri_heap_tighten(tight);
}

static void level_changed(void *context, hr_level from, hr_level to)
{
    hr_guard *guard = context;
    tighten_heap(guard, to > HR_NORMAL);
    hri_relief_level_changed(&guard->relief, to);
    if (!guard->tree.hooks.observes)
        hri_yielders_follow(&guard->yielders, to, true);
    hr_figures figures; /* one reading for all that is told of this change */
    hr_guard_read(guard, &figures);
    figures.level = to; /* by now another thread may have changed it again, of which the next call tells */
    record(guard, &figures, false);
    note_level(guard, &figures, from, to);
    hri_event_signal_own(atomic_load_explicit(&guard->fd, memory_order_relaxed), &guard->fd_mark);
    if (guard->on_level)
        guard->on_level(guard->context, from, to, &figures);
}

static void budget_sample(void *context, hri_occasion occasion, bool quiet)
{
    hr_guard *guard = context;
    hri_relief_sample(&guard->relief, occasion, quiet);
}

static void budget_obtain(void *context, hri_demand *demand)
{
    hr_guard *guard = context;
    hri_relief_obtain(&guard->relief, demand);
}

static void wake_monitor(void *context)
{
    hr_guard *guard = context;
    hri_monitor_wake(&guard->monitor);
}

void hri_guard_follow_level(hr_guard *guard)
{
    hr_level level = hri_level_word_get(&guard->watcher.word);
    if (level == HR_NORMAL || guard->tree.hooks.observes)
        return;
    hri_yielders_follow(&guard->yielders, level, false);
    hri_heap_trim(UINT64_MAX);
}

/* One round of the monitor. */
static int64_t monitor_round(void *context)
{
    hr_guard *guard = context;
    int64_t interval_ns = atomic_load_explicit(&guard->interval_ns, memory_order_relaxed);
    hri_watcher_sample(&guard->watcher, HRI_ON_TIME);
    hri_relief_act(&guard->relief, HRI_ACTOR_MONITOR);
    hri_relief_trim(&guard->relief);
    hri_guard_follow_level(guard);
    int64_t due_ns = hri_duties_run(&guard->duties);
    int64_t now_ns = hri_clock_now(guard->clock);
    if (now_ns >= guard->next_rest_ns) {
        guard->next_rest_ns = now_ns + HEAP_REST_NS;
        hri_heap_rest();
    }
    int64_t pause_ns = hri_watcher_pause(&guard->watcher, interval_ns);
    if (due_ns != HRI_NEVER)
        pause_ns = hri_earlier(pause_ns, hri_later(0, due_ns - now_ns));
    if (guard->cleanup_interval_ns >= 0) {
        if (now_ns >= guard->next_cleanup_ns) {
            guard->next_cleanup_ns = now_ns + guard->cleanup_interval_ns;
            hri_relief_clean(&guard->relief);
        }
        pause_ns = hri_earlier(pause_ns, guard->next_cleanup_ns - now_ns);
    }
    if (now_ns >= guard->next_record_ns) {
        guard->next_record_ns = now_ns + interval_ns;
        hri_guard_record(guard);
        hri_guard_write_history(guard);
    }
    hri_guard_say_status(guard, now_ns);
    return pause_ns;
}

/* ── making and freeing ─────────────────────────────────────────────────────────────────────────────────────────── */

int64_t hri_guard_interval(int64_t asked_ns)
{
    return asked_ns > 0 ? hri_later(asked_ns, INTERVAL_MIN_NS) : INTERVAL_NS;
}

static int64_t or_default(int64_t value, int64_t standard)
{
    return value ? value : standard;
}

/* Says which variable of the environment is wrong, for no result of hr_guard_new() can. Gives the error. */
static int complain(const char *variable, const char *right, int error)
{
    char sentence[256], value[64];
    hri_text text = {.buffer = sentence, .size = sizeof sentence};
    snprintf(value, sizeof value, "%s", getenv(variable));
    hri_text_put(&text, "no guard is made: the environment variable %s is '", variable);
    hri_text_put_name(&text, value);
    hri_text_put(&text, error == -ERANGE ? "', which is too large; %s" : "'; %s", right);
    hri_message_say(sentence);
    return error;
}

/* Says what is wrong with the history file where -EINVAL cannot. */
static void complain_of_history_file(const char *path, uint64_t bytes)
{
    char sentence[320];
    hri_text text = {.buffer = sentence, .size = sizeof sentence};
    hri_text_put(&text, "no guard is made: ");
    if (bytes && (bytes < HRI_JOURNAL_BYTES_MIN || bytes > INT64_MAX)) {
        hri_text_put(&text, "history_file_bytes is %llu; write at least 65536, or 0 for 16 MiB",
                     (unsigned long long)bytes);
    } else {
        hri_text_put(&text, "history_file is '");
        hri_text_put_name(&text, path);
        hri_text_put(&text, "', which is no regular file");
    }
    hri_message_say(sentence);
}

/* Says which thresholds contradict each other: those that were given, and those that were fitted to them. */
static void complain_of_thresholds(const hri_level_rules *rules)
{
    char sentence[256];
    snprintf(sentence, sizeof sentence,
             "no guard is made: warn_below %g < warn_at %g <= degrade_at %g < critical_at %g <= 1 and "
             "recover_below %g < degrade_at do not all hold",
             rules->warn_below, rules->warn_at, rules->degrade_at, rules->critical_at, rules->recover_below);
    hri_message_say(sentence);
}

/* The limit on the whole process: the option's, else the environment's. Gives 0, -EINVAL or -ERANGE. */
static int declare(const hr_guard_options *options, hri_declared *ret_declared)
{
    if (options->process_limit_bytes == 0) {
        int error = hri_declared_parse(getenv(HRI_DECLARED_VARIABLE), ret_declared);
        return error ? complain(HRI_DECLARED_VARIABLE, HRI_DECLARED_RIGHT, error) : 0;
    }
    if (options->process_limit_bytes != HR_NONE)
        *ret_declared = (hri_declared){.bytes = options->process_limit_bytes, .source = "process_limit_bytes"};
    return 0;
}

static int init_watcher(hr_guard *guard, const hri_environment *environment, const hr_guard_options *options)
{
    hri_watcher_options watcher = {
        .rules =
            {
                .warn_at = options->warn_at,
                .warn_below = options->warn_below,
                .degrade_at = options->degrade_at,
                .critical_at = options->critical_at,
                .recover_below = options->recover_below,
                .dwell_ns = or_default(options->dwell_ns, DWELL_NS),
                .refuse_until_recovered = options->refuse_until_recovered,
            },
        .root = environment->root,
        .clock = environment->clock,
        .tree = &guard->tree,
        .shares = options->share_lease >= 0,
        .changed = level_changed,
        .context = guard,
    };
    if (watcher.rules.dwell_ns < 0)
        watcher.rules.dwell_ns = 0;
    int error = declare(options, &watcher.declared);
    if (error)
        return error;
    error = hri_level_rules_fit(&watcher.rules);
    if (error)
        complain_of_thresholds(&watcher.rules);
    return error ? error : hri_watcher_init(&guard->watcher, &watcher);
}

static int init_tree(hr_guard *guard, const hr_guard_options *options)
{
    bool observes = options->observe_only;
    hri_budget_hooks hooks = {
        .obtain = budget_obtain,
        .sample = budget_sample,
        .context = guard,
    };
    int error = observes ? 0 : hri_observe_parse(getenv(HRI_OBSERVE_VARIABLE), &observes);
    if (error) {
        complain(HRI_OBSERVE_VARIABLE, HRI_OBSERVE_RIGHT, error);
        return error;
    }
    hooks.observes = observes;
    return hri_budget_tree_init(&guard->tree, options->limit_bytes ? options->limit_bytes : HR_NONE, &hooks);
}

static int init_relief(hr_guard *guard, const hr_guard_options *options)
{
    uint64_t reserve_bytes = options->reserve_bytes == HR_NONE ? 0 : options->reserve_bytes;
    guard->relief = (hri_relief){
        .clock = guard->clock,
        .watcher = &guard->watcher,
        .tree = &guard->tree,
        .monitor = &guard->monitor,
        .degraded_request_bytes =
            options->degraded_request_bytes ? options->degraded_request_bytes : DEGRADED_REQUEST_BYTES,
        .told = relief_told,
        .context = guard,
    };
    int64_t interval_ns = options->purge_interval_ns; /* 0: an urgent one as its cost allows */
    return hri_relief_init(&guard->relief, reserve_bytes, or_default(interval_ns, PURGE_INTERVAL_NS), interval_ns);
}

static int init_history(hr_guard *guard, uint64_t bytes)
{
    uint64_t room = bytes ? bytes : HRI_HISTORY_BYTES;
    int error = hri_history_init(&guard->history, bytes == HR_NONE ? 0 : room);
    guard->history.observes = guard->tree.hooks.observes;
    return error;
}

static int init_history_file(hr_guard *guard, const hr_guard_options *options)
{
    char command[HR_COMMAND_BYTES];
    int error = hri_journal_init(&guard->history_file, options->history_file, options->history_file_bytes);
    if (error == -EINVAL)
        complain_of_history_file(options->history_file, options->history_file_bytes);
    if (error || !options->history_file)
        return error;
    hri_origin_read_command(command);
    hri_journal_describe(&guard->history_file, command, NULL);
    return 0;
}

/* Makes the rooms from the bottom up; on failure takes down what was made. */
static int init(hr_guard *guard, const hri_environment *environment, const hr_guard_options *options)
{
    int error = init_tree(guard, options);
    if (error)
        return error;
    error = init_watcher(guard, environment, options);
    if (error)
        goto destroy_tree;
    error = hri_monitor_init(&guard->monitor, monitor_round, guard);
    if (error)
        goto destroy_watcher;
    error = init_relief(guard, options);
    if (error)
        goto destroy_monitor;
    error = init_history(guard, options->history_bytes);
    if (error)
        goto destroy_relief;
    error = init_history_file(guard, options);
    if (error)
        goto destroy_history;
    error = hri_figures_init(&guard->figures);
    if (error)
        goto destroy_file;
    hri_budget_publish(&guard->tree, &guard->budgets);
    hri_figures_add(&guard->figures, &guard->budgets);
    hri_journal_publish(&guard->history_file, &guard->history_files);
    if (options->history_file)
        hri_figures_add(&guard->figures, &guard->history_files);
    error = hri_duties_init(&guard->duties, guard->clock, wake_monitor, guard);
    if (error)
        goto destroy_figures;
    error = hri_lock_init(&guard->fd_lock);
    if (error)
        goto destroy_duties;
    error = hri_guard_init_yielders(guard);
    if (error)
        goto destroy_fd_lock;
    error = hri_guard_enlist(guard);
    if (error)
        goto destroy_yielders;
    return 0;

destroy_yielders:
    hri_yielders_destroy(&guard->yielders);
destroy_fd_lock:
    pthread_mutex_destroy(&guard->fd_lock);
destroy_duties:
    hri_duties_destroy(&guard->duties);
destroy_figures:
    hri_figures_destroy(&guard->figures);
destroy_file:
    hri_journal_destroy(&guard->history_file);
destroy_history:
    hri_history_destroy(&guard->history);
destroy_relief:
    hri_relief_destroy(&guard->relief);
destroy_monitor:
    hri_monitor_destroy(&guard->monitor);
destroy_watcher:
    hri_watcher_destroy(&guard->watcher);
destroy_tree:
    hri_budget_tree_destroy(&guard->tree);
    return error;
}

static void destroy(hr_guard *guard)
{
    hri_guard_delist(guard);
    tighten_heap(guard, false);
    hri_monitor_destroy(&guard->monitor);
    hri_file_close_own(atomic_load_explicit(&guard->fd, memory_order_relaxed), &guard->fd_mark);
    hri_yielders_destroy(&guard->yielders);
    pthread_mutex_destroy(&guard->fd_lock);
    hri_duties_destroy(&guard->duties);
    hri_figures_destroy(&guard->figures);
    if (guard->tree.refusals.refusers.count || guard->history.spell.refusers.count) {
        hr_figures figures;
        hr_guard_read(guard, &figures);
        record(guard, &figures, true);
    }
    hri_journal_follow(&guard->history_file, &guard->history); /* the last that was recorded */
    hri_journal_destroy(&guard->history_file);
    hri_history_destroy(&guard->history);
    hri_relief_destroy(&guard->relief);
    hri_watcher_destroy(&guard->watcher);
    hri_budget_tree_destroy(&guard->tree);
    free(guard);
}

int hri_guard_new_in(const hri_environment *environment, const hr_guard_options *options, hr_guard **ret_guard)
{
    static const hr_guard_options defaults;
    if (!ret_guard)
        return -EINVAL;
    if (!options)
        options = &defaults;
    hr_guard *guard = calloc(1, sizeof *guard);
    if (!guard)
        return -ENOMEM;
    guard->clock = environment->clock;
    guard->says_status = environment->clock == &hri_os_clock && !*environment->root;
    guard->offer = (hri_offer){&guard->tree.root, &guard->duties, &guard->yielders, hr_guard_wait};
    guard->on_level = options->on_level;
    guard->context = options->context;
    guard->cleanup_interval_ns = or_default(options->cleanup_interval_ns, CLEANUP_INTERVAL_NS);
    guard->next_cleanup_ns = hri_clock_now(guard->clock) + guard->cleanup_interval_ns;
    atomic_init(&guard->fd, -1);
    atomic_init(&guard->interval_ns, hri_guard_interval(options->interval_ns));
    int error = init(guard, environment, options);
    if (error) {
        free(guard);
        return error;
    }
    hri_guard_record(guard);
    error = options->interval_ns >= 0 ? hri_watcher_start(&guard->watcher, &guard->monitor) : 0;
    if (error) {
        destroy(guard);
        return error;
    }
    *ret_guard = guard;
    return 0;
}

int hr_guard_new(const hr_guard_options *options, hr_guard **ret_guard)
{
    static const hri_environment machine = {.root = "", .clock = &hri_os_clock};
    return hri_guard_new_in(&machine, options, ret_guard);
}

void hr_guard_free(hr_guard *guard)
{
    HRI_NOTE_CALLER();
    if (!guard)
        return;
    hri_monitor_stop(&guard->monitor);
    hri_status_close(&guard->status);
    hr_budget_figures root;
    hr_budget_read(&guard->tree.root, &root);
    const char *yielder = hri_yielders_left(&guard->yielders);
    if (yielder)
        hri_fault("a guard is freed while its pool or cache \"%s\" is alive", yielder);
    else if (guard->tree.root.first_child)
        hri_fault("a guard is freed while its budget \"%s\" is alive", guard->tree.root.first_child->name);
    else if (root.used_bytes)
        hri_fault_note();
    else
        destroy(guard);
}
