/* SPDX-License-Identifier: Apache-2.0 */
/* A block is paid for in two places, and in this order:
 *
 *     the budget   charged with what the block takes of the heap, from this thread's stock as a rule
 *     the lease    spent by the heap where it has to commit pages for the block: may_commit()
 *
 * So a block that is made of memory which the heap has already costs the kernel nothing, and asks nobody but the
 * budget. The heap's hook has no argument for the budget, whose tree has the lease. So the thread that pays leaves its
 * payment in `paying` around a call of the heap that may commit.
 *
 * The owner of a block is the budget's address without its four lowest bits, which are 0; one bit above it says that
 * the block was aligned by its user. hr_realloc() keeps the alignment of its address then, which may be more than was
 * asked for.
 */
#include "alloc/alloc.h"

#include "base/assert.h"
#include "base/checked.h"
#include "budget/stock.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>

#define ALIGN_MAX ((size_t)1 << 30)
#define OWNER_ALIGNED (UINT64_C(1) << 43)

_Static_assert(alignof(hr_budget) >= 16, "the lowest bits of a budget's address are 0");
_Static_assert(OWNER_ALIGNED * 2 - 1 == HRI_HEAP_OWNER_MAX, "the bit is the highest one of an owner");

typedef struct payment {
    hr_budget *budget;
    uint64_t lease_bytes; /* already spent of the lease, by the promise that pays for the block */
    bool granted;         /* whatever the limits leave: by that promise, or in a tree that only observes */
    uint64_t spent_bytes; /* of the lease, beside that */
    bool quiet;
    bool refused; /* by the kernel's limits */
} payment;

static __attribute__((tls_model("initial-exec"))) _Thread_local payment *paying; /* NULL: nobody's budget */

static hri_heap_owner owner_of(const hr_budget *budget)
{
    if ((uintptr_t)budget % alignof(hr_budget))
        __builtin_unreachable();
    return (uintptr_t)budget >> 4;
}

/* As it stands in a block's word. */
static uint64_t owner_part_of(const hr_budget *budget)
{
    return (uintptr_t)budget << (HRI_HEAP_SEAL_BITS - 4);
}

/* The shifts drop the bit of aligned blocks. */
static hr_budget *budget_of(hri_heap_owner owner)
{
    return (hr_budget *)(uintptr_t)(owner << 21 >> 17);
}

/* The budget that a block's word names. The shifts drop its class too; its seal is 0. */
static hr_budget *budget_of_word(uint64_t word, const void *block)
{
    return (hr_budget *)(uintptr_t)((word ^ hri_heap_granule(block)) << 7 >> 17);
}

static __attribute__((noinline, cold)) void *refuse(int error)
{
    errno = -error;
    return NULL;
}

/* ── the heap's hooks ───────────────────────────────────────────────────────────────────────────────────────────── */

/* The part of `bytes` that the lease has still to be spent for. */
static uint64_t beyond_promise(uint64_t bytes)
{
    uint64_t promised = hri_min(paying->lease_bytes, bytes);
    paying->lease_bytes -= promised;
    return bytes - promised;
}

static bool may_commit(void *context, uint64_t bytes)
{
    (void)context;
    payment *payer = paying;
    if (!payer)
        return true;
    bytes = beyond_promise(bytes);
    if (bytes == 0)
        return true;
    if (payer->granted) { /* of a promise: records, and what rounds up to pages, tens of KiB that mostly come back */
        hri_budget_commit_anyway(payer->budget, bytes);
        payer->spent_bytes += bytes;
        return true;
    }
    paying = NULL; /* relief may run what allocates for others */
    int error = hri_budget_commit(payer->budget, bytes, payer->quiet);
    payer->refused = error < 0;
    payer->granted = error > 0;
    payer->spent_bytes += payer->refused ? 0 : bytes;
    paying = payer;
    return !payer->refused;
}

