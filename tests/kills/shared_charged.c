/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: shared memory that was charged by hand counts twice, so that half of the limit is refused.
 *
 *     shared_charged [private]      in 64 MiB
 *
 * 30 MiB are charged by hr_budget_charge() and mapped with MAP_SHARED, or with MAP_PRIVATE. Blocks are taken after
 * that.
 * Right: no kill, and no less than 24 MiB more are granted in both cases.
 */
#include "kills/kills.h"

#define CHARGED (30 * MIB)

int main(int argc, char **argv)
{
    (void)argv;
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    HRT_MUST(hr_budget_charge(budget, CHARGED) == 0);
    int how = argc > 1 ? MAP_PRIVATE : MAP_SHARED;
    void *pages = mmap(NULL, CHARGED, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1, 0);
    HRT_MUST(pages != MAP_FAILED);
    memset(pages, 1, CHARGED);
    hr_guard_check(guard);
    hrt_show(guard, "charged");
    size_t granted = hrt_fill(budget, 100000);
    hrt_show(guard, "filled");
    return hrt_granted(granted, 24 * MIB);
}
