/* SPDX-License-Identifier: Apache-2.0 */
/* The means that the kernel and libc offer for counting per CPU without locks: restartable sequences (rseq), and the
 * barrier that interrupts those of other threads (membarrier). */
#ifndef HRI_OS_FEATURE_H
#define HRI_OS_FEATURE_H

#include <stdbool.h>
#include <stddef.h>

/* Each writes into `ret_detail` what is there or why it is not, and gives whether it can be used. Each asks for this
 * process; the membarrier is the kernel's for all. */
bool hri_feature_rseq(char *ret_detail, size_t size);
bool hri_feature_membarrier(char *ret_detail, size_t size);

#endif
