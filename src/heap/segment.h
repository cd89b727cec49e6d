/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: reserved address space that is handed out in runs of pages, and the page map that leads to them.
 *
 * A segment has up to 32 MiB, begins at a multiple of 1 MiB, and has its records in front of it:
 *
 *     [ head: two bits a page ][ a record for each slice of 64 KiB, populated when needed ][ whose each slice is ]
 *     base ─► [ pages … ]
 *
 * A page is *used* (it belongs to a span, to a block of pages, or to a thread that works on it without the lock), or
 * it is free. Independently of that it is *committed* or not. A free page that is committed is idle.
 *
 * A block of more than HRI_HEAP_WHOLE_MIN has a segment to itself, which is unmapped with it. Only such a segment may
 * have huge pages: a huge page of which a part is given back stays charged to the cgroup.
 *
 * All calls want the heap's lock, but those that say otherwise.
 */
#ifndef HRI_HEAP_SEGMENT_H
#define HRI_HEAP_SEGMENT_H

#include "heap/bits.h"
#include "heap/class.h"

#include <stdatomic.h>

#define HRI_HEAP_CHUNK ((size_t)1 << 20)
#define HRI_HEAP_SLICE ((size_t)64 << 10)
#define HRI_HEAP_SEGMENT_MAX ((size_t)32 << 20)
#define HRI_HEAP_WHOLE_MIN ((size_t)4 << 20)

#define HRI_HEAP_SLICE_PAGES 16u
#define HRI_HEAP_SLICE_GRANULES 4096u
#define HRI_HEAP_SEGMENT_PAGES ((unsigned)(HRI_HEAP_SEGMENT_MAX / HRI_HEAP_PAGE))
#define HRI_HEAP_RECORD_PAGES_MAX 128u

struct hri_heap_segment;

typedef struct hri_heap_list {
    struct hri_heap_slice *first;
} hri_heap_list;

/* A slice: the beginning of a span of general blocks (span.h), or of a large block (large.h). */
typedef struct hri_heap_slice {
    uint64_t words[HRI_HEAP_SLICE_PAGES]; /* of the blocks that begin with a page; 0: none does */
    struct hri_heap_segment *segment;
    hri_heap_list *list; /* that it is in; NULL: none */
    struct hri_heap_slice *next, **link;
    bool is_span;
    bool busy;                              /* a thread commits or decommits pages of it without the lock */
    uint8_t class;                          /* of the blocks that it is for; ANY_CLASS (span.c): any */
    uint8_t idle_pages;                     /* committed, and no block lies on them */
    uint16_t committed;                     /* a bit for each page */
    uint16_t no_fit;                        /* a run of as many granules, or of more, was looked for in vain */
    unsigned used;                          /* granules of blocks */
    uint16_t on_page[HRI_HEAP_SLICE_PAGES]; /* how many blocks lie on each page, with a part of them at least */
    uint64_t bytes;                         /* of a large block */
    uint64_t lazy_bytes;                    /* of these, not touched when the kernel was asked last */
    uint64_t bits[HRI_HEAP_SLICE_GRANULES / HRI_BITS_WORD]; /* granules that are in use, or not committed */
} hri_heap_slice;

typedef struct hri_heap_segment {
    struct hri_heap_segment *next;
    uintptr_t base;
    void *map; /* with the head and the records */
    size_t map_bytes;
    size_t bytes;
    bool whole;
    unsigned pages; /* 0: whole */
    unsigned free_pages, idle_pages;
    unsigned span_idle_pages; /* idle pages in spans */
    unsigned no_fit;          /* a run of as many pages, or of more, was looked for in vain */
    uint64_t records[HRI_HEAP_RECORD_PAGES_MAX / HRI_BITS_WORD]; /* pages of head and records that are committed */
    uint64_t used[HRI_HEAP_SEGMENT_PAGES / HRI_BITS_WORD];
    uint64_t committed[HRI_HEAP_SEGMENT_PAGES / HRI_BITS_WORD];
    hri_heap_slice slices[];
} hri_heap_segment;

/* A run of pages. */
typedef struct hri_heap_run {
    hri_heap_segment *segment;
    unsigned at, pages;
} hri_heap_run;

/* The sums over all segments. */
typedef struct hri_heap_pages {
    uint64_t committed_bytes; /* pages that blocks may lie on */
    uint64_t idle_bytes;      /* of these, in no run; spans have more */
    uint64_t own_bytes;       /* heads, records and the page map; committed too */
    uint64_t reserved_bytes;  /* address space */
} hri_heap_pages;

extern __attribute__((visibility("hidden"))) hri_heap_pages hri_heap_pages_sum;

/* At most this many bytes of records are committed by one call below. `allowed_bytes` bounds them, if it is not
 * UINT64_MAX. A call that needs more fails, and sets `missing`: most commits need none, so they are asked for then. */
#define HRI_HEAP_RECORDS_BYTES ((uint64_t)8 * HRI_HEAP_PAGE)
typedef struct hri_heap_records {
    uint64_t allowed_bytes;
    bool missing;
} hri_heap_records;
extern __attribute__((visibility("hidden"))) hri_heap_records hri_heap_records_now;

