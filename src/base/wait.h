/* SPDX-License-Identifier: Apache-2.0 */
/* Condition variables on the monotonic clock: a change of the wall clock must not lengthen a wait. */
#ifndef HRI_BASE_WAIT_H
#define HRI_BASE_WAIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* Makes a lock and a condition to wait for under it. Gives 0 or a negative errno, and then neither is made. */
int hri_wait_init(pthread_mutex_t *lock, pthread_cond_t *condition);
int hri_wait_init_condition(pthread_cond_t *condition); /* the condition alone */
void hri_wait_destroy(pthread_mutex_t *lock, pthread_cond_t *condition);

/* As pthread_cond_wait() and pthread_cond_timedwait(), but no cancellation points (uncancelled.h). */
void hri_wait_on(pthread_cond_t *condition, pthread_mutex_t *lock);
int hri_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until);

/* Waits without a lock until the word is another than `value`, or until then. Gives 0, even where it has looked too
 * early, or -ETIMEDOUT. hri_wait_wake() wakes all that wait, after a change; signal handlers may. */
int hri_wait_change(atomic_int *word, int value, const struct timespec *until);
void hri_wait_wake(atomic_int *word);

/* The instant `timeout_ns` from now, as pthread_cond_timedwait() wants it; waits beyond 100 years are that long. */
struct timespec hri_deadline_after(int64_t timeout_ns);

#endif
