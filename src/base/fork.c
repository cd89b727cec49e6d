/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include "base/wait.h"

void hri_fork_lock(pthread_mutex_t *lock, hri_fork moment)
{
    switch (moment) {
    case HRI_FORK_BEFORE:
        pthread_mutex_lock(lock);
        break;
    case HRI_FORK_PARENT:
    case HRI_FORK_CHILD: /* the thread that took it is the one that lives on */
        pthread_mutex_unlock(lock);
        break;
    }
}

void hri_fork_wait(pthread_mutex_t *lock, pthread_cond_t *condition, hri_fork moment)
{
    hri_fork_lock(lock, moment);
    if (moment == HRI_FORK_CHILD)
        hri_wait_init(lock, condition); /* not destroyed first: that would wait for waiters that are gone */
}
