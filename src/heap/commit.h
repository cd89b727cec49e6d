/* SPDX-License-Identifier: Apache-2.0 */
/* Committing and decommitting pages; the rules of the hooks. Calls that say nothing else take no lock. */
#ifndef HRI_HEAP_COMMIT_H
#define HRI_HEAP_COMMIT_H

#include "heap/heap.h"

/* Counts of all that was ever done. Under the lock, as the calls that count. */
typedef struct hri_heap_counts {
    uint64_t commits, commit_bytes, decommits, decommit_bytes;
} hri_heap_counts;

extern __attribute__((visibility("hidden"))) hri_heap_counts hri_heap_counted;

/* Counts a commit. Gives by how much what is committed exceeds the most that ever was, which it raises. */
uint64_t hri_heap_count_commit(uint64_t bytes);
void hri_heap_count_decommit(uint64_t bytes);

/* Asks the hook whether this many bytes may be committed; `lightly` where less would do, or nothing. They are in flight
 * then, until hri_heap_asked(). */
bool hri_heap_ask(uint64_t bytes, bool lightly);

/* Of the bytes that were granted these were committed: the others come back. */
void hri_heap_asked(uint64_t granted_bytes, uint64_t committed_bytes);

/* Tells the hook of bytes that went back to the kernel. */
void hri_heap_tell(uint64_t bytes);

/* Commits memory that blocks of a class can be carved from; `lightly` where nothing depends on it. Takes the lock. */
bool hri_heap_grow(unsigned class, bool lightly);

/* Decommits idle pages, of `want_bytes` or little more; gives how many bytes went. Takes the lock. The other does not
 * tell the hook of them, which is left to the caller. */
uint64_t hri_heap_decommit(uint64_t want_bytes);
uint64_t hri_heap_decommit_untold(uint64_t want_bytes);

void hri_heap_commit_fork(hri_fork moment);

#endif
