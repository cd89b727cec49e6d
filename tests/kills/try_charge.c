/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: hr_budget_try_charge() of 128 KiB and more refuses while nearly everything is free. It left the reading
 * to a thread that was reading already, judged by an old figure, and did not read again.
 *
 *     try_charge THREADS KIB PAUSE_US SECONDS [HELD_PERCENT]      in 64 MiB
 *
 * THREADS threads charge KIB each and give it back at once, with pauses of PAUSE_US on average. HELD_PERCENT of the
 * limit are held and touched meanwhile.
 * Right: no refusal. The bytes are there.
 */
#include "kills/kills.h"

static hr_budget *budget;
static atomic_bool stop;
static atomic_long granted, refused;
static size_t size;
static uint64_t pause_us;

static void *charge(void *number)
{
    uint64_t state = hrt_seeded(1, (uintptr_t)number);
    while (!stop) {
        if (hr_budget_try_charge(budget, size) == 0) {
            granted++;
            hr_budget_uncharge(budget, size);
        } else {
            refused++;
        }
        if (pause_us)
            usleep((useconds_t)hrt_below(&state, 2 * pause_us));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    long count = hrt_number(argc, argv, 1, 2), seconds = hrt_number(argc, argv, 4, 2);
    size = (size_t)hrt_number(argc, argv, 2, 1024) * KIB;
    pause_us = (uint64_t)hrt_number(argc, argv, 3, 0);
    hr_guard *guard = hrt_guard(&budget);
    hr_figures figures;
    HRT_MUST(hr_guard_read(guard, &figures) == 0);
    size_t held = figures.limit_bytes / 100 * (size_t)hrt_number(argc, argv, 5, 0);
    if (held) {
        HRT_MUST(hr_budget_charge(budget, held) == 0);
        hrt_own(held);
        hr_guard_check(guard);
    }
    hrt_start(threads, count, charge);
    usleep((useconds_t)seconds * 1000000);
    stop = true;
    hrt_join(threads, count);
    hrt_show(guard, "end");
    printf("granted %ld, refused %ld\n", granted, refused);
    return granted > 0 && refused == 0 ? HRT_RIGHT : HRT_REFUSED;
}
