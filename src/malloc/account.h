/* SPDX-License-Identifier: Apache-2.0 */
/* The account of this process with the limit: pages that the heap has committed, and mappings that are counted.
 *
 * All calls: any thread, with no lock of the heap's held.
 */
#ifndef HRI_MALLOC_ACCOUNT_H
#define HRI_MALLOC_ACCOUNT_H

#include "malloc/page.h"

#include <stdbool.h>

/* Each process has so much that opens after its first refusal, for its own message. It is charged from the start. */
#define HRI_ACCOUNT_RESERVE_BYTES ((uint64_t)64 << 10)

/* A limit below this leaves no room for a program to start. */
#define HRI_ACCOUNT_LIMIT_MIN ((uint64_t)1 << 20)

/* Opens the account: `page` is the one that is shared, or NULL for a limit of this process alone. Bytes that
 * the heap has committed are charged whether they fit or not. Gives false where the page has no free slot. */
typedef struct hri_account_terms {
    uint64_t limit_bytes; /* UINT64_MAX: none, and all is counted */
    int64_t wait_ns;
    hri_malloc_on_limit on_limit;
} hri_account_terms;

bool hri_account_open(hri_malloc_page *page, const hri_account_terms *terms);

/* The page, or NULL before it is opened; and this process's slot in it. */
hri_malloc_page *hri_account_page(void);
unsigned hri_account_slot(void);

/* Charges bytes, or none of them. Where they do not fit, idle pages of this process go back first; then the account
 * does what is to be done at the limit. A question that is not `final` is refused at once: its asker has a smaller
 * one. */
bool hri_account_charge(uint64_t bytes, bool final);

/* Takes bytes out that were charged and not used. */
void hri_account_return(uint64_t bytes);

/* Takes bytes out that go back to the kernel. Those that were inherited by a fork were never charged here, and go
 * first. */
void hri_account_uncharge(uint64_t bytes);

/* Gives idle pages back if another process has been short since this one looked last. On the slow paths of malloc()
 * and free(). */
void hri_account_yield(void);

/* Bounds the idle pages of this process: to what peers of malloc() keep, and to `most_bytes`. */
void hri_account_bound_idle(uint64_t most_bytes);

/* In the child of a fork: a slot of its own, and nothing charged. Its memory was inherited. */
void hri_account_fork_child(void);

/* A block came back that is none of the heap's. */
void hri_account_foreign(void);

#endif
