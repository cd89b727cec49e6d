/* SPDX-License-Identifier: Apache-2.0 */
/* Locking: `lock` is held while looking, so that looks are one after the other and the level follows the figures in
 * their order. Changes are queued under it and told outside of it by one thread at a time (`telling`).
 */
#include "gauge/watcher.h"

#include "base/checked.h"
#include "base/lock.h"
#include "base/uncancelled.h"
#include "budget/grant.h"
#include "heap/heap.h"
#include "os/resident.h"

#include <string.h>

/* The age that a reading may have for a look that does not insist. It is short while levels change, but a busy server
 * above normal still spends under one per cent of its time on readings. */
#define READING_AGE_ABOVE_NORMAL_NS (1 * HRI_MILLISECOND)
#define READING_AGE_NORMAL_NS (100 * HRI_MILLISECOND)

/* The figures that are read on an occasion. */
typedef enum reads {
    NOTHING, /* by the last reading, and the accounts of now */
    IF_OLD,
    READING,
    ALL, /* the host's figures too, however young they are */
} reads;

/* The manner of each occasion's look. */
static const struct manner {
    reads reads;
    bool once;     /* nothing, if another thread has read the gauges since this one came for it */
    bool if_free;  /* nothing, if another thread is looking: a signal handler may have come */
    bool sure;     /* untouched pages are counted too, though that was done a moment ago: else a demand is refused */
    bool relieved; /* the level: relief has just run, and can do no more, */
    bool met;      /* a limit has just refused a charge, */
    bool straight; /* it falls without the dwell */
} manners[HRI_OCCASIONS] = {
    [HRI_ON_TIME] = {.reads = READING},
    [HRI_ON_CHECK] = {.reads = ALL, .straight = true},
    [HRI_ON_REQUEST] = {.reads = IF_OLD},
    [HRI_ON_SHORTAGE] = {.reads = READING, .once = true, .sure = true},
    [HRI_ON_RETURN] = {.reads = READING, .sure = true},
    [HRI_ON_CROSSING] = {.reads = READING},
    [HRI_ON_RECEDING] = {.reads = IF_OLD, .if_free = true},
    [HRI_ON_REFUSAL] = {.reads = NOTHING, .met = true},
    [HRI_ON_RELIEVED] = {.reads = READING, .relieved = true},
    [HRI_ON_FUTILE] = {.reads = NOTHING, .relieved = true},
    [HRI_ON_CHECKED] = {.reads = READING, .relieved = true, .straight = true},
};

static void queue_change(hri_watcher *watcher, hr_level from, hr_level to)
{
    if (watcher->change_count == HRI_CHANGES_MAX)
        watcher->change_count--; /* nobody has listened for long: the newest change takes the last one's place */
    else
        watcher->changes[watcher->change_count].from = from;
    watcher->changes[watcher->change_count++].to = to;
}

/* Counting takes one part in this many of a processor at most; where a demand would be refused for what was not
 * counted, half of one. Less than a share of the limit is not worth it. */
#define MEASURE_REST 64
#define UNTOUCHED_SHARE (1.0 / 64)

/* Large blocks asked about at a time, which takes some milliseconds: a system call for each (and each 4 MiB), and
 * some 5 ns for each page. */
#define BLOCKS_ASKED 8192u

/* Counts what is untouched, if that may make a difference and is not done all the time. Returns false if the list may
 * still hold many blocks that have their pages: then they count as used and as pending. */
static bool measure_untouched(hri_watcher *watcher, bool wanted, int64_t now_ns)
{
    uint64_t bytes = hri_heap_lazy_bytes();
    uint64_t enough = wanted ? 1 : hri_share(watcher->ledgers.kernel_limit_bytes, UNTOUCHED_SHARE);
    if (bytes < enough)
        return true;
    if (now_ns - watcher->measured_ns < watcher->measuring_ns * (wanted ? 1 : MEASURE_REST))
        return false;
    hri_heap_lazy_measure(BLOCKS_ASKED);
    watcher->measured_ns = hri_clock_now(watcher->gauge.clock);
    watcher->measuring_ns = watcher->measured_ns - now_ns;
    return true;
}

