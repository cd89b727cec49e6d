/* SPDX-License-Identifier: Apache-2.0 */
#include "base/level_word.h"

#include "base/wait.h"

#include <errno.h>

void hri_level_word_set(hri_level_word *word, hr_level level)
{
    atomic_store_explicit(&word->level, (int)level, memory_order_release);
    hri_wait_wake(&word->level);
}

int hri_level_word_wait(hri_level_word *word, hr_level at_most, int64_t timeout_ns)
{
    struct timespec until = hri_deadline_after(timeout_ns);
    int level = atomic_load_explicit(&word->level, memory_order_acquire);
    for (int error = 0; level > (int)at_most && error != -ETIMEDOUT;) {
        error = hri_wait_change(&word->level, level, &until);
        level = atomic_load_explicit(&word->level, memory_order_acquire);
    }
    return level <= (int)at_most ? 0 : -ETIMEDOUT;
}

const char *hr_level_text(hr_level level)
{
    static const char *const names[] = {"normal", "warning", "degraded", "critical"};
    return (unsigned)level <= HR_CRITICAL ? names[level] : "unknown";
}
