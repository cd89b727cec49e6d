/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that wait, and whose numbers a test may choose: in a namespace of its own, which takes root.
 *
 *     int status = hrt_processes_run(play, NULL);
 *     if (hrt_processes_skip(status))
 *         skip();
 *     assert_int_equal(status, 0);
 */
#ifndef HRT_SUPPORT_PROCESSES_H
#define HRT_SUPPORT_PROCESSES_H

#include <stdbool.h>
#include <sys/types.h>

/* Exit statuses of a play that cannot be given here. */
#define HRT_NO_NAMESPACE 77
#define HRT_NO_CHOICE 78

/* Runs `play` in a child that is the first process of a namespace with a /proc of its own. Gives what it returned,
 * which is 0 if all is well, or HRT_NO_NAMESPACE. */
int hrt_processes_run(int (*play)(void *context), void *context);

/* Whether a play could not be given; prints why. */
bool hrt_processes_skip(int status);

/* Starts a process that waits for its end. */
pid_t hrt_process_start(void);

/* Ends such a process, and waits until its number is free. */
void hrt_process_end(pid_t pid);

/* Starts another one with a number that is free, in a play. Gives false where the kernel lets nobody choose. */
bool hrt_process_start_as(pid_t pid);

#endif