/* Are the gauges to be read? */
static bool is_wanted(const hri_watcher *watcher, int64_t now_ns, reads what)
{
    int64_t most_ns = watcher->state.level == HR_NORMAL ? READING_AGE_NORMAL_NS : READING_AGE_ABOVE_NORMAL_NS;
    bool old = watcher->inherited || now_ns - watcher->reading.time_ns >= most_ns;
    return what >= READING || (what == IF_OLD && old);
}

/* Opens the files anew where they are the parent's. */
static void reopen(hri_watcher *watcher)
{
    if (watcher->inherited)
        hri_gauge_reopen(&watcher->gauge);
    watcher->inherited = false;
}

/* From this many bytes on that are charged by hand and do not show, the shared memory is read. */
#define SHARED_MIN (UINT64_C(1) << 20)

/* Reads the gauges. The word that the lease is counted by is read before everything, then the accounts, then the
 * kernel's files. Bytes that are granted or touched in between count twice, and none is forgotten. */
static void refresh(hri_watcher *watcher, uint64_t sample_bytes, bool all, hri_accounts *ret_accounts)
{
    hri_pending_accounts process;
    hri_heap_figures heap;
    hri_pending_read(&watcher->counter, &process, watcher->tree, ret_accounts);
    hri_heap_read(&heap);
    process.heap_resident_bytes = hri_sub(heap.committed_bytes, heap.lazy_bytes);
    process.heap_pending_bytes = hri_add(process.heap_pending_bytes, heap.pending_bytes);
    hri_share_sum sharing = hri_share_read();
    all = all || hri_lease_is_due(&watcher->host_lease, sample_bytes, 0);
    bool purged = atomic_exchange_explicit(&watcher->purged, false, memory_order_relaxed);
    hri_gauge_read(&watcher->gauge, all ? HRI_READ_ALL : 0, &watcher->reading);
    const hri_reading *reading = &watcher->reading;
    watcher->pending = hri_pending_compute(&process, reading->process.anonymous_bytes, purged, reading->time_ns);
    if (watcher->pending.hand_bytes >= SHARED_MIN)
        hri_pending_note_shared(hri_process_read_shared(&watcher->gauge.process), &watcher->pending);
    watcher->ours = (hri_ours){
        .used_bytes = hri_add(ret_accounts->held_bytes, ret_accounts->promised_bytes),
        .promised_bytes = ret_accounts->promised_bytes,
        .resident_bytes =
            hri_add(process.heap_resident_bytes, hri_sub(process.hand_bytes, watcher->pending.hand_bytes)),
        .idle_bytes = heap.idle_bytes,
        .pending_bytes = watcher->pending.bytes,
        .sharing = sharing,
    };
    hri_pending_publish(&watcher->counter, &process, watcher->pending.bytes);
    atomic_store_explicit(&watcher->tells, sharing.foreign > 0, memory_order_relaxed);
    atomic_store_explicit(&watcher->sampled_ns, reading->time_ns, memory_order_relaxed);
}

/* At most a sixteenth of the limit is held back for surprises. With an eighth, memory that a library took once and gave
 * back kept a tenth of the limit from being used for a second. */
#define SURPRISE_SHARE 16

/* The bytes that are held back for surprises. A reading that counts bytes twice would find one where there is none, and
 * so would the grants of foreign processes, which tell what they may take. */
static uint64_t held_back(hri_watcher *watcher, const hri_books *books, uint64_t sample_bytes, uint64_t free_bytes)
{
    const hri_surprise *surprise = &watcher->surprise;
    if (books->ours.sharing.foreign > 0)
        return 0;
    uint64_t bytes = hri_max(surprise->most_bytes, surprise->before_bytes);
    if (watcher->measured)
        bytes = hri_surprise_note(&watcher->surprise, sample_bytes, free_bytes, books->reading->time_ns);
    return hri_min(bytes, watcher->ledgers.kernel_limit_bytes / SURPRISE_SHARE);
}

