/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of descriptors: a new one takes the place of the oldest, which is then closed early.
 * Locking: one mutex over all of it; nothing under it blocks.
 */
#include "linger.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEPT_MAX 64
#define KEEP_S 2
/* What is thrown away of one connection in one sweep. */
#define SWEEP_BYTES (16 * 1024 * 1024)

static struct {
    time_t until;
    int descriptor;
    bool used;
} kept[KEPT_MAX];

static unsigned next;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static time_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

static void release(unsigned i)
{
    if (kept[i].used)
        close(kept[i].descriptor);
    kept[i].used = false;
}

void linger_keep(int connection)
{
    int descriptor = fcntl(connection, F_DUPFD_CLOEXEC, 0);
    if (descriptor < 0)
        return; /* no descriptor left: then it is closed at once */
    pthread_mutex_lock(&lock);
    release(next);
    kept[next].descriptor = descriptor;
    kept[next].until = now_s() + KEEP_S;
    kept[next].used = true;
    next = (next + 1) % KEPT_MAX;
    pthread_mutex_unlock(&lock);
}

/* Returns whether more may come. */
static bool discard(int descriptor)
{
    for (size_t left = SWEEP_BYTES; left > 0;) {
        ssize_t count = recv(descriptor, NULL, left, MSG_TRUNC | MSG_DONTWAIT);
        if (count <= 0)
            return count < 0; /* the end; or nothing for now, and after an error the time runs out */
        left -= (size_t)count;
    }
    return true;
}

void linger_sweep(void)
{
    pthread_mutex_lock(&lock);
    time_t now = now_s();
    for (unsigned i = 0; i < KEPT_MAX; i++)
        if (kept[i].used && (!discard(kept[i].descriptor) || now > kept[i].until))
            release(i);
    pthread_mutex_unlock(&lock);
}

void linger_close_all(void)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < KEPT_MAX; i++)
        release(i);
    pthread_mutex_unlock(&lock);
}
