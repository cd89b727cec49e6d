/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include "base/lock.h"
#include "base/wait.h"

void hri_fork_lock(pthread_mutex_t *lock, hri_fork moment)
{
    switch (moment) {
    case HRI_FORK_BEFORE:
        pthread_mutex_lock(lock);
        break;
    case HRI_FORK_PARENT:
        pthread_mutex_unlock(lock);
        break;
    case HRI_FORK_CHILD:
        hri_lock_init(lock);
        break;
    }
}

void hri_fork_wait(pthread_mutex_t *lock, pthread_cond_t *condition, hri_fork moment)
{
    if (moment == HRI_FORK_CHILD)
        hri_wait_init(lock, condition); /* not destroyed first: that would wait for waiters that are gone */
    else
        hri_fork_lock(lock, moment);
}
