/* SPDX-License-Identifier: Apache-2.0 */
/* Those who can yield memory: the pools and caches of one guard.
 *
 * They register here and read the level here, since they see neither relief nor the gauges. guard/yield.c connects it:
 * each yielder becomes one of relief's reclaimers, in one order with the program's own, and a budget's tree points to
 * the registry of its guard (hri_budget_tree.yielders).
 */
#ifndef HRI_BASE_YIELD_H
#define HRI_BASE_YIELD_H

#include "base/figures.h"
#include "base/fork.h"
#include "base/level_word.h"

/* The order in which they are asked, lowest first: what costs nobody anything, then what can be made again. A program's
 * own reclaimers stand between and behind, by the priorities that it gives them. */
enum {
    HRI_YIELD_IDLE = -1000000, /* free blocks of pools */
    HRI_YIELD_CACHED = 0,
};

/* The figures that all yielders of a kind publish to reports (base/figures.h). */
typedef struct hri_yielder_kind {
    const char *noun; /* "pool" */
    const hri_figure *figures;
    size_t count;
    void (*read)(void *context, uint64_t *values); /* one value for each figure, in their order */
} hri_yielder_kind;

/* The registrant's memory, valid and unchanged until hri_yielders_remove(). */
typedef struct hri_yielder {
    const char *name;             /* for reports */
    const hri_yielder_kind *kind; /* NULL: it is in no report */
    int priority;
    hr_budget *budget; /* where its memory is charged */

    /* Gives back at least `want_bytes` if that much is there before `deadline_ns` (CLOCK_MONOTONIC); 0 is the janitor,
     * who wants what is expired or idle. On any thread, one call at a time, with no lock of the library's held. Gives
     * the bytes freed; 0: nothing left to give. */
    uint64_t (*yield)(void *context, uint64_t want_bytes, int64_t deadline_ns);

    /* How much yield() could give now; an upper bound. Called where a guard only observes, with the registry locked. */
    uint64_t (*spare)(void *context);

    /* Follows the level, up and down, and while it is above normal at each of the monitor's samples, where it has not
     * `changed`; NULL: it does not. On whatever thread has found it, several at once perhaps, with no lock of the
     * library's held: it may run the user's callbacks. */
    void (*level)(void *context, hr_level level, bool changed);

    /* Takes its locks through a fork; NULL: it has none. The tree's locks nest inside them. */
    void (*fork)(void *context, hri_fork moment);
    void *context;

    struct hri_yielder *next; /* the rest is the registry's */
    uint64_t order;           /* of registration */
    void *connection;         /* what relief knows it by */
} hri_yielder;

/* A running call of level(), on the stack of the thread that makes it. */
typedef struct hri_yielder_call {
    const hri_yielder *yielder;
    pthread_t thread;
    struct hri_yielder_call *next;
} hri_yielder_call;

typedef struct hri_yielders {
    const hri_level_word *level;
    const _Atomic uint64_t *line_bytes; /* see hri_yielders_line(); NULL: not known */
    int (*connect)(void *context, hri_yielder *yielder);
    void (*disconnect)(void *context, hri_yielder *yielder); /* returns when no call of it is running */
    void *context;
    pthread_mutex_t lock; /* guards the rest; held through a fork, and then outside of the yielders' own */
    pthread_cond_t returned;
    hri_yielder *first; /* the newest */
    uint64_t next_order;
    hri_yielder_call *calls;
} hri_yielders;

/* Makes an empty registry; the caller has set what is above `lock`. Gives 0 or a negative errno. */
int hri_yielders_init(hri_yielders *yielders);
void hri_yielders_destroy(hri_yielders *yielders);

/* Registers. Gives 0 or -ENOMEM. */
int hri_yielders_add(hri_yielders *yielders, hri_yielder *yielder);

/* Takes a yielder out, and returns when no call of it is running but this thread's own. Not with a lock held that its
 * yield() or level() takes. */
void hri_yielders_remove(hri_yielders *yielders, hri_yielder *yielder);

/* Visits all of a kind with their figures, with the registry locked. */
void hri_yielders_each(hri_yielders *yielders, const hri_yielder_kind *kind, hri_figures_visit *visit, void *visitor);

/* How much those could give whose budgets `is_inside` takes. */
uint64_t hri_yielders_spare(hri_yielders *yielders, bool (*is_inside)(const hr_budget *budget, const hr_budget *top),
                            const hr_budget *top);

/* Names one that is still registered; NULL: there is none. */
const char *hri_yielders_left(hri_yielders *yielders);

/* Tells all yielders of the level, which has changed, or is still above normal. */
void hri_yielders_follow(hri_yielders *yielders, hr_level level, bool changed);

void hri_yielders_fork(hri_yielders *yielders, hri_fork moment);

/* The root's use above which a yielder must not lift it: half way from warning to degraded, where relief begins. From
 * degraded on it is 0: what relief has freed is not taken back before the level has come down. */
static inline uint64_t hri_yielders_line(const hri_yielders *yielders)
{
    return yielders->line_bytes ? atomic_load_explicit(yielders->line_bytes, memory_order_relaxed) : HR_NONE;
}

static inline hr_level hri_yielders_level(const hri_yielders *yielders)
{
    return hri_level_word_get(yielders->level);
}

#endif
