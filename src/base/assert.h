/* SPDX-License-Identifier: Apache-2.0 */
/* Our own mistakes stop debug builds; a user's misuse of accounts is a fault: counted, survived in release builds. */
#ifndef HRI_BASE_ASSERT_H
#define HRI_BASE_ASSERT_H

#include <stdint.h>
#include <stdlib.h>

#ifdef HRI_DEBUG
_Noreturn void hri_assert_failed(const char *condition, const char *file, int line);
#define HRI_ASSERT(condition) ((condition) ? (void)0 : hri_assert_failed(#condition, __FILE__, __LINE__))
#else
#define HRI_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

/* Public calls that can be misused begin with this: debug builds remember who called, for hri_fault(). */
#ifdef HRI_DEBUG
extern _Thread_local const void *hri_caller;
#define HRI_NOTE_CALLER() ((void)(hri_caller = __builtin_return_address(0)))
#else
#define HRI_NOTE_CALLER() ((void)0)
#endif

#ifdef HRI_DEBUG
/* Where a call is, by the address that it returns to: as FILE+OFFSET, of which `addr2line -e FILE OFFSET` gives the
 * line. The bare address, where it is not known or the file is linked to its addresses. Allocates nothing. */
typedef struct hri_code_place {
    char text[96];
} hri_code_place;

hri_code_place hri_code_place_of(const void *return_address);
#endif

/* Counts a fault of the caller. Debug builds say on stderr what it was and where it was called, and abort. */
__attribute__((format(printf, 1, 2))) void hri_fault(const char *format, ...);

/* Counts a fault that is no reason to abort in any build. */
void hri_fault_note(void);

/* Gives the faults of this process so far. */
uint64_t hri_fault_count(void);

#endif
