/* SPDX-License-Identifier: Apache-2.0 */
/* The gate: keeps calls that a signal handler may make apart from forks.
 *
 * A fork holds the locks of this library while libc waits for malloc()'s. A signal handler that has interrupted
 * malloc() holds malloc()'s. If it waited for a lock of ours then, both would wait for ever. No caller can know whether
 * it is such a handler, so every call that is allowed in one, hr_budget_try_charge() and hr_budget_uncharge(), passes
 * the gate before it takes a lock. Where their stock is enough they take none, and do not come here.
 *
 *     a call     admitted++, then looks at `forks`: not 0, then admitted-- and it is not admitted
 *     a fork     forks++, then waits until `admitted` counts nobody but its own thread, then takes the locks
 *
 * Why it is correct: both are sequentially consistent, so of a call and a fork at the same moment one sees the other. A
 * call that is admitted may wait for a lock that no fork has, and so for less than a millisecond: nothing of malloc()'s
 * is called under those locks. A call that is not admitted takes none.
 */
#ifndef HRI_BUDGET_GATE_H
#define HRI_BUDGET_GATE_H

#include "base/fork.h"

#include <stdbool.h>

/* Enters, unless a fork of another thread is under way. hri_gate_leave() is due only if this gives true. */
bool hri_gate_try_enter(void);

/* The same, but waits for the end of a fork: 100 ms at the most, once for each fork and thread. Most forks are over by
 * then; one that waits for what this thread has interrupted goes on once the handler has returned. */
bool hri_gate_enter(void);

void hri_gate_leave(void);

/* Before a fork takes its first lock, and after it has given the last one back. */
void hri_gate_fork(hri_fork moment);

#endif
