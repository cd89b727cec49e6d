/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of budgets, as the rooms above see it. README.md in this folder has the idea.
 *
 * Questions that the budget cannot decide itself it asks through hooks, which guard.c connects; they are called with no
 * lock held.
 */
#ifndef HRI_BUDGET_BUDGET_H
#define HRI_BUDGET_BUDGET_H

#include "base/checked.h"
#include "base/figures.h"
#include "base/fork.h"
#include "base/lease.h"
#include "budget/refusals.h"

#include <headroom/budget.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

/* Why a demand does not fit, as it was under the lock. */
typedef struct hri_shortage {
    hr_budget *budget;    /* the one that bound; the root for a ceiling */
    uint64_t asked_bytes; /* what was demanded */
    uint64_t left_bytes;  /* what was left there */
    uint64_t limit_bytes; /* the limit that bound */
    uint64_t over_bytes;  /* by which it is exceeded already: it was lowered, or the tree observes */
    bool hopeless;        /* larger than the limit: no relief can help */
    bool narrowed;        /* the limit would do; the lease is spent, or due */
    bool ceiling;         /* the caller's ceiling bound, no limit */
    bool sample;          /* another reading of the gauges may find room */
} hri_shortage;

/* The bytes that have to be given back before the demand fits. */
static inline uint64_t hri_shortage_lacks(const hri_shortage *shortage)
{
    return hri_add(hri_sub(shortage->asked_bytes, shortage->left_bytes), shortage->over_bytes);
}

/* The occasions on which a thread looks at the gauges or decides the level. gauge/watcher.c has a table of what it does
 * on each. */
typedef enum hri_occasion {
    HRI_ON_TIME,     /* the monitor's round; somebody waits for a level, or wants the figures */
    HRI_ON_CHECK,    /* hr_guard_check() */
    HRI_ON_REQUEST,  /* a request wants to know the level */
    HRI_ON_SHORTAGE, /* a demand lacks a lease, or room below a ceiling */
    HRI_ON_RETURN,   /* relief has given something back for a demand */
    HRI_ON_CROSSING, /* use passed cross_bytes by a grant, or a limit was changed */
    HRI_ON_RECEDING, /* bytes came back while the tree is watched */
    HRI_ON_REFUSAL,  /* a charge was refused by the root's limit */
    HRI_ON_RELIEVED, /* relief has run, and can do no more */
    HRI_ON_FUTILE,   /* the same, and nothing has changed that a reading would show */
    HRI_ON_CHECKED,  /* the same, for hr_guard_check() */
    HRI_OCCASIONS
} hri_occasion;

struct hri_demand; /* grant.h */

/* The questions that a tree asks; NULL: it is a tree alone. */
typedef struct hri_budget_hooks {
    /* Gets a demand granted that did not fit: by a new reading, and by relief unless it is quiet. Makes the attempts,
     * whose answer is in the demand. A tree that observes grants it, and counts it where it would be refused. */
    void (*obtain)(void *context, struct hri_demand *demand);
    void (*sample)(void *context, hri_occasion occasion, bool quiet); /* quiet: runs no callback */
    void *context;
    bool observes; /* the tree grants what it would refuse, and counts it */
} hri_budget_hooks;

/* Up to where an admission may lead. */
typedef enum hri_ceiling_kind {
    HRI_CEILING_NONE,
    HRI_CEILING_ADMIT,    /* to no more than warning, with a margin for memory that nobody charges */
    HRI_CEILING_DEGRADE,  /* to no more than warning */
    HRI_CEILING_CRITICAL, /* to no more than degraded */
    HRI_CEILINGS
} hri_ceiling_kind;

/* The root's use, against its own limit; and the word that the lease is counted by, against the kernel's. Bytes that
 * come back lower the use, but not the word before the next reading, because their pages may stay with an allocator. A
 * word beyond the ceiling says that a threshold of the kernel's limit is passed already. */
typedef struct hri_ceiling {
    uint64_t used_bytes;   /* HR_NONE: any */
    int64_t granted_bytes; /* INT64_MAX: any */
} hri_ceiling;

typedef struct hri_budget_tree hri_budget_tree;

/* Fields are guarded by the tree's lock, those of a local budget also by its own. Atomics need neither. */
struct hr_budget {
    alignas(16) _Atomic uint32_t place; /* of its stocks' cells; 0: it has none */
    _Atomic bool local;                 /* one counter, fed from the parent's stock in one thread: see local.c */
    _Atomic bool busy;                  /* a local budget's own lock */
    bool condemned;                     /* freed by its user while a walk stands at it */
    hri_budget_tree *tree;
    hr_budget *parent; /* NULL: the root */
    const char *name;
    hr_budget *first_child;
    hr_budget *next_sibling;
    hr_budget **link;         /* what points here: the parent's first_child, or a sibling's next_sibling */
    hr_budget *next_stocked;  /* in the tree's list of those with a place */
    const void *first_thread; /* whose charge came first */
    unsigned charges;         /* so far, until it gets a place */
    unsigned open_cells;      /* stocks in hand of threads */
    unsigned visitors;        /* walks that stand here */
    unsigned users;           /* reclaimers that name it: those of pools and caches are among them */

