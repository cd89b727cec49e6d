/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: with huge pages in malloc's arenas a charge of 100 bytes may touch 2 MiB. The charged bytes were taken for
 * the touched bytes.
 *
 *     huge_pages THREADS SECONDS SEED      in 64 and 256 MiB, with GLIBC_TUNABLES=glibc.malloc.hugetlb=1
 *
 * Threads take small and middle blocks until one is refused, and give back a random part.
 * Right: no kill, and the level is normal within 6 s of the end.
 */
#include "kills/kills.h"

#define SLOTS 20000

static hr_budget *budget;
static atomic_bool stop;
static atomic_long granted, refused;
static uint64_t seed;

static void *take(void *number)
{
    static char *slots_of[THREADS_MAX][SLOTS];
    char **slots = slots_of[(uintptr_t)number];
    uint64_t state = hrt_seeded(seed, (uintptr_t)number);
    size_t count = 0;
    while (!stop) {
        size_t size = hrt_below(&state, 3) ? 32 + hrt_below(&state, 3000) : 3000 + hrt_below(&state, 100000);
        char *block = count < SLOTS ? hr_alloc(budget, size) : NULL;
        if (block) {
            slots[count++] = memset(block, 1, size);
            granted++;
            continue;
        }
        refused++;
        hrt_keep_only(slots, &count, count * hrt_below(&state, 90) / 100, &state);
        usleep((useconds_t)hrt_below(&state, 2000));
    }
    while (count)
        hr_free(slots[--count]);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    long count = hrt_number(argc, argv, 1, 16);
    seed = (uint64_t)hrt_number(argc, argv, 3, 1);
    hr_guard *guard = hrt_guard(&budget);
    hrt_start(threads, count, take);
    usleep((useconds_t)hrt_number(argc, argv, 2, 2) * 1000000);
    hrt_show(guard, "full");
    stop = true;
    hrt_join(threads, count);
    int waited = hr_guard_wait(guard, HR_NORMAL, 6 * SECOND);
    hrt_show(guard, "end");
    printf("granted %ld, refused %ld\n", granted, refused);
    return waited ? HRT_LOCKED_IN : HRT_RIGHT;
}
