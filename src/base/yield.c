/* SPDX-License-Identifier: Apache-2.0 */
/* The list is only for what concerns all yielders at once: a level, a fork and the guard's end. Relief has a list of
 * its own, and decides whom to ask for memory, when and for how much.
 *
 * Following a level may run the user's callbacks, which may make and free pools or read a report: the lock is not held
 * meanwhile. The next yielder is found by the order of the one before, since the list may change; and who removes one
 * waits for the calls of it that are running.
 */
#include "base/yield.h"

#include "base/checked.h"
#include "base/uncancelled.h"
#include "base/wait.h"

int hri_yielders_init(hri_yielders *yielders)
{
    yielders->first = NULL;
    yielders->calls = NULL;
    yielders->next_order = 1;
    return hri_wait_init(&yielders->lock, &yielders->returned);
}

void hri_yielders_destroy(hri_yielders *yielders)
{
    hri_wait_destroy(&yielders->lock, &yielders->returned);
}

int hri_yielders_add(hri_yielders *yielders, hri_yielder *yielder)
{
    int error = yielders->connect(yielders->context, yielder);
    if (error)
        return error;
    pthread_mutex_lock(&yielders->lock);
    yielder->order = yielders->next_order++;
    yielder->next = yielders->first;
    yielders->first = yielder;
    pthread_mutex_unlock(&yielders->lock);
    return 0;
}

static bool is_called_elsewhere(const hri_yielders *yielders, const hri_yielder *yielder)
{
    const hri_yielder_call *call = yielders->calls;
    while (call && (call->yielder != yielder || pthread_equal(call->thread, pthread_self())))
        call = call->next;
    return call != NULL;
}

void hri_yielders_remove(hri_yielders *yielders, hri_yielder *yielder)
{
    yielders->disconnect(yielders->context, yielder);
    pthread_mutex_lock(&yielders->lock);
    hri_yielder **at = &yielders->first;
    while (*at != yielder)
        at = &(*at)->next;
    *at = yielder->next;
    while (is_called_elsewhere(yielders, yielder))
        hri_wait_on(&yielders->returned, &yielders->lock);
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

uint64_t hri_yielders_spare(hri_yielders *yielders, bool (*is_inside)(const hr_budget *budget, const hr_budget *top),
                            const hr_budget *top)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&yielders->lock);
    for (hri_yielder *yielder = yielders->first; yielder; yielder = yielder->next)
        if (yielder->spare && is_inside(yielder->budget, top))
            bytes = hri_add(bytes, yielder->spare(yielder->context));
    pthread_mutex_unlock(&yielders->lock);
    return bytes;
}

const char *hri_yielders_left(hri_yielders *yielders)
{
    pthread_mutex_lock(&yielders->lock);
    const char *name = yielders->first ? yielders->first->name : NULL;
    pthread_mutex_unlock(&yielders->lock);
    return name;
}

/* Calls a yielder's level() with the lock given back meanwhile; it may be gone after that. */
static void call_one(hri_yielders *yielders, hri_yielder *yielder, hr_level level, bool changed)
{
    HRI_UNCANCELLED;
    hri_yielder_call call = {.yielder = yielder, .thread = pthread_self(), .next = yielders->calls};
    yielders->calls = &call;
    pthread_mutex_unlock(&yielders->lock);
    yielder->level(yielder->context, level, changed);
    pthread_mutex_lock(&yielders->lock);
    hri_yielder_call **at = &yielders->calls;
    while (*at != &call)
        at = &(*at)->next;
    *at = call.next;
    pthread_cond_broadcast(&yielders->returned);
}

void hri_yielders_follow(hri_yielders *yielders, hr_level level, bool changed)
{
    pthread_mutex_lock(&yielders->lock);
    uint64_t order = yielders->next_order;
    hri_yielder *yielder;
    do {
        yielder = yielders->first;
        while (yielder && (yielder->order >= order || !yielder->level))
            yielder = yielder->next;
        if (yielder) {
            order = yielder->order;
            call_one(yielders, yielder, level, changed);
        }
    } while (yielder);
    pthread_mutex_unlock(&yielders->lock);
}

/* Of calls that were running only those of the thread that forked go on in the child. */
static void forget_calls(hri_yielders *yielders)
{
    for (hri_yielder_call **at = &yielders->calls; *at;) {
        if (pthread_equal((*at)->thread, pthread_self()))
            at = &(*at)->next;
        else
            *at = (*at)->next;
    }
}

void hri_yielders_fork(hri_yielders *yielders, hri_fork moment)
{
    if (moment == HRI_FORK_BEFORE)
        hri_fork_wait(&yielders->lock, &yielders->returned, moment);
    for (hri_yielder *yielder = yielders->first; yielder; yielder = yielder->next)
        if (yielder->fork)
            yielder->fork(yielder->context, moment);
    if (moment == HRI_FORK_CHILD)
        forget_calls(yielders);
    if (moment != HRI_FORK_BEFORE)
        hri_fork_wait(&yielders->lock, &yielders->returned, moment);
}