    uint64_t limit_bytes;
    uint64_t reserve_bytes;  /* set aside for it in all its ancestors */
    uint64_t own_bytes;      /* charged to itself: stocks included, and what local children have */
    uint64_t used_bytes;     /* charged to it and all below: held, promised, and in stocks */
    uint64_t claimed_bytes;  /* that, and what is set aside for those below: what its limit bounds */
    uint64_t promised_bytes; /* a part of used_bytes; cells count more, up and down */
    uint64_t peak_bytes;
    uint64_t total_bytes; /* ever held; cells count more */
    uint64_t refused;     /* by its own limit; in a tree that observes both are of what would have been refused */
    uint64_t refused_by_level;
    uint64_t waiting;
    uint64_t waits;
    int64_t wait_longest_ns;     /* of those that are over */
    _Atomic uint64_t late_bytes; /* given back by a signal handler that could not wait, see section.h */
};

struct hri_waiter;   /* wait.c */
struct hri_yielders; /* base/yield.h */

struct hri_budget_tree {
    pthread_mutex_t lock; /* a leaf, except for the locks of os/cells */
    hr_budget root;
    hri_budget_hooks hooks;
    hr_budget *first_stocked;
    unsigned open_cells;          /* of all budgets */
    uint64_t kernel_limit_bytes;  /* the smallest limit of the kernel's: the root's limit is never above it */
    hri_lease lease;              /* what the root may still take from the kernel */
    hri_lease_word word;          /* that it is counted by */
    uint64_t stock_ceiling_bytes; /* the root's use up to which stocks are handed out */
    hri_ceiling ceilings[HRI_CEILINGS];
    uint64_t read_used_bytes; /* the root's use at the reading that issued the lease */
    const char *limit_name;   /* where the root's limit comes from, for refusals */
    hri_refusals refusals;    /* of all budgets; of a tree that observes, those that would have been made */
    struct hri_waiter *first_waiter;
    struct hri_yielders *yielders; /* for whoever keeps memory in these budgets; NULL: nobody asks them */
    _Atomic uint64_t cross_bytes;  /* above this use of the root, charges look on HRI_ON_CROSSING */
    _Atomic bool watched;          /* above normal: no stocks, and bytes that come back look on HRI_ON_RECEDING */
    _Atomic bool late;             /* some budget has late_bytes */
    bool lease_is_new;             /* newer than the demand of this section */
    bool renewal_wanted;           /* a waiter's demand fits as soon as the lease is renewed */
    _Atomic uint64_t block_bytes;  /* ever charged for blocks; cells count more */
    _Atomic uint64_t freed_bytes;  /* of that, uncharged; cells count more */
    hri_budget_tree *next;         /* of all trees of the process, see pending.c */
};

/* The root's accounts at one instant. */
typedef struct hri_accounts {
    uint64_t held_bytes;
    uint64_t promised_bytes;
    uint64_t total_bytes;
    uint64_t peak_bytes;
    uint64_t own_limit_bytes; /* as set */
    uint64_t limit_bytes;     /* that, or the kernel's where it is smaller */
    hri_refusal_counts refused;
    hri_refusal_counts would_have_refused; /* a tree that observes has granted them; it has refused none */
    uint64_t block_bytes;  /* of what is held, for blocks that the library handed out: the rest is charged by hand */
    uint64_t stocks_bytes; /* beside that: charged in advance */
    uint64_t hand_uncharged_bytes; /* ever, of what was charged by hand */
    bool waited_for;               /* somebody waits for bytes */
} hri_accounts;

/* Makes a tree whose root has `limit_bytes`. Gives 0 or a negative errno. */
int hri_budget_tree_init(hri_budget_tree *tree, uint64_t limit_bytes, const hri_budget_hooks *hooks);
void hri_budget_tree_destroy(hri_budget_tree *tree);

void hri_budget_tree_fork(hri_budget_tree *tree, hri_fork moment);

/* Charges for a block that the library hands out, as hr_budget_charge(), or `quiet` as hr_budget_try_charge(). The
 * accounts keep such bytes apart from those that a program charges by hand: the block lies in the heap, which asks for
 * its pages by hri_budget_commit(). Gives 1 where the tree only observes and would have refused it: its pages are
 * granted with it then, and not counted as a second refusal. And uncharges one. */
int hri_budget_charge_block(hr_budget *budget, uint64_t bytes, bool quiet);
void hri_budget_uncharge_block(hr_budget *budget, uint64_t bytes);

/* Spends the lease of a budget's tree for pages that the heap is about to commit. Gives 0; 1 as above; -EDQUOT if the
 * kernel's limits do not leave as much after relief (`quiet`: without), a refusal by the root. The bytes are pending
 * until hri_budget_committed(), which is due once the heap counts them. */
int hri_budget_commit(hr_budget *budget, uint64_t bytes, bool quiet);
void hri_budget_committed(uint64_t bytes);
uint64_t hri_budget_committing_bytes(void);