/* Of what is free, the processes that count by one word have a part, by their number. */
static uint64_t part_of(const hri_share_sum *sharing, uint64_t free_bytes)
{
    return sharing->foreign ? free_bytes / (sharing->processes + sharing->foreign) * sharing->processes : free_bytes;
}

/* Issues a lease by a new reading. */
static void issue_lease(hri_watcher *watcher, const hri_books *books, uint64_t sample_bytes)
{
    const hri_share_sum *sharing = &books->ours.sharing;
    uint64_t margin_bytes, free_bytes = hri_ledgers_free_of_groups(books, &margin_bytes);
    if (free_bytes != HR_NONE) {
        uint64_t back_bytes = held_back(watcher, books, sample_bytes, free_bytes);
        free_bytes = part_of(sharing, hri_sub(free_bytes, back_bytes));
        watcher->margin_bytes = margin_bytes;
        margin_bytes = hri_add(margin_bytes, back_bytes);
    }
    if (books->reading->host_time_ns == books->reading->time_ns)
        watcher->host_lease = hri_lease_issue(sample_bytes, hri_ledgers_free_of_host(books), 0);
    free_bytes = hri_min(free_bytes, hri_lease_left(&watcher->host_lease, sample_bytes));
    free_bytes = hri_min(free_bytes, hri_ledgers_free_of_process(books));
    bool alone = sharing->foreign == 0 || free_bytes == HR_NONE;
    watcher->lease = hri_lease_issue(sample_bytes, free_bytes, alone ? margin_bytes : 0);
    if (watcher->shares) /* what may be granted without another reading is as good as granted to foreign processes */
        hri_share_say(hri_add(watcher->pending.bytes, alone ? 0 : watcher->lease.look_bytes));
}

/* The use of the root that a ceiling stands for. */
static uint64_t use_at(const hri_watcher *watcher, const hri_ceiling *ceiling)
{
    int64_t room = ceiling->granted_bytes - (int64_t)watcher->lease.sample_bytes;
    if (ceiling->granted_bytes == INT64_MAX)
        return ceiling->used_bytes;
    return hri_min(ceiling->used_bytes, hri_add(watcher->ours.used_bytes, (uint64_t)hri_later(0, room)));
}

/* Lets the tree know what the kernel leaves it, and from where on it has to call. */
static void instruct_tree(hri_watcher *watcher, const hri_books *books, bool fresh, hri_demand *demand)
{
    const hri_level_rules *rules = &watcher->rules;
    hr_level level = watcher->state.level;
    bool from;
    uint64_t cross = hri_ledgers_crossing(books, hri_level_turns_at(rules, &watcher->state, &from));
    if (from)
        cross = hri_sub(cross, 1);
    uint64_t sample_bytes = watcher->lease.sample_bytes;
    const hri_ceiling ceilings[HRI_CEILINGS] = {
        [HRI_CEILING_NONE] = {HR_NONE, INT64_MAX},
        [HRI_CEILING_ADMIT] = hri_ledgers_ceiling(books, rules->degrade_at, watcher->margin_bytes, sample_bytes),
        [HRI_CEILING_DEGRADE] = hri_ledgers_ceiling(books, rules->degrade_at, 0, sample_bytes),
        [HRI_CEILING_CRITICAL] = hri_ledgers_ceiling(books, rules->critical_at, 0, sample_bytes),
    };
    hri_budget_tree_instruct(watcher->tree, &(hri_budget_view){
                                                .kernel_limit_bytes = watcher->ledgers.kernel_limit_bytes,
                                                .lease = fresh ? &watcher->lease : NULL,
                                                .word = &watcher->counter,
                                                .used_bytes = watcher->ours.used_bytes,
                                                .cross_bytes = cross,
                                                .stock_ceiling_bytes = use_at(watcher, &ceilings[HRI_CEILING_DEGRADE]),
                                                .ceilings = ceilings,
                                                .watched = level > HR_NORMAL,
                                                .limit_name = watcher->limit_source,
                                                .demand = demand,
                                            });
    hri_ceiling line = hri_ledgers_ceiling(books, (rules->warn_at + rules->degrade_at) / 2, 0, sample_bytes);
    atomic_store_explicit(&watcher->line_bytes, level < HR_DEGRADED ? use_at(watcher, &line) : 0, memory_order_relaxed);
}

