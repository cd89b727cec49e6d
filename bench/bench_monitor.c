/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's share of a processor, with a small heap and with a large one: what it reads must not depend on that. */
#include "bench.h"

#include <headroom/headroom.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define GIB (UINT64_C(1) << 30)
#define MILLISECOND INT64_C(1000000)

static hr_guard *new_guard(int64_t interval_ns)
{
    hr_guard *guard = NULL;
    hr_guard_options options = {.limit_bytes = 1 * GIB, .interval_ns = interval_ns, .purge_interval_ns = -1};
    bench_require(hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    return guard;
}

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The processor's share that this process takes while it sleeps for `span_ns` in naps, per cent of one processor. */
static double share_while_asleep(int64_t span_ns, int64_t nap_ns)
{
    int64_t begin_ns = bench_now_ns(), end_ns = begin_ns + span_ns;
    double begin_cpu_ns = cpu_ns();
    while (bench_now_ns() < end_ns)
        nanosleep(&(struct timespec){.tv_sec = nap_ns / 1000000000, .tv_nsec = nap_ns % 1000000000}, NULL);
    return 100 * (cpu_ns() - begin_cpu_ns) / (double)(bench_now_ns() - begin_ns);
}

struct watch {
    int64_t interval_ns;
    int64_t span_ns;     /* two wake-ups at least */
    uint64_t heap_bytes; /* resident meanwhile */
};

/* Maps and touches what a large program has, once: the kernel has work with new pages for a while, which would be
 * counted as ours. */
static void grow_heap(uint64_t bytes)
{
    static uint64_t grown_bytes;
    if (grown_bytes >= bytes)
        return;
    grown_bytes = bytes;
    void *heap = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bench_require(heap != MAP_FAILED, "mmap");
    madvise(heap, bytes, MADV_NOHUGEPAGE);
    memset(heap, 1, bytes);
    sleep(2);
}

/* The share while a monitor runs, or nothing does, beside a heap. */
static double share_beside_heap(const struct watch *watch, bool monitored)
{
    grow_heap(watch->heap_bytes);
    hr_guard *guard = monitored ? new_guard(watch->interval_ns) : NULL;
    double share = share_while_asleep(watch->span_ns, monitored ? watch->span_ns : watch->interval_ns);
    hr_guard_free(guard);
    return share;
}

static double monitor_share(void *context)
{
    return share_beside_heap(context, true);
}

/* The same wake-ups, with nothing done in them: on a virtual machine they alone cost tens of microseconds each. */
static double sleeping_share(void *context)
{
    return share_beside_heap(context, false);
}

static struct watch at_rest = {1000 * MILLISECOND, 2000 * MILLISECOND, GIB / 16};
static struct watch often = {10 * MILLISECOND, 1000 * MILLISECOND, GIB / 16};
static struct watch at_rest_large = {1000 * MILLISECOND, 2000 * MILLISECOND, 4 * GIB};
static struct watch often_large = {10 * MILLISECOND, 1000 * MILLISECOND, 4 * GIB};

#define GROUP(NAME, ROUNDS, WATCH)                                                                                     \
    {                                                                                                                  \
        .name = NAME, .metric = "cpu", .unit = "%", .rounds = ROUNDS,                                                  \
        .cases = {{NULL, NULL, monitor_share, WATCH}, {"sleeping", NULL, sleeping_share, WATCH}},                      \
    }

int main(int argc, char **argv)
{
    const bench_group groups[] = {
        GROUP("monitor_1_s", 3, &at_rest),
        GROUP("monitor_10_ms", 5, &often),
        GROUP("monitor_1_s_4_gib", 3, &at_rest_large),
        GROUP("monitor_10_ms_4_gib", 5, &often_large),
    };
    uint64_t free_bytes = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    size_t count = sizeof groups / sizeof groups[0];
    if (free_bytes < 8 * GIB) {
        printf("{\"skipped\": \"monitor_1_s_4_gib\", \"why\": \"less than 8 GiB are free\"}\n");
        printf("{\"skipped\": \"monitor_10_ms_4_gib\", \"why\": \"less than 8 GiB are free\"}\n");
        count = 2;
    }
    return bench_main(argc, argv, groups, count);
}