/* The same whatever the kernel's limits leave, for the few pages that a block needs which was promised. */
void hri_budget_commit_anyway(hr_budget *budget, uint64_t bytes);

/* The same, where nothing depends on it: no relief, and no refusal. */
bool hri_budget_try_commit(hr_budget *budget, uint64_t bytes);

/* The bytes that are promised inside a budget, by cells and path together. In a section. */
uint64_t hri_budget_promised(const hr_budget *budget);

/* Reads the root: exactly, for which all stocks are drained; or without a lock, where what threads do meanwhile may be
 * missed. */
void hri_budget_tree_read(hri_budget_tree *tree, hri_accounts *ret_accounts);
void hri_budget_tree_snapshot(hri_budget_tree *tree, hri_accounts *ret_accounts);

/* The figures that the gauges have for the root. */
typedef struct hri_budget_view {
    uint64_t kernel_limit_bytes;
    const hri_lease *lease;       /* a new one; NULL: the gauges were not read, the old one goes on */
    const hri_lease_word *word;   /* that the new one is counted by */
    uint64_t used_bytes;          /* the root's use at the reading */
    uint64_t cross_bytes;         /* the use above which charges are to look */
    uint64_t stock_ceiling_bytes; /* the use up to which stocks may be handed out */
    const hri_ceiling *ceilings;  /* HRI_CEILINGS of them; NULL: none */
    bool watched;                 /* the level is above normal */
    const char *limit_name;       /* where the root's limit comes from; outlives the tree */
    struct hri_demand *demand;    /* is tried in the section of the new lease; NULL: none */
} hri_budget_view;

void hri_budget_tree_instruct(hri_budget_tree *tree, const hri_budget_view *view);

static inline void hri_budget_sample(const hri_budget_tree *tree, hri_occasion occasion, bool quiet)
{
    if (tree->hooks.sample)
        tree->hooks.sample(tree->hooks.context, occasion, quiet);
}

/* A budget that holds much by itself, its children's left out. */
#define HRI_HOLDER_NAME_BYTES 48
typedef struct hri_holder {
    const void *budget;               /* to tell it from others of its name; perhaps freed since */
    char name[HRI_HOLDER_NAME_BYTES]; /* cut if longer */
    uint64_t bytes;
} hri_holder;

/* Finds those who hold most among the first `seen_max` budgets, largest first; gives how many, at most `capacity`.
 * Bytes that threads have in stock count as held. */
#define HRI_HOLDERS_MAX 8
size_t hri_budget_tree_holders(hri_budget_tree *tree, unsigned seen_max, hri_holder *list, size_t capacity);

/* Names the limit that a budget stands for, to whoever is refused by it. */
const char *hri_budget_limit_name(hr_budget *budget);

/* Recounts a whole tree, and aborts where an account contradicts itself. Debug builds call it where all is quiet: under
 * the lock, after a drain. */
void hri_budget_audit(const hri_budget_tree *tree);

/* Visits all budgets, parents first, with no lock held. */
int hri_budget_tree_walk(hri_budget_tree *tree, hr_budget_walk_fn *visit, void *context);

/* Has reports show each budget by its path, such as "root/cache". */
void hri_budget_publish(hri_budget_tree *tree, hri_figure_source *ret_source);

/* Gives those who were refused since the last time, and begins anew. */
void hri_budget_tree_take_refusers(hri_budget_tree *tree, hri_refusers *ret_refusers);

/* Somebody names the budget for longer than a call, and leaves it: until then it is not freed. NULL is fine. */
void hri_budget_use(hr_budget *budget);
void hri_budget_leave(hr_budget *budget);

/* Is `budget` `ancestor` itself or below it? */
bool hri_budget_is_inside(const hr_budget *budget, const hr_budget *ancestor);

/* Makes one attempt to grant a demand that is a promise, without relief. Gives whether it was granted. */
bool hri_budget_promise(struct hri_demand *demand);

/* Says what a demand lacks below its ceiling, whether it would fit or not. */
void hri_budget_fall_short(struct hri_demand *demand);

/* The first counts a promise's final refusal with the limit that bound, and leaves it for hr_budget_refusal(). The
 * second does so for a refusal that a level made, HR_DEGRADED or HR_CRITICAL, of a request to `budget`. */
void hri_budget_refuse(const hri_shortage *shortage);
void hri_budget_refuse_by_level(hr_budget *budget, const hri_shortage *shortage, hr_level level);

/* Names the level that refused, as a limit is named: "level degraded", "level critical". */
const char *hri_budget_level_name(hr_level level);

/* Moves bytes from promised to held, by hand (spend) or for a block (spend_block), back from a block (unspend_block),
 * or ends a promise. */
void hri_budget_spend(hr_budget *budget, uint64_t bytes);
void hri_budget_spend_block(hr_budget *budget, uint64_t bytes);
void hri_budget_unspend_block(hr_budget *budget, uint64_t bytes);
void hri_budget_unpromise(hr_budget *budget, uint64_t bytes);

#endif