static hri_books open_books(const hri_watcher *watcher, const hri_accounts *accounts)
{
    return (hri_books){
        .reading = &watcher->reading,
        .ours = watcher->ours,
        .accounts = *accounts,
        .reserve_bytes = atomic_load_explicit(&watcher->reserve_bytes, memory_order_relaxed),
    };
}

static _Atomic unsigned watchers; /* that share; the last one leaves for the process */

/* Shares the word with the other processes of the group that binds. Where that is another group than before, the
 * lease of the reading is worth nothing: the next grant makes a reading by the new word. */
static void share(hri_watcher *watcher)
{
    if (!watcher->shares)
        return;
    hri_lease_word word = hri_share_join(hri_gauge_limit_fd(&watcher->gauge, &watcher->reading));
    if (word.granted == watcher->counter.granted && word.pending == watcher->counter.pending)
        return;
    watcher->counter = word;
    watcher->lease = hri_lease_issue(hri_lease_granted(&word), 0, 0);
    watcher->surprise = (hri_surprise){0};
    watcher->host_lease = hri_lease_without_limit();
}

/* Decides the level. */
static void decide(hri_watcher *watcher, const struct manner *manner, int64_t now_ns)
{
    hri_level_input input = {
        .strain = watcher->strained,
        .use = watcher->ledgers.use,
        .now_ns = now_ns,
        .relieved = manner->relieved,
        .met = manner->met,
        .straight = manner->straight,
        .unaided = !atomic_load_explicit(&watcher->aided, memory_order_relaxed),
    };
    hr_level from = watcher->state.level;
    hr_level to = hri_level_next(&watcher->rules, &watcher->state, &input);
    if (from < HR_DEGRADED && to >= HR_DEGRADED)
        atomic_store_explicit(&watcher->aided, false, memory_order_relaxed);
    if (to != from) {
        queue_change(watcher, from, to);
        hri_level_word_set(&watcher->word, to);
    }
}

/* Looks, under the lock. */
static void sample(hri_watcher *watcher, const struct manner *manner, hri_demand *demand)
{
    int64_t now_ns = hri_clock_now(watcher->gauge.clock);
    bool fresh = is_wanted(watcher, now_ns, manner->reads);
    if (fresh) {
        reopen(watcher);
        share(watcher); /* the child of a fork has not joined yet */
        watcher->measured = measure_untouched(watcher, manner->sure, now_ns);
    }
    uint64_t sample_bytes = hri_lease_granted(&watcher->counter);
    hri_accounts accounts;
    if (fresh)
        refresh(watcher, sample_bytes, manner->reads == ALL, &accounts);
    else
        hri_budget_tree_snapshot(watcher->tree, &accounts);
    hri_rate_sample(&watcher->released, hri_sub(accounts.total_bytes, accounts.held_bytes), now_ns);
    atomic_store_explicit(&watcher->released_per_s, watcher->released.bytes_per_s, memory_order_relaxed);
    hri_books books = open_books(watcher, &accounts);
    if (fresh) {
        issue_lease(watcher, &books, sample_bytes);
        share(watcher);
    }
    hri_ledgers_compute(&books, &watcher->ledgers);
    if (fresh) {
        hri_strain_input strain = hri_ledgers_strain(&books);
        watcher->strained = hri_strain_sample(&watcher->strain, &strain);
    }
    hr_level from = watcher->state.level;
    decide(watcher, manner, now_ns);
    const char *source = hri_ledgers_source(&books, &watcher->ledgers, watcher->gauge.sources);
    watcher->limit_source = source ? source : "host memory";
    if (fresh || watcher->state.level != from)
        instruct_tree(watcher, &books, fresh, demand);
}

