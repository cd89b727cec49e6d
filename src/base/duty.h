/* SPDX-License-Identifier: Apache-2.0 */
/* Duties: what rooms below the gauges want done on a guard's monitor thread when its time has come. */
#ifndef HRI_BASE_DUTY_H
#define HRI_BASE_DUTY_H

#include "base/clock.h"
#include "base/fork.h"

#include <headroom/base.h>
#include <pthread.h>

#define HRI_NEVER INT64_MAX

/* A duty's node: the caller's memory. */
typedef struct hri_duty {
    void (*run)(void *context); /* called with no lock held; it sets when it is due again */
    void *context;
    int64_t due_ns; /* under the lock of the duties; HRI_NEVER: not now */
    struct hri_duty *next;
} hri_duty;

typedef struct hri_duties {
    const hri_clock *clock;
    void (*wake)(void *context); /* has hri_duties_run() called soon; takes no lock */
    void *context;

    pthread_mutex_t lock;
    pthread_cond_t done; /* `running` has changed */
    hri_duty *first;
    hri_duty *running;
    int64_t planned_ns; /* when hri_duties_run() will be called at the latest */
} hri_duties;

int hri_duties_init(hri_duties *duties, const hri_clock *clock, void (*wake)(void *context), void *context);
void hri_duties_destroy(hri_duties *duties);
void hri_duties_fork(hri_duties *duties, hri_fork moment);

/* Removing waits for a call that is running; not from that call. */
void hri_duty_add(hri_duties *duties, hri_duty *duty);
void hri_duty_remove(hri_duties *duties, hri_duty *duty);

/* Says when a duty is due. Wakes only if that is sooner than anybody would have come anyway: setting it again and again
 * to later costs nothing. */
void hri_duty_set(hri_duties *duties, hri_duty *duty, int64_t due_ns);

/* Does what is due; gives when the next is. One thread at a time. */
int64_t hri_duties_run(hri_duties *duties);

#endif
