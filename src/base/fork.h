/* SPDX-License-Identifier: Apache-2.0 */
/* What a fork means for locks. Whoever owns one takes it before and gives it back in the parent; in the child, where
 * none of the other threads lives on, it is made anew, and so is its condition, which may remember waiters. */
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

/* Has all rooms' locks taken through forks, from the first call on. Gives 0 or a negative errno; guard_fork.c has it. */
int hri_fork_handle(void);

#endif