/* Takes the lock. Gives false where another thread has made a reading since this one came for it. */
static bool lock_for_reading(hri_watcher *watcher)
{
    if (hri_inner_try_lock(&watcher->lock))
        return true;
    int64_t came_ns = hri_clock_now(watcher->gauge.clock);
    hri_inner_lock(&watcher->lock);
    return atomic_load_explicit(&watcher->sampled_ns, memory_order_relaxed) <= came_ns;
}

hr_level hri_watcher_sample_quietly(hri_watcher *watcher, hri_occasion occasion, hri_demand *demand)
{
    const struct manner *manner = &manners[occasion];
    bool wanted = true;
    if (manner->once)
        wanted = lock_for_reading(watcher);
    else if (!manner->if_free)
        hri_inner_lock(&watcher->lock);
    else if (!hri_inner_try_lock(&watcher->lock))
        return hri_level_word_get(&watcher->word);
    if (wanted)
        sample(watcher, manner, demand);
    hri_inner_unlock(&watcher->lock);
    if (!wanted && demand)
        hri_budget_attempt(demand, true);
    return hri_level_word_get(&watcher->word);
}

hr_level hri_watcher_sample(hri_watcher *watcher, hri_occasion occasion)
{
    hri_watcher_sample_quietly(watcher, occasion, NULL);
    hri_watcher_tell(watcher);
    return hri_level_word_get(&watcher->word);
}

bool hri_watcher_is_stale(const hri_watcher *watcher)
{
    int64_t age_ns =
        hri_clock_now(watcher->gauge.clock) - atomic_load_explicit(&watcher->sampled_ns, memory_order_relaxed);
    return age_ns >= READING_AGE_NORMAL_NS;
}

void hri_watcher_tell(hri_watcher *watcher)
{
    HRI_UNCANCELLED;
    hri_inner_lock(&watcher->lock);
    bool mine = !watcher->telling;
    while (mine && watcher->change_count > 0) {
        hr_level from = watcher->changes[0].from, to = watcher->changes[0].to;
        watcher->change_count--;
        memmove(&watcher->changes[0], &watcher->changes[1], watcher->change_count * sizeof watcher->changes[0]);
        watcher->telling = true;
        hri_inner_unlock(&watcher->lock);
        watcher->changed(watcher->context, from, to);
        hri_inner_lock(&watcher->lock);
    }
    if (mine)
        watcher->telling = false;
    hri_inner_unlock(&watcher->lock);
}

/* Under the lock. */
static void show(const hri_watcher *watcher, hri_snapshot *ret_snapshot)
{
    int binding = watcher->reading.binding;
    *ret_snapshot = (hri_snapshot){
        .ledgers = watcher->ledgers,
        .process = watcher->reading.process,
        .host = watcher->reading.host,
        .binding = binding >= 0 ? watcher->reading.groups[binding] : hri_cgroup_unknown,
        .resident_bytes = watcher->ours.resident_bytes,
        .stalls = watcher->reading.stalls,
        .strained = watcher->strained,
        .pending = watcher->pending,
        .sharing = watcher->ours.sharing,
        .lease_bytes = watcher->lease.free_bytes,
        .time_ns = watcher->reading.time_ns,
        .limit_source = watcher->limit_source,
    };
}

void hri_watcher_read(hri_watcher *watcher, hri_snapshot *ret_snapshot)
{
    hri_inner_lock(&watcher->lock);
    show(watcher, ret_snapshot);
    hri_inner_unlock(&watcher->lock);
}

