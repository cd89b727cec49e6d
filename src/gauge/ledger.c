/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/ledger_rows.h"

#include "base/checked.h"

uint64_t hri_ledger_granted(const hri_books *books)
{
    return hri_add(books->accounts.held_bytes, books->accounts.promised_bytes);
}

uint64_t hri_ledger_budget_limit(const hri_books *books, uint64_t kernel_limit_bytes)
{
    return hri_min(books->accounts.own_limit_bytes, kernel_limit_bytes);
}

static uint64_t whole_use(const hri_cgroup_reading *group)
{
    return hri_max(group->use_bytes, group->charged_bytes);
}

/* ── the lease ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* On a machine with many CPUs the counters may lag by more than a small limit. The margin takes at most this part of a
 * limit for the lag. With a 64th, programs at 8 MiB reached the limit in 5 to 40 % of runs; with an eighth, in none of
 * 216. */
#define LAG_SHARE 8

/* Memory that a process takes without a grant: thread stacks, page tables of what is resident, the kernel's own. */
#define PROCESS_BYTES (UINT64_C(128) << 10)

/* A page table of 4 KiB maps 2 MiB. */
#define PAGES_PER_TABLE 512

/* A CPU takes 64 pages of a group's at a time (MEMCG_CHARGE_BATCH). At the limit the kernel asks the other CPUs to give
 * back what they have of these, and does not wait for them. On a busy machine of two CPUs it killed a process 70 pages
 * below the limit. */
#define STOCK_BYTES (UINT64_C(64) * 4096)

/* The bytes that the counters of a group may hide. Its use is known within the lag of memory.stat, but is never more
 * than memory.current, which is exact. Where that has little page cache in it, the only hidden bytes are those that
 * another CPU may take and not use. */
static uint64_t margin(const hri_books *books, const hri_cgroup_reading *group)
{
    uint64_t lag = hri_min(books->reading->lag_bytes, group->limit_bytes / LAG_SHARE);
    if (group->current_bytes != HR_NONE)
        lag = hri_min(lag, hri_max(hri_sub(group->current_bytes, whole_use(group)), STOCK_BYTES));
    uint64_t tables = hri_add(books->ours.pending_bytes, books->ours.sharing.pending_bytes) / PAGES_PER_TABLE;
    return hri_add(
        lag, hri_add(tables, PROCESS_BYTES * hri_max(books->ours.sharing.processes + books->ours.sharing.foreign, 1)));
}

uint64_t hri_ledgers_free_of_groups(const hri_books *books, uint64_t *ret_margin)
{
    uint64_t least = HR_NONE;
    *ret_margin = 0;
    for (unsigned i = 0; i < books->reading->group_count; i++) {
        const hri_cgroup_reading *group = &books->reading->groups[i];
        if (group->limit_bytes == HR_NONE || group->use_bytes == HR_NONE)
            continue;
        const hri_lease_terms terms = {
            .limit_bytes = group->limit_bytes,
            .use_bytes = hri_add(hri_add(whole_use(group), group->stuck_bytes),
                                 hri_add(group->leaving_bytes, books->reserve_bytes)),
            .pending_bytes = hri_add(books->ours.pending_bytes, books->ours.sharing.pending_bytes),
            .margin_bytes = margin(books, group),
        };
        uint64_t free_bytes = hri_lease_free(&terms);
        if (free_bytes < least) {
            least = free_bytes;
            *ret_margin = terms.margin_bytes;
        }
    }
    return least;
}

/* lxcfs shows a container its own limit as the host's memory; some of its versions count page cache as used, so that
 * nearly nothing is available. Such figures have a group's limit as their total, and less than half of what that group
 * has left as available. Then the group's ledger decides alone. */
uint64_t hri_ledgers_host_available(const hri_reading *reading)
{
    const hri_host_reading *host = &reading->host;
    for (unsigned i = 0; i < reading->group_count; i++) {
        const hri_cgroup_reading *group = &reading->groups[i];
        bool shown = group->limits.max_bytes != HR_NONE && host->total_bytes / 1024 == group->limits.max_bytes / 1024;
        if (shown && group->use_bytes != HR_NONE &&
            host->available_bytes < hri_sub(group->limits.max_bytes, whole_use(group)) / 2)
            return HR_NONE;
    }
    return host->available_bytes;
}

uint64_t hri_ledgers_free_of_host(const hri_books *books)
{
    uint64_t available = hri_ledgers_host_available(books->reading);
    return available == HR_NONE ? HR_NONE : hri_sub(available, books->ours.pending_bytes);
}

/* ── the ledgers ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The part of a cgroup's use that no budget of this process accounts for. Two counters are never of the same instant:
 * saturated. */
static uint64_t others(const hri_books *books, const hri_cgroup_reading *group)
{
    if (group->use_bytes == HR_NONE)
        return 0;
    return hri_sub(hri_add(whole_use(group), books->reserve_bytes),
                   hri_min(books->ours.resident_bytes, books->reading->process.anonymous_bytes));
}

