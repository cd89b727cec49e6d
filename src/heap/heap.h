/* SPDX-License-Identifier: Apache-2.0 */
/* The heap: memory that the library owns. README.md in this folder has the idea.
 *
 * One for the process. It is there before main(), needs no start, and calls no allocator. Blocks have an owner, an
 * opaque number. The heap does not charge anybody; what it may commit it asks through hooks.
 *
 * Not in signal handlers: a handler that interrupted a thread in here would wait for it for ever. Debug builds abort
 * then. The heap's locks are inner locks (base/lock.h), so a handler that charges or uncharges keeps out of them.
 */
#ifndef HRI_HEAP_HEAP_H
#define HRI_HEAP_HEAP_H

#include "base/fork.h"
#include "heap/class.h"
#include "heap/magazine.h"
#include "heap/segment.h"

/* Called with no lock held. Both NULL: everything may be committed. */
typedef struct hri_heap_hooks {
    /* May this many bytes be committed? They are, or come back through decommitted(). May take its time and free
     * blocks. They are among the pending bytes from its return on; until then it sees to that itself. */
    bool (*commit)(void *context, uint64_t bytes);
    /* These bytes went back to the kernel, or were granted and not needed. */
    void (*decommitted)(void *context, uint64_t bytes);
    void *context;
    /* NULL: decommitted() is told of these too. Else it is told of those alone that went back to the kernel. */
    void (*unneeded)(void *context, uint64_t bytes);
    /* As commit(), where less would do, or nothing: with no more effort than to look. NULL: commit() is asked. */
    bool (*try_commit)(void *context, uint64_t bytes);
} hri_heap_hooks;

/* Sets the hooks from now on, or none with NULL. Bytes that were granted by the ones before come back to the new
 * ones: so they are set while no block is made, and outlive the calls. */
void hri_heap_hook(const hri_heap_hooks *hooks);

/* Is this thread in here, or was it when a signal came? Then it must not come in again. */
bool hri_heap_is_inside(void);

/* How many bytes of pages may be idle at any time: a part of what is committed, or `least_bytes` where that is more,
 * and at most `most_bytes`. At first 8 MiB, a quarter, and no limit. */
typedef struct hri_heap_idle_terms {
    uint64_t least_bytes, part, most_bytes;
} hri_heap_idle_terms;

void hri_heap_set_idle(const hri_heap_idle_terms *terms);

/* ── blocks: any thread
 * ─────────────────────────────────────────────────────────────────────────────────────────── */

/* The facts that a block says of itself. */
typedef struct hri_heap_block {
    hri_heap_owner owner;
    uint64_t bytes; /* as hri_heap_cost() */
} hri_heap_block;

void *hri_heap_get_slowly(size_t size, hri_heap_owner owner);
bool hri_heap_put_slowly(void *block, hri_heap_block *ret_block);
/* Is a block of this size worth the inline path? Not in debug builds, which put more behind it. */
static inline bool hri_heap_is_small(size_t size)
{
    return HRI_HEAP_TRAILER == 0 && size <= HRI_HEAP_SMALL_MAX - HRI_HEAP_WORD;
}

/* Gives a general block from this thread's magazine, by the class and its cell; NULL where that takes more.
 * `owner_part` is the owner's in the block's word. For who has a stock: restartable sequences have begun. */
static inline void *hri_heap_get_quickly(unsigned class, hri_cell *cell, uint64_t owner_part, ptrdiff_t rseq)
{
    void *block = hri_heap_pop_begun(cell, rseq);
    if (__builtin_expect(block != NULL, 1))
        *hri_heap_front(block) = hri_heap_word_of_part(block, owner_part, class);
    return block;
}

