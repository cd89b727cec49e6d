/* SPDX-License-Identifier: Apache-2.0 */
/* One span's granules of 16 bytes, and its pages. All calls want the heap's lock. */
#ifndef HRI_HEAP_GRANULES_H
#define HRI_HEAP_GRANULES_H

#include "heap/segment.h"

#define HRI_HEAP_ALL_PAGES 0xffffu                /* as `committed` of a slice */
#define HRI_HEAP_FITS_ALL HRI_HEAP_SLICE_GRANULES /* as `no_fit`: more than fits anywhere */

/* Bytes of idle pages in spans. */
extern __attribute__((visibility("hidden"))) uint64_t hri_heap_span_idle_bytes;

/* The granules of a block of a general class. */
unsigned hri_heap_granules_of(unsigned class);

/* Makes all of a span's granules unavailable, with no page committed. */
void hri_heap_granules_reset(hri_heap_slice *slice);

bool hri_heap_granules_committed(const hri_heap_slice *slice, unsigned page);

/* Makes the granules of one page available, those on its edges if their other page is committed too. */
void hri_heap_granules_open_page(hri_heap_slice *slice, unsigned page);

/* Counts idle pages that come to a span or go with it. */
void hri_heap_granules_count_idle(hri_heap_slice *slice, int pages);

/* Carves up to `want` blocks of a class; gives how many. */
unsigned hri_heap_granules_take(hri_heap_slice *slice, unsigned class, void **blocks, unsigned want);

/* Takes a block back. Gives whether at most a quarter of the span's committed granules is in use now. */
bool hri_heap_granules_give(hri_heap_slice *slice, unsigned class, const void *block);

/* May a block begin here, by the pages that are committed? `block` is a multiple of 16. */
bool hri_heap_granules_may_begin(const hri_heap_slice *slice, const void *block);

/* Pages of a span in a row. */
typedef struct hri_heap_page_range {
    unsigned from, to;
} hri_heap_page_range;

/* Chooses pages for one block of a class at least, and on from there: up to a step of pages that are not committed yet.
 * Those have `most_bytes` at the most. Gives false where none fit. */
typedef struct hri_heap_step {
    unsigned pages;
    uint64_t most_bytes;
} hri_heap_step;

bool hri_heap_granules_choose(const hri_heap_slice *slice, unsigned class, const hri_heap_step *step,
                              hri_heap_page_range *ret_pages);

/* Makes idle pages in a row unavailable, up to `most_pages`. Gives false where there are none. */
bool hri_heap_granules_close(hri_heap_slice *slice, unsigned most_pages, hri_heap_page_range *ret_pages);

/* Recounts, and aborts where a count is wrong. */
void hri_heap_granules_check(const hri_heap_slice *slice);

#endif