/* The resident bytes that are in use: idle pages of the heap are handed out again, or given back as soon as memory is
 * short. HR_NONE stays HR_NONE. */
static uint64_t in_use(const hri_books *books, uint64_t resident_bytes)
{
    return resident_bytes == HR_NONE ? HR_NONE : hri_sub(resident_bytes, books->ours.idle_bytes);
}

/* Address space that is reserved and never backed raises no level: an arena of glibc's reserves 64 MiB for 132 KiB.
 * Where it runs out a mapping fails with ENOMEM, which kills nobody. */
static hri_ledger_row process_ledger(const hri_books *books, unsigned index)
{
    const hri_process_reading *process = &books->reading->process;
    uint64_t promised = books->ours.promised_bytes, pending = books->ours.pending_bytes;
    hri_ledger_row ledgers[HRI_ROWS_OF_PROCESS] = {
        {HRI_LEDGER_PROCESS, hri_add(in_use(books, process->anonymous_bytes), books->reserve_bytes), HR_NONE, pending,
         books->reading->declared.source},
        {HRI_LEDGER_ADDRESS, in_use(books, hri_min(process->address_bytes, process->rss_bytes)),
         process->address_limit_bytes, promised, "RLIMIT_AS"},
        {HRI_LEDGER_DATA, in_use(books, hri_min(process->data_bytes, process->anonymous_bytes)),
         process->data_limit_bytes, promised, "RLIMIT_DATA"},
        {HRI_LEDGER_HOST, in_use(books, process->rss_bytes),
         hri_add(process->rss_bytes, hri_ledgers_host_available(books->reading)), pending, "host memory"},
    };
    return ledgers[index];
}

/* A group's use that decides the level. memory.stat is behind by what CPUs keep to themselves. An ancestor's can stand
 * still for two seconds while a group below it fills. (Seen on Linux 6.18: its flush is left out where a child's is due
 * and nobody reads that child.) memory.current is exact; it counts page cache, so what may only be lag is left out. */
static hri_ledger_row group_ledger(const hri_books *books, unsigned index)
{
    const hri_cgroup_reading *group = &books->reading->groups[index];
    uint64_t use = hri_max(group->use_bytes, hri_sub(group->charged_bytes, books->reading->lag_bytes));
    use = hri_add(in_use(books, use), hri_add(group->lasting_bytes, books->reserve_bytes)); /* HR_NONE stays HR_NONE */
    return (hri_ledger_row){HRI_LEDGER_CGROUP, use, group->limit_bytes, books->ours.pending_bytes, NULL};
}

unsigned hri_ledger_rows(const hri_books *books)
{
    return HRI_ROWS_OF_PROCESS + books->reading->group_count;
}

hri_ledger_row hri_ledger_row_of(const hri_books *books, unsigned index)
{
    hri_ledger_row ledger =
        index < HRI_ROWS_OF_PROCESS ? process_ledger(books, index) : group_ledger(books, index - HRI_ROWS_OF_PROCESS);
    if (index == HRI_ROW_DECLARED)
        ledger.limit_bytes = hri_ledgers_declared(books);
    return ledger;
}

/* The kernel's limit on what one process may have: the host's is all of its memory, whoever uses it now. */
static uint64_t hard_limit(const hri_books *books, const hri_ledger_row *ledger)
{
    return ledger->kind == HRI_LEDGER_HOST ? books->reading->host.total_bytes : ledger->limit_bytes;
}

uint64_t hri_ledgers_declared(const hri_books *books)
{
    const hri_declared *declared = &books->reading->declared;
    uint64_t least = HR_NONE;
    if (declared->bytes > 0)
        return declared->bytes;
    for (unsigned i = HRI_ROW_DECLARED + 1; declared->share > 0 && i < hri_ledger_rows(books); i++) {
        hri_ledger_row ledger =
            i < HRI_ROWS_OF_PROCESS ? process_ledger(books, i) : group_ledger(books, i - HRI_ROWS_OF_PROCESS);
        least = hri_min(least, hard_limit(books, &ledger));
    }
    return hri_share(least, declared->share);
}

uint64_t hri_ledgers_free_of_process(const hri_books *books)
{
    uint64_t use = books->reading->process.anonymous_bytes, limit = hri_ledgers_declared(books);
    if (limit == HR_NONE || use == HR_NONE)
        return HR_NONE;
    const hri_lease_terms terms = {
        .limit_bytes = limit,
        .use_bytes = hri_add(use, books->reserve_bytes),
        .pending_bytes = books->ours.pending_bytes,
    };
    return hri_lease_free(&terms);
}

