/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/levels.h"

#include <errno.h>
#include <headroom/guard.h>

static bool is_share(double value)
{
    return value >= 0 && value <= 1; /* false for NaN */
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* The default where it is below `limit`, else as far below it as the defaults of the two are apart. */
static double default_below(double value, double limit, double limit_default)
{
    return value < limit ? value : limit * (value / limit_default);
}

int hri_level_rules_fit(hri_level_rules *rules)
{
    if (!is_share(rules->warn_at) || !is_share(rules->warn_below) || !is_share(rules->degrade_at) ||
        !is_share(rules->critical_at) || !is_share(rules->recover_below))
        return -EINVAL;
    if (rules->degrade_at == 0) {
        double floor = larger(rules->warn_at, larger(rules->recover_below, rules->warn_below));
        double ceiling = rules->critical_at > 0 ? rules->critical_at : 1;
        bool fits = HR_DEGRADE_AT > floor && HR_DEGRADE_AT < ceiling;
        rules->degrade_at =
            fits ? HR_DEGRADE_AT : (larger(floor, ceiling * HR_DEGRADE_AT * HR_DEGRADE_AT) + ceiling) / 2;
    }
    if (rules->warn_at == 0) {
        rules->warn_at =
            HR_WARN_AT <= rules->degrade_at ? HR_WARN_AT : rules->degrade_at * (HR_WARN_AT / HR_DEGRADE_AT);
        if (rules->warn_at <= rules->warn_below)
            rules->warn_at = (rules->warn_below + rules->degrade_at) / 2;
    }
    if (rules->warn_below == 0)
        rules->warn_below = default_below(HR_WARN_BELOW, rules->warn_at, HR_WARN_AT);
    if (rules->critical_at == 0)
        rules->critical_at = (rules->degrade_at + 1) / 2;
    if (rules->recover_below == 0)
        rules->recover_below = default_below(HR_RECOVER_BELOW, rules->degrade_at, HR_DEGRADE_AT);
    bool ordered = rules->warn_below < rules->warn_at && rules->warn_at <= rules->degrade_at &&
                   rules->degrade_at < rules->critical_at && rules->recover_below < rules->degrade_at;
    return ordered ? 0 : -EINVAL;
}

/* The level that one moment calls for, from below. */
static hr_level called_up(const hri_level_rules *rules, const hri_level_input *input)
{
    double use = input->use;
    bool alarm = input->met || (input->relieved && rules->refuse_until_recovered);
    if (use > rules->critical_at || (alarm && use >= rules->recover_below))
        return HR_CRITICAL;
    if (use > rules->degrade_at)
        return HR_DEGRADED;
    return use >= rules->warn_at ? HR_WARNING : HR_NORMAL;
}

/* The level down to which one moment lets go of `level`. */
static hr_level let_down(const hri_level_rules *rules, hr_level level, double use)
{
    if (level >= HR_DEGRADED && use >= rules->recover_below)
        return rules->refuse_until_recovered ? level : HR_DEGRADED;
    if (level == HR_NORMAL || use < rules->warn_below)
        return HR_NORMAL;
    return HR_WARNING;
}

static void settle(hri_level_state *state, hr_level level)
{
    state->level = state->lower = level;
}

/* May the level go down to `down` at once? */
static bool needs_no_dwell(const hri_level_rules *rules, const hri_level_state *state, const hri_level_input *input,
                           hr_level down)
{
    bool rested = !state->fell || input->now_ns - state->fell_ns >= rules->dwell_ns;
    return input->straight || (input->unaided && rested && state->level >= HR_DEGRADED && down < HR_DEGRADED);
}

hr_level hri_level_next(const hri_level_rules *rules, hri_level_state *state, const hri_level_input *input)
{
    hr_level up = called_up(rules, input);
    up = up < input->strain ? input->strain : up;
    if (up > state->level) {
        settle(state, up);
        return state->level;
    }
    hr_level down = let_down(rules, state->level, input->use);
    if (down < up)
        down = up;
    if (down == state->level) {
        settle(state, state->level);
    } else if (state->lower == state->level) {
        state->lower = down;
        state->since_ns = input->now_ns;
    } else if (down > state->lower) {
        state->lower = down;
    }
    if (state->lower == state->level)
        return state->level;
    hr_level from = state->level;
    if (needs_no_dwell(rules, state, input, down))
        settle(state, input->straight ? down : HR_WARNING);
    else if (input->now_ns - state->since_ns >= rules->dwell_ns)
        settle(state, state->lower);
    if (state->level < from && !input->straight) {
        state->fell_ns = input->now_ns;
        state->fell = true;
    }
    if (down < state->level && state->lower == state->level) { /* one way down is done, the next one's dwell begins */
        state->lower = down;
        state->since_ns = input->now_ns;
    }
    return state->level;
}

double hri_level_turns_at(const hri_level_rules *rules, const hri_level_state *state, bool *ret_from)
{
    bool falls = state->lower < state->level;
    *ret_from = state->lower == HR_NORMAL || (falls && state->lower == HR_WARNING);
    switch (state->lower) {
    case HR_NORMAL:
        return falls ? rules->warn_below : rules->warn_at;
    case HR_WARNING:
        return falls ? rules->recover_below : rules->degrade_at;
    case HR_DEGRADED:
        return rules->critical_at;
    default:
        return 2;
    }
}
