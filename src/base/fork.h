/* SPDX-License-Identifier: Apache-2.0 */
/* Locks across a fork. The thread that forks takes each lock before, and gives it back in the parent and in
 * the child. A condition is made anew in the child, since it may remember waiters that do not live there. */
#ifndef HRI_BASE_FORK_H
#define HRI_BASE_FORK_H

#include <pthread.h>

typedef enum hri_fork {
    HRI_FORK_BEFORE,
    HRI_FORK_PARENT,
    HRI_FORK_CHILD,
} hri_fork;

void hri_fork_lock(pthread_mutex_t *lock, hri_fork moment);

/* A lock with its condition, as hri_wait_init() makes them. */
void hri_fork_wait(pthread_mutex_t *lock, pthread_cond_t *condition, hri_fork moment);

/* Has all rooms' locks taken through forks, from the first call on. Gives 0 or a negative errno; guard/fork.c has
 * it. */
int hri_fork_handle(void);

#endif
