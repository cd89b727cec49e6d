/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of a fork. They are registered before main() by the first block, so they run last before a fork and
 * first after it: the handlers of others may allocate. The child of a vfork() runs none, and needs none: it is a
 * guest in its parent's memory.
 *
 * libc takes the lock of its list of files after these handlers. A thread in fflush(NULL) has that lock and waits for
 * a file, whose thread waits in getline() for a block. So with the heap's lock taken first, all three wait for ever.
 * libc's own malloc is locked behind the list for this reason. Here the list is locked first; its lock is recursive. */
#include "base/fork.h"
#include "heap/heap.h"
#include "malloc/account.h"
#include "malloc/link.h"
#include "malloc/mappings.h"
#include "malloc/within.h"
#include "os/cells.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>

_Thread_local unsigned hri_within_depth;

/* Of glibc, which has no header for them. */
extern __attribute__((weak)) void _IO_list_lock(void);
extern __attribute__((weak)) void _IO_list_unlock(void);
extern __attribute__((weak)) void _IO_list_resetlock(void);

static void list_of_files(hri_fork moment)
{
    void (*const act[])(void) = {
        [HRI_FORK_BEFORE] = _IO_list_lock, [HRI_FORK_PARENT] = _IO_list_unlock, [HRI_FORK_CHILD] = _IO_list_resetlock};
    if (_IO_list_lock && _IO_list_unlock && _IO_list_resetlock)
        act[moment]();
}

/* A signal handler that forks has perhaps interrupted its own thread in the heap. The locks that this thread has stay
 * its own, in the child too, where the interrupted call goes on when the handler returns. So nothing is locked then. */
static __attribute__((tls_model("initial-exec"))) _Thread_local bool interrupted;

static void before(void)
{
    interrupted = hri_within();
    if (interrupted)
        return;
    hri_within_begin();
    list_of_files(HRI_FORK_BEFORE);
    hri_mappings_fork(HRI_FORK_BEFORE);
    hri_heap_fork(HRI_FORK_BEFORE);
    hri_cells_fork(HRI_FORK_BEFORE);
}

static void in_parent(void)
{
    if (interrupted) {
        interrupted = false; /* of the fork that was interrupted, perhaps */
        return;
    }
    hri_cells_fork(HRI_FORK_PARENT);
    hri_heap_fork(HRI_FORK_PARENT);
    hri_mappings_fork(HRI_FORK_PARENT);
    list_of_files(HRI_FORK_PARENT);
    hri_within_end();
}

static void in_child(void)
{
    int saved = errno;
    bool locked = !interrupted;
    interrupted = false;
    if (locked) {
        hri_cells_fork(HRI_FORK_CHILD);
        hri_heap_fork(HRI_FORK_CHILD);
        hri_mappings_fork(HRI_FORK_CHILD);
        list_of_files(HRI_FORK_CHILD);
    }
    hri_account_fork_child();
    hri_link_fork_child();
    if (locked)
        hri_within_end();
    errno = saved;
}

int hri_fork_handle(void)
{
    static atomic_bool handled;
    return atomic_exchange(&handled, true) ? 0 : -pthread_atfork(before, in_parent, in_child);
}
