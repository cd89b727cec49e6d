/* SPDX-License-Identifier: Apache-2.0 */
/* Relief: what to do when short.
 *
 * Code that holds memory which it can spare registers a *reclaimer*; code that starts work which needs memory asks
 * hr_admit() first and holds a *ticket* for it.
 *
 *     hr_ticket ticket;
 *     hr_request request = {.bytes = content_length, .priority = 100, .budget = uploads};
 *     switch (hr_admit(guard, &request, &ticket)) {
 *     case HR_ADMITTED: ... hr_ticket_alloc(&ticket, size) ...; hr_ticket_release(&ticket); break;
 *     default: refuse(ticket.limit_name, ticket.asked_bytes, ticket.left_bytes, ticket.retry_after_ns);
 *     }
 *
 * Reclaimers run in three cases. A charge does not fit: only those inside the budget that bound. Use passes degrade_at:
 * until it is below recover_below. The janitor asks, with want_bytes 0: only for what is expired or idle.
 */
#ifndef HEADROOM_RELIEF_H
#define HEADROOM_RELIEF_H

#include <headroom/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives memory back: at least `want_bytes` if that much is there before `deadline_ns` (CLOCK_MONOTONIC), else what it
 * can. `want_bytes` 0 is the janitor: give back only what is expired or idle. It runs with no lock of the library
 * held, on any thread, one call at a time; charges that it makes never start relief again. It is asked again until it
 * gives 0, or what is wanted is there. So one that always names a byte or more is asked for as long as there is time;
 * hr_relieve() sets none.
 *
 * returns  bytes freed (uncharged, if they were charged); 0: nothing left to give; more than 256 TiB, which no process
 *          has, is taken for 0
 */
typedef uint64_t hr_reclaim_fn(void *context, uint64_t want_bytes, int64_t deadline_ns);

/* A reclaimer's node: the caller's memory, valid and unchanged until hr_reclaimer_remove(). */
typedef struct hr_reclaimer {
    const char *name; /* for reports */
    int priority;     /* lowest first: cheap before idle before destructive */
    hr_reclaim_fn *reclaim;
    void *context;
    hr_budget *budget;          /* where the memory is charged; NULL: the root */
    struct hr_reclaimer *next_; /* the rest is the library's */
    uint64_t order_;
    uint64_t calls_;
    uint64_t freed_bytes_;
    uintptr_t seal_;
} hr_reclaimer;

/* Work that needs memory, before it starts. */
typedef struct hr_request {
    uint64_t bytes;    /* what the work will need at most */
    uint8_t priority;  /* 0 is shed first … 255 last */
    hr_budget *budget; /* who pays; NULL: the root */
    uint64_t key;      /* who asks, such as a hashed client: under load the same key gets the same answer; 0: nobody */
    bool health;       /* a health check: refused only where its bytes do not fit, never by a level */
} hr_request;

typedef enum hr_verdict {
    HR_ADMITTED,           /* the ticket holds the bytes */
    HR_REFUSED_TOO_LARGE,  /* larger than this level takes: a smaller request would be served */
    HR_REFUSED_OVERLOADED, /* shed, or the level is critical: there this comes first, whatever was asked for */
    HR_REFUSED_NO_BUDGET,  /* it does not fit under a limit */
} hr_verdict;

/* A grant for one request, or the reason why there is none. The caller's memory; {0} is an empty ticket. */
typedef struct hr_ticket {
    uint64_t asked_bytes; /* what was asked for */
    uint64_t left_bytes;  /* admitted: what is not spent yet; refused: what the limit that bound had left */
    const char
        *limit_name; /* refused: the limit that bound, or the level that refused, such as "level critical"; lives as
                               long as the budget or guard that it names */
    int64_t retry_after_ns; /* refused: when it makes sense to ask again; 0: now */
    hr_budget *budget_;     /* the library's: who pays while something is promised */
    hr_verdict verdict;     /* as hr_admit() gave it */
    hr_level level;         /* refused: the level that refused, or would have been reached; HR_NORMAL: a limit did */
    uint64_t limit_bytes;   /* refused: the limit that bound; of a level, the guard's */
} hr_ticket;

/* Registers a reclaimer; the node must be zero except for the caller's fields.
 *
 * returns  0; -EINVAL without reclaim, or if the budget belongs to another guard; -EEXIST if it is registered,
 *          with this guard or another
 * threads  any, reclaimers too
 * memory   never allocates
 * undo     hr_reclaimer_remove()
 */
HR_API HR_MUST_CHECK int hr_reclaimer_add(hr_guard *guard, hr_reclaimer *node);

/* Takes a reclaimer out, and returns when no call of it is running; from its own callback at once. A node that is not
 * registered is fine. Do not hold a lock that the reclaimer takes.
 *
 * threads  any
 */
HR_API void hr_reclaimer_remove(hr_guard *guard, hr_reclaimer *node);

/* Frees `want_bytes` if that much is there: all reclaimers in order, then the purge if they freed less (at most one a
 * purge_interval_ns).
 *
 * returns  bytes freed, those that are known; 0 from inside a reclaimer, and without a guard
 * threads  any; do not hold a lock that a reclaimer takes
 * memory   never allocates; may block for as long as the reclaimers and the purge take
 */
