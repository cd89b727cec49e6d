/* SPDX-License-Identifier: Apache-2.0 */
/* Charged allocation: each block carries who paid for it and how much, so that hr_free() needs nothing but the block.
 *
 * The charge is the footprint: header, block, the allocator's own word and rounding. It is charged before the memory is
 * taken, by an estimate, and settled once the block is there; only what the allocator really took stays charged. What
 * lies in a mapping of its own is said of the budget, see hri_budget_map().
 *
 *     raw ─► [ slack for alignment ][ header, 32 bytes ][ the caller's block … ]
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
    uint32_t align;  /* 0: the header's own; such a block is raw + header, and realloc() may move it */
    uint32_t offset; /* from raw to the caller's block */
    uintptr_t check; /* seal() of this header's address, else this is no block of ours, or no longer */
};

_Static_assert(sizeof(struct header) == 32 && sizeof(struct header) % alignof(max_align_t) == 0,
               "a block behind its header is aligned for any type");

/* The largest alignment for which the offset fits in its field. */
#define ALIGN_MAX (UINT32_C(1) << 30)

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

/* Who pays for an allocation: a promise as far as it reaches, then the budget. */
struct payer {
    hr_budget *budget;
    uint64_t *promise_bytes; /* NULL: no promise */
    uint64_t charged_bytes;  /* so far beyond the promise */
};

/* Of what is paid, `mapped_bytes` are expected in a mapping of their own. */
static int pay(struct payer *payer, uint64_t bytes, uint64_t mapped_bytes)
{
    uint64_t promised = payer->promise_bytes ? hri_min(*payer->promise_bytes, bytes) : 0;
    int error = hri_budget_charge_mapped(payer->budget, bytes - promised, mapped_bytes);
    if (error)
        return error;
    payer->charged_bytes += bytes - promised;
    if (promised) {
        hri_budget_spend(payer->budget, promised);
        *payer->promise_bytes -= promised;
    }
    return 0;
}

/* Gives back what was paid last, first: what the promise could not cover. */
static void repay(struct payer *payer, uint64_t bytes)
{
    uint64_t charged = payer->promise_bytes ? hri_min(payer->charged_bytes, bytes) : bytes;
    hr_budget_uncharge(payer->budget, charged);
    payer->charged_bytes -= charged;
    if (bytes > charged) {
        hri_budget_unspend(payer->budget, bytes - charged);
        *payer->promise_bytes += bytes - charged;
    }
}

/* Makes what is paid equal to what the block costs. */
static int settle(struct payer *payer, uint64_t paid_bytes, uint64_t footprint_bytes)
{
    if (footprint_bytes > paid_bytes)
        return pay(payer, footprint_bytes - paid_bytes, 0);
    repay(payer, paid_bytes - footprint_bytes);
    return 0;
}

static void *refuse(int error)
{
    errno = -error;
    return NULL;
}

/* Pays for a block and takes it from the allocator. Gives NULL, with nothing paid, or what it costs. */
static char *take(struct payer *payer, size_t raw_size, bool zero, uint64_t *ret_footprint)
{
    uint64_t paid = hri_heap_estimate(raw_size), expected = hri_heap_expected_mapping(paid);
    int error = pay(payer, paid, expected);
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
    size_t raw_size;
    if (__builtin_add_overflow(size, sizeof(struct header) + align, &raw_size) || raw_size > PTRDIFF_MAX)
        return refuse(-ENOMEM);
    uint64_t footprint;
    char *raw = take(payer, raw_size, zero, &footprint);
    if (!raw)
        return NULL;
    uintptr_t first = (uintptr_t)raw + sizeof(struct header);
    char *block = raw + sizeof(struct header) + (align ? -first & (align - 1) : 0);
    struct header *header = (struct header *)(void *)(block - sizeof *header);
    *header = (struct header){
        .budget = payer->budget,
        .charge_bytes = footprint,
        .align = (uint32_t)align,
        .offset = (uint32_t)(block - raw),
        .check = seal(header),
    };
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

static char *raw_of(const struct header *header)
{
    return (char *)((uintptr_t)header + sizeof *header - header->offset);
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
        free(raw_of(header));
        hri_budget_uncharge_mapped(budget, charge_bytes, mapped);
    }
    errno = saved;
}

size_t hr_alloc_size(const void *block)
{
    HRI_NOTE_CALLER();
    const struct header *header = block ? header_of(block) : NULL;
    return header ? hri_heap_usable(raw_of(header)) - header->offset : 0;
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

/* Changes the size of a block that realloc() may move. */
static struct header *resize(hr_budget *budget, struct header *header, size_t raw_size)
{
    uint64_t old = header->charge_bytes, paid = hri_max(old, hri_heap_estimate(raw_size));
    uint64_t old_mapping = hri_heap_mapping(header, old),
             expected = hri_max(old_mapping, hri_heap_expected_mapping(paid));
    int error = hri_budget_charge_mapped(budget, paid - old, expected - old_mapping);
    if (error)
        return refuse(error);
    header->check = 0;
    struct header *resized = realloc(header, raw_size);
    if (!resized) {
        header->check = seal(header);
        hri_budget_uncharge_mapped(budget, paid - old, expected - old_mapping);
        return refuse(-ENOMEM);
    }
    /* The block has moved and cannot go back: should the estimate have been too low, and the rest be refused, the block
     * stays charged with the estimate, which is also what is given back. */
    struct payer payer = {.budget = budget, .charged_bytes = paid};
    uint64_t footprint = hri_heap_footprint(resized);
    resized->charge_bytes = settle(&payer, paid, footprint) == 0 ? footprint : paid;
    hri_budget_remap(budget, expected, hri_heap_mapping(resized, resized->charge_bytes));
    resized->check = seal(resized);
    return resized;
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
    if (header->align || header->budget != budget)
        return move(budget, block, header, size);
    if (__builtin_add_overflow(size, sizeof *header, &raw_size) || raw_size > PTRDIFF_MAX)
        return refuse(-ENOMEM);
    struct header *resized = resize(budget, header, raw_size);
    return resized ? resized + 1 : NULL;
}

void *hr_memdup(hr_budget *budget, const void *bytes, size_t size)
{
    void *copy = hr_alloc(budget, size);
    return copy && size ? memcpy(copy, bytes, size) : copy;
}

char *hr_strdup(hr_budget *budget, const char *text)
{
    return hr_memdup(budget, text, strlen(text) + 1);
}
