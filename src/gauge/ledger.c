/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/ledger.h"

#include "base/checked.h"

const char *hri_ledger_text(hri_ledger_kind kind)
{
    static const char *const names[] = {"budget", "cgroup", "address space", "data", "host"};
    return names[kind];
}

/* A machine with very many CPUs must not lose more than one part in so many of a small limit to their lag. */
#define LAG_SHARE 64

static uint64_t used(const hri_books *books)
{
    return hri_add(books->accounts.held_bytes, books->accounts.promised_bytes);
}

static uint64_t budget_limit(const hri_books *books, uint64_t kernel_limit_bytes)
{
    return hri_min(books->accounts.own_limit_bytes, kernel_limit_bytes);
}

/* By how much a group's counters may be off. */
static uint64_t lag(const hri_books *books, const hri_cgroup_reading *group)
{
    return hri_min(books->reading->lag_bytes, group->limit_bytes / LAG_SHARE);
}

/* What of a cgroup's use is not the root's. Two counters are never of the same instant: saturated. What the allocator
 * retains may be used again, but nobody can be sure of it: close to the limit it does not count as ours. */
static uint64_t others(const hri_books *books, const hri_cgroup_reading *group)
{
    if (group->use_bytes == HR_NONE) /* nothing is known of them; the limit holds all the same */
        return 0;
    uint64_t use = hri_max(group->use_bytes, group->charged_bytes);
    uint64_t ours = hri_sub(books->accounts.held_bytes, books->untouched_bytes);
    if (hri_add(use, 2 * lag(books, group)) < group->limit_bytes)
        ours = hri_add(ours, books->retained_bytes);
    return hri_sub(hri_add(use, books->reserve_bytes), hri_min(ours, books->reading->process.anonymous_bytes));
}

/* One ledger: what is used of which limit now, and what will be once all that is granted is touched. */
struct ledger {
    hri_ledger_kind kind;
    uint64_t use_bytes;
    uint64_t limit_bytes; /* HR_NONE: no such ledger */
    uint64_t expected_bytes;
};

/* The ledgers but for the root's own: a cgroup each, then the process's three. The host's is the last: where its memory
 * is as large as a cgroup's limit, as under lxcfs, the cgroup's is the one to name. */
#define PROCESS_LEDGERS 3

static struct ledger process_ledger(const hri_books *books, unsigned index)
{
    const hri_process_reading *process = &books->reading->process;
    uint64_t promised = books->accounts.promised_bytes;
    uint64_t untouched = hri_sub(used(books), process->anonymous_bytes);
    struct ledger ledgers[PROCESS_LEDGERS] = {
        {HRI_LEDGER_ADDRESS, process->address_bytes, process->address_limit_bytes,
         hri_add(process->address_bytes, promised)},
        {HRI_LEDGER_DATA, process->data_bytes, process->data_limit_bytes, hri_add(process->data_bytes, promised)},
        {HRI_LEDGER_HOST, process->rss_bytes, hri_add(process->rss_bytes, books->reading->host.available_bytes),
         hri_add(process->rss_bytes, untouched)},
    };
    struct ledger ledger = ledgers[index];
    if (ledger.use_bytes == HR_NONE)
        ledger.limit_bytes = HR_NONE;
    return ledger;
}

/* A group's use that decides the level. memory.stat is behind by what CPUs keep to themselves, and an ancestor's can
 * stand still for two seconds while a group below it fills (seen on Linux 6.18: its flush is left out where a child's is
 * due and nobody reads that child). memory.current is exact; it counts page cache, so what may only be lag is left out. */
static struct ledger group_ledger(const hri_books *books, unsigned index)
{
    const hri_cgroup_reading *group = &books->reading->groups[index];
    uint64_t use = hri_max(group->use_bytes, hri_sub(group->charged_bytes, books->reading->lag_bytes));
    use = hri_add(use, books->reserve_bytes); /* HR_NONE stays HR_NONE */
    return (struct ledger){HRI_LEDGER_CGROUP, use, group->limit_bytes, hri_add(others(books, group), used(books))};
}

static unsigned kernel_ledgers(const hri_books *books)
{
    return PROCESS_LEDGERS + books->reading->group_count;
}

static struct ledger kernel_ledger(const hri_books *books, unsigned index)
{
    unsigned groups = books->reading->group_count;
    return index < groups ? group_ledger(books, index) : process_ledger(books, index - groups);
}

/* The kernel's limit on what one process may have: the host's is all of its memory, whoever uses it now. */
static uint64_t hard_limit(const hri_books *books, const struct ledger *ledger)
{
    return ledger->kind == HRI_LEDGER_HOST ? books->reading->host.total_bytes : ledger->limit_bytes;
}