static bool try_commit(void *context, uint64_t bytes)
{
    (void)context;
    payment *payer = paying;
    if (!payer || bytes <= payer->lease_bytes)
        return may_commit(context, bytes);
    bytes -= payer->lease_bytes;
    paying = NULL;
    bool granted = hri_budget_try_commit(payer->budget, bytes);
    paying = payer;
    if (granted) {
        payer->lease_bytes = 0;
        payer->spent_bytes += bytes;
    }
    return granted;
}

/* Begins a call of the heap that may commit. */
static void begin_paying(payment *payer)
{
    static _Atomic bool hooked;
    if (!atomic_load_explicit(&hooked, memory_order_acquire)) {
        hri_heap_hook(&(hri_heap_hooks){.commit = may_commit, .try_commit = try_commit});
        atomic_store_explicit(&hooked, true, memory_order_release);
    }
    if (payer->budget)
        paying = payer;
}

/* Ends it; gives the error if it has failed. */
static int end_paying(const payment *payer)
{
    paying = NULL;
    if (payer->spent_bytes)
        hri_budget_committed(payer->spent_bytes);
    return payer->refused ? -EDQUOT : -ENOMEM;
}

/* ── getting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* As hri_budget_charge_block(): 1 where the rest of the block is granted, too. */
static int charge(hr_budget *budget, uint64_t bytes, bool quiet)
{
    return budget ? hri_budget_charge_block(budget, bytes, quiet) : 0;
}

static void uncharge(hr_budget *budget, uint64_t bytes)
{
    if (budget && bytes)
        hri_budget_uncharge_block(budget, bytes);
}

/* Gets a block that is charged, or is paid by a promise. `align` 0: the heap's own. Gives NULL with errno. */
static void *get(payment *payer, size_t align, size_t size, bool zeroed)
{
    void *block;
    hri_heap_owner owner = owner_of(payer->budget);
    begin_paying(payer);
    if (align)
        block = hri_heap_get_aligned(align, size, owner | OWNER_ALIGNED);
    else if (zeroed)
        block = hri_heap_get_zeroed(size, owner);
    else
        block = hri_heap_get_slowly(size, owner);
    int error = end_paying(payer);
    return block ? block : refuse(error);
}

static __attribute__((noinline)) void *get_or_uncharge(payment *payer, size_t align, size_t size, bool zeroed,
                                                       uint64_t cost)
{
    void *block = get(payer, align, size, zeroed);
    if (block)
        return block;
    int error = errno;
    uncharge(payer->budget, cost);
    return refuse(-error);
}

/* Charges, and gets. */
static __attribute__((noinline)) void *alloc(hr_budget *budget, size_t align, size_t size, unsigned how)
{
    uint64_t cost = align ? hri_heap_cost_aligned(align, size) : hri_heap_cost(size);
    if (cost > (uint64_t)PTRDIFF_MAX)
        return refuse(-ENOMEM);
    int error = charge(budget, cost, how & HRI_BLOCK_QUIET);
    if (error < 0)
        return refuse(error);
    payment payer = {.budget = budget, .granted = error > 0, .quiet = how & HRI_BLOCK_QUIET};
    return get_or_uncharge(&payer, align, size, how & HRI_BLOCK_ZEROED, cost);
}

/* A small block whose charge of `cost` bytes was in the stock, and for which the magazine had none. */
static __attribute__((noinline)) void *get_charged(hr_budget *budget, size_t size, uint64_t cost)
{
    if (cost == 0)
        return alloc(budget, 0, size, 0);
    payment payer = {.budget = budget};
    return get_or_uncharge(&payer, 0, size, false, cost);
}

/* A block of 1 KiB to 128 KiB, as hr_alloc() gives smaller ones. Debug builds have more to do with each block. */
static __attribute__((noinline)) void *alloc_larger(hr_budget *budget, size_t size)
{
    if (HRI_HEAP_TRAILER > 0)
        return alloc(budget, 0, size, 0);
    unsigned class = hri_heap_class_of(size);
    ptrdiff_t rseq = hri_rseq_offset;
    hri_cell *cell = hri_heap_cell(class);
    uint64_t cost = hri_heap_cell_bytes(cell);
    if (cost == 0 || !hri_stock_take(budget, cost, HRI_STOCK_BLOCKS, rseq))
        return alloc(budget, 0, size, 0);
    void *block = hri_heap_pop_begun(cell, rseq);
    if (!block)
        return get_charged(budget, size, cost);
    *hri_heap_word_at(block, class) = hri_heap_word_of_part(block, owner_part_of(budget), class);
    return block;
}

