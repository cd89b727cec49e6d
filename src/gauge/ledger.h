/* SPDX-License-Identifier: Apache-2.0 */
/* The ledgers and their rule: numbers in, numbers out; no kernel, no time.
 *
 * Each ledger has a limit of its own and they are never mixed: what the root budget granted against its limit, each
 * cgroup's use against that cgroup's limit, address space and data against their resource limits, and this process
 * against what the host could give it. Each gives use ÷ limit; the worst one decides.
 *
 * What others take of a cgroup (its use, less what of ours is accounted for) narrows what the root may grant.
 */
#ifndef HRI_GAUGE_LEDGER_H
#define HRI_GAUGE_LEDGER_H

#include "budget/budget.h"
#include "gauge/reading.h"

#include <headroom/survey.h>

typedef enum hri_ledger_kind {
    HRI_LEDGER_BUDGET,
    HRI_LEDGER_CGROUP,
    HRI_LEDGER_ADDRESS,
    HRI_LEDGER_DATA,
    HRI_LEDGER_HOST,
} hri_ledger_kind;

/* What is ours of a reading: as it was just before it was made. */
typedef struct hri_ours {
    uint64_t held_bytes;
    uint64_t promised_bytes;
    uint64_t untouched_bytes; /* held, but not resident: blocks without pages, and a grant that was just being made */
    uint64_t stocks_bytes;    /* charged in advance */
    uint64_t taken_bytes;     /* ever */
    uint64_t retained_bytes;  /* given back since the last purge, perhaps still resident: ours to use again */
} hri_ours;

/* What goes into the ledgers. */
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
    uint64_t others_bytes;        /* what others take of the binding cgroup */
    uint64_t room_bytes;          /* what the root may hold beside them: HR_NONE without a cgroup's limit */
    uint64_t mapped_room_bytes;   /* the same for large blocks, to which what the allocator retains is no use */
    int worst_index;              /* which ledger that is, by this room's own order; -1: nothing is known */
    int kernel_limit_index;       /* and which has the kernel's smallest limit; -1: there is none */
} hri_ledgers;

const char *hri_ledger_text(hri_ledger_kind kind);

void hri_ledgers_compute(const hri_books *books, hri_ledgers *ret_ledgers);

/* Names the limit that binds: "limit_bytes", one of `groups` (the reading's groups by name), "RLIMIT_AS" and so on. NULL
 * where there is none. */
const char *hri_ledgers_source(const hri_books *books, const hri_ledgers *ledgers, const char *const *groups);

/* Lists the ledgers of `books` for people, of which `ledgers` was computed: the budget, the groups from the own one
 * upwards, address space, data, host. Gives their number, HRI_LEDGERS_MAX at the most. */
#define HRI_LEDGERS_MAX (HRI_CGROUP_DEPTH + 4)
size_t hri_ledgers_list(const hri_books *books, const hri_ledgers *ledgers, const char *const *groups,
                        hr_ledger ret_list[HRI_LEDGERS_MAX]);

/* The use of the root up to which no ledger would pass `threshold`, were every granted byte resident: what an
 * admission may go up to. */
uint64_t hri_ledgers_ceiling(const hri_books *books, double threshold);

/* The use of the root beyond which the gauges have to be read again: where its own ledger passes `threshold` (at most
 * its limit), or where charges may have taken a quarter of what was left of a kernel's limit when it was last read.
 * Others may take as much meanwhile, and the next reading, a quarter of the rest later, still comes in time. */
uint64_t hri_ledgers_crossing(const hri_books *books, double threshold);

/* What may be taken in all before the gauges have to be read again, though as much is given back meanwhile: by other threads,
 * perhaps, whose pages the allocator keeps. As above, but no less than the counters may lag behind anyway. HR_NONE: no cgroup
 * kills for it. */
uint64_t hri_ledgers_taken_max(const hri_books *books);

/* What may be taken in all, though as much is given back meanwhile, before it is not certain any more that it is there. */
uint64_t hri_ledgers_sure(const hri_books *books);

/* What large demands may take in all before the gauges have to be read again: a sixteenth of what was left of a kernel's
 * limit. They read them before they are granted, since after that nobody looks until they are touched. */
uint64_t hri_ledgers_blind(const hri_books *books);

#endif
