/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: memory that is freed into the top of a thread's arena never goes back to the kernel, since malloc_trim(0)
 * trims the top of the main arena alone. Nothing is held, and a large block is refused for ever.
 *
 *     arena_top SIZE MIB THREADS WANT_MIB [backwards]      in 64 MiB
 *
 * Threads take MIB in blocks of SIZE, free them in that order or backwards, and live on. Then WANT_MIB are wanted in
 * one block.
 * Right: they are granted within 5 s.
 */
#include "kills/kills.h"

static hr_budget *budget;
static size_t size, blocks_each;
static bool backwards;
static pthread_barrier_t barrier;

static void *take_and_free(void *unused)
{
    size_t count = 0;
    char **blocks = malloc(blocks_each * sizeof *blocks);
    HRT_MUST(blocks);
    while (count < blocks_each && (blocks[count] = hr_alloc(budget, size)) != NULL)
        memset(blocks[count++], 1, size);
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < count; i++)
        hr_free(blocks[backwards ? count - 1 - i : i]);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* the threads live on */
    free(blocks);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    long count = hrt_number(argc, argv, 3, 1);
    size = (size_t)hrt_number(argc, argv, 1, 64);
    blocks_each = (size_t)hrt_number(argc, argv, 2, 45) * MIB / (size_t)count / (size + 48);
    backwards = argc > 5;
    hr_guard *guard = hrt_guard(&budget);
    HRT_MUST(pthread_barrier_init(&barrier, NULL, (unsigned)count + 1) == 0);
    hrt_start(threads, count, take_and_free);
    pthread_barrier_wait(&barrier);
    hrt_show(guard, "filled");
    pthread_barrier_wait(&barrier);
    hrt_show(guard, "freed");
    size_t want = (size_t)hrt_number(argc, argv, 4, 40) * MIB;
    char *block = NULL;
    for (int64_t end_ns = hrt_now_ns() + 5 * SECOND; !block && hrt_now_ns() < end_ns;) {
        block = hr_alloc(budget, want);
        if (!block)
            usleep(10000);
    }
    if (block)
        memset(block, 1, want);
    hrt_show(guard, block ? "granted" : "refused");
    pthread_barrier_wait(&barrier);
    hrt_join(threads, count);
    return block ? HRT_RIGHT : HRT_LOCKED_IN;
}