void *hr_alloc(hr_budget *budget, size_t size)
{
    if (__builtin_expect(budget && hri_heap_is_small(size), 1)) {
        unsigned class = hri_heap_general_class(size + HRI_HEAP_WORD);
        ptrdiff_t rseq = hri_rseq_offset;
        hri_cell *cell = hri_heap_cell(class);
        uint64_t cost = hri_heap_cell_bytes(cell); /* 0: it was never open */
        if (__builtin_expect(hri_stock_take(budget, cost, HRI_STOCK_BLOCKS, rseq), 1)) {
            void *block = hri_heap_get_quickly(class, cell, owner_part_of(budget), rseq);
            return __builtin_expect(block != NULL, 1) ? block : get_charged(budget, size, cost);
        }
    }
    return budget ? alloc_larger(budget, size) : refuse(-EINVAL);
}

void *hr_calloc(hr_budget *budget, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return refuse(-ENOMEM);
    return budget ? alloc(budget, 0, bytes, HRI_BLOCK_ZEROED) : refuse(-EINVAL);
}

void *hr_alloc_aligned(hr_budget *budget, size_t align, size_t size)
{
    if (!budget || align == 0 || (align & (align - 1)) != 0)
        return refuse(-EINVAL);
    if (align > ALIGN_MAX)
        return refuse(-ENOMEM);
    return alloc(budget, align > alignof(max_align_t) ? align : 0, size, 0);
}

void *hri_block_get(hr_budget *budget, size_t size, unsigned how)
{
    return alloc(budget, 0, size, how);
}

void *hri_block_get_aligned(hr_budget *budget, size_t align, size_t size)
{
    return alloc(budget, align, size, 0);
}

/* Pages that the promise pays for are those that it has spent the lease for. It stays a promise until they are there:
 * so they count as pending all the time, perhaps twice, and never not at all. */
void *hri_alloc_promised(hr_budget *budget, size_t size, uint64_t *promise_bytes)
{
    uint64_t cost = hri_heap_cost(size), promised = hri_min(*promise_bytes, cost);
    if (cost > (uint64_t)PTRDIFF_MAX)
        return refuse(-ENOMEM);
    int error = cost > promised ? charge(budget, cost - promised, false) : 0;
    if (error < 0)
        return refuse(error);
    payment payer = {.budget = budget, .lease_bytes = promised, .granted = promised == cost || error > 0};
    void *block = get_or_uncharge(&payer, 0, size, false, cost - promised);
    if (block && promised) {
        hri_budget_spend_block(budget, promised);
        *promise_bytes -= promised;
    }
    return block;
}

int hri_block_pages(hr_budget *budget, bool quiet, bool (*take)(void *context), void *context)
{
    payment payer = {.budget = budget, .quiet = quiet};
    begin_paying(&payer);
    bool taken = take(context);
    int error = end_paying(&payer);
    return taken ? 0 : error;
}

