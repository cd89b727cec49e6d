/* SPDX-License-Identifier: Apache-2.0 */
/* The emergency reserve: resident pages that nobody uses, so that at critical there is something to drop at once. It is
 * outside of the budget; in the kernel's ledgers it counts as use even while it is dropped, since it is taken back. */
#ifndef HRI_RELIEF_RESERVE_H
#define HRI_RELIEF_RESERVE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct hri_reserve {
    pthread_mutex_t lock;
    void *pages;
    uint64_t bytes; /* a multiple of the page size */
    bool dropped;
} hri_reserve;

/* Maps and touches a reserve; 0 bytes are none. Gives 0 or a negative errno. */
int hri_reserve_init(hri_reserve *reserve, uint64_t bytes);
void hri_reserve_destroy(hri_reserve *reserve);

/* Drops the pages, or takes them back; gives the bytes that are dropped now. Twice is harmless. */
uint64_t hri_reserve_drop(hri_reserve *reserve, bool drop);

/* The bytes in hand. */
uint64_t hri_reserve_held(hri_reserve *reserve);

#endif
