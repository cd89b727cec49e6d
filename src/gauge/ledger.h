/* SPDX-License-Identifier: Apache-2.0 */
/* The ledgers and their rule: numbers in, numbers out; no kernel, no time.
 *
 * Each ledger has a limit of its own, and limits are never mixed. The root budget's ledger has what it granted against
 * its limit; a cgroup's has the group's use against the group's limit. Address space and data are held against their
 * resource limits, and this process against what the host could give it. Each gives use ÷ limit; the worst one decides.
 *
 * The same table read the other way is the lease (base/lease.h): what each limit that kills still leaves once
 * everything that was granted is touched.
 */
#ifndef HRI_GAUGE_LEDGER_H
#define HRI_GAUGE_LEDGER_H

#include "budget/budget.h"
#include "gauge/reading.h"
#include "gauge/strain.h"
#include "os/share.h"

#include <headroom/survey.h>

typedef enum hri_ledger_kind {
    HRI_LEDGER_BUDGET,
    HRI_LEDGER_CGROUP,
    HRI_LEDGER_ADDRESS,
    HRI_LEDGER_DATA,
    HRI_LEDGER_HOST,
    HRI_LEDGER_PROCESS,
} hri_ledger_kind;

/* The bytes of a reading that are ours: as they were just before it was made. */
typedef struct hri_ours {
    uint64_t used_bytes;     /* held and promised by this tree */
    uint64_t promised_bytes; /* of that */
    uint64_t resident_bytes; /* of what the heap and pools have, and of what is charged by hand: resident */
    uint64_t idle_bytes;     /* of that, the heap's own to give back at any time: no use */
    uint64_t pending_bytes;  /* granted by all trees of the process, and not touched */
    hri_share_sum sharing;   /* of the limit, with other processes */
} hri_ours;

/* The input of the ledgers. */
typedef struct hri_books {
    const hri_reading *reading;
    hri_ours ours;
    hri_accounts accounts;  /* of the root, now */
    uint64_t reserve_bytes; /* emergency reserve that is dropped: still use, since it will be taken back */
    bool no_budget;         /* the kernel's ledgers alone: there is no root */
} hri_books;

typedef struct hri_ledgers {
    double use; /* the worst ledger's use ÷ limit */
    hri_ledger_kind worst;
    uint64_t worst_use_bytes;
    uint64_t worst_limit_bytes;
    uint64_t kernel_limit_bytes;  /* the smallest of the kernel's limits */
    hri_ledger_kind kernel_limit; /* and which it is */
    uint64_t others_bytes;        /* foreign: the use of the binding cgroup that no budget accounts for */
    int worst_index;              /* which ledger decides, by this room's own order; -1: nothing is known */
    int kernel_limit_index;       /* and which has the kernel's smallest limit; -1: there is none */
} hri_ledgers;

const char *hri_ledger_text(hri_ledger_kind kind);

void hri_ledgers_compute(const hri_books *books, hri_ledgers *ret_ledgers);

/* Names the limit that binds: "limit_bytes", one of `groups` (the limits of the reading's groups by name), "RLIMIT_AS"
 * and so on. NULL where there is none. */
const char *hri_ledgers_source(const hri_books *books, const hri_ledgers *ledgers, const hri_group_names *groups);

/* Lists the ledgers of `books` for people, of which `ledgers` was computed. The order is: the budget, the groups from
 * the own one upwards, the declared limit if there is one, address space, data, host. Of a group with two limits both
 * are there, the one that binds first. Gives their number, HRI_LEDGERS_MAX at the most. */
#define HRI_LEDGERS_MAX (2 * HRI_CGROUP_DEPTH + 5)
size_t hri_ledgers_list(const hri_books *books, const hri_ledgers *ledgers, const hri_group_names *groups,
                        hr_ledger ret_list[HRI_LEDGERS_MAX]);

/* Up to where no ledger would pass `threshold` once all that is granted is touched: what an admission may lead to. Of
 * the kernel's limits that kill, `margin_bytes` are left for memory that nobody charges. `sample_bytes`: the word that
 * the lease is counted by, before the reading. */
hri_ceiling hri_ledgers_ceiling(const hri_books *books, double threshold, uint64_t margin_bytes, uint64_t sample_bytes);

/* The use of the root at which its own ledger passes `threshold`, at most its limit. */
uint64_t hri_ledgers_crossing(const hri_books *books, double threshold);

/* The bytes that the cgroups' limits, and the host, still leave once everything that was granted is touched; HR_NONE
 * where nothing is known of them. `ret_margin` is what the counters may hide. A commit beyond it is a SIGKILL, so
 * resource limits, beyond which malloc() fails, are left out. */
uint64_t hri_ledgers_free_of_groups(const hri_books *books, uint64_t *ret_margin);
uint64_t hri_ledgers_free_of_host(const hri_books *books);

/* As above, for the declared limit, which stands for one that kills. */
uint64_t hri_ledgers_free_of_process(const hri_books *books);

/* The declared limit; a share is one of the smallest other limit. HR_NONE: there is none. */
uint64_t hri_ledgers_declared(const hri_books *books);
/* The bytes that the host could still give, by its own figures. They are not known where the figures are a container's
 * that count page cache as used. */
uint64_t hri_ledgers_host_available(const hri_reading *reading);

/* The figures that strain is judged by, of the group that binds. */
hri_strain_input hri_ledgers_strain(const hri_books *books);

#endif
