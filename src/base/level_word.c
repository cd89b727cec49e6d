/* SPDX-License-Identifier: Apache-2.0 */
/* Setting happens under the lock, so that a waiter that has looked and not yet slept cannot miss the change. */
#include "base/level_word.h"

#include "base/wait.h"

#include <errno.h>

int hri_level_word_init(hri_level_word *word)
{
    atomic_init(&word->level, HR_NORMAL);
    return hri_wait_init(&word->lock, &word->changed);
}

void hri_level_word_destroy(hri_level_word *word)
{
    hri_wait_destroy(&word->lock, &word->changed);
}

void hri_level_word_set(hri_level_word *word, hr_level level)
{
    pthread_mutex_lock(&word->lock);
    atomic_store_explicit(&word->level, (int)level, memory_order_relaxed);
    pthread_cond_broadcast(&word->changed);
    pthread_mutex_unlock(&word->lock);
}

int hri_level_word_wait(hri_level_word *word, hr_level at_most, int64_t timeout_ns)
{
    struct timespec until = hri_deadline_after(timeout_ns);
    int error = 0;
    pthread_mutex_lock(&word->lock);
    while (!error && hri_level_word_get(word) > at_most)
        error = hri_wait_until(&word->changed, &word->lock, &until);
    bool reached = hri_level_word_get(word) <= at_most;
    pthread_mutex_unlock(&word->lock);
    return reached ? 0 : -ETIMEDOUT;
}

const char *hr_level_text(hr_level level)
{
    static const char *const names[] = {"normal", "warning", "degraded", "critical"};
    return (unsigned)level <= HR_CRITICAL ? names[level] : "unknown";
}
