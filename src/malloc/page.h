/* SPDX-License-Identifier: Apache-2.0 */
/* The page that all processes of one limit share. One word of it says how much is charged, and a slot for each process
 * says how much of that is its own. It lies in a memory file that `headroom run` made. Without a supervisor it lies in
 * the process itself.
 *
 * A charge is three steps, so that a process which is killed between any two of them can be settled:
 *
 *     slot.intent = n    used += n, unless it would pass the limit    slot.charged += n    slot.intent = 0
 *
 * A process that settles a slot takes its `charged` out of `used`. If there was an intent, nobody knows whether its n
 * were in `used` already. Then the sum of all slots is held against `used` when no charge is under way, and the
 * difference is taken out (run/heap.c). Nothing here is a lock: a process that is stopped or killed keeps nobody
 * waiting.
 *
 * The supervisor settles the slot of a process whose socket hangs up. A process that is short settles the slots of
 * processes that are gone (slots.h), so that a limit outlives its supervisor.
 */
#ifndef HRI_MALLOC_PAGE_H
#define HRI_MALLOC_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

#define HRI_MALLOC_SLOTS 1024
#define HRI_MALLOC_MAGIC UINT32_C(0x68726d33) /* changes with the layout */

typedef enum hri_malloc_on_limit {
    HRI_MALLOC_FAIL,   /* NULL and ENOMEM */
    HRI_MALLOC_WAIT,   /* the thread waits for bytes that come back, at most wait_ns */
    HRI_MALLOC_FREEZE, /* the process stops */
    HRI_MALLOC_ABORT,  /* the process aborts */
} hri_malloc_on_limit;

typedef struct hri_malloc_slot {
    _Alignas(64) _Atomic int32_t pid; /* 0: the slot is free; below 0: somebody settles it */
    _Atomic uint32_t space;           /* in which `pid` and `start` mean something; 0: not known (slots.c) */
    _Atomic uint64_t start;           /* of the process, in ticks; 0: not known */
    _Atomic uint64_t charged_bytes;   /* of `used_bytes` */
    _Atomic uint64_t spare_bytes;     /* of `charged_bytes`: in no block, as of the last time the process looked */
    _Atomic uint64_t intent_bytes; /* may be in `used_bytes` and not yet in `charged_bytes`, or the other way round */
    _Atomic uint64_t refusals;
} hri_malloc_slot;

/* Words that all processes change have lines of their own.
 * NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
typedef struct hri_malloc_page {
    uint32_t magic;
    _Atomic uint32_t on_limit;    /* hri_malloc_on_limit */
    _Atomic uint64_t limit_bytes; /* now: less than `most_bytes` while what is around leaves less */
    _Atomic uint64_t most_bytes;
    _Atomic int64_t wait_ns;
    _Alignas(64) _Atomic uint64_t used_bytes;
    _Atomic uint64_t peak_bytes;
    _Alignas(64) _Atomic uint32_t gate; /* a futex: counted up when bytes came back and somebody waits */
    _Atomic uint32_t waiters;
    _Atomic uint32_t shortages; /* counted up when somebody is short: idle pages are wanted back */
    _Atomic uint32_t processes;
    _Atomic uint64_t refusals, waits, foreign; /* refused; had to wait; blocks that came back and are not the heap's */
    hri_malloc_slot slots[HRI_MALLOC_SLOTS];
} hri_malloc_page;

/* A process says this to the supervisor, which answers the first with the page's descriptor. */
typedef enum hri_malloc_word {
    HRI_MALLOC_HELLO, /* a program has begun: it wants the page */
    HRI_MALLOC_ENTER, /* it has taken a slot; a forked child says this alone */
} hri_malloc_word;

typedef struct hri_malloc_message {
    uint32_t magic, word;
    uint64_t token; /* as the environment variable has it: the socket's name is no secret */
    int32_t pid;
    uint32_t slot;
} hri_malloc_message;

/* NAME:TOKEN of the supervisor's socket (abstract), and its token in hexadecimal digits. The name begins with this and
 * the supervisor's number. */
#define HRI_MALLOC_RUN_VARIABLE "HEADROOM_RUN"
#define HRI_MALLOC_RUN_NAME "headroom-malloc-"

#endif
