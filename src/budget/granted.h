/* SPDX-License-Identifier: Apache-2.0 */
/* The word by which leases are counted: all bytes that were ever granted, by any budget tree of the process. */
#ifndef HRI_BUDGET_GRANTED_H
#define HRI_BUDGET_GRANTED_H

#include <stdatomic.h>
#include <stdint.h>

extern __attribute__((visibility("hidden"))) _Atomic uint64_t hri_granted_here;

#endif
