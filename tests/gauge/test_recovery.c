/* SPDX-License-Identifier: Apache-2.0 */
/* A property: a guard with any legal set of thresholds recovers from any state. */
#include "support/cmocka.h"

#include "base/clock.h"
#include "gauge/levels.h"

#include <stdlib.h>

#define SETS 100000

static unsigned short seed[3] = {17, 4711, 42};

/* Not given, or any share; near the ends and near each other more often than not. */
static double any_share(double near)
{
    switch (nrand48(seed) % 4) {
    case 0:
        return 0;
    case 1:
        return near + (erand48(seed) - 0.5) * 0.01;
    default:
        return erand48(seed);
    }
}

/* Draws until a set is legal; gives how many were not. */
static unsigned draw(hri_level_rules *rules)
{
    for (unsigned refused = 0;; refused++) {
        double near = erand48(seed);
        *rules = (hri_level_rules){
            .warn_at = any_share(near),
            .warn_below = any_share(near),
            .degrade_at = any_share(near),
            .critical_at = any_share(near),
            .recover_below = any_share(near),
            .dwell_ns = nrand48(seed) % 3 ? nrand48(seed) : -1,
            .refuse_until_recovered = nrand48(seed) % 2,
        };
        if (hri_level_rules_fit(rules) == 0)
            return refused;
    }
}

/* Anything that can happen, for a while. */
static void wear(const hri_level_rules *rules, hri_level_state *state, int64_t *now_ns)
{
    for (long steps = nrand48(seed) % 8; steps >= 0; steps--) {
        *now_ns += nrand48(seed);
        hri_level_next(rules, state,
                       &(hri_level_input){
                           .use = erand48(seed) * 1.5,
                           .now_ns = *now_ns,
                           .relieved = nrand48(seed) % 2,
                           .met = nrand48(seed) % 2,
                           .straight = nrand48(seed) % 2,
                           .strain = (hr_level)(nrand48(seed) % 4),
                       });
    }
}

/* Use that relief aims at, and no more of anything: the level is normal after two dwells, one for each way down. */
static void any_legal_set_recovers_from_any_state(void **state)
{
    (void)state;
    unsigned refused = 0;
    for (unsigned i = 0; i < SETS; i++) {
        hri_level_rules rules;
        hri_level_state level = {0};
        int64_t now_ns = HRI_SECOND;
        refused += draw(&rules);
        wear(&rules, &level, &now_ns);
        double low = rules.recover_below < rules.warn_below ? rules.recover_below : rules.warn_below;
        hri_level_input input = {.use = low * 0.999, .now_ns = now_ns};
        for (int looks = 0; looks < 4; looks++) {
            hri_level_next(&rules, &level, &input);
            input.now_ns += rules.dwell_ns > 0 ? rules.dwell_ns : 1;
        }
        if (level.level != HR_NORMAL)
            fail_msg("set %u stays at %s: %g %g %g %g %g", i, hr_level_text(level.level), rules.warn_at,
                     rules.warn_below, rules.degrade_at, rules.critical_at, rules.recover_below);
        wear(&rules, &level, &now_ns);
        input = (hri_level_input){.use = 0, .now_ns = input.now_ns + now_ns, .straight = true};
        assert_int_equal(hri_level_next(&rules, &level, &input), HR_NORMAL); /* a check falls at once */
    }
    assert_true(refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_legal_set_recovers_from_any_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
