/* SPDX-License-Identifier: Apache-2.0 */
/* Which allocator serves malloc is found by asking each candidate about a block that malloc gave: symbols alone say
 * only that a library is loaded. The candidates' functions are weak references: absent ones are null.
 */
#define _GNU_SOURCE
#include "os/heap.h"

#include "os/file.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WEAK __attribute__((weak))

/* Every arena, as jemalloc's mallctl names it (MALLCTL_ARENAS_ALL). */
#define JEMALLOC_PURGE_ALL "arena.4096.purge"

extern WEAK int malloc_trim(size_t pad);
extern WEAK int mallctl(const char *name, void *old, size_t *old_size, void *new_value, size_t new_size);
extern WEAK bool mi_is_in_heap_region(const void *block);
extern WEAK void mi_collect(bool force);
extern WEAK int MallocExtension_GetOwnership(const void *block);
extern WEAK void MallocExtension_ReleaseFreeMemory(void);

static hri_allocator allocator;
static pthread_once_t found = PTHREAD_ONCE_INIT;

/* Has this thread's jemalloc count grown by a block? Then malloc is jemalloc's. */
static bool jemalloc_counts(void)
{
    uint64_t before = 0, after = 0;
    size_t size = sizeof before;
    if (!mallctl || mallctl("thread.allocated", &before, &size, NULL, 0) != 0)
        return false;
    void *volatile block = malloc(64);
    int error = mallctl("thread.allocated", &after, &size, NULL, 0);
    free(block);
    return !error && after > before;
}

static void find_allocator(void)
{
    void *volatile probe = malloc(64);
    if (probe && mi_is_in_heap_region && mi_is_in_heap_region(probe))
        allocator = HRI_ALLOCATOR_MIMALLOC;
    else if (probe && MallocExtension_GetOwnership && MallocExtension_GetOwnership(probe) == 1)
        allocator = HRI_ALLOCATOR_TCMALLOC;
    else if (jemalloc_counts())
        allocator = HRI_ALLOCATOR_JEMALLOC;
    else if (malloc_trim)
        allocator = HRI_ALLOCATOR_GLIBC;
    free(probe);
}

hri_allocator hri_heap_allocator(void)
{
    pthread_once(&found, find_allocator);
    return allocator;
}

const char *hri_allocator_text(hri_allocator which)
{
    static const char *const names[] = {"other", "glibc", "jemalloc", "mimalloc", "tcmalloc", "musl", "unknown"};
    return (unsigned)which <= HRI_ALLOCATOR_UNKNOWN ? names[which] : "other";
}

const char *hri_allocator_purge_text(hri_allocator which)
{
    static const char *const calls[] = {
        [HRI_ALLOCATOR_GLIBC] = "malloc_trim(0)",
        [HRI_ALLOCATOR_JEMALLOC] = "mallctl(\"arena.4096.purge\")",
        [HRI_ALLOCATOR_MIMALLOC] = "mi_collect(true)",
        [HRI_ALLOCATOR_TCMALLOC] = "MallocExtension_ReleaseFreeMemory()",
        [HRI_ALLOCATOR_UNKNOWN] = NULL,
    };
    return (unsigned)which <= HRI_ALLOCATOR_UNKNOWN ? calls[which] : NULL;
}

/* Looks for the names of libraries in a piece of maps. One of malloc's own libraries outweighs libc. */
static hri_allocator better_of(hri_allocator best, const char *text)
{
    static const struct {
        const char *name;
        hri_allocator allocator;
    } libraries[] = {
        {"/libjemalloc", HRI_ALLOCATOR_JEMALLOC}, {"/libmimalloc", HRI_ALLOCATOR_MIMALLOC},
        {"/libtcmalloc", HRI_ALLOCATOR_TCMALLOC}, {"/ld-musl-", HRI_ALLOCATOR_MUSL},
        {"/libc.musl-", HRI_ALLOCATOR_MUSL},      {"/libc.so.6", HRI_ALLOCATOR_GLIBC},
        {"/libc-2.", HRI_ALLOCATOR_GLIBC},
    };
    bool libc_alone = best == HRI_ALLOCATOR_UNKNOWN || best == HRI_ALLOCATOR_MUSL || best == HRI_ALLOCATOR_GLIBC;
    for (unsigned i = 0; i < sizeof libraries / sizeof *libraries && libc_alone; i++) {
        bool libc = libraries[i].allocator == HRI_ALLOCATOR_MUSL || libraries[i].allocator == HRI_ALLOCATOR_GLIBC;
        if (strstr(text, libraries[i].name) && (!libc || best == HRI_ALLOCATOR_UNKNOWN))
            return libraries[i].allocator;
    }
    return best;
}

int hri_heap_find(const hri_site *site, hri_allocator *ret_allocator)
{
    char path[HRI_SITE_PATH_BYTES], text[4096];
    size_t kept = 0; /* a name may lie across two pieces */
    ssize_t got;
    hri_allocator best = HRI_ALLOCATOR_UNKNOWN;
    int fd = hri_file_open(site->root, hri_site_path(site, "maps", path));
    if (fd < 0)
        return fd;
    while ((got = hri_file_read_on(fd, text + kept, sizeof text - kept)) > 0) {
        size_t length = kept + (size_t)got;
        best = better_of(best, text);
        kept = length < 16 ? length : 16;
        memmove(text, text + length - kept, kept);
    }
    hri_file_close(fd);
    if (got < 0)
        return (int)got;
    *ret_allocator = best;
    return 0;
}

bool hri_heap_purges_by_thread(void)
{
    return hri_heap_allocator() == HRI_ALLOCATOR_MIMALLOC;
}

void hri_heap_purge(void)
{
    switch (hri_heap_allocator()) {
    case HRI_ALLOCATOR_GLIBC:
        malloc_trim(0);
        break;
    case HRI_ALLOCATOR_JEMALLOC:
        mallctl(JEMALLOC_PURGE_ALL, NULL, NULL, NULL, 0);
        break;
    case HRI_ALLOCATOR_MIMALLOC:
        mi_collect(true);
        break;
    case HRI_ALLOCATOR_TCMALLOC:
        MallocExtension_ReleaseFreeMemory();
        break;
    default:
        break;
    }
}
