/* SPDX-License-Identifier: Apache-2.0 */
/* Getting and putting blocks, where that takes more than the inline path of heap.h. */
#include "heap/heap.h"

#include "base/assert.h"
#include "base/checked.h"
#include "heap/commit.h"
#include "heap/debug.h"
#include "heap/large.h"
#include "heap/poison.h"
#include "heap/span.h"

#include <errno.h>
#include <string.h>

/* Idle pages beyond this are decommitted by whoever puts a block. */
static hri_heap_idle_terms idle_terms = {.least_bytes = (uint64_t)8 << 20, .part = 4, .most_bytes = UINT64_MAX};
#define IDLE_TIGHT ((uint64_t)1 << 20) /* while the heap is tight: others may need what is left to the limit */

/* ── getting
 * ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void *refuse(void)
{
    errno = ENOMEM;
    return NULL;
}

/* Sees to it that the thread has cells for magazines, where it can have some. Not under the lock: libc may allocate
 * for it. */
static void own_cells(void)
{
    if (!hri_cells_have_mine())
        hri_cells_own(0);
}

/* Gives a block that is idle or new, of a class. */
static void *take(unsigned class)
{
    void *block = hri_heap_pop(class);
    own_cells();
    while (!block) {
        hri_heap_lock();
        block = hri_heap_magazine_get(class);
        unsigned wanted = hri_heap_magazine_wanted();
        hri_heap_unlock();
        if (wanted < HRI_HEAP_CLASSES && wanted != class)
            hri_heap_grow(wanted, true);
        if (!block && !hri_heap_grow(class, false))
            return NULL;
    }
    return block;
}

static size_t usable_of(unsigned class)
{
    return hri_heap_class_bytes[class] - (hri_heap_class_is_general(class) ? HRI_HEAP_WORD : 0);
}

/* Counts what was committed for a large block. Where that raises what is committed above the most that ever was, as
 * many bytes of idle pages are decommitted: few calls of the kernel's for many bytes. A 64th stays idle, which a heap
 * that grows step by step always has. Small commits decommit nothing: that took 1.4 times a program's time. */
static void count_large(uint64_t granted_bytes, uint64_t committed_bytes)
{
    hri_heap_lock();
    uint64_t beyond = hri_heap_count_commit(committed_bytes);
    uint64_t idle = hri_sub(hri_heap_idle_pages(), hri_heap_pages_sum.committed_bytes / 64);
    hri_heap_unlock();
    hri_heap_asked(granted_bytes, committed_bytes);
    hri_heap_decommit(hri_min(beyond, idle));
}

static void *get_large(uint64_t bytes, size_t align, hri_heap_owner owner, bool *ret_zeroed)
{
    uint64_t granted = hri_add(bytes, HRI_HEAP_RECORDS_BYTES);
    hri_heap_large large;
    hri_heap_begin();
    if (bytes == UINT64_MAX || !hri_heap_ask(granted, false))
        return NULL;
    hri_heap_large_get(bytes, align, owner, &large);
    count_large(granted, large.committed_bytes);
    *ret_zeroed = large.zeroed;
    return large.block;
}

/* How many of a block's bytes its user may have; a release build has no use for the others. */
static size_t for_user(size_t size, size_t usable)
{
    return HRI_HEAP_TRAILER ? size : usable;
}

/* Puts the end behind a block's bytes, in a debug build. */
static void set_end(void *block, size_t size, size_t usable)
{
    if (HRI_HEAP_TRAILER)
        hri_poison_block_lift((char *)block + size, usable - size);
    hri_heap_debug_out(block, size, usable);
}

/* Looks whether it is whole. */
static void check_end(void *block, size_t usable)
{
    if (HRI_HEAP_TRAILER)
        hri_poison_block_lift(block, usable);
    hri_heap_debug_in(block, usable);
}

static void *hand_out(void *block, unsigned class, size_t size, bool zeroed)
{
    size_t usable = class == HRI_HEAP_LARGE ? hri_heap_large_bytes(block) : usable_of(class);
    set_end(block, size, usable);
    hri_poison_block_out(block, for_user(size, usable), usable, zeroed);
    return block;
}

static void *get(size_t size, hri_heap_owner owner, bool *ret_zeroed)
{
    unsigned class = hri_heap_class_of(size);
    HRI_ASSERT(owner <= HRI_HEAP_OWNER_MAX);
    *ret_zeroed = false;
    void *block =
        class == HRI_HEAP_LARGE ? get_large(hri_heap_large_cost(size), HRI_HEAP_PAGE, owner, ret_zeroed) : take(class);
    if (!block)
        return refuse();
    if (hri_heap_class_is_general(class)) {
        hri_poison_block_lift(hri_heap_front(block), HRI_HEAP_WORD); /* another block may have ended there */
        *hri_heap_front(block) = hri_heap_word(block, owner, class);
    } else if (class != HRI_HEAP_LARGE) {
        *hri_heap_page_word(block) = hri_heap_word(block, owner, class);
    }
    return hand_out(block, class, size, *ret_zeroed);
}