void hri_watcher_read_now(hri_watcher *watcher, hri_snapshot *ret_snapshot, hri_accounts *ret_accounts)
{
    hri_inner_lock(&watcher->lock);
    show(watcher, ret_snapshot);
    hri_budget_tree_read(watcher->tree, ret_accounts);
    hri_books books = open_books(watcher, ret_accounts);
    hri_ledgers_compute(&books, &ret_snapshot->ledgers);
    hri_inner_unlock(&watcher->lock);
}

size_t hri_watcher_list(hri_watcher *watcher, hr_ledger ret_list[HRI_LEDGERS_MAX])
{
    hri_accounts accounts;
    hri_ledgers ledgers;
    hri_inner_lock(&watcher->lock);
    hri_budget_tree_read(watcher->tree, &accounts);
    hri_books books = open_books(watcher, &accounts);
    hri_ledgers_compute(&books, &ledgers);
    size_t count = hri_ledgers_list(&books, &ledgers, watcher->gauge.sources, ret_list);
    hri_inner_unlock(&watcher->lock);
    return count;
}

int hri_watcher_start(hri_watcher *watcher, hri_monitor *monitor)
{
    hri_inner_lock(&watcher->lock);
    const hri_site site = watcher->gauge.site;
    const hri_cgroup_chain chain = watcher->gauge.chain; /* a copy: to start a thread allocates */
    hri_inner_unlock(&watcher->lock);
    return hri_monitor_start(monitor, &site, &chain);
}

void hri_watcher_fork(hri_watcher *watcher, hri_fork moment)
{
    hri_fork_lock(&watcher->lock, moment);
    if (moment == HRI_FORK_CHILD) {
        watcher->inherited = true;
        watcher->telling = false; /* whoever told has stayed behind */
        atomic_store_explicit(&watcher->sampled_ns, INT64_MIN / 2, memory_order_relaxed);
    }
}

int64_t hri_watcher_pause(hri_watcher *watcher, int64_t interval_ns)
{
    hri_snapshot snapshot;
    hri_watcher_read(watcher, &snapshot);
    int64_t pause_ns = HRI_WATCHER_PAUSE_NS;
    if (hri_level_word_get(&watcher->word) == HR_NORMAL && !hri_resident_is_shared()) {
        uint64_t left = hri_sub(snapshot.ledgers.worst_limit_bytes, snapshot.ledgers.worst_use_bytes);
        int64_t fill_ns = (int64_t)hri_min(left / 8, INT64_MAX); /* 1 GB/s is a byte a nanosecond */
        pause_ns = hri_later(pause_ns, fill_ns);
    }
    return hri_earlier(interval_ns, pause_ns);
}

int hri_watcher_init(hri_watcher *watcher, const hri_watcher_options *options)
{
    *watcher = (hri_watcher){
        .rules = options->rules,
        .tree = options->tree,
        .changed = options->changed,
        .context = options->context,
        .host_lease = hri_lease_without_limit(),
        .counter = hri_word_alone,
        .shares = options->shares,
        .reading = {.declared = options->declared},
    };
    int error = hri_gauge_open(&watcher->gauge, &(hri_site){.root = options->root}, options->clock);
    if (error)
        return error;
    error = hri_lock_init(&watcher->lock);
    if (error) {
        hri_gauge_close(&watcher->gauge);
        return error;
    }
    hri_pending_note_shared(hri_process_read_shared(&watcher->gauge.process), &(hri_pending){0});
    atomic_fetch_add(&watchers, watcher->shares);
    hri_inner_lock(&watcher->lock);
    sample(watcher, &manners[HRI_ON_TIME], NULL);
    if (watcher->lease.free_bytes == 0) /* it has joined others, and reads by their word */
        sample(watcher, &manners[HRI_ON_TIME], NULL);
    hri_inner_unlock(&watcher->lock);
    return 0;
}

void hri_watcher_destroy(hri_watcher *watcher)
{
    if (watcher->shares && atomic_fetch_sub(&watchers, 1) == 1)
        hri_share_leave();
    pthread_mutex_destroy(&watcher->lock);
    hri_gauge_close(&watcher->gauge);
}
