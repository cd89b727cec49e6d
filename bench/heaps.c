/* SPDX-License-Identifier: Apache-2.0 */
/* Allocators are loaded beside libc's and not in its place, so that one process measures all of them in turn. Some keep
 * their thread's state in static TLS, of which a program has little left once it runs: bench/run sets
 * GLIBC_TUNABLES=glibc.rtld.optional_static_tls for them.
 */
#include "heaps.h"

#include "bench.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* ── purges, by the same names as in `known` ────────────────────────────────────────────────────────────────────── */

static void *purges[3];

static void purge_glibc(void)
{
    malloc_trim(0);
}

static void purge_jemalloc(void)
{
    int (*control)(const char *, void *, size_t *, void *, size_t) =
        (int (*)(const char *, void *, size_t *, void *, size_t))purges[0];
    control("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096: of all arenas */
}

static void purge_mimalloc(void)
{
    ((void (*)(bool))purges[1])(true);
}

static void purge_tcmalloc(void)
{
    ((void (*)(void))purges[2])();
}

/* ── allocators ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static const struct {
    const char *name;
    const char *package; /* the -dev packages: their names stay the same from one release of Debian to the next */
    const char *library, *link;
    const char *allocate, *release, *purge;
    void (*call_purge)(void);
} known[] = {
    {"jemalloc", "libjemalloc-dev", "libjemalloc.so.2", "libjemalloc.so", "malloc", "free", "mallctl", purge_jemalloc},
    {"mimalloc", "libmimalloc-dev", "libmimalloc.so.2", "libmimalloc.so", "mi_malloc", "mi_free", "mi_collect",
     purge_mimalloc},
    {"tcmalloc", "libgoogle-perftools-dev", "libtcmalloc_minimal.so.4", "libtcmalloc_minimal.so", "tc_malloc",
     "tc_free", "MallocExtension_ReleaseFreeMemory", purge_tcmalloc},
};
#define KNOWN (sizeof known / sizeof known[0])

/* Loads the library by the name that programs are linked to, else by the one that the -dev package brings: after a
 * change of version only that one is known. The first failure is reported. */
static void *load(size_t at)
{
    void *library = dlopen(known[at].library, RTLD_NOW | RTLD_LOCAL);
    if (library)
        return library;
    const char *why = dlerror();
    char text[256];
    snprintf(text, sizeof text, "%s", why ? why : "it does not load");
    library = dlopen(known[at].link, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        bench_missing(known[at].name, known[at].package, text);
    return library;
}

size_t bench_heaps(bench_heap **ret_heaps)
{
    static bench_heap heaps[KNOWN + 1] = {{"glibc", malloc, free, purge_glibc}};
    static size_t count;
    *ret_heaps = heaps;
    if (count > 0)
        return count;
    count = 1;
    for (size_t i = 0; i < KNOWN; i++) {
        void *library = load(i);
        if (!library)
            continue;
        bench_heap heap = {.name = known[i].name};
        heap.allocate = (void *(*)(size_t))dlsym(library, known[i].allocate);
        heap.release = (void (*)(void *))dlsym(library, known[i].release);
        purges[i] = dlsym(library, known[i].purge);
        heap.purge = known[i].call_purge;
        if (heap.allocate && heap.release && purges[i])
            heaps[count++] = heap;
        else
            bench_missing(known[i].name, known[i].package, "its functions have other names");
    }
    return count;
}
