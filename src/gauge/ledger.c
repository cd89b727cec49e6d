/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/ledger.h"

#include "base/checked.h"

const char *hri_ledger_text(hri_ledger_kind kind)
{
    static const char *const names[] = {"budget", "cgroup", "address space", "data", "host"};
    return names[kind];
}

static uint64_t used(const hri_books *books)
{
    return hri_add(books->accounts.held_bytes, books->accounts.promised_bytes);
}

static uint64_t budget_limit(const hri_books *books, uint64_t kernel_limit_bytes)
{
    return hri_min(books->accounts.own_limit_bytes, kernel_limit_bytes);
}

/* What of a cgroup's use is not the root's. Two counters are never of the same instant: saturated. */
static uint64_t others(const hri_books *books, const hri_cgroup_reading *group)
{
    uint64_t ours = hri_add(books->accounts.held_bytes, books->returned_bytes);
    return hri_sub(hri_add(group->use_bytes, books->reserve_bytes),
                   hri_min(ours, books->reading->process.anonymous_bytes));
}

/* One ledger: what is used of which limit. `untouched_bytes` are granted and would still come on top. */
struct ledger {
    hri_ledger_kind kind;
    uint64_t use_bytes;
    uint64_t limit_bytes; /* HR_NONE: no such ledger */
    uint64_t untouched_bytes;
};

/* The ledgers but for the root's own: the process's three, then a cgroup each. */
#define PROCESS_LEDGERS 3

static struct ledger process_ledger(const hri_books *books, unsigned index)
{
    const hri_process_reading *process = &books->reading->process;
    uint64_t promised = books->accounts.promised_bytes;
    uint64_t untouched = hri_sub(used(books), process->anonymous_bytes);
    struct ledger ledgers[PROCESS_LEDGERS] = {
        {HRI_LEDGER_ADDRESS, process->address_bytes, process->address_limit_bytes, promised},
        {HRI_LEDGER_DATA, process->data_bytes, process->data_limit_bytes, promised},
        {HRI_LEDGER_HOST, process->rss_bytes, hri_add(process->rss_bytes, process->host_available_bytes), untouched},
    };
    struct ledger ledger = ledgers[index];
    if (ledger.use_bytes == HR_NONE)
        ledger.limit_bytes = HR_NONE;
    return ledger;
}

static struct ledger group_ledger(const hri_books *books, unsigned index)
{
    const hri_cgroup_reading *group = &books->reading->groups[index];
    uint64_t use = hri_add(group->use_bytes, books->reserve_bytes);
    uint64_t expected = hri_add(others(books, group), used(books));
    return (struct ledger){HRI_LEDGER_CGROUP, use, group->limit_bytes, hri_sub(expected, use)};
}

static unsigned kernel_ledgers(const hri_books *books)
{
    return PROCESS_LEDGERS + books->reading->group_count;
}

static struct ledger kernel_ledger(const hri_books *books, unsigned index)
{
    return index < PROCESS_LEDGERS ? process_ledger(books, index) : group_ledger(books, index - PROCESS_LEDGERS);
}

/* The kernel's limit on what one process may have: the host's is all of its memory, whoever uses it now. */
static uint64_t hard_limit(const hri_books *books, const struct ledger *ledger)
{
    return ledger->kind == HRI_LEDGER_HOST ? books->reading->process.host_bytes : ledger->limit_bytes;
}

static void weigh(const struct ledger *ledger, hri_ledgers *ledgers)
{
    if (ledger->limit_bytes == HR_NONE)
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
        .kernel_limit_bytes = HR_NONE,
        .kernel_limit = HRI_LEDGER_HOST,
        .room_bytes = HR_NONE,
    };
    for (unsigned i = 0; i < kernel_ledgers(books); i++) {
        struct ledger ledger = kernel_ledger(books, i);
        uint64_t limit = hard_limit(books, &ledger);
        if (limit < ledgers.kernel_limit_bytes) {
            ledgers.kernel_limit_bytes = limit;
            ledgers.kernel_limit = ledger.kind;
        }
    }
    struct ledger own = {HRI_LEDGER_BUDGET, used(books), budget_limit(books, ledgers.kernel_limit_bytes), 0};
    weigh(&own, &ledgers);
    for (unsigned i = 0; i < kernel_ledgers(books); i++) {
        struct ledger ledger = kernel_ledger(books, i);
        weigh(&ledger, &ledgers);
    }
    for (unsigned i = 0; i < books->reading->group_count; i++) {
        const hri_cgroup_reading *group = &books->reading->groups[i];
        if (group->limit_bytes != HR_NONE)
            ledgers.room_bytes = hri_min(ledgers.room_bytes, hri_sub(group->limit_bytes, others(books, group)));
    }
    if (books->reading->binding >= 0)
        ledgers.others_bytes = others(books, &books->reading->groups[books->reading->binding]);
    *ret_ledgers = ledgers;
}

/* How much more may be used before a ledger passes its threshold; HR_NONE: any. */
static uint64_t until(const struct ledger *ledger, double threshold, bool touched)
{
    if (ledger->limit_bytes == HR_NONE)
        return HR_NONE;
    uint64_t use = hri_add(ledger->use_bytes, touched ? ledger->untouched_bytes : 0);
    return hri_sub(hri_share(ledger->limit_bytes, threshold), use);
}

static uint64_t bound(const hri_books *books, double threshold, bool touched)
{
    uint64_t more = HR_NONE, kernel_limit = HR_NONE;
    for (unsigned i = 0; i < kernel_ledgers(books); i++) {
        struct ledger ledger = kernel_ledger(books, i);
        kernel_limit = hri_min(kernel_limit, hard_limit(books, &ledger));
        more = hri_min(more, until(&ledger, threshold, touched));
    }
    uint64_t by_kernel = hri_add(used(books), more);
    return hri_min(hri_share(budget_limit(books, kernel_limit), threshold), by_kernel);
}

uint64_t hri_ledgers_ceiling(const hri_books *books, double threshold)
{
    return bound(books, threshold, true);
}

uint64_t hri_ledgers_crossing(const hri_books *books, double threshold)
{
    return hri_max(bound(books, threshold, false), used(books));
}
