/* SPDX-License-Identifier: Apache-2.0 */
/* Charges through a stock and at the limit, and blocks through magazines, in one thread: for processors and libcs that
 * no unit test runs on here. */
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

#define BLOCKS 300
#define ROUNDS 100

/* 0 if each block had one user at a time, and all were counted. */
static int take_and_put_blocks(hr_guard *guard)
{
    static unsigned *blocks[BLOCKS];
    hr_object_pool *pool;
    if (hr_object_pool_new(guard, &(hr_object_pool_options){.size = 64}, &pool) != 0)
        return 6;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            if ((blocks[i] = hr_object_pool_get(pool)) == NULL)
                return 7;
            *blocks[i] = i;
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            if (*blocks[i] != i)
                return 8;
            hr_object_pool_put(pool, blocks[i]);
        }
    }
    hr_pool_figures figures;
    if (hr_object_pool_read(pool, &figures) != 0 || figures.in_use != 0 || figures.idle != BLOCKS)
        return 9;
    if (figures.misses != BLOCKS || figures.hits + figures.misses != BLOCKS * ROUNDS)
        return 10;
    return hr_object_pool_free(pool) != 0 ? 11 : 0;
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
    if (result == 0)
        result = take_and_put_blocks(guard);
    if (result != 0)
        printf("charges or blocks are not exact: %d\n", result);
    return hr_budget_free(budget) != 0 || result != 0;
}
