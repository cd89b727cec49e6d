/* SPDX-License-Identifier: Apache-2.0 */
/* The lease: what may still be taken from the kernel by the last reading of the gauges. Numbers in, numbers out.
 *
 * A budget is charged at the grant, the kernel charges at the first touch. In between, a cgroup seems to have room
 * that is already granted. So a reading issues a lease, and every grant spends it:
 *
 *     free    = min over all kernel limits of (limit - use - pending - margin)
 *     look    = max(free / 8, margin / 2)
 *     spent   = granted now - granted when the reading began
 *
 * `granted` is a word that only grows. A reading samples it *before* it opens the first file. A grant that is made
 * while files are read is counted as spent, and perhaps in the figures too: it may count twice, and is never forgotten.
 * Bytes that come back do not lower the word, because their pages may stay with an allocator. Only the next reading
 * shows that they are free.
 *
 * The margin leaves room for bytes that the counters hide, and for *surprises*. A surprise is by how much less a
 * reading finds than the lease before it had left. That memory was taken without a grant: by other programs, by the
 * program's own malloc, or by copy on write after a fork. As much may be taken before the next reading, so the largest
 * surprise of the last second is held back.
 *
 * A grant that would spend more than `look` reads the gauges first. So a large demand, a burst, and threads that free
 * and allocate in turn need no rules of their own. Memory of other programs is noticed too late only if it fills seven
 * eighths of what was free, within one eighth of ours.
 *
 * Why it is correct: let P be the bytes that are granted and not resident at the moment when a file is read. Each of
 * them was granted before the sample, and then it is in `pending`; or after it, and then it is in `spent`. So use + P
 * <= limit - margin at the reading, and every later grant is compared with what is left of that.
 */
#ifndef HRI_BASE_LEASE_H
#define HRI_BASE_LEASE_H

#include "base/checked.h"

#include <headroom/base.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct hri_lease {
    uint64_t sample_bytes; /* the word, before the first file of the reading was opened */
    uint64_t free_bytes;   /* what could be granted from then on; HR_NONE: no limit of the kernel's is known */
    uint64_t look_bytes;   /* how much of that may be spent before the gauges are read again */
} hri_lease;

/* One reading's figures of one limit of the kernel's. */
typedef struct hri_lease_terms {
    uint64_t limit_bytes;
    uint64_t use_bytes;
    uint64_t pending_bytes; /* granted, not resident yet */
    uint64_t margin_bytes;  /* what the counters may hide */
} hri_lease_terms;

static inline uint64_t hri_lease_free(const hri_lease_terms *terms)
{
    return hri_sub(terms->limit_bytes, hri_add(hri_add(terms->use_bytes, terms->pending_bytes), terms->margin_bytes));
}

static inline hri_lease hri_lease_issue(uint64_t sample_bytes, uint64_t free_bytes, uint64_t margin_bytes)
{
    uint64_t look_bytes = free_bytes == HR_NONE ? HR_NONE : hri_max(free_bytes / 8, margin_bytes / 2);
    return (hri_lease){.sample_bytes = sample_bytes, .free_bytes = free_bytes, .look_bytes = look_bytes};
}

static inline hri_lease hri_lease_without_limit(void)
{
    return (hri_lease){.free_bytes = HR_NONE, .look_bytes = HR_NONE};
}

static inline uint64_t hri_lease_spent(const hri_lease *lease, uint64_t granted_bytes)
{
    return granted_bytes - lease->sample_bytes;
}

/* The bytes that are left of it; HR_NONE where there is no limit. */
static inline uint64_t hri_lease_left(const hri_lease *lease, uint64_t granted_bytes)
{
    return lease->free_bytes == HR_NONE ? HR_NONE : hri_sub(lease->free_bytes, hri_lease_spent(lease, granted_bytes));
}

/* Is it so old that a grant of `bytes` has to read the gauges first? */
static inline bool hri_lease_is_due(const hri_lease *lease, uint64_t granted_bytes, uint64_t bytes)
{
    return lease->look_bytes != HR_NONE && hri_add(hri_lease_spent(lease, granted_bytes), bytes) > lease->look_bytes;
}

/* The words that grants are counted by. Both may be shared with other processes (os/share.h). */
typedef struct hri_lease_word {
    _Atomic uint64_t *granted; /* by all that share the limit, and ever */
    _Atomic uint64_t *pending; /* an upper bound of what this process was granted and has not touched */
} hri_lease_word;

static inline uint64_t hri_lease_granted(const hri_lease_word *word)
{
    return atomic_load_explicit(word->granted, memory_order_acquire);
}

/* The largest surprise of the last one to two seconds. */
typedef struct hri_surprise {
    hri_lease expected; /* the lease before, without what was held back for surprises */
    int64_t since_ns;
    uint64_t most_bytes;   /* since then */
    uint64_t before_bytes; /* and in the second before */
} hri_surprise;

/* Notes a reading, and gives what is to be held back. */
uint64_t hri_surprise_note(hri_surprise *surprise, uint64_t sample_bytes, uint64_t free_bytes, int64_t now_ns);

/* Spends `bytes`, or nothing where less is left: check and change are one step. The bytes are pending before they are
 * granted. */
bool hri_lease_spend(const hri_lease *lease, const hri_lease_word *word, uint64_t bytes);

/* Spends `bytes` whatever is left: of a grant that is only observed, or was promised. */
void hri_lease_force(const hri_lease_word *word, uint64_t bytes);

/* ── memory that is charged by hand ─────────────────────────────────────────────────────────────────────────────── */

/* Memory of the program's own malloc that is charged with hr_budget_charge() or spent from a ticket cannot be asked
 * for its pages. R are the resident anonymous bytes outside of the blocks that headroom handed out, and M the bytes
 * that are charged by hand. Then `own` is an upper bound of the program's memory beside those:
 *
 *     own     = min(R, max(own, R - M))
 *     pending = M - (R - own)
 *
 * R falls when the program frees its own memory, and when it frees memory that is uncharged then or a moment later.
 * Bytes that are uncharged may also stay resident with the allocator; they count as the program's own from then on
 * (`retained_bytes`).
 *
 *  - A fall that no uncharge has matched for a second was the program's own memory: `own` falls by it. Time alone
 *    never lowers `own`: an upload that is slower than any window would be forgotten, and the process killed.
 *  - A purge makes the allocator give back what it keeps. The part of `retained_bytes` that stays resident is in use
 *    for charged bytes again: `own` falls by all of it.
 *
 * The error that remains: what the program's own memory grew while bytes were pending is taken for their pages. */
typedef struct hri_own {
    uint64_t own_bytes;
    uint64_t retained_bytes;  /* the part that was uncharged and stayed resident */
    uint64_t resident_bytes;  /* R at the last look */
    uint64_t uncharged_bytes; /* by hand and ever, at the last look */
    uint64_t fell_bytes;      /* by this much R fell with no uncharge to match it */
    uint64_t fell_least;      /* and never by less than this */
    int64_t fell_since_ns;    /* since then */
    bool known;               /* there was a look */
} hri_own;

typedef struct hri_own_input {
    uint64_t resident_bytes;  /* R; HR_NONE: not known, and then all of M is pending */
    uint64_t hand_bytes;      /* M */
    uint64_t uncharged_bytes; /* by hand and ever */
    bool purged;              /* since the last look the allocator gave back what was free */
    int64_t now_ns;
} hri_own_input;

/* Looks, and gives the bytes that are charged by hand and not resident. */
uint64_t hri_own_sample(hri_own *own, const hri_own_input *input);

#endif
