/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: hr_budget_try_charge() in a signal handler deadlocks with hr_budget_free() of another thread. The handler
 * interrupted malloc() with an arena's lock held and waited for the tree's lock. hr_budget_free() called free() with
 * the tree's lock held, and waited for the arena's lock.
 *
 *     signal_free SECONDS
 *
 * Right: budgets are made and freed all the time. Nothing of malloc's is called while a lock of the library is held.
 */
#include "kills/signals.h"

#include <malloc.h>

static void *free_often(void *unused)
{
    char name[3000];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    for (;; rounds++) {
        hr_budget *local;
        if (hr_budget_new(budget, name, HR_NONE, &local) == 0)
            hr_budget_free(local);
    }
    return unused;
}

int main(int argc, char **argv)
{
    mallopt(M_ARENA_MAX, 1); /* so that both threads want the same lock */
    hrt_guard(&budget);
    hrt_interrupt(free_often, hrt_number(argc, argv, 1, 20));
}
