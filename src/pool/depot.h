/* SPDX-License-Identifier: Apache-2.0 */
/* An engine's blocks in magazines, in its depot and in its regions. All calls want the engine's lock; none of them
 * charges blocks, or runs anybody else's code.
 */
#ifndef HRI_STORE_DEPOT_H
#define HRI_STORE_DEPOT_H

#include "pool/engine.h"

/* A thread's words in its cell of the engine's place. */
enum {
    HRI_DEPOT_LOADED, /* its two magazines */
    HRI_DEPOT_PREVIOUS,
    HRI_DEPOT_SEEN, /* the top and the gets at the janitor's last visit */
    HRI_DEPOT_GETS, /* counted by the header (pool_inline.h) */
};

/* Gives a block that is idle: of this thread's magazines, of the depot, of a region; NULL: there is none. */
void *hri_depot_take_idle(hri_engine *engine);

/* Takes a new small block, whose pages are still to be committed; NULL: there is none. */
void *hri_depot_take_new(hri_engine *engine);

/* Counts a new block of either kind. */
void hri_depot_count_new(hri_engine *engine);

/* Puts a block that was claimed. */
void hri_depot_put(const hri_spot *spot, void *block);

/* Notes for the janitor how little is idle, after some was taken. */
void hri_depot_note_idle(hri_engine *engine);

/* Moves this many blocks from the depot to those that wait for nobody. */
void hri_depot_empty(hri_engine *engine, uint64_t blocks);

/* Does the same with what threads have in magazines: of all, or of those that have done nothing since the last time.
 * `alone`: there are no other threads. */
void hri_depot_collect(hri_engine *engine, bool sleepers_only, bool alone);

/* How many blocks threads took from their magazines by themselves. */
uint64_t hri_depot_gets(const hri_engine *engine);

/* Takes in what a thread has that ends. */
void hri_depot_leave(hri_engine *engine, hri_cell *cell);

/* Takes a block that waits for nobody: of a region, or of whole pages. */
void *hri_depot_take_free(hri_engine *engine);

/* Puts a region on the list, or takes it off; and how many bytes of blocks the next one is to have. */
void hri_depot_link(hri_engine *engine, hri_region *region);
void hri_depot_unlink(hri_engine *engine, hri_region *region);
size_t hri_depot_next_bytes(const hri_engine *engine);

#endif