void *hri_heap_get_slowly(size_t size, hri_heap_owner owner)
{
    bool zeroed;
    return get(size, owner, &zeroed);
}

void *hri_heap_get_zeroed(size_t size, hri_heap_owner owner)
{
    bool zeroed = false;
    void *block = size < HRI_HEAP_LARGE_MIN ? hri_heap_get(size, owner) : get(size, owner, &zeroed);
    return block && !zeroed ? memset(block, 0, size) : block;
}

/* ── alignment
 * ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Up to a page, a general block has room for a word in front of an aligned address within it. That word says where
 * the block begins. Larger blocks begin with a page. */
static bool fits_general(size_t align, size_t size)
{
    return align <= HRI_HEAP_PAGE && size < HRI_HEAP_GENERAL_MAX &&
           hri_heap_class_is_general(hri_heap_class_of(size + align));
}

uint64_t hri_heap_cost_aligned(size_t align, size_t size)
{
    if (align <= HRI_HEAP_GRANULE)
        return hri_heap_cost(size);
    if (fits_general(align, size))
        return hri_heap_cost(size + align);
    return align <= HRI_HEAP_PAGE ? hri_heap_cost(hri_max(size, HRI_HEAP_GENERAL_MAX)) : hri_heap_large_cost(size);
}

static void *get_within(size_t align, size_t size, hri_heap_owner owner)
{
    char *block = hri_heap_get(size + align, owner);
    size_t offset = -(uintptr_t)block & (align - 1);
    if (!block || offset == 0)
        return block;
    char *aligned = block + offset;
    *hri_heap_front(aligned) = hri_heap_word(aligned, offset / HRI_HEAP_GRANULE, HRI_HEAP_ALIGNED);
    return aligned;
}

void *hri_heap_get_aligned(size_t align, size_t size, hri_heap_owner owner)
{
    bool zeroed;
    HRI_ASSERT((align & (align - 1)) == 0);
    if (align <= HRI_HEAP_GRANULE)
        return hri_heap_get(size, owner);
    if (fits_general(align, size))
        return get_within(align, size, owner);
    if (align <= HRI_HEAP_PAGE)
        return hri_heap_get(hri_max(size, HRI_HEAP_GENERAL_MAX), owner);
    void *block = get_large(hri_heap_large_cost(size), align, owner, &zeroed);
    return block ? hand_out(block, HRI_HEAP_LARGE, size, zeroed) : refuse();
}

/* ── putting
 * ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* A block as it is found by its address. */
struct found {
    void *begin; /* before the address, of an aligned one */
    uint64_t *word;
    unsigned class;
    size_t usable; /* from `begin` on */
};

static bool is_general(uint64_t word, const void *block)
{
    return hri_heap_word_is_used(word, block) && hri_heap_class_is_general(hri_heap_word_class(word));
}

/* Finds the word of what may be a block; NULL: it is none. */
static uint64_t *word_of(const void *block)
{
    uint64_t *word = hri_heap_page_word(block);
    if (word && *word)
        return word;
    hri_heap_lock(); /* a trim may change the span's other pages meanwhile */
    bool has = hri_heap_span_has(block);
    hri_heap_unlock();
    return has ? hri_heap_front(block) : NULL;
}

static bool find_used(const void *block, uint64_t *word, struct found *ret_found)
{
    struct found found = {(void *)(uintptr_t)block, word, hri_heap_word_class(*word), 0};
    if (!hri_heap_word_is_used(*word, block))
        return false;
    if (found.class == HRI_HEAP_ALIGNED) {
        found.begin = (void *)((uintptr_t)block - hri_heap_word_owner(*word, block) * HRI_HEAP_GRANULE);
        found.word = hri_heap_front(found.begin);
        found.class = hri_heap_word_class(*found.word);
        if (!is_general(*found.word, found.begin))
            return false;
    }
    if (found.class != HRI_HEAP_LARGE && found.class >= HRI_HEAP_CLASSES)
        return false;
    found.usable = found.class == HRI_HEAP_LARGE ? hri_heap_large_bytes(block) : usable_of(found.class);
    *ret_found = found;
    return true;
}

static bool find(const void *block, struct found *ret_found)
{
    uint64_t *word = word_of(block);
    if (word && find_used(block, word, ret_found))
        return true;
    if (word && hri_heap_word_is_idle(*word, block))
        hri_fault("%p is freed already", block);
    else
        hri_fault("%p is no block of the heap", block);
    return false;
}

