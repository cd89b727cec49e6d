/* SPDX-License-Identifier: Apache-2.0 */
/* The table of ledgers that the rule weighs (ledger.c) and people read (ledger_text.c). */
#ifndef HRI_GAUGE_LEDGER_ROWS_H
#define HRI_GAUGE_LEDGER_ROWS_H

#include "gauge/ledger.h"

/* One ledger: what is used of which limit now, and what will be used beside that once all that is granted is
 * touched. */
typedef struct hri_ledger_row {
    hri_ledger_kind kind;
    uint64_t use_bytes;   /* HR_NONE: not known: such a ledger has a limit and no say */
    uint64_t limit_bytes; /* HR_NONE: no such ledger */
    uint64_t pending_bytes;
    const char *source; /* of the limit; NULL: a group's */
} hri_ledger_row;

/* The ledgers except for the root's own, by index: the process's four, then a cgroup each. */
enum {
    HRI_ROW_DECLARED,
    HRI_ROW_ADDRESS,
    HRI_ROW_DATA,
    HRI_ROW_HOST,
    HRI_ROWS_OF_PROCESS,
    HRI_ROW_BUDGET = HRI_ROWS_OF_PROCESS + HRI_CGROUP_DEPTH, /* the root's own */
};

/* The number of rows, and one of them. The root's own has no row. */
unsigned hri_ledger_rows(const hri_books *books);
hri_ledger_row hri_ledger_row_of(const hri_books *books, unsigned index);

/* The root's own ledger: what it has granted, and its limit beside the kernel's. */
uint64_t hri_ledger_granted(const hri_books *books);
uint64_t hri_ledger_budget_limit(const hri_books *books, uint64_t kernel_limit_bytes);

#endif
