/* SPDX-License-Identifier: Apache-2.0 */
/* When a process began. Its number alone may be another process's by now; the number and this are not. */
#ifndef HRI_OS_START_H
#define HRI_OS_START_H

#include <stdbool.h>
#include <stdint.h>

/* In ticks since the machine started, as /proc/PID/stat has it; 0 if there is no such process, or /proc does not show
 * it. `ret_ended` (NULL is fine): is it a zombie, which has no memory any more? Nobody may ever reap it, as in a
 * container without an init. */
uint64_t hri_process_start(int pid, bool *ret_ended);

#endif
