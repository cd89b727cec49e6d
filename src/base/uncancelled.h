/* SPDX-License-Identifier: Apache-2.0 */
/* No thread is cancelled in the midst of this library's work: its locks would stay held, its nodes in lists, and what
 * was half done would stay so.
 *
 * A cancellation (pthread_cancel(), deferred) takes effect in calls that may have to wait: open(), read(), poll(),
 * pthread_cond_wait(). Within a scope of this kind it does not; it stays pending, for the first such call after the
 * outermost one. Every call of that kind that we make is in one: they are made by src/os/ and base/wait.c alone, and by
 * a thread that joins another. So is every call of somebody else's code that is made while something of ours is half
 * done. The cancellation points that remain are those that base.h names, and at those nothing is half done.
 *
 * The scopes disable cancellation instead of undoing things when it comes. The undoing would hang on the `cleanup`
 * attribute, which glibc runs when a thread is cancelled, and musl does not. */
#ifndef HRI_BASE_UNCANCELLED_H
#define HRI_BASE_UNCANCELLED_H

#include <pthread.h>

/* Gives what hri_uncancelled_leave() puts back. */
static inline int hri_uncancelled_enter(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void hri_uncancelled_leave(const int *before)
{
    int disabled;
    pthread_setcancelstate(*before, &disabled);
}

/* From here to the end of the block. It costs two calls, so it is for slow paths. */
#define HRI_UNCANCELLED                                                                                                \
    __attribute__((cleanup(hri_uncancelled_leave), unused)) const int uncancelled_ = hri_uncancelled_enter()

#endif
