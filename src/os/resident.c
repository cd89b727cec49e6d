/* SPDX-License-Identifier: Apache-2.0 */
/* Measured on Linux 6.18, two pages: mincore() 4 to 10 us on a busy machine, PAGEMAP_SCAN 4 to 9, a read of pagemap 6
 * to
 * 12. A MiB of 256 pages: 1 us, 2 us, and 20 us.
 */
#define _GNU_SOURCE
#include "os/resident.h"

#include "os/file.h"
#include "os/pages.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/mman.h>
#include <unistd.h>

/* As linux/fs.h has them since 6.7; the headers may be older than the kernel. */
struct scan {
    uint64_t size, flags, start, end, walk_end, regions, region_count, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct region {
    uint64_t start, end, categories;
};
#define SCAN _IOWR('f', 16, struct scan)
#define IS_PRESENT (UINT64_C(1) << 3)
#define IS_ZERO (UINT64_C(1) << 5)

/* An entry of pagemap. */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_EXCLUSIVE (UINT64_C(1) << 56)

static atomic_bool cannot_scan;
static atomic_bool is_child;                   /* of a fork: it shares pages with its parent */
static atomic_uint forks;                      /* counted before and after each, */
static atomic_uint settled;                    /* and what of them no child is left of */
static _Atomic(const volatile char *) witness; /* see the header */

static int open_map(void)
{
    return hri_file_open("", "/proc/self/pagemap");
}

int hri_resident_open(void)
{
    bool scans = !atomic_load_explicit(&cannot_scan, memory_order_relaxed);
    if (!scans && (atomic_load_explicit(&is_child, memory_order_relaxed) || hri_resident_is_shared()))
        return -1;
    return open_map();
}

void hri_resident_close(int map)
{
    hri_file_close(map);
}

bool hri_resident_is_shared(void)
{
    unsigned count = atomic_load(&forks);
    const volatile char *page = atomic_load(&witness);
    if (count == atomic_load(&settled) || !page)
        return false;
    uint64_t entry;
    int map = open_map(), saved = errno;
    bool known = map >= 0 && pread(map, &entry, sizeof entry,
                                   (off_t)((uintptr_t)page / hri_page_size() * sizeof entry)) == sizeof entry;
    bool shared = known && entry & ENTRY_PRESENT && !(entry & ENTRY_EXCLUSIVE);
    hri_file_close(map);
    errno = saved;
    if (!shared)
        atomic_store(&settled, count);
    return shared;
}

static void make_witness(void)
{
    void *page;
    if (atomic_load(&witness) || hri_pages_map(hri_page_size(), &page) != 0)
        return;
    hri_pages_keep_small(page, hri_page_size());
    hri_pages_touch(page, 1);
    atomic_store(&witness, page);
}

/* The child leaves the witness mapped, for its parent to see, and makes one of its own when it forks. */
void hri_resident_fork(hri_fork moment)
{
    if (moment == HRI_FORK_BEFORE)
        make_witness();
    atomic_fetch_add(&forks, 1);
    if (moment != HRI_FORK_CHILD)
        return;
    atomic_store(&is_child, true);
    atomic_store(&witness, NULL);
    atomic_store(&settled, atomic_load(&forks));
}

/* Each of the three gives the pages that are there, or a negative errno. */

static int64_t scan(int map, uintptr_t at, uintptr_t end)
{
    struct region regions[32];
    int64_t bytes = 0;
    while (at < end) {
        struct scan asked = {
            .size = sizeof asked,
            .start = at,
            .end = end,
            .regions = (uintptr_t)regions,
            .region_count = sizeof regions / sizeof *regions,
            .category_inverted = IS_ZERO,
            .category_mask = IS_PRESENT | IS_ZERO,
            .return_mask = IS_PRESENT,
        };
        /* Its own wrapper takes an int in one libc and an unsigned long in another. */
        long count = syscall(SYS_ioctl, map, (unsigned long)SCAN, &asked);
        if (count < 0)
            return -errno;
        for (long i = 0; i < count; i++)
            bytes += (int64_t)(regions[i].end - regions[i].start);
        if (asked.walk_end <= at)
            return -EIO;
        at = asked.walk_end;
    }
    return bytes / (int64_t)hri_page_size();
}

static int64_t read_entries(int map, uintptr_t at, uintptr_t end)
{
    const size_t page = hri_page_size();
    uint64_t entries[512];
    int64_t there = 0;
    while (at < end) {
        size_t wanted = (end - at) / page < 512 ? (end - at) / page : 512;
        ssize_t got = pread(map, entries, wanted * sizeof *entries, (off_t)(at / page * sizeof *entries));
        if (got < (ssize_t)sizeof *entries)
            return got < 0 ? -errno : -EIO;
        size_t count = (size_t)got / sizeof *entries;
        for (size_t i = 0; i < count; i++)
            there += entries[i] & ENTRY_PRESENT && entries[i] & ENTRY_EXCLUSIVE;
        at += count * page;
    }
    return there;
}

static int64_t ask_mincore(uintptr_t at, uintptr_t end)
{
    const size_t page = hri_page_size();
    unsigned char pages[1024];
    int64_t there = 0;
    while (at < end) {
        size_t count = (end - at) / page < sizeof pages ? (end - at) / page : sizeof pages;
        if (mincore((void *)at, count * page, pages) != 0)
            return -errno;
        for (size_t i = 0; i < count; i++)
            there += pages[i] & 1;
        at += count * page;
    }
    return there;
}

/* By the best way that works. A kernel that cannot scan is asked for its entries at once. With mincore() the page of
 * zeros would pass for a page that is there, and nobody asks about such a block again. */
static int64_t pages_there(int map, uintptr_t at, uintptr_t end)
{
    if (map < 0)
        return ask_mincore(at, end);
    bool scans = !atomic_load_explicit(&cannot_scan, memory_order_relaxed);
    int64_t there = scans ? scan(map, at, end) : -ENOTTY;
    if (there < 0 && there != -EFAULT && there != -ENOMEM) {
        atomic_store_explicit(&cannot_scan, true, memory_order_relaxed);
        there = read_entries(map, at, end);
    }
    return there < 0 ? ask_mincore(at, end) : there;
}

size_t hri_resident_absent(int map, const void *bytes, size_t size)
{
    const size_t page = hri_page_size();
    uintptr_t at = ((uintptr_t)bytes + page - 1) / page * page, end = ((uintptr_t)bytes + size) / page * page;
    if (at >= end)
        return 0;
    int saved = errno;
    int64_t there = pages_there(map, at, end);
    errno = saved;
    return there < 0 ? 0 : end - at - (size_t)there * page;
}
