/* SPDX-License-Identifier: Apache-2.0 */
/* Our own mistakes stop debug builds; a user's misuse of accounts is a fault: counted, survived in release builds. */
#ifndef HRI_BASE_ASSERT_H
#define HRI_BASE_ASSERT_H

#include <stdint.h>
#include <stdlib.h>

#ifdef HRI_DEBUG
#define HRI_ASSERT(condition) ((condition) ? (void)0 : abort())
#else
#define HRI_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

/* Counts a fault of the caller; debug builds abort here, where the stack still shows who it was. */
void hri_fault(void);

/* Counts a fault that is no reason to abort in any build. */
void hri_fault_note(void);

/* Gives the faults of this process so far. */
uint64_t hri_fault_count(void);

#endif