static hri_heap_block block_of(const struct found *found)
{
    uint64_t bytes = found->class == HRI_HEAP_LARGE ? found->usable : hri_heap_class_bytes[found->class];
    return (hri_heap_block){hri_heap_word_owner(*found->word, found->begin), bytes};
}

void hri_heap_set_idle(const hri_heap_idle_terms *terms)
{
    hri_heap_lock();
    idle_terms = *terms;
    hri_heap_unlock();
}

/* The most that may be idle at any time. Under the lock. */
static uint64_t idle_most(void)
{
    uint64_t most = hri_max(idle_terms.least_bytes, hri_heap_pages_sum.committed_bytes / idle_terms.part);
    if (hri_heap_magazines_are_tight())
        most = IDLE_TIGHT;
    return hri_min(most, idle_terms.most_bytes);
}

/* Gives back half of what is too much. */
static void shed(uint64_t idle_bytes, uint64_t most)
{
    if (idle_bytes > most)
        hri_heap_decommit(idle_bytes - most / 2);
}

static void put_idle(unsigned class, void *block)
{
    own_cells();
    hri_heap_lock();
    hri_heap_magazine_put(class, block);
    uint64_t idle = hri_heap_idle_pages(), most = idle_most();
    hri_heap_unlock();
    shed(idle, most);
}

static void put_large(void *block)
{
    uint64_t gone = hri_heap_large_put(block);
    hri_heap_lock();
    hri_heap_count_decommit(gone);
    uint64_t idle = hri_heap_idle_pages(), most = idle_most();
    hri_heap_unlock();
    hri_heap_tell(gone);
    shed(idle, most);
}

bool hri_heap_put_slowly(void *block, hri_heap_block *ret_block)
{
    struct found found;
    if (!find(block, &found))
        return false;
    *ret_block = block_of(&found);
    check_end(found.begin, found.usable);
    *found.word = hri_heap_word_idle(*found.word);
    if (found.begin != block)
        *hri_heap_front(block) = hri_heap_word_idle(*hri_heap_front(block));
    if (found.class == HRI_HEAP_LARGE) {
        hri_poison_block_in(found.begin, 0);
        put_large(block);
        return true;
    }
    hri_heap_debug_idle(found.begin, hri_heap_class_is_general(found.class) ? found.usable : 0);
    hri_poison_block_in(found.begin, found.usable);
    if (!hri_heap_push(found.class, found.begin))
        put_idle(found.class, found.begin);
    return true;
}

/* The bytes that a block's user asked for, in a debug build; else all that there are. */
static size_t size_of(const struct found *found)
{
    if (HRI_HEAP_TRAILER)
        hri_poison_block_lift((char *)found->begin + found->usable - sizeof(size_t), sizeof(size_t));
    return hri_heap_debug_size(found->begin, found->usable);
}

bool hri_heap_look(const void *block, hri_heap_block *ret_block, size_t *ret_usable)
{
    struct found found;
    if (!find(block, &found))
        return false;
    *ret_block = block_of(&found);
    if (ret_usable)
        *ret_usable = size_of(&found) - ((uintptr_t)block - (uintptr_t)found.begin);
    return true;
}

/* Changes a large block. */
static void *resize_large(void *block, uint64_t from_bytes, uint64_t to_bytes, size_t align)
{
    uint64_t more = hri_sub(to_bytes, from_bytes);
    hri_heap_change change;
    if (to_bytes == UINT64_MAX || (more > 0 && !hri_heap_ask(more, false)))
        return NULL;
    block = hri_heap_large_resize(block, to_bytes, align, &change);
    hri_heap_lock();
    hri_heap_count_decommit(change.gone_bytes);
    hri_heap_unlock();
    if (more > 0)
        count_large(more, change.committed_bytes);
    hri_heap_tell(change.gone_bytes);
    return block;
}

void *hri_heap_resize_or_move(void *block, size_t size, size_t align)
{
    struct found found;
    unsigned class = hri_heap_class_of(size);
    if (!find(block, &found) || found.begin != block || found.class != class)
        return NULL;
    check_end(block, found.usable);
    size_t usable = found.usable, old_size = size_of(&found);
    void *now = block;
    if (class == HRI_HEAP_LARGE) {
        now = resize_large(block, usable, hri_heap_large_cost(size), align);
        usable = hri_heap_large_bytes(now ? now : block);
    }
    set_end(now ? now : block, now ? size : old_size, usable);
    if (HRI_HEAP_TRAILER)
        hri_poison_block_resized(now ? now : block, now ? size : old_size, usable);
    return now;
}

bool hri_heap_resize(void *block, size_t size)
{
    return hri_heap_resize_or_move(block, size, 0) != NULL;
}
