/* SPDX-License-Identifier: Apache-2.0 */
/* Handles: what a program holds of a pool. Programs read them without a lock, in code that is inline in them, and a
 * mistaken one does so after it has freed the pool. So a handle's memory stays a handle: that of a freed pool says that
 * it is none, which leads to the library, where it is a fault. Later pools get it again; but not in debug builds, where
 * it stays dead.
 *
 * A library that is built with AddressSanitizer gives it back to the allocator: that finds more. In one that is not,
 * under a program that is, nobody would see the use, and the allocator writes into what was freed.
 */
#ifndef HRI_STORE_HANDLE_H
#define HRI_STORE_HANDLE_H

#include "base/assert.h"
#include "base/fork.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* The fields of a pool's struct, of any kind. */
typedef struct hri_handle {
    atomic_bool open;
    void *next; /* of the free ones */
} hri_handle;

/* The free ones of a kind. */
typedef struct hri_handles {
    const size_t size;   /* of the whole struct */
    const size_t offset; /* of its hri_handle */
    void *first;
} hri_handles;

/* Gives a handle that is open, and zeros except for that; NULL where there is no memory. */
void *hri_handle_take(hri_handles *kind);

/* Takes one back: it is zeros, and closed. */
void hri_handle_give(hri_handles *kind, void *pool);

void hri_handles_fork(hri_fork moment);

/* False, and a fault, for the handle of a pool that was freed. */
static inline bool hri_handle_is_open(const hri_handle *handle)
{
    if (atomic_load_explicit(&handle->open, memory_order_relaxed))
        return true;
    hri_fault("a pool is used after it was freed");
    return false;
}

#endif
