/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: hr_budget_transfer() between two budgets is refused because the bytes count twice while they move. Their
 * common ancestors hold them throughout, so nothing new is needed.
 *
 *     transfer PERCENT [THREADS]      in 64 MiB
 *
 * PERCENT of the limit is held and touched, and moved to and fro 1,000 times, in one piece or in one part per thread.
 * Right: no refusal.
 */
#include "kills/kills.h"

#define ROUNDS 1000

static hr_budget *budgets[2];
static size_t part;
static atomic_long refused;

static void *move(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        int from = 0;
        if (hr_budget_transfer(budgets[0], budgets[1], part) != 0)
            refused++;
        else
            from = 1;
        if (from && hr_budget_transfer(budgets[1], budgets[0], part) != 0) {
            refused++;
            hrt_end(HRT_REFUSED, "the way back was refused");
        }
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    long count = hrt_number(argc, argv, 2, 1);
    hr_guard *guard = hrt_guard(&budgets[0]);
    hr_figures figures;
    HRT_MUST(hr_budget_new(hr_guard_root(guard), "c", HR_NONE, &budgets[1]) == 0 &&
             hr_guard_read(guard, &figures) == 0);
    part = figures.limit_bytes / 100 * (size_t)hrt_number(argc, argv, 1, 60) / (size_t)count;
    for (long i = 0; i < count; i++) {
        HRT_MUST(hr_budget_charge(budgets[0], part) == 0);
        hrt_own(part);
    }
    hr_guard_check(guard);
    hrt_show(guard, "held");
    hrt_start(threads, count, move);
    hrt_join(threads, count);
    printf("refused %ld of %ld\n", refused, ROUNDS * count);
    return refused ? HRT_REFUSED : HRT_RIGHT;
}
