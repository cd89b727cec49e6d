/* SPDX-License-Identifier: Apache-2.0 */
/* The program's own anonymous mappings, which this library counts by being mmap() and its kin for it. */
#ifndef HRI_MALLOC_MAPPINGS_H
#define HRI_MALLOC_MAPPINGS_H

#include "base/fork.h"

void hri_mappings_fork(hri_fork moment);

#endif