/* Gives a block of `size` bytes for an owner, aligned to 16; or NULL with ENOMEM. */
static inline void *hri_heap_get(size_t size, hri_heap_owner owner)
{
    unsigned class = hri_heap_is_small(size) ? hri_heap_general_class(size + HRI_HEAP_WORD) : HRI_HEAP_LARGE;
    void *block = hri_heap_pop(class);
    if (__builtin_expect(!block, 0))
        return hri_heap_get_slowly(size, owner);
    *hri_heap_front(block) = hri_heap_word(block, owner, class);
    return block;
}

/* The same, of zeros. */
void *hri_heap_get_zeroed(size_t size, hri_heap_owner owner);

/* The same, aligned to a power of two. Such a block takes hri_heap_cost_aligned(). */
void *hri_heap_get_aligned(size_t align, size_t size, hri_heap_owner owner);
uint64_t hri_heap_cost_aligned(size_t align, size_t size);

/* Is this a block in use whose word is in front of it? If not, the slow path finds it out: NULL too, and a block that
 * begins with a page, which may have no word in front. Its class may be HRI_HEAP_ALIGNED, which has no place and no
 * bytes. */
static inline bool hri_heap_has_word(const void *block, uint64_t *ret_word)
{
    if (HRI_HEAP_TRAILER > 0 || (uintptr_t)block % HRI_HEAP_PAGE == 0)
        return false;
    *ret_word = *hri_heap_front(block);
    return __builtin_expect(hri_heap_word_is_used(*ret_word, block), 1);
}

/* Takes a general block back into this thread's magazine, and says what its word was and what it took of the heap.
 * Gives false, with nothing changed, where that takes more. */
static inline bool hri_heap_put_quickly(void *block, uint64_t *ret_word, uint64_t *ret_bytes, ptrdiff_t rseq)
{
    if (!hri_heap_has_word(block, ret_word))
        return false;
    *hri_heap_front(block) = hri_heap_word_idle(*ret_word);
    hri_cell *cell = hri_heap_cell(hri_heap_word_class(*ret_word));
    if (__builtin_expect(hri_sequence_push(cell, block, rseq), 1)) {
        *ret_bytes = hri_heap_cell_bytes(cell);
        return true;
    }
    *hri_heap_front(block) = *ret_word;
    return false;
}

/* Where the word is of a block of a class that has magazines. */
static inline uint64_t *hri_heap_word_at(void *block, unsigned class)
{
    return hri_heap_class_is_general(class) ? hri_heap_front(block) : hri_heap_page_word(block);
}

/* As hri_heap_put_quickly() for a block of whole pages. */
static inline bool hri_heap_put_pages_quickly(void *block, uint64_t *ret_word, uint64_t *ret_bytes, ptrdiff_t rseq)
{
    uint64_t *at = HRI_HEAP_TRAILER == 0 ? hri_heap_page_word(block) : NULL;
    if (!at || *at == 0 || !hri_heap_word_is_used(*at, block) || hri_heap_word_class(*at) >= HRI_HEAP_CLASSES)
        return false;
    *ret_word = *at;
    *at = hri_heap_word_idle(*ret_word);
    hri_cell *cell = hri_heap_cell(hri_heap_word_class(*ret_word));
    if (__builtin_expect(hri_sequence_push(cell, block, rseq), 1)) {
        *ret_bytes = hri_heap_cell_bytes(cell);
        return true;
    }
    *at = *ret_word;
    return false;
}

/* Takes a block back, and says whose it was. Gives false, and a fault, for what is no block or is idle. */
static inline bool hri_heap_put(void *block, hri_heap_block *ret_block)
{
    uint64_t word, bytes;
    if (!hri_heap_put_quickly(block, &word, &bytes, hri_rseq_offset))
        return hri_heap_put_slowly(block, ret_block);
    *ret_block = (hri_heap_block){hri_heap_word_owner(word, block), bytes};
    return true;
}

/* Says what a block is, without taking it back; `ret_usable` (NULL is fine) how many of its bytes its user has. Gives
 * false, and a fault, as above. */
bool hri_heap_look(const void *block, hri_heap_block *ret_block, size_t *ret_usable);

