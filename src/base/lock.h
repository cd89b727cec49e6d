/* SPDX-License-Identifier: Apache-2.0 */
/* The locks of this library. As a rule they are held for less than a microsecond. A thread that finds one taken looks
 * at it some more times before it goes to sleep, which would take longer than the wait.
 *
 * Some of them are *inner* locks: a charge may need them, and a charge may be made in a signal handler. So there are
 * two rules for them:
 *
 *  - A thread that holds one says so to its own handlers, which could wait for it for ever. They find `hri_inner_depth`
 *    above 0 and do not come in.
 *  - Nothing of malloc()'s is called while one is held. A handler of another thread may have interrupted malloc(), and
 *    wait for the lock. tests/support/fault.c aborts a test that breaks this; tests/style/calls.sh knows all that is
 *    called.
 */
#ifndef HRI_BASE_LOCK_H
#define HRI_BASE_LOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Gives 0 or a negative errno. */
int hri_lock_init(pthread_mutex_t *lock);

/* How many inner locks this thread holds, or is about to. */
extern __attribute__((visibility("hidden"), tls_model("initial-exec"))) _Thread_local unsigned hri_inner_depth;

/* Around the time in which an inner lock is held that is no mutex. */
static inline void hri_inner_begin(void)
{
    hri_inner_depth++;
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void hri_inner_end(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    hri_inner_depth--;
}

static inline void hri_inner_lock(pthread_mutex_t *lock)
{
    hri_inner_begin();
    pthread_mutex_lock(lock);
}

static inline bool hri_inner_try_lock(pthread_mutex_t *lock)
{
    hri_inner_begin();
    bool locked = pthread_mutex_trylock(lock) == 0;
    if (!locked)
        hri_inner_end();
    return locked;
}

static inline void hri_inner_unlock(pthread_mutex_t *lock)
{
    pthread_mutex_unlock(lock);
    hri_inner_end();
}

#endif