/* The smallest of the kernel's limits; HR_NONE: there is none. */
static struct ledger kernel_limit(const hri_books *books)
{
    struct ledger smallest = {.kind = HRI_LEDGER_HOST, .limit_bytes = HR_NONE};
    for (unsigned i = 0; i < kernel_ledgers(books); i++) {
        struct ledger ledger = kernel_ledger(books, i);
        ledger.limit_bytes = hard_limit(books, &ledger);
        if (ledger.limit_bytes < smallest.limit_bytes)
            smallest = ledger;
    }
    return smallest;
}

static void weigh(const struct ledger *ledger, hri_ledgers *ledgers)
{
    if (ledger->limit_bytes == HR_NONE || ledger->use_bytes == HR_NONE)
        return;
    double use =
        ledger->limit_bytes ? (double)ledger->use_bytes / (double)ledger->limit_bytes : (ledger->use_bytes ? 1.0 : 0.0);
    if (use <= ledgers->use && ledgers->worst_limit_bytes != HR_NONE)
        return;
    ledgers->use = use;
    ledgers->worst = ledger->kind;
    ledgers->worst_use_bytes = ledger->use_bytes;
    ledgers->worst_limit_bytes = ledger->limit_bytes;
}

void hri_ledgers_compute(const hri_books *books, hri_ledgers *ret_ledgers)
{
    hri_ledgers ledgers = {
        .worst_limit_bytes = HR_NONE,
        .room_bytes = HR_NONE,
    };
    struct ledger kernel = kernel_limit(books);
    ledgers.kernel_limit_bytes = kernel.limit_bytes;
    ledgers.kernel_limit = kernel.kind;
    struct ledger own = {HRI_LEDGER_BUDGET, used(books), budget_limit(books, ledgers.kernel_limit_bytes), used(books)};
    weigh(&own, &ledgers);
    for (unsigned i = 0; i < kernel_ledgers(books); i++) {
        struct ledger ledger = kernel_ledger(books, i);
        weigh(&ledger, &ledgers);
    }
    for (unsigned i = 0; i < books->reading->group_count; i++) {
        const hri_cgroup_reading *group = &books->reading->groups[i];
        if (group->limit_bytes == HR_NONE)
            continue;
        uint64_t room = hri_sub(group->limit_bytes, hri_add(others(books, group), lag(books, group)));
        ledgers.room_bytes = hri_min(ledgers.room_bytes, room);
    }
    if (books->reading->binding >= 0)
        ledgers.others_bytes = others(books, &books->reading->groups[books->reading->binding]);
    *ret_ledgers = ledgers;
}

/* The smallest part of a kernel's limits that `left` gives of each ledger; HR_NONE: no ledger is limited. */
typedef uint64_t left_fn(const struct ledger *ledger, double threshold);

static uint64_t least_left(const hri_books *books, left_fn *left, double threshold)
{
    uint64_t least = HR_NONE;
    for (unsigned i = 0; i < kernel_ledgers(books); i++) {
        struct ledger ledger = kernel_ledger(books, i);
        if (ledger.limit_bytes != HR_NONE && ledger.use_bytes != HR_NONE)
            least = hri_min(least, left(&ledger, threshold));
    }
    return least;
}

static uint64_t left_if_touched(const struct ledger *ledger, double threshold)
{
    return hri_sub(hri_share(ledger->limit_bytes, threshold), ledger->expected_bytes);
}

uint64_t hri_ledgers_ceiling(const hri_books *books, double threshold)
{
    uint64_t by_budget = hri_share(budget_limit(books, kernel_limit(books).limit_bytes), threshold);
    return hri_min(by_budget, hri_add(used(books), least_left(books, left_if_touched, threshold)));
}

/* A quarter of what is left, and never so little that each small charge would read the gauges. */
static uint64_t left_to_take_blindly(const struct ledger *ledger, double threshold)
{
    (void)threshold;
    return hri_max(hri_sub(ledger->limit_bytes, ledger->use_bytes) / 4, ledger->limit_bytes / 1024);
}

uint64_t hri_ledgers_crossing(const hri_books *books, double threshold)
{
    uint64_t limit = budget_limit(books, kernel_limit(books).limit_bytes);
    uint64_t by_budget = hri_share(limit, threshold < 1 ? threshold : 1);
    return hri_min(by_budget, hri_add(books->reading_used_bytes, least_left(books, left_to_take_blindly, 1)));
}
