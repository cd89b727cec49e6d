/* SPDX-License-Identifier: Apache-2.0 */
/* An anonymous mapping counts in full from when it is writable: by mmap(), or by mprotect() for one that was reserved.
 * That is the kernel's own rule for what a process may touch without asking. Exceptions, which are the kernel's too:
 * MAP_NORESERVE says that most of it will never be touched, so it counts from a later mprotect() on.
 *
 * It ceases to count when it is unmapped, when another mapping replaces it, or when it is closed to writing and the
 * kernel has none of its pages. Runtimes give memory back so: by madvise(MADV_DONTNEED), with mprotect(PROT_NONE)
 * before or after. MADV_DONTNEED alone changes nothing, since the program may touch the pages again without a call.
 *
 * Not seen: what libc maps for itself (stacks of threads, files), the program's own system calls, and mappings that
 * were there before this library.
 *
 * Locking: one lock guards the ranges and is held through the system call, so that both tell the same. The account is
 * asked without it, since it may wait. */
#include "malloc/mappings.h"

#include "base/assert.h"
#include "base/checked.h"
#include "malloc/account.h"
#include "malloc/ranges.h"
#include "malloc/raw.h"
#include "malloc/within.h"
#include "os/resident.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static hri_ranges ranges;
static uint64_t unlisted_bytes; /* charged, and the array could not grow: they stay charged */

void hri_mappings_fork(hri_fork moment)
{
    hri_fork_lock(&lock, moment);
}

static void take_lock(void)
{
    hri_within_begin();
    pthread_mutex_lock(&lock);
}

static void leave_lock(void)
{
    pthread_mutex_unlock(&lock);
    hri_within_end();
}

static bool ask(uint64_t bytes)
{
    hri_within_begin();
    bool granted = hri_account_charge(bytes, true);
    hri_within_end();
    if (!granted)
        errno = ENOMEM;
    return granted;
}

/* Gives back what counted; and what was asked for in vain. */
static void give(uint64_t gone, uint64_t unused)
{
    int saved = errno;
    hri_within_begin();
    hri_account_uncharge(gone);
    hri_account_return(unused);
    hri_within_end();
    errno = saved;
}

static uintptr_t end_of(uintptr_t from, size_t size)
{
    size_t page = HRI_HEAP_PAGE;
    return size > SIZE_MAX - from - page ? UINTPTR_MAX / page * page : (from + size + page - 1) / page * page;
}

/* Under the lock. Gives the bytes that no longer count. */
static uint64_t set(const void *at, size_t size, hri_range_state state)
{
    uintptr_t from = (uintptr_t)at;
    uint64_t counted = 0;
    if (!hri_ranges_set(&ranges, from, end_of(from, size), state, &counted) && state == HRI_RANGE_COUNTED)
        unlisted_bytes += size;
    return counted;
}

/* ── mmap and munmap ────────────────────────────────────────────────────────────────────────────────────────────── */

static hri_range_state state_of(int protection, int flags)
{
    if (!(flags & MAP_ANONYMOUS))
        return HRI_RANGE_NONE;
    return (protection & PROT_WRITE) && !(flags & MAP_NORESERVE) ? HRI_RANGE_COUNTED : HRI_RANGE_RESERVED;
}

EXPORT void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    hri_range_state state = state_of(protection, flags);
    if ((state == HRI_RANGE_NONE && !(flags & MAP_FIXED)) || hri_within())
        return hri_raw_mmap(address, size, protection, flags, fd, offset);
    uint64_t bytes = state == HRI_RANGE_COUNTED ? end_of(0, size) : 0, gone = 0;
    if (!ask(bytes))
        return MAP_FAILED;
    take_lock();
    void *mapped = hri_raw_mmap(address, size, protection, flags, fd, offset);
    if (mapped != MAP_FAILED)
        gone = set(mapped, size, state);
    leave_lock();
    give(gone, mapped == MAP_FAILED ? bytes : 0);
    return mapped;
}

EXPORT void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
    __attribute__((alias("mmap")));

EXPORT int munmap(void *address, size_t size)
{
    if (hri_within())
        return hri_raw_munmap(address, size);
    uint64_t gone = 0;
    take_lock();
    int result = hri_raw_munmap(address, size);
    if (result == 0)
        gone = set(address, size, HRI_RANGE_NONE);
    leave_lock();
    give(gone, 0);
    return result;
}

/* ── mprotect and madvise ───────────────────────────────────────────────────────────────────────────────────────── */

/* Under the lock. */
static void turn(uintptr_t from, uintptr_t to, hri_range_state before, hri_range_state after)
{
    if (!hri_ranges_turn(&ranges, from, to, before, after) && after == HRI_RANGE_COUNTED)
        unlisted_bytes += to - from;
}

/* Reserved ranges count from now on; closed ones never ceased to. */
static int open_for_writing(void *address, size_t size, int protection)
{
    uintptr_t from = (uintptr_t)address, to = end_of(from, size);
    take_lock();
    uint64_t asked = hri_ranges_sum(&ranges, from, to, HRI_RANGE_RESERVED), bytes = 0;
    leave_lock();
    if (!ask(asked))
        return -1;
    take_lock();
    int result = hri_raw_mprotect(address, size, protection);
    if (result == 0) {
        /* Another thread may have changed it meanwhile: what was not asked for stays uncounted. */
        bytes = hri_min(asked, hri_ranges_sum(&ranges, from, to, HRI_RANGE_RESERVED));
        if (bytes == asked)
            turn(from, to, HRI_RANGE_RESERVED, HRI_RANGE_COUNTED);
        turn(from, to, HRI_RANGE_CLOSED, HRI_RANGE_COUNTED);
    }
    leave_lock();
    give(0, asked - bytes);
    return result;
}

