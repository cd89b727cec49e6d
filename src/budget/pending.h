/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes that this process was granted and has not touched yet.
 *
 * The kernel's figures are the process's, so this is too: a process may have several guards. It sums, over all budget
 * trees, the promises, the stocks, and the pages that the heap has committed and nobody has touched. Bytes that are
 * charged by hand and do not show in the resident set yet are counted as well (base/lease.h).
 *
 * Locking: a lock of its own, under which trees' locks are taken.
 */
#ifndef HRI_BUDGET_PENDING_H
#define HRI_BUDGET_PENDING_H

#include "base/fork.h"
#include "budget/budget.h"

/* The accounts of all trees, read before the kernel's files: bytes that are touched in between count twice, not
 * never. */
typedef struct hri_pending_accounts {
    uint64_t promised_bytes;
    uint64_t stocks_bytes;
    uint64_t heap_pending_bytes;   /* granted to the heap, which the caller adds its own to: not resident yet */
    uint64_t heap_resident_bytes;  /* all that is the library's own; the caller's to fill in */
    uint64_t hand_bytes;           /* held by hand */
    uint64_t hand_uncharged_bytes; /* ever */
    uint64_t published_bytes;      /* the pending bytes that others are told, */
    unsigned publishes;            /* and how often they were told */
} hri_pending_accounts;

/* The parts, for reports. */
typedef struct hri_pending {
    uint64_t bytes;          /* in all */
    uint64_t hand_bytes;     /* charged by hand and not resident */
    uint64_t retained_bytes; /* charged by hand once, given back since the last purge, and still resident */
} hri_pending;

/* Reads all of it, and by the way the accounts of one tree. */
void hri_pending_read(const hri_lease_word *word, hri_pending_accounts *ret_accounts, hri_budget_tree *of,
                      hri_accounts *ret_of);

/* Tells other processes what is pending by a reading, as a change of what they were told before: grants that were
 * made meanwhile stay in it. Of two readings at the same time the first tells. */
void hri_pending_publish(const hri_lease_word *word, const hri_pending_accounts *accounts, uint64_t pending_bytes);

/* Gives what was pending, with the resident anonymous bytes that were read after the accounts. `purged`: since the
 * last call the allocator has given back what was free. */
hri_pending hri_pending_compute(const hri_pending_accounts *accounts, uint64_t anonymous_bytes, bool purged,
                                int64_t now_ns);

/* Bytes that are charged by hand may be shared memory, which is not among the anonymous bytes. With the shared memory
 * that the process maps now, takes what came since the first call off what is pending: programs charge after they
 * have made a guard. */
void hri_pending_note_shared(uint64_t shared_bytes, hri_pending *pending);

/* Trees of the process come and go. */
void hri_pending_enlist(hri_budget_tree *tree);
void hri_pending_delist(hri_budget_tree *tree);

/* Before the trees' own locks are taken for a fork. */
void hri_pending_fork(hri_fork moment);

#endif
