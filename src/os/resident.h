/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages of a block cost the process something.
 *
 * A page that was only read shows the kernel's page of zeros: it is resident and nobody is charged for it, until it is
 * written. Three ways to ask, the best that the kernel has:
 *
 *     PAGEMAP_SCAN (Linux 6.7)   tells the page of zeros by itself
 *     /proc/self/pagemap         tells pages that this process alone maps: the page of zeros is none of them. After a fork
 *                                this is of no use, since pages that are shared with the other process are none either
 *     mincore()                  takes the page of zeros for a page
 */
#ifndef HRI_OS_RESIDENT_H
#define HRI_OS_RESIDENT_H

#include "base/fork.h"

#include <stddef.h>

/* Opens the map of this process for a number of questions; below 0: there is none, and mincore() answers. It is opened for
 * each round of questions, since an open map stays that of the process that opened it, through forks. */
int hri_resident_open(void);
void hri_resident_close(int map);

/* How many bytes of the whole pages among these are absent; 0 where the kernel does not say. A system call for each 4 MiB,
 * or for each 2 MiB by the second way. */
size_t hri_resident_absent(int map, const void *bytes, size_t size);

/* From now on pages may be shared with another process. */
void hri_resident_fork(hri_fork moment);

#endif
