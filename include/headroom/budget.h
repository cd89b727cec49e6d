/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets: what may we hold?
 *
 * Budgets form a tree under a guard's root (hr_guard_root()). A charge is granted by a budget and by all its
 * ancestors or by none of them, and a grant holds the bytes until they are given back. There is no "check, then
 * allocate". Bytes are *held* (charged) or *promised* (admitted by hr_admit(), not yet spent); both count as used.
 *
 *     hr_budget *cache;
 *     int error = hr_budget_new(hr_guard_root(guard), "cache", 64u << 20, &cache);
 *     void *block = hr_alloc(cache, 4096);      // charged with what it takes
 *     if (!block) ...                           // errno is EDQUOT (our limit) or ENOMEM (the machine's)
 *     hr_free(block);                           // any thread may
 *
 * A charge that does not fit asks the reclaimers inside the budget that bound (relief.h), then tries once more
 * exactly. A charge larger than a limit on its path is refused at once, without relief.
 */
#ifndef HEADROOM_BUDGET_H
#define HEADROOM_BUDGET_H

#include <headroom/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One budget's accounts at one instant. Bytes, and counts since the budget was made. */
typedef struct hr_budget_figures {
    uint64_t used_bytes;     /* held and promised: what counts against the limit; exact */
    uint64_t promised_bytes; /* the part of used_bytes that is admitted and not yet spent */
    uint64_t peak_bytes;     /* the most that used_bytes has been; at most what threads had in stock too high */
    uint64_t total_bytes;    /* everything ever held, whether given back or not */
    uint64_t limit_bytes;    /* HR_NONE: no limit of its own */
    uint64_t left_bytes;     /* what this budget alone would still grant; its ancestors may grant less */
    uint64_t reserve_bytes;  /* what is guaranteed to it, see hr_budget_set_reserve() */
    uint64_t reserved_bytes; /* what is set aside for budgets below it and not used by them: counts against the limit */
    uint64_t refused;        /* charges and requests that this budget's limit refused */
    uint64_t waiting;        /* callers that wait for room, here or below */
    uint64_t waits;          /* waits that are over, granted or not */
    int64_t wait_longest_ns; /* the longest wait so far; those that still last count */
    uint64_t refused_by_level;   /* requests of this budget that hr_admit() refused because of the level */
    uint64_t would_have_refused; /* with observe_only: what was granted, and would have been refused by either */
} hr_budget_figures;

/* Why a charge or a request was refused: which limit bound, what was asked of it, what it had left. */
typedef struct hr_refusal {
    char limit_name[64]; /* the budget or the cache that bound, or where the guard's limit comes from, or the level that
                             refused, such as "level critical"; cut if longer */
    uint64_t asked_bytes; /* what the charge asked for; the pages that a block needs, where the kernel's limit bound */
    uint64_t left_bytes;  /* what was left under that limit; 0 where the room is set aside for an earlier waiter */
    uint64_t limit_bytes; /* that limit; of a cache what it may hold; where a level refused, the guard's limit */
    hr_level level;       /* the level that refused, or that hr_admit() would have led to; HR_NORMAL: a limit refused */
} hr_refusal;

/* Makes a budget below `parent`. `limit_bytes` may be HR_NONE; 0 is a limit of 0 bytes. `name` is copied.
 *
 * returns  0; -EINVAL without parent or name; -ENOMEM
 * threads  any
 * memory   allocates
 * undo     hr_budget_free()
 */
HR_API HR_MUST_CHECK int hr_budget_new(hr_budget *parent, const char *name, uint64_t limit_bytes,
                                       hr_budget **ret_budget);

/* Frees a budget that holds nothing, has no children, and is named by no pool, cache or reclaimer. NULL is fine; the
 * root belongs to its guard. A budget that was freed must not be used, nor freed again: that is not caught.
 *
 * returns  0; -EBUSY while bytes or children are held, somebody waits, or a pool, cache or reclaimer of it is there;
 *          -EINVAL for a guard's root: nothing is freed then
 * threads  any, as the last user of this budget
 */
HR_API int hr_budget_free(hr_budget *budget);

/* Charges `bytes` to the budget and to all its ancestors, or to none. Exact: never one byte over a limit, and never
 * refused while the bytes are there. A kernel limit has not there: page cache that is dirty or just being read, and
 * what the kernel's counters may hide (hr_figures.lease_bytes is what they leave).
 *
 * Only the caller knows which memory the bytes are for. They are pending until the process's resident set has grown by
 * them, so nobody else is granted their pages meanwhile, however late they are touched. The guard cannot see one thing:
 * growth of memory that is not charged, at the same time, is taken for their pages. hr_alloc(), tickets that allocate
 * and pools know their pages and have no such error. Uncharge bytes when their memory is freed, within a second before
 * or after it.
 *
 * returns  0; -EDQUOT if a limit refused after relief was tried (hr_budget_refusal() says which); -EAGAIN in a signal
 *          handler that has interrupted the library in the midst of the accounts
 * threads  any; not for signal handlers, since relief runs reclaimers and calls the allocator: use
 *          hr_budget_try_charge()
 * memory   never allocates (a thread's first charges may map 64 KiB of address space); may run reclaimers and the
 *          guard's callback
 * cost     some nanoseconds from this thread's stock; some tens without one
 * undo     hr_budget_uncharge() with the same bytes
 */
