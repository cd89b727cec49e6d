/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wait.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/uncancelled.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

int hri_wait_init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    if (error)
        return -error;
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (!error)
        error = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return -error;
}

int hri_wait_init(pthread_mutex_t *lock, pthread_cond_t *condition)
{
    int error = hri_lock_init(lock);
    if (error)
        return error;
    error = hri_wait_init_condition(condition);
    if (error)
        pthread_mutex_destroy(lock);
    return error;
}

void hri_wait_destroy(pthread_mutex_t *lock, pthread_cond_t *condition)
{
    pthread_cond_destroy(condition);
    pthread_mutex_destroy(lock);
}

void hri_wait_on(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    HRI_UNCANCELLED;
    pthread_cond_wait(condition, lock);
}

int hri_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until)
{
    HRI_UNCANCELLED;
    return pthread_cond_timedwait(condition, lock, until);
}

_Static_assert(sizeof(atomic_int) == 4 && ATOMIC_INT_LOCK_FREE == 2, "the kernel waits on words of 32 bits");

int hri_wait_change(atomic_int *word, int value, const struct timespec *until)
{
    int saved = errno;
    long result = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
    bool late = result != 0 && errno == ETIMEDOUT;
    errno = saved;
    return late ? -ETIMEDOUT : 0;
}

void hri_wait_wake(atomic_int *word)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    errno = saved;
}

struct timespec hri_deadline_after(int64_t timeout_ns)
{
    const int64_t longest_ns = INT64_C(100) * 365 * 86400 * HRI_SECOND / 2;
    if (timeout_ns < 0)
        timeout_ns = 0;
    if (timeout_ns > longest_ns)
        timeout_ns = longest_ns;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanoseconds = until.tv_nsec + timeout_ns % HRI_SECOND;
    until.tv_sec += (time_t)(timeout_ns / HRI_SECOND + nanoseconds / HRI_SECOND);
    until.tv_nsec = (long)(nanoseconds % HRI_SECOND);
    return until;
}