/* The bytes that a block takes of the heap, as hri_heap_look() says it. */
static inline uint64_t hri_heap_bytes(const void *block)
{
    uint64_t word;
    hri_heap_block found = {0};
    if (hri_heap_has_word(block, &word) && hri_heap_class_is_general(hri_heap_word_class(word)))
        return hri_heap_class_bytes[hri_heap_word_class(word)];
    hri_heap_look(block, &found, NULL);
    return found.bytes;
}

/* Changes the size of a block in place. Gives false, and the block as it was, where it has to move. */
bool hri_heap_resize(void *block, size_t size);

/* The same. A very large block that cannot grow in place has its pages moved by the kernel, to an address that is a
 * multiple of `align` (a power of two). Gives the block; NULL, with nothing changed, where its bytes are to be
 * copied. */
void *hri_heap_resize_or_move(void *block, size_t size, size_t align);

/* ── all of it
 * ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Bytes. committed = in use + idle + gaps + own. Exact while no thread is in the heap; else what threads do meanwhile
 * may be missed. */
typedef struct hri_heap_figures {
    uint64_t committed_bytes;
    uint64_t in_use_bytes;                                     /* blocks that users have */
    uint64_t idle_bytes;                                       /* in magazines, and on pages that no block lies on */
    uint64_t gap_bytes;                                        /* idle, on pages that are in use */
    uint64_t own_bytes;                                        /* records, the page map, magazines */
    uint64_t reserved_bytes;                                   /* address space */
    uint64_t large_bytes;                                      /* in use, as large blocks */
    uint64_t lazy_bytes;                                       /* committed for large blocks, and not seen touched */
    uint64_t pending_bytes;                                    /* these, and commits that are under way */
    uint64_t commits, commit_bytes, decommits, decommit_bytes; /* ever; of large blocks too */
} hri_heap_figures;

void hri_heap_read(hri_heap_figures *ret_figures);

/* Granted and not resident, by what is known: an upper bound, without a lock. */
uint64_t hri_heap_pending_bytes(void);

/* Of these, the bytes of large blocks; and a look at at most `most` such blocks, after which fewer may be pending. */
uint64_t hri_heap_lazy_bytes(void);
void hri_heap_lazy_measure(unsigned most);

/* Gives idle memory back to the kernel, at least `want_bytes` if there are as many and not much more. Idle pages go
 * first, then the depot's blocks, then those of all threads. Gives how many bytes went. */
uint64_t hri_heap_trim(uint64_t want_bytes);

/* A monitor's visit, once a second: takes back what sleeping threads have, and trims what is idle beyond
 * hri_heap_idle_cap(). */
uint64_t hri_heap_rest(void);

/* The bytes that may be idle at rest: 2 MiB, or a 32nd of what is committed. */
uint64_t hri_heap_idle_cap(uint64_t committed_bytes);

/* In a tight heap threads have no magazines. Drains when it becomes tight. */
void hri_heap_tighten(bool tight);

/* Compares all counts with each other, and aborts where they differ, in debug builds. While no thread is in the
 * heap. */
void hri_heap_check(void);

void hri_heap_fork(hri_fork moment);

/* ── for the files of this room
 * ─────────────────────────────────────────────────────────────────────────────────── */

void hri_heap_lock(void);
void hri_heap_unlock(void);

/* Around the time in which a thread changes pages without the lock: a fork waits for its end. The count is for those
 * that have the lock anyway: they took it when no fork waited. */
void hri_heap_lock_to_be_busy(void);
extern __attribute__((visibility("hidden"))) unsigned hri_heap_busy;
void hri_heap_busy_begin(void);
void hri_heap_busy_end(void);

/* Before the first pages are committed, and not under the lock: libc may allocate for it. */
void hri_heap_begin(void);

/* Idle pages that no block lies on. Under the lock. */
uint64_t hri_heap_idle_pages(void);

#endif
