/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of the shared page: taken, and settled when their process is gone. For programs and for their supervisor;
 * any thread, no lock. */
#ifndef HRI_MALLOC_SLOTS_H
#define HRI_MALLOC_SLOTS_H

#include "malloc/page.h"

#include <stdbool.h>

/* Takes a slot of `owner` for this process: 0 means a free one. Gives HRI_MALLOC_SLOTS if there is none. */
unsigned hri_slots_take(hri_malloc_page *page, int32_t owner);

/* Takes what a slot's process was charged with out of the page, frees the slot, and wakes those who wait. Gives false
 * where the slot is no longer that process's. */
bool hri_slots_settle(hri_malloc_page *page, unsigned at, int32_t owner);

/* Settles those of the slots from `first` up to `end` whose process is gone, by number and start time. Nothing is done
 * where that cannot be told from here. Gives whether there was one. */
bool hri_slots_settle_gone(hri_malloc_page *page, unsigned first, unsigned end);

#endif
