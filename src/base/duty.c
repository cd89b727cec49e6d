/* SPDX-License-Identifier: Apache-2.0 */
/* A list under a lock, which is let go while a duty runs: `running` keeps its node from being removed meanwhile. A plan
 * stays planned when its duty is put off: the thread that comes then finds nothing to do, and plans anew.
 */
#include "base/duty.h"

#include "base/wait.h"

int hri_duties_init(hri_duties *duties, const hri_clock *clock, void (*wake)(void *context), void *context)
{
    *duties = (hri_duties){.clock = clock, .wake = wake, .context = context, .planned_ns = HRI_NEVER};
    return hri_wait_init(&duties->lock, &duties->done);
}

void hri_duties_destroy(hri_duties *duties)
{
    hri_wait_destroy(&duties->lock, &duties->done);
}

void hri_duties_fork(hri_duties *duties, hri_fork moment)
{
    hri_fork_wait(&duties->lock, &duties->done, moment);
    if (moment == HRI_FORK_CHILD)
        duties->running = NULL; /* its thread stayed with the parent */
}

void hri_duty_add(hri_duties *duties, hri_duty *duty)
{
    pthread_mutex_lock(&duties->lock);
    duty->due_ns = HRI_NEVER;
    duty->next = duties->first;
    duties->first = duty;
    pthread_mutex_unlock(&duties->lock);
}

void hri_duty_remove(hri_duties *duties, hri_duty *duty)
{
    pthread_mutex_lock(&duties->lock);
    while (duties->running == duty)
        hri_wait_on(&duties->done, &duties->lock);
    hri_duty **at = &duties->first;
    while (*at && *at != duty)
        at = &(*at)->next;
    if (*at)
        *at = duty->next;
    pthread_mutex_unlock(&duties->lock);
}

void hri_duty_set(hri_duties *duties, hri_duty *duty, int64_t due_ns)
{
    pthread_mutex_lock(&duties->lock);
    duty->due_ns = due_ns;
    bool sooner = due_ns < duties->planned_ns;
    if (sooner)
        duties->planned_ns = due_ns;
    pthread_mutex_unlock(&duties->lock);
    if (sooner)
        duties->wake(duties->context);
}

static hri_duty *find_due(const hri_duties *duties, int64_t now_ns)
{
    for (hri_duty *duty = duties->first; duty; duty = duty->next)
        if (duty->due_ns <= now_ns)
            return duty;
    return NULL;
}

int64_t hri_duties_run(hri_duties *duties)
{
    int64_t now_ns = hri_clock_now(duties->clock);
    hri_duty *duty;
    pthread_mutex_lock(&duties->lock);
    while ((duty = find_due(duties, now_ns))) {
        duty->due_ns = HRI_NEVER;
        duties->running = duty;
        pthread_mutex_unlock(&duties->lock);
        duty->run(duty->context);
        pthread_mutex_lock(&duties->lock);
        duties->running = NULL;
        pthread_cond_broadcast(&duties->done);
    }
    int64_t next_ns = HRI_NEVER;
    for (duty = duties->first; duty; duty = duty->next)
        next_ns = hri_earlier(next_ns, duty->due_ns);
    duties->planned_ns = next_ns;
    pthread_mutex_unlock(&duties->lock);
    return next_ns;
}
