/* SPDX-License-Identifier: Apache-2.0 */
/* Spans: runs of 64 KiB that general blocks are carved from; and blocks of whole pages, which are runs of their own.
 *
 * A block is *away* once it was carved: with a user, in a magazine or in the depot. Then its granules are set in its
 * span's bits. Carving takes committed memory only; hri_heap_growth brings more, in three steps of which the second
 * is made without the lock:
 *
 *     hri_heap_growth_begin()   chooses pages, and marks them
 *     hri_heap_growth_commit()  populates them; or hri_heap_growth_decommit(), for pages that go
 *     hri_heap_growth_end()     hands them to the others
 *
 * All calls but the second step want the heap's lock.
 */
#ifndef HRI_HEAP_SPAN_H
#define HRI_HEAP_SPAN_H

#include "heap/granules.h"

/* Small-block spans are populated in steps of at most this. */
#define HRI_HEAP_STEP_PAGES 16u

typedef struct hri_heap_growth {
    hri_heap_run run;
    hri_heap_slice *slice;     /* of the span whose pages these are; NULL: a run that belongs to none */
    hri_heap_page_range pages; /* of the run's */
    uint64_t bytes;            /* that change */
    bool going;                /* they are decommitted */
    bool without_records;      /* it could not begin, since none were allowed that it needs */
} hri_heap_growth;

/* Blocks that are away, by class. */
extern __attribute__((visibility("hidden"))) uint64_t hri_heap_away[HRI_HEAP_CLASSES];

/* Carves up to `want` blocks of a class; gives how many. */
unsigned hri_heap_carve(unsigned class, void **blocks, unsigned want);

/* Takes back a block that is away. */
void hri_heap_uncarve(unsigned class, void *block);

/* How many bytes the next growth for a class would like to commit, beside records; and how many it needs at least. */
uint64_t hri_heap_growth_bytes(unsigned class, uint64_t *ret_least);

/* Chooses pages for a class, of which at most `most_bytes` are not committed yet, and commits at most `records_bytes`
 * of records. Gives false where there is no memory, or not as many records as it needs. With `bytes` 0 there is nothing
 * to commit, and nothing to end: there are pages that were not found before. */
bool hri_heap_growth_begin(unsigned class, uint64_t most_bytes, uint64_t records_bytes, hri_heap_growth *ret_growth);

/* Chooses up to `most_pages` idle pages in a row to decommit. Gives false if there are none. */
bool hri_heap_growth_begin_going(unsigned most_pages, hri_heap_growth *ret_growth);

/* Without the lock. Gives 0 or a negative errno. */
int hri_heap_growth_commit(const hri_heap_growth *growth);
int hri_heap_growth_decommit(const hri_heap_growth *growth);

/* Ends either; `error` is what the second step gave. */
void hri_heap_growth_end(const hri_heap_growth *growth, int error);

/* Is this where a general block of a span may begin? Reads the page map only. */
bool hri_heap_span_has(const void *block);

/* Recounts all spans, and aborts where a count is wrong. */
void hri_heap_spans_check(void);

#endif
