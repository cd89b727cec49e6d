/* SPDX-License-Identifier: Apache-2.0 */
/* Faults: what if the Nth call that asks the machine for something fails?
 *
 * A program whose file ends in _oom.c is linked to fault.c. Calls of our own code to malloc and its family, mmap, open,
 * eventfd, pthread_create and the like (the list is in tests/CMakeLists.txt) go through it. There the Nth one
 * fails, once or from then on, with the errno that the real one has.
 *
 *     static void make_a_guard(void *context)
 *     {
 *         hr_guard *guard = NULL;
 *         int error = hr_guard_new(NULL, &guard);
 *         assert_true(error == 0 || hrt_fault_failed());  // it fails only if something failed
 *         hr_guard_free(guard);
 *     }
 *     ...
 *     hrt_each_fault(make_a_guard, NULL);
 *
 * Faults strike the thread that armed them, and no other. Calls from within libc are not caught.
 */
#ifndef HRT_SUPPORT_FAULT_H
#define HRT_SUPPORT_FAULT_H

#include <stdint.h>

typedef enum hrt_fault_mode {
    HRT_FAULT_ONCE,   /* the Nth call fails, those after it do not */
    HRT_FAULT_ALWAYS, /* the Nth call and all after it fail */
} hrt_fault_mode;

typedef void hrt_fault_scenario(void *context);

/* From now on counts this thread's calls, and lets number `nth` (from 1; 0: none) fail. */
void hrt_fault_arm(hrt_fault_mode mode, uint64_t nth);

/* Nothing fails any more; the counters stay as they are. */
void hrt_fault_disarm(void);

/* Calls and failures of this thread since it armed. */
uint64_t hrt_fault_calls(void);
uint64_t hrt_fault_failed(void);

/* The name of the call that failed first since this thread armed; NULL if none did. */
const char *hrt_fault_first(void);

/* Runs `scenario` with its 1st, 2nd, … call failing until a run in which nothing failed, once in each mode. The
 * scenario must come back from any failure and leave nothing behind; faults are off again when it has returned.
 * A scenario that makes no call at all, or never ends, fails the test.
 *
 * returns  how many faults were tried
 */
uint64_t hrt_each_fault(hrt_fault_scenario *scenario, void *context);

#endif