HR_API uint64_t hr_relieve(hr_guard *guard, uint64_t want_bytes);

/* Runs the janitor now, as the monitor does every cleanup_interval_ns. It asks all reclaimers for what is expired or
 * idle, and returns the allocator's free pages to the kernel, at most once a purge_interval_ns.
 *
 * returns  bytes freed, those that are known; 0 from inside a reclaimer, and without a guard
 * threads  any; do not hold a lock that a reclaimer takes
 * memory   never allocates; may block for as long as the reclaimers and the purge take
 */
HR_API uint64_t hr_guard_cleanup(hr_guard *guard);

/* hr_guard_cleanup() by its old name, which goes with version 0.2.
 *
 * returns  as hr_guard_cleanup()
 * threads  any; do not hold a lock that a reclaimer takes
 */
HR_API uint64_t hr_cleanup(hr_guard *guard);

/* Gives idle pages of the library's heap back to the kernel, and then the allocator's free pages. For those it calls
 * malloc_trim (glibc), arenas' purge (jemalloc), mi_collect (mimalloc, which keeps partly used pages) or
 * ReleaseFreeMemory (tcmalloc), whichever is linked. It can take 100 ms and more with the allocator locked: not for a
 * request's path.
 *
 * returns  bytes of the heap, and those by which the resident set shrank then: none where the allocator knows no purge,
 *          or the resident set cannot be read
 * threads  any
 */
HR_API uint64_t hr_purge(void);

/* Asks for memory before work starts. The answer is for the level that the grant would lead to, after relief.
 * The ticket is always written.
 *
 * A request that would lead beyond degrade_at, less a margin for memory of the cgroup that nobody charges, is refused
 * if it is larger than degraded_request_bytes. Of the others a share is shed that grows linearly, from none at
 * degrade_at to all at critical_at: the lowest priorities first, and among equals by key. The
 * priorities are a rank among the requests of the last half to whole second: while higher ones of that time count, the
 * lowest alone can be shed whole. At critical all are refused,
 * until relief has achieved nothing for ten dwells: then one small request passes each dwell, so that refusing cannot
 * keep itself up. Requests of 0 bytes always pass. Where no monitor runs, a request that finds the level shut runs
 * relief and the purge.
 *
 * returns  HR_ADMITTED, and the ticket holds the bytes as promised; else a refusal, explained in the ticket; without
 *          guard, request or ticket, or for a budget of another guard, HR_REFUSED_NO_BUDGET
 * threads  any
 * memory   never allocates; may run reclaimers and the callback
 * undo     hr_ticket_release()
 */
HR_API HR_MUST_CHECK hr_verdict hr_admit(hr_guard *guard, const hr_request *request, hr_ticket *ret_ticket);

/* Turns `bytes` of the promise into holding: the caller owns them and gives them back by hr_budget_uncharge() to the
 * request's budget. They count as bytes that are charged by hand: pending until they show in the resident set. That
 * is exact as long as memory that nobody charges does not grow meanwhile (see hr_budget_charge()). A server whose
 * other memory grows keeps the promise until the memory is filled, then spends:
 *
 *     body = malloc(size);             // promised
 *     read_whole(socket, body, size);  // touched
 *     hr_ticket_spend(&ticket, size);  // held
 *
 * returns  0; -EDQUOT if less is left: nothing is spent then; -EINVAL
 * threads  one at a time a ticket
 * memory   never allocates
 */
HR_API HR_MUST_CHECK int hr_ticket_spend(hr_ticket *ticket, uint64_t bytes);

/* Allocates as hr_alloc() does, paid from the ticket; the part of the footprint that the ticket does not cover is
 * charged to its budget.
 *
 * returns  the block; NULL with errno EDQUOT, ENOMEM, or EINVAL for a ticket that holds no grant: nothing is spent
 * threads  one at a time a ticket
 * undo     hr_free()
 */
HR_API HR_MUST_CHECK void *hr_ticket_alloc(hr_ticket *ticket, size_t size);

/* Gives back `bytes` of what was not spent, or all of it if that is less. Call it before something is taken that
 * charges the request's budget by itself, such as a pool's block.
 *
 * threads  one at a time a ticket
 * memory   never allocates
 */
HR_API void hr_ticket_return(hr_ticket *ticket, uint64_t bytes);

/* Gives back what was not spent. Twice is harmless, and so is an empty ticket.
 *
 * threads  one at a time a ticket
 */
HR_API void hr_ticket_release(hr_ticket *ticket);

/* Says in words why a ticket was refused, or what it still holds, for a person:
 *
 *     refused 1 B: the level is critical, at which no request is admitted; ask again in 1 s
 *
 * The text is always written: terminated, and cut if it is too long;
 * 256 bytes are enough unless the limit's name is long.
 *
 * returns  0; -ENOBUFS if it was cut; -EINVAL without a ticket or a buffer
 * threads  one at a time a ticket
 * memory   never allocates
 */
HR_API int hr_ticket_text(const hr_ticket *ticket, char *text, size_t size);

/* Names a verdict: "admitted", "too large", "overloaded", "no budget".
 *
 * returns  a constant string; "unknown" for any other value
 * threads  any
 */
HR_API const char *hr_verdict_text(hr_verdict verdict);

#ifdef __cplusplus
}
#endif

#endif
