/* SPDX-License-Identifier: Apache-2.0 */
/* Locking: one lock for the lists of all kinds, a leaf. */
#include "pool/handle.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Is this code built with AddressSanitizer? */
#if defined(__SANITIZE_ADDRESS__)
#define WATCHED 1
#elif defined(__has_feature)
#define WATCHED __has_feature(address_sanitizer)
#else
#define WATCHED 0
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static hri_handle *handle_of(const hri_handles *kind, void *pool)
{
    return (hri_handle *)(void *)((char *)pool + kind->offset);
}

static void *take_free(hri_handles *kind)
{
#ifdef HRI_DEBUG
    (void)kind;
    return NULL;
#else
    pthread_mutex_lock(&lock);
    void *pool = kind->first;
    if (pool)
        kind->first = handle_of(kind, pool)->next;
    pthread_mutex_unlock(&lock);
    return pool;
#endif
}

void *hri_handle_take(hri_handles *kind)
{
    void *pool = take_free(kind);
    if (!pool)
        pool = calloc(1, kind->size);
    if (!pool)
        return NULL;
    hri_handle *handle = handle_of(kind, pool);
    handle->next = NULL;
    atomic_store_explicit(&handle->open, true, memory_order_relaxed);
    return pool;
}

void hri_handle_give(hri_handles *kind, void *pool)
{
#if WATCHED
    free(pool);
    return;
#endif
    memset(pool, 0, kind->size);
    pthread_mutex_lock(&lock);
    handle_of(kind, pool)->next = kind->first;
    kind->first = pool;
    pthread_mutex_unlock(&lock);
}

void hri_handles_fork(hri_fork moment)
{
    hri_fork_lock(&lock, moment);
}