/* The smallest of the kernel's limits; HR_NONE: there is none, and its index is -1. */
static hri_ledger_row kernel_limit(const hri_books *books, int *ret_index)
{
    hri_ledger_row smallest = {.kind = HRI_LEDGER_HOST, .limit_bytes = HR_NONE};
    *ret_index = -1;
    for (unsigned i = 0; i < hri_ledger_rows(books); i++) {
        hri_ledger_row ledger = hri_ledger_row_of(books, i);
        ledger.limit_bytes = hard_limit(books, &ledger);
        bool smaller = ledger.limit_bytes < smallest.limit_bytes;
        if (ledger.limit_bytes == smallest.limit_bytes && smallest.kind == HRI_LEDGER_HOST && *ret_index >= 0)
            smaller = true; /* lxcfs shows a container its own limit as the host's memory: the cgroup's is named */
        if (!smaller)
            continue;
        smallest = ledger;
        *ret_index = (int)i;
    }
    return smallest;
}

static void weigh(const hri_ledger_row *ledger, int index, hri_ledgers *ledgers)
{
    if (ledger->limit_bytes == HR_NONE || ledger->use_bytes == HR_NONE)
        return;
    double use =
        ledger->limit_bytes ? (double)ledger->use_bytes / (double)ledger->limit_bytes : (ledger->use_bytes ? 1.0 : 0.0);
    if (use <= ledgers->use && ledgers->worst_limit_bytes != HR_NONE)
        return;
    ledgers->use = use;
    ledgers->worst = ledger->kind;
    ledgers->worst_index = index;
    ledgers->worst_use_bytes = ledger->use_bytes;
    ledgers->worst_limit_bytes = ledger->limit_bytes;
}

void hri_ledgers_compute(const hri_books *books, hri_ledgers *ret_ledgers)
{
    hri_ledgers ledgers = {
        .worst_limit_bytes = HR_NONE,
        .worst_index = -1,
    };
    hri_ledger_row kernel = kernel_limit(books, &ledgers.kernel_limit_index);
    ledgers.kernel_limit_bytes = kernel.limit_bytes;
    ledgers.kernel_limit = kernel.kind;
    hri_ledger_row own = {HRI_LEDGER_BUDGET, hri_ledger_granted(books),
                          hri_ledger_budget_limit(books, ledgers.kernel_limit_bytes), 0, NULL};
    if (!books->no_budget)
        weigh(&own, HRI_ROW_BUDGET, &ledgers);
    for (unsigned i = 0; i < hri_ledger_rows(books); i++) {
        hri_ledger_row ledger = hri_ledger_row_of(books, i);
        weigh(&ledger, (int)i, &ledgers);
    }
    if (books->reading->binding >= 0)
        ledgers.others_bytes = others(books, &books->reading->groups[books->reading->binding]);
    *ret_ledgers = ledgers;
}

/* ── beside the rule ────────────────────────────────────────────────────────────────────────────────────────────── */

hri_strain_input hri_ledgers_strain(const hri_books *books)
{
    const hri_reading *reading = books->reading;
    hri_strain_input input = {.stalls = &reading->stalls, .max_events = HR_NONE, .now_ns = reading->time_ns};
    if (reading->binding < 0 || reading->groups[reading->binding].use_bytes == HR_NONE)
        return input;
    const hri_cgroup_reading *group = &reading->groups[reading->binding];
    hri_ledger_row ledger = group_ledger(books, (unsigned)reading->binding);
    input.max_events = reading->events.max;
    input.refault_bytes = group->refault_bytes;
    input.cache_bytes = group->cache_bytes;
    input.use = ledger.limit_bytes ? (double)ledger.use_bytes / (double)ledger.limit_bytes : 1;
    return input;
}

/* ── for charges and admissions ─────────────────────────────────────────────────────────────────────────────────── */

/* a - b, saturated. */
static int64_t difference(uint64_t a, uint64_t b)
{
    return a >= b ? (int64_t)hri_min(a - b, INT64_MAX) : -(int64_t)hri_min(b - a, INT64_MAX);
}

hri_ceiling hri_ledgers_ceiling(const hri_books *books, double threshold, uint64_t margin_bytes, uint64_t sample_bytes)
{
    hri_ceiling ceiling = {.used_bytes = hri_ledgers_crossing(books, threshold), .granted_bytes = INT64_MAX};
    for (unsigned i = 0; i < hri_ledger_rows(books); i++) {
        hri_ledger_row ledger = hri_ledger_row_of(books, i);
        if (ledger.limit_bytes == HR_NONE || ledger.use_bytes == HR_NONE)
            continue;
        uint64_t up_to = hri_add(sample_bytes, hri_share(ledger.limit_bytes, threshold));
        uint64_t taken = hri_add(ledger.use_bytes, ledger.pending_bytes);
        if (ledger.kind == HRI_LEDGER_CGROUP)
            taken = hri_add(taken, margin_bytes);
        ceiling.granted_bytes = hri_earlier(ceiling.granted_bytes, difference(up_to, taken));
    }
    return ceiling;
}

uint64_t hri_ledgers_crossing(const hri_books *books, double threshold)
{
    uint64_t limit = hri_ledger_budget_limit(books, kernel_limit(books, &(int){0}).limit_bytes);
    return hri_share(limit, threshold < 1 ? threshold : 1);
}
