/* SPDX-License-Identifier: Apache-2.0 */
/* Charged allocation: each block carries who paid for it and how much, so that hr_free() needs nothing but the block.
 *
 * The charge is the footprint: header, block, the allocator's own word and rounding. It is charged before the memory is
 * taken, by an estimate, and settled once the block is there; only what the allocator really took stays charged. What
 * lies in a mapping of its own is said of the budget, see hri_budget_map().
 *
 *     raw ─► [ slack for alignment ][ node, of large blocks ][ header, 32 bytes ][ the caller's block … ]
 *
 * The node is for blocks of several pages: they are in a list until all pages are there, see budget/untouched.h.
 */
#include "budget/budget.h"

#include "base/assert.h"
#include "base/checked.h"
#include "os/heap.h"
#include "os/pages.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct header {
    hr_budget *budget;
    uint64_t charge_bytes;
    uint32_t align;       /* 0: the header's own; such a block has no slack, and realloc() may move it */
    uint32_t offset : 31; /* from raw to the caller's block */
    uint32_t has_node : 1;
    uintptr_t check; /* seal() of this header's address, else this is no block of ours, or no longer */
};

_Static_assert(sizeof(struct header) == 32 && sizeof(struct header) % alignof(max_align_t) == 0,
               "a block behind its header is aligned for any type");

/* The largest alignment for which the offset fits in its field. */
#define ALIGN_MAX (UINT32_C(1) << 30)
#define OFFSET_MAX (UINT32_MAX >> 1)

static uintptr_t seal(const struct header *header)
{
    return (uintptr_t)header ^ (uintptr_t)UINT64_C(0x6865616472006f6d);
}

/* Where a large block was, nothing is mapped once it is freed. Debug builds ask before they look. */
static bool is_readable(const struct header *header)
{
#ifdef HRI_DEBUG
    return hri_pages_are_readable(header, sizeof *header);
#else
    return header;
#endif
}

/* Finds a block's header; NULL, and a fault, for a pointer that is not ours or was freed. */
static struct header *header_of(const void *block)
{
    struct header *header = (struct header *)((uintptr_t)block - sizeof *header);
    if (is_readable(header) && header->check == seal(header))
        return header;
    hri_fault("%p is no block of hr_alloc() and its kin, or it is freed already", block);
    return NULL;
}

static char *raw_of(const struct header *header)
{
    return (char *)((uintptr_t)header + sizeof *header - header->offset);
}

static hri_untouched_node *node_of(struct header *header)
{
    return (hri_untouched_node *)(void *)((char *)header - sizeof(hri_untouched_node));
}

static void enlist(struct header *header)
{
    if (!header->has_node)
        return;
    hri_span span = {.raw = raw_of(header), .size = hri_heap_usable(raw_of(header))};
    hri_untouched_add(node_of(header), &span);
}

/* What was expected in the list is there, or is not to come. */
static void arrive(uint64_t listed_bytes)
{
    if (listed_bytes)
        hri_untouched_arrive(listed_bytes);
}

static void delist(struct header *header)
{
    if (header->has_node)
        hri_untouched_remove(node_of(header));
}

/* What is in front of a block of `size` bytes, but for slack. */
static size_t front_of(size_t size)
{
    return sizeof(struct header) + (size >= HRI_UNTOUCHED_MIN ? sizeof(hri_untouched_node) : 0);
}

/* A block that is too small for the list may still have pages that nothing of ours lies on: one within it, and the
 * one with its end. They are touched when it is granted, from the `from`th byte on, so that nothing of it is pending. */
#define TOUCHED_MIN ((size_t)2 << 10)

static void touch_small(char *block, size_t from, size_t size)
{
    if (size < TOUCHED_MIN || size >= HRI_UNTOUCHED_MIN || from >= size)
        return;
    const uintptr_t smallest_page = 4096;
    volatile char *last = block + size - 1, *at = block + from;
    at += -(uintptr_t)at & (smallest_page - 1);
    if (at < last)
        *at = 0;
    *last = 0;
}

/* Who pays for an allocation: a promise as far as it reaches, then the budget. */
struct payer {
    hr_budget *budget;
    uint64_t *promise_bytes; /* NULL: no promise */
    uint64_t charged_bytes;  /* so far beyond the promise */
};

/* Of what is paid, `mapped_bytes` are expected in a mapping of their own, and `listed_bytes` in the list. */
static int pay(struct payer *payer, uint64_t bytes, uint64_t mapped_bytes, uint64_t listed_bytes)
{
    uint64_t promised = payer->promise_bytes ? hri_min(*payer->promise_bytes, bytes) : 0;
    hri_block_charge charge = {.bytes = bytes - promised, .mapped_bytes = mapped_bytes, .listed_bytes = listed_bytes};
    int error = hri_budget_charge_block(payer->budget, &charge);
    if (error)
        return error;
    payer->charged_bytes += bytes - promised;
    if (promised) {
        hri_budget_spend_block(payer->budget, promised);
        *payer->promise_bytes -= promised;
    }
    return 0;
}

