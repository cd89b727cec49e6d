/* SPDX-License-Identifier: Apache-2.0 */
/* The locks of this library. They are held for less than a microsecond as a rule: who finds one taken looks at it some
 * more times before going to sleep, which would take him longer than the wait. */
#ifndef HRI_BASE_LOCK_H
#define HRI_BASE_LOCK_H

#include <pthread.h>

/* Gives 0 or a negative errno. */
int hri_lock_init(pthread_mutex_t *lock);

#endif
