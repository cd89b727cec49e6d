/* SPDX-License-Identifier: Apache-2.0 */
/* Lets refused clients finish. A client that sends a large body without asking first (Expect: 100-continue) is refused
 * while it sends. If its connection were closed at once, the kernel would reset it for the bytes that nobody read, and
 * the client might never see why. So such connections are kept a little longer, and the bytes that still come are
 * thrown away.
 *
 * They are a ring of descriptors: a new one takes the place of the oldest, which is then closed early.
 * Locking: one mutex over all of it; nothing under it blocks.
 */
#include "store.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEPT_MAX 64
#define KEEP_S 2
/* Bytes that are thrown away of one connection in one sweep. */
#define SWEEP_BYTES (16 * 1024 * 1024)

static struct {
    int descriptor; /* 0: none */
    time_t until_s;
} kept[KEPT_MAX];

static unsigned next;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void linger_keep(int connection)
{
    int descriptor = fcntl(connection, F_DUPFD_CLOEXEC, 3);
    if (descriptor < 0)
        return; /* no descriptor left: then it is closed at once */
    pthread_mutex_lock(&lock);
    if (kept[next].descriptor)
        close(kept[next].descriptor);
    kept[next].descriptor = descriptor;
    kept[next].until_s = time(NULL) + KEEP_S;
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
    for (unsigned i = 0; i < KEPT_MAX; i++) {
        if (kept[i].descriptor && (!discard(kept[i].descriptor) || time(NULL) > kept[i].until_s)) {
            close(kept[i].descriptor);
            kept[i].descriptor = 0;
        }
    }
    pthread_mutex_unlock(&lock);
}
