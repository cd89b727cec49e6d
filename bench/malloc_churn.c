/* SPDX-License-Identifier: Apache-2.0 */
/* A program that does little but allocate, for bench/bench_malloc: malloc_churn THREADS OPERATIONS
 *
 * Each thread keeps some thousand blocks, most of them small, and replaces one at random. One block of sixteen passes
 * to another thread, which frees it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 4096
#define SHARED 256

static unsigned long operations;
static _Atomic(void *) shared[SHARED];

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static size_t size_of(uint64_t random)
{
    unsigned kind = random & 255;
    if (kind == 0)
        return 1024 + (random >> 8 & 0x7FFF);
    return kind < 32 ? 16 + (random >> 8 & 1023) : 8 + (random >> 8 & 127);
}

static void *run(void *number)
{
    uint64_t seed = 88172645463325252 + (uintptr_t)number * 7919;
    void **kept = calloc(KEPT, sizeof *kept);
    for (unsigned long i = 0; kept && i < operations; i++) {
        uint64_t random = next(&seed);
        void **at = &kept[random >> 40 & (KEPT - 1)];
        size_t size = size_of(random >> 4);
        free(*at);
        *at = malloc(size);
        if (!*at)
            abort();
        memset(*at, 1, size < 64 ? size : 64);
        if ((random & 15) == 0)
            *at = atomic_exchange(&shared[random >> 54 & (SHARED - 1)], *at);
    }
    for (size_t i = 0; kept && i < KEPT; i++)
        free(kept[i]);
    free(kept);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[64];
    uintptr_t count = argc > 2 ? strtoul(argv[1], NULL, 10) : 1;
    operations = (argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000) / count;
    for (uintptr_t i = 0; i < count && i < 64; i++)
        if (pthread_create(&threads[i], NULL, run, (void *)i) != 0)
            return 1;
    for (uintptr_t i = 0; i < count && i < 64; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