HR_API HR_MUST_CHECK int hr_budget_charge(hr_budget *budget, uint64_t bytes);

/* As hr_budget_charge(), but runs no relief and no callback: safe while the caller holds locks that its own
 * reclaimers or callbacks take.
 *
 * While another thread forks it waits for the end of that, 100 ms at the most and once for each fork. It does not wait
 * longer, because the fork may wait for the malloc() that a handler has interrupted.
 *
 * returns  0; -EDQUOT; -EAGAIN in a signal handler that has interrupted the library in the midst of the accounts, and
 *          where another thread's fork() lasts. After -EAGAIN nothing is charged, and a later call may be granted
 * threads  any, signal handlers too
 * memory   never allocates, never blocks for longer than a short lock or that wait
 * undo     hr_budget_uncharge() with the same bytes
 */
HR_API HR_MUST_CHECK int hr_budget_try_charge(hr_budget *budget, uint64_t bytes);

/* Moves bytes that are held by one budget to another one of the same guard. They are charged all the time: to `from`
 * until they are charged to `to`, and to what contains both throughout.
 *
 * Nothing is taken from the kernel, so only limits of budgets can refuse it. Budgets that contain both do not grow, so
 * their limits do not refuse. One exception: a reserve of `from` stays set aside, and then the bytes need room beside
 * it in the budgets that contain both.
 *
 * returns  0; -EDQUOT if a limit on the path of `to` refused: `from` still holds them; -EINVAL if `from` holds less, or
 *          the budgets belong to different guards
 * threads  any
 * memory   never allocates; runs no relief
 */
HR_API HR_MUST_CHECK int hr_budget_transfer(hr_budget *from, hr_budget *to, uint64_t bytes);

/* As hr_budget_charge(), but waits until there is room, `timeout_ns` at the longest; a negative one waits for ever.
 *
 * Waiting is fair: bytes that come back go to those who wait, first come, first served. A smaller demand that fits may
 * pass a larger one that does not, sixteen times. Charges that do not wait are never refused for the sake of those who
 * do, so a stream of them can keep a large demand waiting.
 *
 * returns  0; -ETIMEDOUT; -EDQUOT if a limit on the path is smaller than `bytes`: it can never fit
 * threads  any; not while holding what others would have to give back
 * memory   never allocates; may run reclaimers and the guard's callback; blocks, and may be cancelled then (base.h)
 * undo     hr_budget_uncharge() with the same bytes
 */
HR_API HR_MUST_CHECK int hr_budget_charge_wait(hr_budget *budget, uint64_t bytes, int64_t timeout_ns);

/* Gives charged bytes back to the budget and all its ancestors. Never fails. Giving back more than is held is a fault
 * of the caller. Debug builds abort; release builds stop at 0 and count it (hr_figures.faults) when the surplus is
 * found, at the latest by the next read. NULL is fine.
 *
 * threads  any, also another one than charged; signal handlers too, but with a guard that has no monitor thread only
 *          where its callback may run in them
 * memory   never allocates; above normal it may read the gauges, and without a monitor thread run the guard's callback
 */
HR_API void hr_budget_uncharge(hr_budget *budget, uint64_t bytes);

/* Changes the limit, also to less than is used: nothing is taken back, and charges are refused until use is below. A
 * reserve above it stays aside in the parent all the same, and lets nothing pass the limit.
 *
 * returns  0; -EINVAL without a budget
 * threads  any
 */
HR_API int hr_budget_set_limit(hr_budget *budget, uint64_t limit_bytes);

/* Guarantees a budget that it can hold `reserve_bytes`, whatever others below the same ancestors take: so much is set
 * aside for it in all of them. 0 ends the guarantee. Bytes that its ancestors have already granted to others are not
 * taken back. An ancestor's limit that is lowered below the guarantee binds all the same.
 *
 * returns  0; -EDQUOT if an ancestor has not that much left: nothing has changed; -EINVAL for a guard's root, or more
 *          than the budget's own limit
 * threads  any
 */
HR_API int hr_budget_set_reserve(hr_budget *budget, uint64_t reserve_bytes);

/* Reads the accounts of one budget, all at one instant, with what threads have in stock taken back.
 *
 * returns  0; -EINVAL
 * threads  any
 * cost     some ten microseconds while other threads charge
 */
HR_API int hr_budget_read(hr_budget *budget, hr_budget_figures *ret_figures);

/* Called for a budget with its figures, with no lock held. Anything else than 0 ends the walk. */
typedef int hr_budget_walk_fn(void *context, hr_budget *budget, const hr_budget_figures *figures);

