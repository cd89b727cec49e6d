/* SPDX-License-Identifier: Apache-2.0 */
/* The level table: pure, by numbers and time alone.
 *
 *     level      from                                                    until use has been for dwell_ns
 *     normal
 *     warning    use >= warn_at                                          below warn_below
 *     degraded   use >  degrade_at                                       below recover_below
 *     critical   use >  critical_at, or                                  at most critical_at: degraded
 *                a limit was hit and use is >= recover_below, or         (with refuse_until_recovered: below
 *                refuse_until_recovered: relief has run,                 recover_below)
 *                use >= recover_below
 *     any        the strain calls for it                                 the strain has ended
 *
 * Up at once, by any number of levels. Down after the dwell, to the highest level that was called for during it: so at
 * most one way down per dwell, whatever the input. Degraded is a state to live in: a program whose memory cannot be
 * relieved stays there, and admission sheds by use.
 *
 * The dwell keeps relief from running in circles. Where relief frees nothing it only prolongs the refusals: clients
 * give back their memory, nobody may take it, and the process runs empty. So a guard that nobody aids leaves degraded
 * and critical as soon as use is below recover_below, for warning, which refuses nothing. It does so once a dwell at
 * most: a use that jumps up and down has one way down per dwell there too.
 */
#ifndef HRI_GAUGE_LEVELS_H
#define HRI_GAUGE_LEVELS_H

#include <headroom/base.h>

typedef struct hri_level_rules {
    double warn_at;
    double warn_below;
    double degrade_at;
    double critical_at;
    double recover_below;
    int64_t dwell_ns;
    bool refuse_until_recovered;
} hri_level_rules;

typedef struct hri_level_state {
    hr_level level;
    hr_level lower;   /* the highest level called for since then; == level: none is lower */
    int64_t since_ns; /* since when use has called for a lower level */
    int64_t fell_ns;  /* when the level last went down */
    bool fell;        /* it has gone down before */
} hri_level_state;

/* The figures of one moment. */
typedef struct hri_level_input {
    double use;
    int64_t now_ns;
    bool relieved;   /* relief has just run, and can do no more */
    bool met;        /* a limit has just refused a charge */
    bool unaided;    /* no reclaimer has freed anything since the level rose */
    bool straight;   /* fall without the dwell */
    hr_level strain; /* at least this, whatever is used: see gauge/strain.h */
} hri_level_input;

/* Fits the thresholds that are not given (0) to those that are, by their defaults. Gives 0, or -EINVAL if the given
 * ones contradict each other or are no shares. */
int hri_level_rules_fit(hri_level_rules *rules);

/* Decides the level, and remembers what the next decision needs. */
hr_level hri_level_next(const hri_level_rules *rules, hri_level_state *state, const hri_level_input *input);

/* The use above which the next decision may be another: the level would go up, or its way down would end. Above 1 if
 * there is none. *ret_from: this use itself is such a one. */
double hri_level_turns_at(const hri_level_rules *rules, const hri_level_state *state, bool *ret_from);

#endif