/* Finds the segment of any address; NULL: it is in none. Any time, without the lock, for whoever holds a block
 * there. */
hri_heap_segment *hri_heap_segment_find(const void *address);

/* Takes a run whose pages are all idle, and whose record is there. Gives false if there is none. */
bool hri_heap_run_take_idle(unsigned pages, unsigned align, hri_heap_run *ret_run);

/* Takes a free slice that has at least `pages` idle pages in a row, and whose record is there. */
bool hri_heap_run_take_partly_idle(unsigned pages, hri_heap_run *ret_run);

/* Takes a run, of idle pages while there are some, else from a new segment. Its pages are committed by the
 * caller, which may be done without the lock. Gives false where there is no memory. */
bool hri_heap_run_take(unsigned pages, unsigned align, hri_heap_run *ret_run);

/* Takes free pages that the caller has found, without a record of their own. */
void hri_heap_run_take_at(hri_heap_segment *segment, unsigned at, unsigned pages, hri_heap_run *ret_run);

/* Gives a run back. */
void hri_heap_run_give(const hri_heap_run *run);

/* Counts the pages [from, to) of a run as committed, or as no longer committed. Gives how many were not what they are
 * now. Those of a free run may not change. */
unsigned hri_heap_run_count_in(const hri_heap_run *run, unsigned from, unsigned to);
unsigned hri_heap_run_count_out(const hri_heap_run *run, unsigned from, unsigned to);

/* Takes up to `most` idle pages in a row out of a segment, for the caller to decommit and to give back. Gives false
 * if there are none. */
bool hri_heap_run_take_excess(unsigned most, hri_heap_run *ret_run);

/* Maps a segment for one block whose address is a multiple of `align` (at least HRI_HEAP_CHUNK); NULL where there is
 * no memory. Its data is committed as that of lazy blocks is. */
hri_heap_segment *hri_heap_segment_new_whole(size_t bytes, size_t align);

/* Its end, in three steps: nobody finds it any more; it is unmapped, for which the lock is not needed; it is no
 * longer counted. The last two want a copy of its head. */
void hri_heap_segment_leave(hri_heap_segment *segment);
void hri_heap_segment_unmap(const hri_heap_segment *copy);
void hri_heap_segment_count_out(const hri_heap_segment *copy);

/* Its change, in three steps too: to `bytes`, at a place whose address is a multiple of `align` when it grows. With
 * nothing copied: the kernel moves the pages. The second step wants no lock; until the third nobody may use the
 * segment. The first gives false, with nothing changed, where there is no memory. The third gives the segment, as it
 * was where the second failed. */
typedef struct hri_heap_move {
    hri_heap_segment *from;
    char *from_map, *to_map;
    size_t from_bytes, to_bytes, front;
} hri_heap_move;

bool hri_heap_segment_move_begin(hri_heap_segment *segment, size_t bytes, size_t align, hri_heap_move *ret_move);
int hri_heap_segment_move_pages(const hri_heap_move *move);
hri_heap_segment *hri_heap_segment_move_end(const hri_heap_move *move, int error);

static inline void *hri_heap_run_address(const hri_heap_run *run)
{
    return (void *)(run->segment->base + run->at * HRI_HEAP_PAGE);
}

static inline hri_heap_slice *hri_heap_slice_of(const hri_heap_segment *segment, const void *address)
{
    return (hri_heap_slice *)(uintptr_t)&segment->slices[((uintptr_t)address - segment->base) / HRI_HEAP_SLICE];
}

static inline void *hri_heap_slice_address(const hri_heap_segment *segment, const hri_heap_slice *slice)
{
    return (void *)(segment->base + (size_t)(slice - segment->slices) * HRI_HEAP_SLICE);
}

/* Says of the slices of a run, or of those that it begins, that they are a pool's (pooled.h), or nobody's with NULL.
 * Gives false where there is no memory for that. */
bool hri_heap_run_own(const hri_heap_run *run, void *owner);

/* Whose the slice is that has this address; NULL: no pool's. Any time, without the lock. */
void *hri_heap_slice_owner(const void *address);

/* The word of the block that begins with this page; NULL: the address is in no page of the heap's. Without the lock,
 * as above. */
uint64_t *hri_heap_page_word(const void *block);

static inline void hri_heap_list_push(hri_heap_list *list, hri_heap_slice *slice)
{
    slice->list = list;
    slice->next = list->first;
    if (slice->next)
        slice->next->link = &slice->next;
    slice->link = &list->first;
    list->first = slice;
}

/* Takes a slice off its list, if it is in one. */
static inline void hri_heap_list_remove(hri_heap_slice *slice)
{
    if (!slice->list)
        return;
    *slice->link = slice->next;
    if (slice->next)
        slice->next->link = slice->link;
    slice->list = NULL;
}

/* Is the record there of the slice that has a page? */
bool hri_heap_segment_has_record(const hri_heap_segment *segment, unsigned page);

/* Walks the segments. */
hri_heap_segment *hri_heap_segment_first(void);

/* Compares the sums with the maps, and aborts where they differ; gives the committed bytes that the maps have. */
uint64_t hri_heap_segments_check(void);

#endif
