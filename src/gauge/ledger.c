/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/ledger.h"

#include "base/checked.h"

/* For people. */
static const struct {
    const char *name;
    const char *measures;
} kinds[] = {
    [HRI_LEDGER_BUDGET] = {"budget", "what the root budget has granted: bytes held, and bytes promised to requests"},
    [HRI_LEDGER_CGROUP] = {"cgroup", "anonymous, shared and locked memory of all processes in the group and below it, "
                                     "kernel memory that cannot be reclaimed, sockets, and page cache that is dirty; "
                                     "clean page cache is shown beside it and does not count"},
    [HRI_LEDGER_ADDRESS] = {"address space", "the part of the process's address space (VmSize) that is resident: what "
                                             "is reserved and never backed does not count"},
    [HRI_LEDGER_DATA] = {"data",
                         "the resident part of the process's private writable mappings, heap and stack (VmData)"},
    [HRI_LEDGER_HOST] = {"host", "the process's resident set; its limit is that and what the host could still give"},
    [HRI_LEDGER_PROCESS] = {"process", "the process's anonymous resident memory, whether it is charged or not; the "
                                       "limit is one that was declared"},
};

const char *hri_ledger_text(hri_ledger_kind kind)
{
    return kinds[kind].name;
}

static uint64_t used(const hri_books *books)
{
    return hri_add(books->accounts.held_bytes, books->accounts.promised_bytes);
}

static uint64_t budget_limit(const hri_books *books, uint64_t kernel_limit_bytes)
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
    return hri_add(lag, hri_add(tables, PROCESS_BYTES *
                                            hri_max(books->ours.sharing.processes + books->ours.sharing.strangers, 1)));
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

/* One ledger: what is used of which limit now, and what will be used beside that once all that is granted is
 * touched. */
struct ledger {
    hri_ledger_kind kind;
    uint64_t use_bytes;   /* HR_NONE: not known: such a ledger has a limit and no say */
    uint64_t limit_bytes; /* HR_NONE: no such ledger */
    uint64_t pending_bytes;
    const char *source; /* of the limit; NULL: a group's */
};

/* The ledgers except for the root's own, by index: the process's four, then a cgroup each. */
enum {
    DECLARED,
    ADDRESS,
    DATA,
    HOST,
    PROCESS_LEDGERS,
    BUDGET = PROCESS_LEDGERS + HRI_CGROUP_DEPTH, /* the root's own */
};

/* The resident bytes that are in use: idle pages of the heap are handed out again, or given back as soon as memory is
 * short. HR_NONE stays HR_NONE. */
static uint64_t in_use(const hri_books *books, uint64_t resident_bytes)
{
    return resident_bytes == HR_NONE ? HR_NONE : hri_sub(resident_bytes, books->ours.idle_bytes);
}

/* Address space that is reserved and never backed raises no level: an arena of glibc's reserves 64 MiB for 132 KiB.
 * Where it runs out a mapping fails with ENOMEM, which kills nobody. */