static int close_to_writing(void *address, size_t size, int protection)
{
    uintptr_t from = (uintptr_t)address, to = end_of(from, size);
    uint64_t gone = 0;
    take_lock();
    int result = hri_raw_mprotect(address, size, protection);
    if (result == 0 && hri_ranges_sum(&ranges, from, to, HRI_RANGE_COUNTED) > 0) {
        turn(from, to, HRI_RANGE_COUNTED, HRI_RANGE_CLOSED);
        if (hri_resident_absent(-1, address, to - from) == to - from) {
            gone = hri_ranges_sum(&ranges, from, to, HRI_RANGE_CLOSED);
            turn(from, to, HRI_RANGE_CLOSED, HRI_RANGE_RESERVED);
        }
    }
    leave_lock();
    give(gone, 0);
    return result;
}

EXPORT int mprotect(void *address, size_t size, int protection)
{
    if (hri_within())
        return hri_raw_mprotect(address, size, protection);
    return protection & PROT_WRITE ? open_for_writing(address, size, protection)
                                   : close_to_writing(address, size, protection);
}

EXPORT int madvise(void *address, size_t size, int advice)
{
    int result = hri_raw_madvise(address, size, advice);
    if (result != 0 || advice != MADV_DONTNEED || hri_within())
        return result;
    uintptr_t from = (uintptr_t)address, to = end_of(from, size);
    take_lock();
    uint64_t gone = hri_ranges_sum(&ranges, from, to, HRI_RANGE_CLOSED);
    if (gone > 0)
        turn(from, to, HRI_RANGE_CLOSED, HRI_RANGE_RESERVED);
    leave_lock();
    give(gone, 0);
    return result;
}

/* ── mremap ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

struct move {
    void *old, *moved;
    size_t old_size, size;
    bool leaves; /* the old addresses are no longer mapped */
};

/* Under the lock, after the kernel has done it. Gives the bytes that no longer count. */
static uint64_t follow(const struct move *move, hri_range_state state)
{
    uint64_t gone = 0;
    if (move->moved != move->old && move->leaves)
        gone += set(move->old, move->old_size, HRI_RANGE_NONE);
    else if (move->moved == move->old && move->size < move->old_size)
        gone += set((char *)move->old + move->size, move->old_size - move->size, HRI_RANGE_NONE);
    return gone + set(move->moved, move->size, state);
}

EXPORT void *mremap(void *old, size_t old_size, size_t size, int flags, ...)
{
    void *where = NULL;
    if (flags & MREMAP_FIXED) {
        va_list rest;
        va_start(rest, flags);
        where = va_arg(rest, void *);
        va_end(rest);
    }
    if (hri_within() || old_size == 0)
        return hri_raw_mremap(old, old_size, size, flags, where);
    bool leaves = !(flags & 4 /* MREMAP_DONTUNMAP */);
    take_lock();
    hri_range_state state = hri_ranges_at(&ranges, (uintptr_t)old);
    uint64_t before = hri_ranges_sum(&ranges, (uintptr_t)old, end_of((uintptr_t)old, old_size), state);
    leave_lock();
    bool counts = state == HRI_RANGE_COUNTED || state == HRI_RANGE_CLOSED;
    uint64_t after = counts ? end_of(0, size) : 0;
    before = counts ? before : 0;
    uint64_t more = leaves ? hri_sub(after, before) : after, gone = 0;
    if (!ask(more))
        return MAP_FAILED;
    take_lock();
    void *moved = hri_raw_mremap(old, old_size, size, flags, where);
    if (moved != MAP_FAILED) /* all that counted before is taken out, and `after` stays: `more` is the rest of that */
        gone = follow(&(struct move){old, moved, old_size, size, leaves}, state) + more - after;
    leave_lock();
    give(gone, moved == MAP_FAILED ? more : 0);
    return moved;
}

/* ── brk ────────────────────────────────────────────────────────────────────────────────────────────────────────── */

extern void *__sbrk(intptr_t); /* libc's own */
static _Atomic uint64_t brk_bytes;

EXPORT void *sbrk(intptr_t more)
{
    if (more == 0 || hri_within())
        return __sbrk(more);
    uint64_t bytes = more > 0 ? (uint64_t)more : 0;
    if (!ask(bytes))
        return (void *)-1; // NOLINT(performance-no-int-to-ptr)
    void *before = __sbrk(more);
    bool failed = before == (void *)-1; // NOLINT(performance-no-int-to-ptr)
    if (failed)
        give(0, bytes);
    else if (more > 0)
        atomic_fetch_add(&brk_bytes, bytes);
    else { /* of the end that others have grown nothing is charged */
        uint64_t gone = hri_min(atomic_load(&brk_bytes), (uint64_t)-more);
        atomic_fetch_sub(&brk_bytes, gone);
        give(gone, 0);
    }
    return before;
}

EXPORT int brk(void *end)
{
    intptr_t more = (intptr_t)((uintptr_t)end - (uintptr_t)__sbrk(0));
    return sbrk(more) == (void *)-1 ? -1 : 0; // NOLINT(performance-no-int-to-ptr)
}
