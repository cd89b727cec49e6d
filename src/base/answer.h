/* SPDX-License-Identifier: Apache-2.0 */
/* The answers of callbacks: 0 or a negative errno. Anything else is not an answer, and is taken for -EINVAL. */
#ifndef HRI_BASE_ANSWER_H
#define HRI_BASE_ANSWER_H

#include <errno.h>
#include <sys/types.h>

#define HRI_ERRNO_MAX 4095

static inline int hri_answer(ssize_t answer)
{
    return answer > 0 || answer < -HRI_ERRNO_MAX ? -EINVAL : (int)answer;
}

#endif
