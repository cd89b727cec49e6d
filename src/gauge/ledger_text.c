/* SPDX-License-Identifier: Apache-2.0 */
/* The ledgers for people: their names, what they measure, and where their limits come from. */
#include "gauge/ledger_rows.h"

static const struct {
    const char *name;
    const char *measures;
} kinds[] = {
    [HRI_LEDGER_BUDGET] = {"budget", "what the root budget has granted: bytes held, and bytes promised to requests"},
    [HRI_LEDGER_CGROUP] =
        {"cgroup", "anonymous, shared and locked memory of all processes in the group and below it, "
                   "kernel memory that cannot be reclaimed, sockets, and page cache that is dirty; "
                   "clean page cache is shown beside it and does not count, nor do idle pages of the library's heap"},
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

static bool budget_binds(const hri_books *books, const hri_ledgers *ledgers)
{
    return !books->no_budget && books->accounts.own_limit_bytes <= ledgers->kernel_limit_bytes;
}

static const hri_cgroup_limits *limits_of(const hri_books *books, unsigned index)
{
    return &books->reading->groups[index - HRI_ROWS_OF_PROCESS].limits;
}

/* Is the second of a group's limits the smaller one? */
static bool second_binds(const hri_books *books, unsigned index)
{
    return index >= HRI_ROWS_OF_PROCESS && limits_of(books, index)->second_bytes < limits_of(books, index)->max_bytes;
}

static const char *source_of(const hri_books *books, unsigned index, const hri_group_names *groups)
{
    if (index < HRI_ROWS_OF_PROCESS)
        return hri_ledger_row_of(books, index).source;
    const hri_group_names *names = &groups[index - HRI_ROWS_OF_PROCESS];
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
        .use_bytes = hri_ledger_granted(books),
        .limit_bytes = hri_ledger_budget_limit(books, ledgers->kernel_limit_bytes),
        .cache_bytes = HR_NONE,
        .time_ns = books->reading->time_ns,
        .binds = budget_binds(books, ledgers),
        .decides = ledgers->worst_index == HRI_ROW_BUDGET,
    };
}

static hr_ledger describe(const hri_books *books, const hri_ledgers *ledgers, unsigned index,
                          const hri_group_names *groups)
{
    hri_ledger_row ledger = hri_ledger_row_of(books, index);
    const hri_reading *reading = books->reading;
    if (index == HRI_ROW_HOST && ledger.limit_bytes == HR_NONE) /* what is left is not known: all that there is */
        ledger.limit_bytes = reading->host.total_bytes;
    return (hr_ledger){
        .name = hri_ledger_text(ledger.kind),
        .source = source_of(books, index, groups),
        .measures = kinds[ledger.kind].measures,
        .use_bytes = ledger.use_bytes,
        .limit_bytes = ledger.limit_bytes,
        .cache_bytes = index < HRI_ROWS_OF_PROCESS ? HR_NONE : reading->groups[index - HRI_ROWS_OF_PROCESS].cache_bytes,
        .time_ns = index == HRI_ROW_HOST ? reading->host_time_ns : reading->time_ns,
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
    for (unsigned i = HRI_ROWS_OF_PROCESS; i < hri_ledger_rows(books); i++) {
        ret_list[count] = describe(books, ledgers, i, groups);
        if (second_binds(books, i) && limits_of(books, i)->max_bytes != HR_NONE) {
            ret_list[count + 1] = ret_list[count];
            count++;
            ret_list[count].source = groups[i - HRI_ROWS_OF_PROCESS].max;
            ret_list[count].limit_bytes = limits_of(books, i)->max_bytes;
            ret_list[count].binds = ret_list[count].decides = false;
        }
        count++;
    }
    for (unsigned i = 0; i < HRI_ROWS_OF_PROCESS; i++)
        if (i != HRI_ROW_DECLARED || hri_ledgers_declared(books) != HR_NONE)
            ret_list[count++] = describe(books, ledgers, i, groups);
    return count;
}