/* Gives back what was paid last, first: what the promise could not cover. */
static void repay(struct payer *payer, uint64_t bytes)
{
    uint64_t charged = payer->promise_bytes ? hri_min(payer->charged_bytes, bytes) : bytes;
    if (charged)
        hri_budget_uncharge_block(payer->budget, charged, 0);
    payer->charged_bytes -= charged;
    if (bytes > charged) {
        hri_budget_unspend_block(payer->budget, bytes - charged);
        *payer->promise_bytes += bytes - charged;
    }
}

/* Makes what is paid equal to what the block costs. */
static int settle(struct payer *payer, uint64_t paid_bytes, uint64_t footprint_bytes)
{
    if (footprint_bytes > paid_bytes)
        return pay(payer, footprint_bytes - paid_bytes, 0, 0);
    repay(payer, paid_bytes - footprint_bytes);
    return 0;
}

static void *refuse(int error)
{
    errno = -error;
    return NULL;
}

/* Pays for a block and takes it from the allocator. Gives NULL, with nothing paid, or what it costs. */
static char *take(struct payer *payer, size_t raw_size, uint64_t listed_bytes, bool zero, uint64_t *ret_footprint)
{
    uint64_t paid = hri_heap_estimate(raw_size), expected = hri_heap_expected_mapping(paid);
    int error = pay(payer, paid, expected, listed_bytes);
    if (error)
        return refuse(error);
    char *raw = zero ? calloc(1, raw_size) : malloc(raw_size);
    error = raw ? 0 : -ENOMEM;
    if (raw) {
        *ret_footprint = hri_heap_footprint(raw);
        error = settle(payer, paid, *ret_footprint);
    }
    hri_budget_remap(payer->budget, expected, error ? 0 : hri_heap_mapping(raw, *ret_footprint));
    if (!error)
        return raw;
    free(raw);
    repay(payer, paid);
    arrive(listed_bytes);
    return refuse(error);
}

/* Allocates for a payer. `align` 0 is malloc's own alignment. */
static void *alloc(struct payer *payer, size_t align, size_t size, bool zero)
{
    if (!payer->budget || (align & (align - 1)) != 0)
        return refuse(-EINVAL);
    if (align > ALIGN_MAX)
        return refuse(-ENOMEM);
    if (align <= alignof(max_align_t))
        align = 0;
    size_t raw_size, front = front_of(size);
    if (__builtin_add_overflow(size, front + align, &raw_size) || raw_size > PTRDIFF_MAX)
        return refuse(-ENOMEM);
    uint64_t footprint, listed = size >= HRI_UNTOUCHED_MIN ? raw_size : 0;
    char *raw = take(payer, raw_size, listed, zero, &footprint);
    if (!raw)
        return NULL;
    uintptr_t first = (uintptr_t)raw + front;
    char *block = raw + front + (align ? -first & (align - 1) : 0);
    struct header *header = (struct header *)(void *)(block - sizeof *header);
    *header = (struct header){
        .budget = payer->budget,
        .charge_bytes = footprint,
        .align = (uint32_t)align,
        .offset = (uint32_t)(block - raw) & OFFSET_MAX,
        .has_node = listed > 0,
        .check = seal(header),
    };
    enlist(header);
    arrive(listed);
    touch_small(block, 0, size);
    return block;
}

void *hr_alloc(hr_budget *budget, size_t size)
{
    return alloc(&(struct payer){.budget = budget}, 0, size, false);
}

void *hr_calloc(hr_budget *budget, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return refuse(-ENOMEM);
    return alloc(&(struct payer){.budget = budget}, 0, bytes, true);
}

void *hr_alloc_aligned(hr_budget *budget, size_t align, size_t size)
{
    return align ? alloc(&(struct payer){.budget = budget}, align, size, false) : refuse(-EINVAL);
}

void *hri_alloc_promised(hr_budget *budget, size_t size, uint64_t *promise_bytes)
{
    return alloc(&(struct payer){.budget = budget, .promise_bytes = promise_bytes}, 0, size, false);
}

void hr_free(void *block)
{
    HRI_NOTE_CALLER();
    if (!block)
        return;
    int saved = errno;
    struct header *header = header_of(block);
    if (header) {
        hr_budget *budget = header->budget;
        uint64_t charge_bytes = header->charge_bytes;
        uint64_t mapped = hri_heap_mapping(raw_of(header), charge_bytes);
        header->check = 0;
        delist(header);
        free(raw_of(header));
        hri_budget_uncharge_block(budget, charge_bytes, mapped);
    }
    errno = saved;
}

