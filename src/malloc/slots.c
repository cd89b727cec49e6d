/* SPDX-License-Identifier: Apache-2.0 */
/* A slot says whose it is by number and start time. Another process may have the number by now, and then its start time
 * differs. Both depend on the looker: a container has numbers of its own, and a time namespace has another clock. So a
 * slot names the space in which they hold, and nobody judges a slot of another space by them. A process that was
 * wrongly taken for gone would use memory that the limit does not count. */
#include "malloc/slots.h"

#include "malloc/raw.h"
#include "os/start.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* One number for the namespaces of processes and of time; 0: /proc is missing, or shows another namespace's. */
static uint32_t own_space(void)
{
    char number[16];
    struct stat processes, time = {0};
    ssize_t length = readlink("/proc/self", number, sizeof number - 1);
    number[length > 0 ? length : 0] = '\0';
    if (strtoul(number, NULL, 10) != (unsigned long)getpid() || stat("/proc/self/ns/pid", &processes) != 0)
        return 0;
    if (stat("/proc/self/ns/time", &time) != 0)
        time.st_ino = 0; /* before Linux 5.6 there is one for all */
    return (uint32_t)processes.st_ino ^ ((uint32_t)time.st_ino << 16);
}

unsigned hri_slots_take(hri_malloc_page *page, int32_t owner)
{
    for (unsigned i = 0; i < HRI_MALLOC_SLOTS; i++) {
        hri_malloc_slot *slot = &page->slots[i];
        int32_t expected = owner;
        if (atomic_load_explicit(&slot->pid, memory_order_relaxed) != owner ||
            !atomic_compare_exchange_strong(&slot->pid, &expected, (int32_t)getpid()))
            continue;
        if (owner == 0)
            atomic_fetch_add_explicit(&page->processes, 1, memory_order_relaxed);
        atomic_store(&slot->start, hri_process_start(getpid(), NULL));
        atomic_store(&slot->space, own_space());
        return i;
    }
    return HRI_MALLOC_SLOTS;
}

bool hri_slots_settle(hri_malloc_page *page, unsigned at, int32_t owner)
{
    hri_malloc_slot *slot = &page->slots[at];
    if (owner <= 0 || !atomic_compare_exchange_strong(&slot->pid, &owner, -1))
        return false;
    atomic_fetch_sub(&page->used_bytes, atomic_exchange(&slot->charged_bytes, 0));
    atomic_store(&slot->intent_bytes, 0);
    atomic_store(&slot->spare_bytes, 0);
    atomic_store(&slot->refusals, 0);
    atomic_store(&slot->space, 0);
    atomic_store(&slot->start, 0);
    atomic_fetch_sub(&page->processes, 1);
    atomic_store(&slot->pid, 0);
    atomic_fetch_add(&page->gate, 1);
    hri_raw_futex_wake(&page->gate);
    return true;
}

/* Is the process gone that has this number and this start time in our space? */
static bool is_gone(int32_t pid, uint64_t start)
{
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return true;
    bool ended;
    uint64_t now = hri_process_start(pid, &ended);
    return ended || (start != 0 && now != 0 && now != start);
}

bool hri_slots_settle_gone(hri_malloc_page *page, unsigned first, unsigned end)
{
    int saved = errno;
    uint32_t here = 0;
    bool settled = false;
    for (unsigned i = first; i < end; i++) {
        const hri_malloc_slot *slot = &page->slots[i];
        int32_t owner = atomic_load(&slot->pid);
        if (owner <= 0 || owner == getpid())
            continue;
        here = here ? here : own_space();
        uint32_t space = atomic_load(&slot->space);
        if (space && space == here && is_gone(owner, atomic_load(&slot->start)))
            settled |= hri_slots_settle(page, i, owner);
    }
    errno = saved;
    return settled;
}
