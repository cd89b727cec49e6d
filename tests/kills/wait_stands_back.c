/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a waiter that fits stands back for a larger one that was passed 16 times, and times out. It had no
 * shortage to report, and hr_budget_charge_wait() used one that was never filled in: SIGSEGV.
 *
 *     wait_stands_back
 *
 * Right: -ETIMEDOUT for each waiter that stands back and for the large one.
 */
#include "kills/kills.h"

#define MAY_PASS 16

static hr_budget *budget;
static int large_result;

static void *wait_for_much(void *unused)
{
    large_result = hr_budget_charge_wait(budget, 80, 2 * SECOND);
    return unused;
}

int main(void)
{
    hr_guard *guard;
    pthread_t large;
    int passed = 0;
    HRT_MUST(hr_guard_new(NULL, &guard) == 0);
    HRT_MUST(hr_budget_new(hr_guard_root(guard), "b", 100, &budget) == 0 && hr_budget_charge(budget, 60) == 0);
    HRT_MUST(pthread_create(&large, NULL, wait_for_much, NULL) == 0);
    usleep(100000);
    for (int i = 0; i < MAY_PASS + 4; i++) {
        int error = hr_budget_charge_wait(budget, 10, SECOND / 100);
        if (error == 0) {
            passed++;
            hr_budget_uncharge(budget, 10);
        } else if (error != -ETIMEDOUT) {
            hrt_end(HRT_WRONG, "a small waiter was not told -ETIMEDOUT");
        }
    }
    pthread_join(large, NULL);
    printf("%d passed, large %d\n", passed, large_result);
    return passed == MAY_PASS && large_result == -ETIMEDOUT ? HRT_RIGHT : HRT_WRONG;
}