size_t hr_alloc_size(const void *block)
{
    HRI_NOTE_CALLER();
    const struct header *header = block ? header_of(block) : NULL;
    return header ? hri_heap_usable(raw_of(header)) - header->offset : 0;
}

size_t hr_alloc_cost(size_t size)
{
    size_t raw_size;
    if (__builtin_add_overflow(size, front_of(size), &raw_size) || raw_size > PTRDIFF_MAX)
        return SIZE_MAX;
    return hri_heap_most(raw_size);
}

uint64_t hri_alloc_charge(const void *block)
{
    const struct header *header = header_of(block);
    return header ? header->charge_bytes : 0;
}

/* Changes the size by way of a new block: for blocks whose alignment or budget realloc() cannot keep. */
static void *move(hr_budget *budget, void *block, const struct header *header, size_t size)
{
    void *moved = alloc(&(struct payer){.budget = budget}, header->align, size, false);
    if (!moved)
        return NULL;
    size_t old_size = hr_alloc_size(block);
    memcpy(moved, block, old_size < size ? old_size : size);
    hr_free(block);
    return moved;
}

/* What a block of another size is charged beside the old one, until realloc() has returned. An allocator that copies
 * has both; one that grows a mapping, or has room behind the block, needs the difference alone. */
static hri_block_charge price_of_resize(const struct header *header, size_t raw_size)
{
    char *raw = raw_of(header);
    uint64_t old = header->charge_bytes, new = hri_heap_estimate(raw_size);
    uint64_t old_mapping = hri_heap_mapping(raw, old), new_mapping = hri_heap_expected_mapping(new);
    bool copies = raw_size > hri_heap_usable(raw) && (!old_mapping || !new_mapping);
    return (hri_block_charge){
        .bytes = copies ? new : hri_sub(new, old),
        .mapped_bytes = copies ? new_mapping : hri_sub(new_mapping, old_mapping),
        .listed_bytes = header->has_node ? raw_size : 0,
    };
}

/* Changes the size of a block that realloc() may move. */
static void *resize(hr_budget *budget, struct header *header, size_t size, size_t raw_size)
{
    char *raw = raw_of(header);
    uint64_t old = header->charge_bytes, old_mapping = hri_heap_mapping(raw, old);
    hri_block_charge more = price_of_resize(header, raw_size);
    int error = hri_budget_charge_block(budget, &more);
    if (error)
        return refuse(error);
    size_t front = (size_t)((char *)header - raw), old_size = hri_heap_usable(raw) - header->offset;
    header->check = 0;
    delist(header);
    raw = realloc(raw, raw_size);
    if (!raw) {
        header->check = seal(header);
        enlist(header);
        arrive(more.listed_bytes);
        hri_budget_uncharge_block(budget, more.bytes, more.mapped_bytes);
        return refuse(-ENOMEM);
    }
    /* The block has moved and cannot go back: should the estimate have been too low, and the rest be refused, the block
     * stays charged with the estimate, which is also what is given back. */
    uint64_t paid = old + more.bytes;
    struct payer payer = {.budget = budget, .charged_bytes = paid};
    uint64_t footprint = hri_heap_footprint(raw);
    header = (struct header *)(void *)(raw + front);
    header->charge_bytes = settle(&payer, paid, footprint) == 0 ? footprint : paid;
    hri_budget_remap(budget, old_mapping + more.mapped_bytes, hri_heap_mapping(raw, header->charge_bytes));
    header->check = seal(header);
    enlist(header);
    arrive(more.listed_bytes);
    touch_small((char *)(header + 1), old_size, size);
    return header + 1;
}

void *hr_realloc(hr_budget *budget, void *block, size_t size)
{
    HRI_NOTE_CALLER();
    if (!block)
        return hr_alloc(budget, size);
    struct header *header = header_of(block);
    size_t raw_size;
    if (!header || !budget)
        return refuse(-EINVAL);
    if (header->align || header->budget != budget || header->offset < front_of(size))
        return move(budget, block, header, size);
    if (__builtin_add_overflow(size, header->offset, &raw_size) || raw_size > PTRDIFF_MAX)
        return refuse(-ENOMEM);
    return resize(budget, header, size, raw_size);
}

void *hr_memdup(hr_budget *budget, const void *bytes, size_t size)
{
    if (!bytes && size)
        return refuse(-EINVAL);
    void *copy = hr_alloc(budget, size);
    return copy && size ? memcpy(copy, bytes, size) : copy;
}

char *hr_strdup(hr_budget *budget, const char *text)
{
    return text ? hr_memdup(budget, text, strlen(text) + 1) : refuse(-EINVAL);
}
