/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: under RLIMIT_AS the level is critical for ever, because each arena of glibc reserves 64 MiB of address
 * space that it does not use.
 *
 *     rlimit_as MIB THREADS      in any group that is larger
 *
 * Each thread holds 1000 bytes.
 * Right: the level is normal, and a request of 64 KiB is admitted within 3 s.
 */
#include "kills/kills.h"

#include <sys/resource.h>

static hr_budget *budget;
static pthread_barrier_t barrier;

static void *hold(void *unused)
{
    char *block = hr_alloc(budget, 1000);
    if (block)
        memset(block, 1, 1000);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    hr_free(block);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    rlim_t bytes = (rlim_t)hrt_number(argc, argv, 1, 1024) * MIB;
    long count = hrt_number(argc, argv, 2, 16);
    HRT_MUST(setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes}) == 0);
    hr_guard *guard = hrt_guard(&budget);
    HRT_MUST(pthread_barrier_init(&barrier, NULL, (unsigned)count + 1) == 0);
    hrt_start(threads, count, hold);
    pthread_barrier_wait(&barrier);
    hr_guard_check(guard);
    hrt_show(guard, "held");
    hr_verdict verdict = HR_REFUSED_OVERLOADED;
    for (int64_t end_ns = hrt_now_ns() + 3 * SECOND; verdict != HR_ADMITTED && hrt_now_ns() < end_ns; usleep(10000)) {
        hr_ticket ticket;
        verdict = hr_admit(guard, &(hr_request){.bytes = 64 * KIB, .budget = budget}, &ticket);
        hr_ticket_release(&ticket);
    }
    bool normal = hr_guard_level(guard) == HR_NORMAL;
    pthread_barrier_wait(&barrier);
    hrt_join(threads, count);
    printf("64 KiB: %s\n", hr_verdict_text(verdict));
    return verdict == HR_ADMITTED && normal ? HRT_RIGHT : HRT_LOCKED_IN;
}
