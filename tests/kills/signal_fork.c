/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: hr_budget_try_charge() in a signal handler deadlocks with a fork() of another thread. The handler
 * interrupted malloc(), which holds an arena's lock, and waited for the tree's lock. The forking thread held the
 * tree's lock by our handler of fork(), and waited in glibc for the arena's lock.
 *
 *     signal_fork SECONDS
 *
 * Right: forks go on. A charge in a handler never waits: it is -EAGAIN if the lock is taken.
 */
#include "kills/signals.h"

#include <sys/wait.h>

static void *fork_often(void *unused)
{
    for (;; rounds++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    return unused;
}

int main(int argc, char **argv)
{
    hrt_guard(&budget);
    hrt_interrupt(fork_often, hrt_number(argc, argv, 1, 20));
}