/* ── putting ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static __attribute__((noinline)) void free_slowly(void *block)
{
    int saved = errno;
    hri_heap_block freed;
    uint64_t word, bytes;
    if (hri_heap_put_pages_quickly(block, &word, &bytes, hri_rseq_offset))
        uncharge(budget_of_word(word, block), bytes);
    else if (hri_heap_put_slowly(block, &freed))
        uncharge(budget_of(freed.owner), freed.bytes);
    errno = saved;
}

static __attribute__((noinline)) void uncharge_slowly(hr_budget *budget, uint64_t bytes)
{
    int saved = errno;
    uncharge(budget, bytes);
    errno = saved;
}

void hr_free(void *block)
{
    HRI_NOTE_CALLER();
    uint64_t word, bytes;
    ptrdiff_t rseq = hri_rseq_offset;
    if (__builtin_expect(!hri_heap_put_quickly(block, &word, &bytes, rseq), 0)) {
        if (block)
            free_slowly(block);
        return;
    }
    hr_budget *budget = budget_of_word(word, block);
    if (__builtin_expect(!budget || !hri_stock_give_block(budget, bytes, rseq), 0))
        uncharge_slowly(budget, bytes);
}

uint64_t hri_block_put(void *block)
{
    hri_heap_block freed = {0};
    hri_heap_put(block, &freed);
    return freed.bytes;
}

/* ── asking, and changing ───────────────────────────────────────────────────────────────────────────────────────── */

size_t hr_alloc_size(const void *block)
{
    HRI_NOTE_CALLER();
    hri_heap_block found;
    size_t usable;
    return block && hri_heap_look(block, &found, &usable) ? usable : 0;
}

size_t hr_alloc_cost(size_t size)
{
    uint64_t cost = hri_heap_cost(size);
    return cost > (uint64_t)PTRDIFF_MAX ? SIZE_MAX : (size_t)cost;
}

uint64_t hri_block_shrink(void *block, size_t size)
{
    uint64_t before = hri_block_cost(block);
    return size < before && hri_heap_resize(block, size) ? before - hri_block_cost(block) : 0;
}

/* The alignment that a block has to keep; 0: the heap's own. */
static size_t align_of(const void *block, const hri_heap_block *found)
{
    size_t align = (size_t)((uintptr_t)block & -(uintptr_t)block);
    return found->owner & OWNER_ALIGNED ? hri_min(align, ALIGN_MAX) : 0;
}

/* Changes a block without copying it, if that is possible. The growth is charged first. Gives 0 and the block; -EAGAIN
 * if it has to be copied; or why it is refused. 1 is -EAGAIN for a tree that observes, which has counted the growth as
 * a refusal. */
static int resize(hr_budget *budget, void **block, size_t size, const hri_heap_block *found)
{
    uint64_t more = hri_heap_class_of(size) == HRI_HEAP_LARGE ? hri_sub(hri_heap_cost(size), found->bytes) : 0;
    size_t align = align_of(*block, found);
    int error = charge(budget, more, false);
    if (error < 0)
        return error;
    payment payer = {.budget = budget, .granted = error > 0};
    begin_paying(&payer);
    void *resized = hri_heap_resize_or_move(*block, size, align ? align : alignof(max_align_t));
    end_paying(&payer);
    if (resized)
        *block = resized;
    uncharge(budget, found->bytes + more - hri_block_cost(*block));
    if (resized)
        return 0;
    if (payer.refused)
        return -EDQUOT;
    return error > 0 ? 1 : -EAGAIN;
}

/* Changes the size by way of a new block. */
static void *move(hr_budget *budget, void *block, const hri_heap_block *found, size_t size, unsigned how)
{
    size_t usable = hr_alloc_size(block);
    void *moved = alloc(budget, align_of(block, found), size, how);
    if (!moved)
        return NULL;
    memcpy(moved, block, hri_min(usable, size));
    hr_free(block);
    return moved;
}

void *hr_realloc(hr_budget *budget, void *block, size_t size)
{
    HRI_NOTE_CALLER();
    hri_heap_block found;
    if (!block)
        return hr_alloc(budget, size);
    if (!budget || !hri_heap_look(block, &found, NULL))
        return refuse(-EINVAL);
    if (hri_heap_cost(size) > (uint64_t)PTRDIFF_MAX)
        return refuse(-ENOMEM);
    int error = budget_of(found.owner) == budget ? resize(budget, &block, size, &found) : -EAGAIN;
    if (error == -EAGAIN || error > 0)
        return move(budget, block, &found, size, error > 0 ? HRI_BLOCK_QUIET : 0);
    return error ? refuse(error) : block;
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
