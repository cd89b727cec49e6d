/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages cost the process something, and whether another process shares them.
 *
 * A page that was only read shows the kernel's page of zeros: it is resident and nobody is charged for it, until it is
 * written. Three ways to ask, the best that the kernel has:
 *
 *     PAGEMAP_SCAN (Linux 6.7)   tells the page of zeros by itself
 *     /proc/self/pagemap         tells pages that this process alone maps: the page of zeros is none of them. Of no use
 *                                where pages are shared with a forked process, or with the parent
 *     mincore()                  takes the page of zeros for a page
 *
 * After a fork, parent and child share their pages, and each page that one of them writes is copied and charged without
 * a grant. The *witness* is a page that nobody writes after the first fork: as long as this process does not map it
 * alone, a child lives that has not called exec.
 */
#ifndef HRI_OS_RESIDENT_H
#define HRI_OS_RESIDENT_H

#include "base/fork.h"

#include <stdbool.h>
#include <stddef.h>

/* Opens the map of this process for a number of questions; below 0: there is none, and mincore() answers. It is opened
 * for each round of questions, since an open map stays that of the process that opened it, through forks. */
int hri_resident_open(void);
void hri_resident_close(int map);

/* How many bytes of the whole pages among these are absent; 0 where the kernel does not say. A system call for each 4
 * MiB, or for each 2 MiB by the second way. */
size_t hri_resident_absent(int map, const void *bytes, size_t size);

/* Does a child of a fork share pages of this process? Costs nothing where there was no fork, else three system calls.
 * False where the kernel does not say. */
bool hri_resident_is_shared(void);

void hri_resident_fork(hri_fork moment);

#endif