/* Visits all budgets of a guard, each before those below it. A budget that is freed meanwhile stays valid until its
 * visit is over; one that is made meanwhile may be missed.
 *
 * returns  0; what `visit` returned to end it; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_budget_walk(hr_guard *guard, hr_budget_walk_fn *visit, void *context);

/* Names the budget that a budget is below.
 *
 * returns  the parent; NULL for a guard's root, and for NULL
 * threads  any
 */
HR_API hr_budget *hr_budget_parent(const hr_budget *budget);

/* Names a budget: as it was given, "root" for a guard's root.
 *
 * returns  a string that lives as long as the budget; "" for NULL
 * threads  any
 */
HR_API const char *hr_budget_name(const hr_budget *budget);

/* Explains this thread's last -EDQUOT (EDQUOT of an allocation), refusal by hr_admit(), or -ETIMEDOUT of
 * hr_budget_charge_wait().
 *
 * returns  0; -ENODATA if this thread was never refused
 * threads  any: each has its own
 * memory   never allocates
 */
HR_API int hr_budget_refusal(hr_refusal *ret_refusal);

/* Allocates `size` bytes, aligned for any type, from the library's own heap, and charges what the block takes of it:
 * hr_alloc_cost(size). Size 0 gives a block of its own. Memory that the heap has already is handed out without asking
 * the kernel; for more, the kernel's limits are looked at first.
 *
 * returns  the block; NULL with errno EDQUOT (refused after relief), ENOMEM, or EINVAL without a budget
 * threads  any; not in signal handlers
 * memory   never calls malloc; may run reclaimers
 * undo     hr_free()
 */
HR_API HR_MUST_CHECK void *hr_alloc(hr_budget *budget, size_t size);

/* As hr_alloc() for `n` items of `size` bytes, filled with zeros; ENOMEM if n × size overflows.
 *
 * undo     hr_free()
 */
HR_API HR_MUST_CHECK void *hr_calloc(hr_budget *budget, size_t n, size_t size);

/* As hr_alloc(), aligned to `align`: a power of two; EINVAL if it is not one, ENOMEM for more than 1 GiB.
 *
 * undo     hr_free()
 */
HR_API HR_MUST_CHECK void *hr_alloc_aligned(hr_budget *budget, size_t align, size_t size);

/* Changes the size of a block, keeping its contents and its alignment. The growth is charged before it is made: a
 * block that has to be copied is charged twice, old and new, until the old one is freed. Blocks of more than 4 MiB are
 * not copied, and smaller ones of 128 KiB and more grow in place where there is room behind them. A NULL `block` is
 * hr_alloc(); size 0 keeps a block of its own. A block of another budget moves to `budget`.
 *
 * returns  the block, perhaps elsewhere; NULL with errno EDQUOT, ENOMEM or EINVAL: the old block is untouched
 * threads  any, one at a time a block; not in signal handlers
 * undo     hr_free()
 */
HR_API HR_MUST_CHECK void *hr_realloc(hr_budget *budget, void *block, size_t size);

/* Frees a block of the hr_alloc() family and uncharges what it was charged. NULL is fine. Keeps errno.
 *
 * threads  any; not in signal handlers, which may uncharge (hr_budget_uncharge()) and leave the freeing to others
 */
HR_API void hr_free(void *block);

/* As hr_alloc() for a copy of a string.
 *
 * returns  the copy; NULL with errno as hr_alloc(), EINVAL without a text
 * undo     hr_free()
 */
HR_API HR_MUST_CHECK char *hr_strdup(hr_budget *budget, const char *text);

/* As hr_alloc() for a copy of `size` bytes.
 *
 * returns  the copy; NULL with errno as hr_alloc(), EINVAL where `bytes` is NULL and there are some to copy
 * undo     hr_free()
 */
HR_API HR_MUST_CHECK void *hr_memdup(hr_budget *budget, const void *bytes, size_t size);

/* Says how many bytes of a block may be used: at least what was asked for. The charge is what the block takes.
 *
 * returns  bytes; 0 for NULL
 * threads  any
 */
HR_API size_t hr_alloc_size(const void *block);

/* Says what hr_alloc() of `size` bytes charges, to the byte. Below 16 KiB that is the block, 8 bytes that the library
 * keeps of it, and rounding; from there on whole pages. For those who must name what a block costs:
 * hr_cache_held.bytes, the bytes of a ticket, a table of tenants.
 *
 * returns  bytes; SIZE_MAX for a size that no block can have
 * threads  any
 */
HR_API size_t hr_alloc_cost(size_t size);

#ifndef HR_NO_SIZES_ /* see base.h */

HR_SIZED_ int hr_budget_read(hr_budget *budget, hr_budget_figures *ret_figures)
{
    return hr_sized_(HR_SIZED_BUDGET_READ_, budget, NULL, ret_figures, HR_SIZES_(0, sizeof *ret_figures));
}

HR_SIZED_ int hr_budget_refusal(hr_refusal *ret_refusal)
{
    return hr_sized_(HR_SIZED_BUDGET_REFUSAL_, NULL, NULL, ret_refusal, HR_SIZES_(0, sizeof *ret_refusal));
}

#endif

#ifdef __cplusplus
}
#endif

#endif
