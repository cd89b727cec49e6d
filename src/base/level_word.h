/* SPDX-License-Identifier: Apache-2.0 */
/* The level as one word that any room may read and wait on, without seeing who decides it. It has no lock: a signal
 * handler that charges may change it, and must not wait for a thread that waits here. */
#ifndef HRI_BASE_LEVEL_WORD_H
#define HRI_BASE_LEVEL_WORD_H

#include <headroom/base.h>
#include <stdatomic.h>

typedef struct hri_level_word {
    atomic_int level; /* and what the kernel lets threads sleep on */
} hri_level_word;

static inline hr_level hri_level_word_get(const hri_level_word *word)
{
    return (hr_level)atomic_load_explicit(&word->level, memory_order_relaxed);
}

/* Sets the level and wakes who waits for it. */
void hri_level_word_set(hri_level_word *word, hr_level level);

/* Waits until the level is `at_most` or lower, `timeout_ns` at the longest. Gives 0 or -ETIMEDOUT. */
int hri_level_word_wait(hri_level_word *word, hr_level at_most, int64_t timeout_ns);

#endif
