/* SPDX-License-Identifier: Apache-2.0 */
/* Charges through a stock and at the limit, in one thread: for processors and libcs that no unit test runs on here. */
#include <headroom/headroom.h>
#include <stdio.h>

#define LIMIT (1 << 20)

/* 0 if all is exact after many charges that come back in other pieces. */
static int charge_and_give_back(hr_budget *budget)
{
    for (unsigned i = 0; i < 100000; i++) {
        unsigned bytes = 100 + i % 7;
        if (hr_budget_charge(budget, bytes) != 0)
            return 3;
        hr_budget_uncharge(budget, 50);
        hr_budget_uncharge(budget, bytes - 50);
    }
    hr_budget_figures figures;
    if (hr_budget_read(budget, &figures) != 0 || figures.used_bytes != 0 || figures.total_bytes != 10299995)
        return 4;
    if (hr_budget_charge(budget, LIMIT) != 0 || hr_budget_try_charge(budget, 1) == 0)
        return 5;
    hr_budget_uncharge(budget, LIMIT);
    return 0;
}

int main(void)
{
    hr_guard *guard;
    hr_budget *budget;
    hr_guard_options options = {.limit_bytes = 64 * LIMIT, .interval_ns = -1};
    if (hr_guard_new(&options, &guard) != 0)
        return 1;
    if (hr_budget_new(hr_guard_root(guard), "charges", LIMIT, &budget) != 0)
        return 2;
    int result = charge_and_give_back(budget);
    if (result != 0)
        printf("charges are not exact: %d\n", result);
    return hr_budget_free(budget) != 0 || result != 0;
}
