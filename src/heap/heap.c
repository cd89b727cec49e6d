/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the whole heap: its lock, figures, trims, rest, fork.
 *
 * Locking: one lock guards segments, spans, the depot and the cells. It is a leaf, except for the locks of os/cells and
 * of the list of lazy blocks. The kernel commits and decommits pages without it: such a time is *busy*, and the pages
 * belong to the thread that is. The hooks are called with no lock, and outside of busy times, since they may wait for
 * other threads.
 */
#include "heap/heap.h"

#include "base/assert.h"
#include "base/checked.h"
#include "base/lock.h"
#include "heap/commit.h"
#include "heap/large.h"
#include "heap/pooled.h"
#include "heap/span.h"
#include "os/rseq.h"

#include <time.h>

#define IDLE_REST ((uint64_t)2 << 20)

#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP /* glibc: a thread that finds it taken looks again some times */
static pthread_mutex_t lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
#else
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
#endif
unsigned hri_heap_busy;
static bool fork_waits; /* for the end of busy times: no other begins. Else threads in turn would keep it waiting */
static _Atomic bool begun;

/* Is this thread in here? A signal handler of it that comes in too would never get out. */
static __attribute__((tls_model("initial-exec"))) _Thread_local bool inside;

void hri_heap_lock(void)
{
#ifdef HRI_DEBUG
    if (inside)
        hri_fault("a signal handler allocates or frees a block, which it must not");
#endif
    inside = true;
    hri_inner_lock(&lock);
}

void hri_heap_unlock(void)
{
    hri_inner_unlock(&lock);
    inside = false;
}

bool hri_heap_is_inside(void)
{
    return inside;
}

/* Threads that only yield take the lock in turns, and the one that is busy does not come to its end for seconds. */
static void pause_for_others(void)
{
    const struct timespec time = {.tv_nsec = 20000};
    nanosleep(&time, NULL);
}

void hri_heap_lock_to_be_busy(void)
{
    hri_heap_lock();
    while (fork_waits) {
        hri_heap_unlock();
        pause_for_others();
        hri_heap_lock();
    }
}

void hri_heap_busy_begin(void)
{
    hri_heap_lock_to_be_busy();
    hri_heap_busy++;
    hri_heap_unlock();
}

void hri_heap_busy_end(void)
{
    hri_heap_lock();
    hri_heap_busy--;
    hri_heap_unlock();
}

static void end_thread(hri_cell *record)
{
    hri_heap_lock();
    hri_heap_magazines_leave(record);
    hri_heap_unlock();
}

void hri_heap_begin(void)
{
    if (atomic_exchange_explicit(&begun, true, memory_order_relaxed))
        return;
    hri_cells_at_end(end_thread);
    hri_fork_handle();
}

/* ── all of it
 * ──────────────────────────────────────────────────────────────────────────────────────────────────── */

uint64_t hri_heap_idle_pages(void)
{
    return hri_heap_pages_sum.idle_bytes + hri_heap_span_idle_bytes;
}

/* Bytes of blocks in magazines. Under the lock. */
static uint64_t in_magazines(uint64_t *ret_away)
{
    uint64_t blocks[HRI_HEAP_CLASSES] = {0}, bytes = 0, away = hri_heap_large_sum + hri_heap_pooled_sum;
    hri_heap_magazines_count(blocks);
    for (unsigned class = 0; class < HRI_HEAP_CLASSES; class ++) {
        bytes += blocks[class] * hri_heap_class_bytes[class];
        away += hri_heap_away[class] * hri_heap_class_bytes[class];
    }
    *ret_away = away;
    return bytes;
}

void hri_heap_read(hri_heap_figures *ret_figures)
{
    uint64_t away;
    hri_heap_lock();
    uint64_t idle = in_magazines(&away), magazines = hri_heap_magazines_own_bytes();
    const hri_heap_pages *pages = &hri_heap_pages_sum;
    hri_heap_figures figures = {
        .committed_bytes = pages->committed_bytes + pages->own_bytes,
        .in_use_bytes = away - idle - magazines,
        .large_bytes = hri_heap_large_sum,
        .idle_bytes = idle + hri_heap_idle_pages(),
        .own_bytes = pages->own_bytes + magazines,
        .reserved_bytes = pages->reserved_bytes,
        .commits = hri_heap_counted.commits,
        .commit_bytes = hri_heap_counted.commit_bytes,
        .decommits = hri_heap_counted.decommits,
        .decommit_bytes = hri_heap_counted.decommit_bytes,
    };
    hri_heap_unlock();
    figures.gap_bytes = figures.committed_bytes - figures.in_use_bytes - figures.idle_bytes - figures.own_bytes;
    figures.pending_bytes = hri_heap_pending_bytes();
    figures.lazy_bytes = hri_heap_lazy_bytes();
    *ret_figures = figures;
}

uint64_t hri_heap_trim(uint64_t want_bytes)
{
    uint64_t gone = hri_heap_decommit(want_bytes);
    if (gone < want_bytes) {
        hri_heap_lock();
        hri_heap_depot_empty(want_bytes - gone);
        hri_heap_unlock();
        gone += hri_heap_decommit(want_bytes - gone);
    }
    if (gone < want_bytes) {
        hri_heap_lock();
        hri_heap_magazines_drain(HRI_HEAP_ALL, false);
        hri_heap_depot_empty(UINT64_MAX);
        hri_heap_unlock();
        gone += hri_heap_decommit(want_bytes - gone);
    }
    return gone;
}

uint64_t hri_heap_idle_cap(uint64_t committed_bytes)
{
    return hri_max(IDLE_REST, committed_bytes / 32);
}

uint64_t hri_heap_rest(void)
{
    uint64_t away;
    hri_heap_lock();
    hri_heap_magazines_drain(HRI_HEAP_SLEEPERS, false);
    uint64_t cap = hri_heap_idle_cap(hri_heap_pages_sum.committed_bytes), blocks = in_magazines(&away);
    hri_heap_depot_empty(hri_max(hri_sub(blocks, cap), hri_heap_depot_excess()));
    if (blocks > cap && (blocks = in_magazines(&away)) > cap) {
        hri_heap_magazines_drain(HRI_HEAP_ALL, false);
        blocks = in_magazines(&away);
    }
    uint64_t excess = hri_sub(hri_heap_idle_pages() + blocks, cap);
    hri_heap_unlock();
    return hri_heap_decommit(excess);
}

void hri_heap_tighten(bool tight)
{
    hri_heap_lock();
    hri_heap_magazines_tighten(tight);
    if (tight) {
        hri_heap_magazines_drain(HRI_HEAP_ALL, false);
        hri_heap_depot_empty(UINT64_MAX);
    }
    hri_heap_unlock();
}

void hri_heap_check(void)
{
    hri_heap_lock();
    hri_heap_segments_check();
    hri_heap_spans_check();
    hri_heap_unlock();
}

/* ── fork
 * ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void before_fork(void)
{
    hri_heap_lock_to_be_busy();
    fork_waits = true;
    while (hri_heap_busy > 0) {
        hri_heap_unlock();
        pause_for_others();
        hri_heap_lock();
    }
    hri_heap_lazy_fork(HRI_FORK_BEFORE);
}

void hri_heap_fork(hri_fork moment)
{
    if (moment == HRI_FORK_BEFORE) {
        before_fork();
        return;
    }
    hri_heap_lazy_fork(moment);
    fork_waits = false;
    hri_heap_commit_fork(moment);
    if (moment == HRI_FORK_CHILD)
        hri_heap_magazines_drain(HRI_HEAP_ALL, true);
    hri_heap_unlock();
}
