/* SPDX-License-Identifier: Apache-2.0 */
/* Locking: none, that is its purpose. A thread that is inside is not kept out by its own signal handlers' calls: the
 * fork that waits for it waits for them.
 */
#include "budget/gate.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/uncancelled.h"
#include "budget/section.h"
#include "os/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#define PATIENCE_NS (100 * HRI_MILLISECOND)
#define NAP_NS (20 * HRI_MICROSECOND)

static atomic_uint admitted; /* calls that are inside, or look whether they may be */
static atomic_uint forks;    /* under way */
static atomic_uint begun;    /* forks, ever */

static __attribute__((tls_model("initial-exec"))) _Thread_local unsigned inside; /* calls of this thread */
static
    __attribute__((tls_model("initial-exec"))) _Thread_local unsigned waited; /* `begun` when it last lost patience */

static void nap(void)
{
    HRI_UNCANCELLED;
    int saved = errno;
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    errno = saved;
}

bool hri_gate_try_enter(void)
{
    atomic_fetch_add(&admitted, 1);
    if (inside == 0 && atomic_load(&forks) > 0) {
        atomic_fetch_sub(&admitted, 1);
        return false;
    }
    inside++;
    return true;
}

bool hri_gate_enter(void)
{
    if (hri_gate_try_enter())
        return true;
    int64_t since_ns = hri_clock_now(&hri_os_clock);
    while (waited != atomic_load(&begun)) {
        nap();
        if (hri_gate_try_enter())
            return true;
        if (hri_clock_now(&hri_os_clock) - since_ns >= PATIENCE_NS)
            waited = atomic_load(&begun);
    }
    return false;
}

void hri_gate_leave(void)
{
    HRI_ASSERT(inside > 0);
    inside--;
    atomic_fetch_sub(&admitted, 1);
}

/* The thread that forks is in a section meanwhile: its own signal handlers need not wait to learn that. */
void hri_gate_fork(hri_fork moment)
{
    switch (moment) {
    case HRI_FORK_BEFORE:
        hri_inner_begin();
        atomic_fetch_add(&begun, 1);
        atomic_fetch_add(&forks, 1);
        while (atomic_load(&admitted) != inside)
            nap();
        break;
    case HRI_FORK_PARENT:
        atomic_fetch_sub(&forks, 1);
        hri_inner_end();
        break;
    case HRI_FORK_CHILD: /* this thread alone lives here */
        atomic_store(&forks, 0);
        atomic_store(&admitted, inside);
        hri_inner_end();
        break;
    }
}
