/* SPDX-License-Identifier: Apache-2.0 */
/* The store's one door to memory: headroom, or with --unguarded plain malloc behind the same calls.
 *
 * A write is admitted first (memory_admit) and takes its blocks from that grant; whatever a block costs, headers and
 * all, is charged to its class's budget until memory_give().
 */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include <headroom/headroom.h>

#include "options.h"

/* Where the bytes of each class are charged. NULL when unguarded. */
struct memory_budgets {
    hr_budget *cache;       /* no limit of its own: it yields to everything else */
    hr_budget *pinned;      /* --pinned-share of the limit */
    hr_budget *connections; /* what the HTTP library holds for each connection */
};

/* Makes the guard and its budgets, or nothing with `unguarded`.
 *
 * returns  0; a negative errno: -EINVAL for thresholds that contradict each other
 */
int memory_open(const struct options *options);

/* Frees the guard; what was taken has been given back. */
void memory_close(void);

const struct memory_budgets *memory_budgets(void);

/* NULL when unguarded. */
hr_guard *memory_guard(void);

/* HR_NORMAL when unguarded. */
hr_level memory_level(void);

/* How many bytes a cache has to give first if it wants to take `bytes`, so that it does not grow from warning on: what
 * would lift use above where warning began, and at most its own. */
uint64_t memory_price(uint64_t bytes);

/* Asks for `bytes` before work starts. The ticket is always written, and released with hr_ticket_release(). */
hr_verdict memory_admit(hr_budget *budget, uint64_t bytes, hr_ticket *ret_ticket);

/* Takes a block, paid by an admitted ticket. NULL with errno EDQUOT or ENOMEM. */
void *memory_take(hr_ticket *ticket, size_t size);

/* Gives a block back. */
void memory_give(void *block);

/* What a block of `size` bytes costs: the library's header, malloc's word, rounding. An estimate is enough: what it
 * misses is charged when the block is taken. */
static inline uint64_t memory_footprint(uint64_t size)
{
    return (size + 32 + 8 + 15) & ~UINT64_C(15);
}

#endif
