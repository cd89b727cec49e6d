/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: blocks of 4 to 8 KiB that are touched late are not pending, beside memory of the program's own. A block
 * of 8191 bytes always has one whole page to itself, a block of 6000 bytes in half of the cases.
 *
 *     small_late OWN_MIB SIZE [THREADS]      in 64 MiB
 *
 * Blocks of SIZE bytes are taken until one is refused, and all of them are touched after that.
 * Right: no kill, and at least 6/10 of the limit without OWN_MIB is granted: an allocator may add as much as a
 * quarter to a block.
 */
#include "kills/kills.h"

#define BLOCKS_MAX (64 * KIB)

typedef struct taker {
    char **blocks;
    size_t count;
} taker;

static hr_budget *budget;
static size_t size;
static taker takers[THREADS_MAX];
static pthread_barrier_t barrier;

static void *take(void *number)
{
    taker *self = &takers[(uintptr_t)number];
    while (self->count < BLOCKS_MAX && (self->blocks[self->count] = hr_alloc(budget, size)) != NULL)
        self->count++;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < self->count; i++)
        memset(self->blocks[i], 1, size);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    size_t own = (size_t)hrt_number(argc, argv, 1, 20) * MIB, granted = 0;
    long count = hrt_number(argc, argv, 3, 1);
    size = (size_t)hrt_number(argc, argv, 2, 8191);
    hr_guard *guard = hrt_guard(&budget);
    hr_figures figures;
    HRT_MUST(hr_guard_read(guard, &figures) == 0 && pthread_barrier_init(&barrier, NULL, (unsigned)count + 1) == 0);
    hrt_own(own);
    for (long i = 0; i < count; i++) {
        void *list = mmap(NULL, BLOCKS_MAX * sizeof(char *), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        HRT_MUST(list != MAP_FAILED);
        takers[i].blocks = list;
    }
    hrt_start(threads, count, take);
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < count; i++)
        granted += takers[i].count * size;
    hrt_show(guard, "taken");
    pthread_barrier_wait(&barrier);
    hrt_join(threads, count);
    hrt_show(guard, "touched");
    return hrt_granted(granted, (figures.limit_bytes - own) / 10 * 6);
}
