/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a report of a guard that has been through something, for tests of the formats: report FORMAT, a number of
 * hr_format. Budgets have the names that formats find hard. */
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t give(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)deadline_ns;
    hr_budget_uncharge(context, want_bytes);
    return want_bytes;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"plain", "a \"quote\"", "back\\slash", "line\nend",    "=cmd()", "comma, too",
                                        "twin",  "twin",        "twin#2",      "not utf \xff", "größer", ""};
    enum {
        NAMES = sizeof names / sizeof *names,
        MANY = 100
    };
    hr_guard *guard;
    hr_budget *budgets[NAMES + MANY];
    hr_format format = (hr_format)(argc > 1 ? atoi(argv[1]) : 0);
    hr_guard_options options = {.limit_bytes = 100 << 20, .interval_ns = 10000000, .dwell_ns = -1};
    if (hr_guard_new(&options, &guard) != 0)
        return 1;
    for (unsigned i = 0; i < NAMES + MANY; i++) {
        if (hr_budget_new(hr_guard_root(guard), i < NAMES ? names[i] : "many", 50 << 20, &budgets[i]) != 0 ||
            hr_budget_charge(budgets[i], i < NAMES ? (i + 1) * 700000 : 1000) != 0)
            return 1;
    }
    hr_reclaimer reclaimer = {.name = "give", .reclaim = give, .context = budgets[0]};
    if (hr_reclaimer_add(guard, &reclaimer) != 0 || hr_budget_charge(budgets[0], 40 << 20) != 0)
        return 1;
    usleep(1200000); /* more than a second of history */
    hr_guard_check(guard);
    int error = hr_report_write(guard, format, STDOUT_FILENO);
    hr_reclaimer_remove(guard, &reclaimer);
    for (unsigned i = 0; i < NAMES + MANY; i++) {
        hr_budget_figures figures;
        hr_budget_read(budgets[i], &figures);
        hr_budget_uncharge(budgets[i], figures.used_bytes);
        hr_budget_free(budgets[i]);
    }
    hr_guard_free(guard);
    return error ? 1 : 0;
}