static struct ledger process_ledger(const hri_books *books, unsigned index)
{
    const hri_process_reading *process = &books->reading->process;
    uint64_t promised = books->ours.promised_bytes, pending = books->ours.pending_bytes;
    struct ledger ledgers[PROCESS_LEDGERS] = {
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
static struct ledger group_ledger(const hri_books *books, unsigned index)
{
    const hri_cgroup_reading *group = &books->reading->groups[index];
    uint64_t use = hri_max(group->use_bytes, hri_sub(group->charged_bytes, books->reading->lag_bytes));
    use = hri_add(in_use(books, use), hri_add(group->lasting_bytes, books->reserve_bytes)); /* HR_NONE stays HR_NONE */
    return (struct ledger){HRI_LEDGER_CGROUP, use, group->limit_bytes, books->ours.pending_bytes, NULL};
}

static unsigned kernel_ledgers(const hri_books *books)
{
    return PROCESS_LEDGERS + books->reading->group_count;
}

static struct ledger kernel_ledger(const hri_books *books, unsigned index)
{
    struct ledger ledger =
        index < PROCESS_LEDGERS ? process_ledger(books, index) : group_ledger(books, index - PROCESS_LEDGERS);
    if (index == DECLARED)
        ledger.limit_bytes = hri_ledgers_declared(books);
    return ledger;
}

/* The kernel's limit on what one process may have: the host's is all of its memory, whoever uses it now. */
static uint64_t hard_limit(const hri_books *books, const struct ledger *ledger)
{
    return ledger->kind == HRI_LEDGER_HOST ? books->reading->host.total_bytes : ledger->limit_bytes;
}

uint64_t hri_ledgers_declared(const hri_books *books)
{
    const hri_declared *declared = &books->reading->declared;
    uint64_t least = HR_NONE;
    if (declared->bytes > 0)
        return declared->bytes;
    for (unsigned i = DECLARED + 1; declared->share > 0 && i < kernel_ledgers(books); i++) {
        struct ledger ledger =
            i < PROCESS_LEDGERS ? process_ledger(books, i) : group_ledger(books, i - PROCESS_LEDGERS);
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
static struct ledger kernel_limit(const hri_books *books, int *ret_index)
{
    struct ledger smallest = {.kind = HRI_LEDGER_HOST, .limit_bytes = HR_NONE};
    *ret_index = -1;
    for (unsigned i = 0; i < kernel_ledgers(books); i++) {
        struct ledger ledger = kernel_ledger(books, i);
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

static void weigh(const struct ledger *ledger, int index, hri_ledgers *ledgers)
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
    struct ledger kernel = kernel_limit(books, &ledgers.kernel_limit_index);
    ledgers.kernel_limit_bytes = kernel.limit_bytes;
    ledgers.kernel_limit = kernel.kind;
    struct ledger own = {HRI_LEDGER_BUDGET, used(books), budget_limit(books, ledgers.kernel_limit_bytes), 0, NULL};
    if (!books->no_budget)
        weigh(&own, BUDGET, &ledgers);
    for (unsigned i = 0; i < kernel_ledgers(books); i++) {
        struct ledger ledger = kernel_ledger(books, i);
        weigh(&ledger, (int)i, &ledgers);
    }
    if (books->reading->binding >= 0)
        ledgers.others_bytes = others(books, &books->reading->groups[books->reading->binding]);
    *ret_ledgers = ledgers;
}

/* ── for people ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool budget_binds(const hri_books *books, const hri_ledgers *ledgers)
{
    return !books->no_budget && books->accounts.own_limit_bytes <= ledgers->kernel_limit_bytes;
}

static const hri_cgroup_limits *limits_of(const hri_books *books, unsigned index)
{
    return &books->reading->groups[index - PROCESS_LEDGERS].limits;
}

/* Is the second of a group's limits the smaller one? */
static bool second_binds(const hri_books *books, unsigned index)
{
    return index >= PROCESS_LEDGERS && limits_of(books, index)->second_bytes < limits_of(books, index)->max_bytes;
}

static const char *source_of(const hri_books *books, unsigned index, const hri_group_names *groups)
{
    if (index < PROCESS_LEDGERS)
        return kernel_ledger(books, index).source;
    const hri_group_names *names = &groups[index - PROCESS_LEDGERS];
    return second_binds(books, index) ? names->second : names->max;
}

const char *hri_ledgers_source(const hri_books *books, const hri_ledgers *ledgers, const hri_group_names *groups)
{
    if (budget_binds(books, ledgers))
        return "limit_bytes";
    return ledgers->kernel_limit_index < 0 ? NULL : source_of(books, (unsigned)ledgers->kernel_limit_index, groups);
}

static hr_ledger describe_budget(const hri_books *books, const hri_ledgers *ledgers, const hri_group_names *groups)
{
    return (hr_ledger){
        .name = hri_ledger_text(HRI_LEDGER_BUDGET),
        .source = hri_ledgers_source(books, ledgers, groups),
        .measures = kinds[HRI_LEDGER_BUDGET].measures,
        .use_bytes = used(books),
        .limit_bytes = budget_limit(books, ledgers->kernel_limit_bytes),
        .cache_bytes = HR_NONE,
        .time_ns = books->reading->time_ns,
        .binds = budget_binds(books, ledgers),
        .decides = ledgers->worst_index == BUDGET,
    };
}

static hr_ledger describe(const hri_books *books, const hri_ledgers *ledgers, unsigned index,
                          const hri_group_names *groups)
{
    struct ledger ledger = kernel_ledger(books, index);
    const hri_reading *reading = books->reading;
    if (index == HOST && ledger.limit_bytes == HR_NONE) /* what is left is not known: all that there is */
        ledger.limit_bytes = reading->host.total_bytes;
    return (hr_ledger){
        .name = hri_ledger_text(ledger.kind),
        .source = source_of(books, index, groups),
        .measures = kinds[ledger.kind].measures,
        .use_bytes = ledger.use_bytes,
        .limit_bytes = ledger.limit_bytes,
        .cache_bytes = index < PROCESS_LEDGERS ? HR_NONE : reading->groups[index - PROCESS_LEDGERS].cache_bytes,
        .time_ns = index == HOST ? reading->host_time_ns : reading->time_ns,
        .binds = !budget_binds(books, ledgers) && ledgers->kernel_limit_index == (int)index,
        .decides = ledgers->worst_index == (int)index,
    };
}

size_t hri_ledgers_list(const hri_books *books, const hri_ledgers *ledgers, const hri_group_names *groups,
                        hr_ledger ret_list[HRI_LEDGERS_MAX])
{
    size_t count = 0;
    if (!books->no_budget)
        ret_list[count++] = describe_budget(books, ledgers, groups);
    for (unsigned i = PROCESS_LEDGERS; i < kernel_ledgers(books); i++) {
        ret_list[count] = describe(books, ledgers, i, groups);
        if (second_binds(books, i) && limits_of(books, i)->max_bytes != HR_NONE) {
            ret_list[count + 1] = ret_list[count];
            count++;
            ret_list[count].source = groups[i - PROCESS_LEDGERS].max;
            ret_list[count].limit_bytes = limits_of(books, i)->max_bytes;
            ret_list[count].binds = ret_list[count].decides = false;
        }
        count++;
    }
    for (unsigned i = 0; i < PROCESS_LEDGERS; i++)
        if (i != DECLARED || hri_ledgers_declared(books) != HR_NONE)
            ret_list[count++] = describe(books, ledgers, i, groups);
    return count;
}

hri_strain_input hri_ledgers_strain(const hri_books *books)
{
    const hri_reading *reading = books->reading;
    hri_strain_input input = {.stalls = &reading->stalls, .max_events = HR_NONE, .now_ns = reading->time_ns};
    if (reading->binding < 0 || reading->groups[reading->binding].use_bytes == HR_NONE)
        return input;
    const hri_cgroup_reading *group = &reading->groups[reading->binding];
    struct ledger ledger = group_ledger(books, (unsigned)reading->binding);
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
    for (unsigned i = 0; i < kernel_ledgers(books); i++) {
        struct ledger ledger = kernel_ledger(books, i);
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
    uint64_t limit = budget_limit(books, kernel_limit(books, &(int){0}).limit_bytes);
    return hri_share(limit, threshold < 1 ? threshold : 1);
}
