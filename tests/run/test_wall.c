/* SPDX-License-Identifier: Apache-2.0 */
/* How far below a limit memory.high has to be. Walls themselves are tried by tests/cli/run_*.sh and tests/vm. */
#include "support/cmocka.h"

#include "run/wall.h"

#define MIB (UINT64_C(1) << 20)

/* The milliseconds that the kernel makes a process sleep while it grows from `high` to `limit`, 64 pages at a time. See
 * calculate_overage() and calculate_high_delay() in mm/memcontrol.c; here with 250 ticks a second. */
static uint64_t slowed_ms(uint64_t high, uint64_t limit)
{
    uint64_t ticks = 0;
    for (uint64_t use = high; use < limit; use += 64 * 4096) {
        uint64_t overage = ((use - high) << 20) / high, delay = overage * overage * 250 >> 20 >> 14;
        if (delay > 2)
            ticks += delay > 500 ? 500 : delay;
    }
    return ticks * 4;
}

static void from_the_wall_to_the_limit_it_takes_a_second(void **state)
{
    (void)state;
    for (uint64_t limit = 16 * MIB; limit <= UINT64_C(1) << 40; limit *= 2) {
        uint64_t below = run_wall_distance(limit);
        assert_true(slowed_ms(limit - below, limit) >= 700); /* a second, less what the kernel rounds down */
        assert_true(below <= limit / 8);
    }
    assert_true(slowed_ms(98 * MIB, 100 * MIB) < 100); /* where it stood before */
}

static void a_large_limit_loses_little(void **state)
{
    (void)state;
    assert_true(run_wall_distance(100 * MIB) < 5 * MIB);
    assert_true(run_wall_distance(1024 * MIB) < 28 * MIB);
    assert_true(run_wall_distance(16384 * MIB) < 260 * MIB);
    assert_true(run_wall_distance(0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_the_wall_to_the_limit_it_takes_a_second),
        cmocka_unit_test(a_large_limit_loses_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
