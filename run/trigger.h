/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks of `headroom run`, and their times: the words of its command line, and the table of triggers. Pure: texts
 * and numbers in, numbers out.
 *
 * A trigger fires when use rises to it, once, and again only after use has fallen below the bound where it is armed
 * anew:
 *
 *     trigger    fires at            is armed anew below
 *     warning    0.80 of the limit   0.75
 *     degraded   0.90                0.80
 *     critical   0.95                0.80
 *     N%, SIZE   that                15/16 of it
 *
 * So use that trembles around a bound fires it once. Levels are those of a guard with the default thresholds.
 */
#ifndef RUN_TRIGGER_H
#define RUN_TRIGGER_H

#include <headroom/base.h>

#include <signal.h>
#include <stddef.h>

typedef enum run_action {
    RUN_LOG,
    RUN_SIGNAL,
    RUN_EXEC,
    RUN_PURGE,
    RUN_FREEZE,
} run_action;

typedef struct run_trigger {
    hr_level level; /* HR_NORMAL: a size or a share */
    double share;   /* of the limit, from 0 to 1; 0: a size */
    uint64_t bytes; /* of the tree */
    run_action action;
    int signal;          /* RUN_SIGNAL */
    const char *command; /* RUN_EXEC: a part of `text` */
    const char *text;    /* LEVEL=ACTION, as it was written */
    bool risen;
} run_trigger;

/* Use, and the limits that it is compared with. */
typedef struct run_use {
    uint64_t use_bytes;   /* by the tree */
    uint64_t limit_bytes; /* of the tree */
    uint64_t left_bytes;  /* until the watch steps in: at the tree's limit or one around it, whichever is nearer */
    double share;         /* of the limit that is nearest to be full */
    uint64_t near_bytes;  /* that limit: `limit_bytes`, or one around */
} run_use;

/* Reads LEVEL=ACTION. `text` has to outlive the trigger. Gives NULL, or a sentence that says how it is wrong. */
const char *run_trigger_parse(const char *text, run_trigger *ret_trigger);

/* Reads "90%": more than 0 and at most 100. Gives false if it is none. */
bool run_share_parse(const char *text, double *ret_share);

/* Reads a time: a number with an optional fraction and ms, s (the default), m or h, at most a year. Gives false if it
 * is none. */
bool run_time_parse(const char *text, int64_t *ret_ns);

/* Reads the name or the number of a signal, with or without SIG. Gives 0 if there is none of that name. */
int run_signal_parse(const char *name);

/* Writes a signal's name: "SIGTERM", or "signal 40". */
#define RUN_SIGNAL_BYTES 24
const char *run_signal_text(int signal, char text[RUN_SIGNAL_BYTES]);

/* Is a signal a request to end? Then the tree is killed after the grace. */
bool run_signal_ends(int signal);

/* Decides whether a trigger fires now, and remembers. */
bool run_trigger_rises(run_trigger *trigger, const run_use *use);

/* The level that follows `level`. */
hr_level run_level_next(hr_level level, double share);

/* Until the next look: as long as the rest of the room takes to fill at 4 GB/s, between 1 and 250 ms. */
#define RUN_POLL_MIN_NS INT64_C(1000000)
#define RUN_POLL_MAX_NS INT64_C(250000000)
int64_t run_poll_ns(uint64_t left_bytes);

/* The default limit: what is left of `bytes` after max(2 %, 2 MiB), and at least half of it. */
uint64_t run_limit_below(uint64_t bytes);

#endif
