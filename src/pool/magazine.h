/* SPDX-License-Identifier: Apache-2.0 */
/* Magazines: stacks of idle blocks. The engine has the empty ones on a list; they are
 * charged to its budget. The marks of small blocks in a thread's magazine, and in one of the depot, are where its slots
 * begin.
 *
 * A new magazine holds as many blocks as the engine's `slots` says. It starts small, and doubles when threads that put
 * have met others at the engine's lock often since the janitor's last visit, as in illumos. A magazine of twice the
 * size goes to the depot half as often. It never gets larger than HRI_MAGAZINE_BYTES of blocks, so that one thread's
 * idle blocks stay few. Smaller ones that are still about are used up; the empty ones are freed by the janitor, or when
 * memory is short.
 *
 * All calls want the engine's lock, except for hri_magazine_lock() and hri_magazine_free_all().
 */
#ifndef HRI_STORE_MAGAZINE_H
#define HRI_STORE_MAGAZINE_H

#include "pool/engine.h"

/* At first, within HRI_MAGAZINE_BYTES_FIRST, except for the least that helps; and at most. */
#define HRI_MAGAZINE_SLOTS 128
#define HRI_MAGAZINE_SLOTS_LEAST 4
#define HRI_MAGAZINE_SLOTS_MAX 512
#define HRI_MAGAZINE_BYTES_FIRST (64 * 1024)
#define HRI_MAGAZINE_BYTES (256 * 1024)

/* Of one that grows as it is filled, at first. */
#define HRI_MAGAZINE_SLOTS_GROWING 8

/* After this many meetings at the lock magazines grow. */
#define HRI_MAGAZINE_MEETINGS 32

struct hri_magazine {
    hri_magazine *next;
    unsigned count;
    unsigned capacity;
    void *slots[];
};

/* Sets an engine's first `slots`, by the size of its blocks. */
void hri_magazine_init(hri_engine *engine);

/* Locks the engine for a put, and notes whether that had to wait. Gets are not counted: where blocks are new, each
 * takes the lock, and no size of a magazine would help. */
void hri_magazine_lock(hri_engine *engine);

/* Gives an empty magazine, from the list or new; NULL where it cannot be paid for, or where memory is short. Runs no
 * relief. */
hri_magazine *hri_magazine_new(hri_engine *engine);

/* Makes sure that one more fits into a magazine, or into NULL; false as above. The depot keeps its full ones in such a
 * one. */
bool hri_magazine_grow(hri_engine *engine, hri_magazine **magazine);

/* Takes an empty magazine back. */
void hri_magazine_keep(hri_engine *engine, hri_magazine *magazine);

/* Takes the empty ones off their lists, for memory is short or they are not needed; and frees such a list, without the
 * lock. Gives the bytes uncharged. */
hri_magazine *hri_magazine_take_empty(hri_engine *engine);
uint64_t hri_magazine_free_all(hri_engine *engine, hri_magazine *magazines);

/* Magazines may be NULL: nothing is in them, and nothing fits. */
static inline void *hri_magazine_pop(hri_magazine *magazine)
{
    return magazine && magazine->count > 0 ? magazine->slots[--magazine->count] : NULL;
}

static inline bool hri_magazine_push(hri_magazine *magazine, void *block)
{
    if (!magazine || magazine->count == magazine->capacity)
        return false;
    magazine->slots[magazine->count++] = block;
    return true;
}

/* The mark of its blocks. */
static inline hri_mark hri_magazine_mark(const hri_magazine *magazine)
{
    return (hri_mark)magazine->slots;
}

#endif
