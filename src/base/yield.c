/* SPDX-License-Identifier: Apache-2.0 */
/* The list is only for what concerns all yielders at once, a fork and the guard's end; whom to ask for memory, when and
 * for how much is relief's business, which has a list of its own.
 */
#include "base/yield.h"

#include "base/lock.h"

int hri_yielders_init(hri_yielders *yielders)
{
    yielders->first = NULL;
    return hri_lock_init(&yielders->lock);
}

void hri_yielders_destroy(hri_yielders *yielders)
{
    pthread_mutex_destroy(&yielders->lock);
}

int hri_yielders_add(hri_yielders *yielders, hri_yielder *yielder)
{
    int error = yielders->connect(yielders->context, yielder);
    if (error)
        return error;
    pthread_mutex_lock(&yielders->lock);
    yielder->next = yielders->first;
    yielders->first = yielder;
    pthread_mutex_unlock(&yielders->lock);
    return 0;
}

void hri_yielders_remove(hri_yielders *yielders, hri_yielder *yielder)
{
    yielders->disconnect(yielders->context, yielder);
    pthread_mutex_lock(&yielders->lock);
    hri_yielder **at = &yielders->first;
    while (*at != yielder)
        at = &(*at)->next;
    *at = yielder->next;
    pthread_mutex_unlock(&yielders->lock);
}

void hri_yielders_each(hri_yielders *yielders, const hri_yielder_kind *kind, hri_figures_visit *visit, void *visitor)
{
    pthread_mutex_lock(&yielders->lock);
    for (hri_yielder *yielder = yielders->first; yielder; yielder = yielder->next) {
        uint64_t values[HRI_FIGURES_MAX];
        if (yielder->kind != kind)
            continue;
        kind->read(yielder->context, values);
        visit(visitor, yielder->name, values);
    }
    pthread_mutex_unlock(&yielders->lock);
}

const char *hri_yielders_left(hri_yielders *yielders)
{
    pthread_mutex_lock(&yielders->lock);
    const char *name = yielders->first ? yielders->first->name : NULL;
    pthread_mutex_unlock(&yielders->lock);
    return name;
}

void hri_yielders_follow(hri_yielders *yielders, hr_level level)
{
    pthread_mutex_lock(&yielders->lock);
    for (hri_yielder *yielder = yielders->first; yielder; yielder = yielder->next)
        if (yielder->level)
            yielder->level(yielder->context, level);
    pthread_mutex_unlock(&yielders->lock);
}

void hri_yielders_fork(hri_yielders *yielders, hri_fork moment)
{
    if (moment == HRI_FORK_BEFORE)
        hri_fork_lock(&yielders->lock, moment);
    for (hri_yielder *yielder = yielders->first; yielder; yielder = yielder->next)
        if (yielder->fork)
            yielder->fork(yielder->context, moment);
    if (moment != HRI_FORK_BEFORE)
        hri_fork_lock(&yielders->lock, moment);
}
