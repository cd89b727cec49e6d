/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: nothing but a cache, and the level is critical most of the time. A thread that evicts frees into the
 * arena of another one than the thread that grows, so evicting does not lower the resident set.
 *
 *     cache_critical VALUE_MOST THREADS SECONDS      in 64 MiB
 *
 * Threads put values of 64 bytes to VALUE_MOST, log-uniform, into a cache without a limit of its own. After 1.5 s the
 * level is sampled every 2 ms, and a request of 64 KiB asks to be admitted.
 * Right: the level is degraded or critical in less than 2 % of the samples, and less than 2 % of the requests are
 * refused.
 */
#include "kills/kills.h"

#define KEYS 1000000
#define VALUE_MOST (8 * MIB)

static hr_cache *cache;
static atomic_bool stop;
static size_t value_most;
static int value_bits = 7;
static char value[VALUE_MOST];

static void *use(void *number)
{
    uint64_t state = hrt_seeded(1, (uintptr_t)number);
    while (!stop) {
        uint64_t key = hrt_below(&state, KEYS);
        int bits = 6 + (int)hrt_below(&state, (uint64_t)value_bits - 5);
        size_t size = ((size_t)1 << (bits - 1)) + hrt_below(&state, UINT64_C(1) << (bits - 1));
        int put = hr_cache_put(cache, &key, sizeof key, value, size < value_most ? size : value_most, 0);
        if (put < 0 && put != -EDQUOT && put != -E2BIG && put != -ENOMEM) {
            errno = -put;
            hrt_end(HRT_WRONG, "a put failed");
        }
        hr_cache_ref found;
        key = hrt_below(&state, KEYS);
        if (hr_cache_get(cache, &key, sizeof key, &found) == 0)
            hr_cache_release(cache, &found);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    long count = hrt_number(argc, argv, 2, 2), samples = 0, above = 0, refused = 0;
    hr_guard *guard;
    value_most = (size_t)hrt_number(argc, argv, 1, 100000);
    HRT_MUST(value_most <= VALUE_MOST);
    HRT_MUST(hr_guard_new(NULL, &guard) == 0);
    HRT_MUST(hr_cache_new(guard, &(hr_cache_options){.name = "all"}, &cache) == 0);
    while (UINT64_C(1) << value_bits < value_most)
        value_bits++;
    memset(value, 1, value_most);
    hrt_start(threads, count, use);
    usleep(1500000);
    for (int64_t end_ns = hrt_now_ns() + hrt_number(argc, argv, 3, 6) * SECOND; hrt_now_ns() < end_ns; usleep(2000)) {
        hr_ticket ticket;
        samples++;
        above += hr_guard_level(guard) > HR_WARNING;
        hr_request request = {.bytes = 64 * KIB, .key = (uint64_t)samples};
        refused += hr_admit(guard, &request, &ticket) != HR_ADMITTED;
        hr_ticket_release(&ticket);
    }
    stop = true;
    hrt_join(threads, count);
    hrt_show(guard, "end");
    printf("above warning %.1f %%, refused %.1f %% of %ld\n", 100.0 * (double)above / (double)samples,
           100.0 * (double)refused / (double)samples, samples);
    return above * 50 < samples && refused * 50 < samples ? HRT_RIGHT : HRT_LOCKED_IN;
}
