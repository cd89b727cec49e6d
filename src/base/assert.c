/* SPDX-License-Identifier: Apache-2.0 */
/* The count of faults is the process's: misuse often cannot be laid at one guard's door. */
#include "base/assert.h"

#include <stdatomic.h>

static _Atomic uint64_t faults;

void hri_fault(void)
{
#ifdef HRI_DEBUG
    abort();
#endif
    hri_fault_note();
}

void hri_fault_note(void)
{
    atomic_fetch_add_explicit(&faults, 1, memory_order_relaxed);
}

uint64_t hri_fault_count(void)
{
    return atomic_load_explicit(&faults, memory_order_relaxed);
}
