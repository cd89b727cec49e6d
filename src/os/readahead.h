/* SPDX-License-Identifier: Apache-2.0 */
/* Read-ahead: a thread that reads a file, or touches one page of a mapping, has the kernel read a whole window of the
 * device's at once. Those pages are charged, and locked until they have come. */
#ifndef HRI_OS_READAHEAD_H
#define HRI_OS_READAHEAD_H

#include <stdint.h>

/* The largest window of all devices, network file systems included; the kernel's default where that cannot be read.
 * Opens files, and allocates nothing. */
uint64_t hri_readahead_bytes(void);

#endif
