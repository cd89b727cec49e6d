/* SPDX-License-Identifier: Apache-2.0 */
/* The cost of watching: the level and a look at all gauges. And the cost of what is done about it: admission, the way
 * to relief, the purge. Kernel files that a look might read are its peers, with 64 MiB resident. The monitor is in
 * bench_monitor.c.
 */
#include "bench.h"

#include <headroom/headroom.h>

#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024u * 1024)
#define LIMIT (1024u * MIB)

static hr_guard *new_guard(int64_t interval_ns, int64_t dwell_ns)
{
    hr_guard *guard = NULL;
    hr_guard_options options = {
        .limit_bytes = LIMIT,
        .interval_ns = interval_ns,
        .dwell_ns = dwell_ns,
        .purge_interval_ns = -1,
    };
    bench_require(hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    return guard;
}

/* ── the level ──────────────────────────────────────────────────────────────────────────────────────────────────── */

static _Atomic hr_level word;

/* The floor of a level: it looks like ours and loads one word. */
static hr_level one_load(const hr_guard *guard)
{
    (void)guard;
    return atomic_load_explicit(&word, memory_order_relaxed);
}

struct level_call {
    hr_level (*level)(const hr_guard *guard);
    hr_guard *guard;
};

static void level_loop(void *context, unsigned thread, uint64_t count)
{
    const struct level_call call = *(const struct level_call *)context;
    unsigned worst = 0;
    (void)thread;
    for (uint64_t i = 0; i < count; i++)
        worst |= (unsigned)call.level(call.guard);
    bench_keep(&worst);
}

/* ── looks ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void check_loop(void *context, unsigned thread, uint64_t count)
{
    unsigned worst = 0;
    (void)thread;
    for (uint64_t i = 0; i < count; i++)
        worst |= (unsigned)hr_guard_check(context);
    bench_keep(&worst);
}

static void read_loop(void *context, unsigned thread, uint64_t count)
{
    hr_figures figures = {0};
    int failed = 0;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        failed |= hr_guard_read(context, &figures);
        bench_keep(&figures);
    }
    bench_require(!failed, "hr_guard_read");
}

/* The kernel's files that a look might read. Of two places the first that is there. */
enum {
    STATM,
    CGROUP_USAGE,
    CGROUP_STAT,
    PSI,
    MEMINFO,
    SMAPS_ROLLUP,
    FILES,
};

static const char *const places[FILES][2] = {
    [STATM] = {"/proc/self/statm", NULL},
    [CGROUP_USAGE] = {"/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory.current"},
    [CGROUP_STAT] = {"/sys/fs/cgroup/memory/memory.stat", "/sys/fs/cgroup/memory.stat"},
    [PSI] = {"/proc/pressure/memory", NULL},
    [MEMINFO] = {"/proc/meminfo", NULL},
    [SMAPS_ROLLUP] = {"/proc/self/smaps_rollup", NULL},
};

static int files[FILES];

static void open_files(void)
{
    for (unsigned i = 0; i < FILES; i++) {
        files[i] = -1;
        for (unsigned j = 0; j < 2 && files[i] < 0 && places[i][j]; j++)
            files[i] = open(places[i][j], O_RDONLY | O_CLOEXEC);
    }
}

/* Reads a file that is open, from its beginning, as a gauge does. */
static void file_loop(void *context, unsigned thread, uint64_t count)
{
    char text[4096];
    bool failed = false;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        failed |= pread(*(const int *)context, text, sizeof text, 0) <= 0;
        bench_keep(text);
    }
    bench_require(!failed, "reading a file of /proc");
}

/* A file that is not here is left out of the table. */
static bench_loop *file_or_nothing(unsigned file)
{
    return files[file] >= 0 ? file_loop : NULL;
}

static void mallinfo_loop(void *context, unsigned thread, uint64_t count)
{
    (void)context;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        struct mallinfo2 info = mallinfo2();
        bench_keep(&info);
    }
}

/* ── admission and relief ───────────────────────────────────────────────────────────────────────────────────────── */

static void admit_loop(void *context, unsigned thread, uint64_t count)
{
    const hr_request request = {.bytes = 4096, .priority = 100};
    hr_ticket ticket = {0};
    bool refused = false;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        refused |= hr_admit(context, &request, &ticket) != HR_ADMITTED;
        hr_ticket_release(&ticket);
    }
    bench_require(!refused, "hr_admit");
}

static uint64_t note_time(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    int64_t *first_ns = context;
    (void)want_bytes;
    (void)deadline_ns;
    if (*first_ns == 0)
        *first_ns = bench_now_ns();
    return 0;
}

/* From the charge that crosses degrade_at to the first reclaimer's call, with no monitor. Microseconds, the median of
 * 50. */
static double relief_start(void *context)
{
    enum {
        TIMES = 50
    };
    hr_guard *guard = new_guard(-1, -1);
    hr_budget *root = hr_guard_root(guard);
    int64_t first_ns = 0;
    hr_reclaimer reclaimer = {.name = "bench", .reclaim = note_time, .context = &first_ns};
    double taken_us[TIMES];
    (void)context;
    bench_require(hr_reclaimer_add(guard, &reclaimer) == 0, "hr_reclaimer_add");
    for (unsigned i = 0; i < TIMES; i++) {
        uint64_t most = LIMIT / 100 * 89, rest = LIMIT / 100 * 3;
        bench_require(hr_budget_charge(root, most) == 0, "a charge");
        hr_guard_check(guard);
        first_ns = 0;
        int64_t begin_ns = bench_now_ns();
        bench_require(hr_budget_charge(root, rest) == 0, "a charge");
        bench_require(first_ns > 0, "relief");
        taken_us[i] = (double)(first_ns - begin_ns) / 1e3;
        hr_budget_uncharge(root, most + rest);
        hr_guard_check(guard);
    }
    hr_reclaimer_remove(guard, &reclaimer);
    hr_guard_free(guard);
    return bench_median(taken_us, TIMES);
}

/* ── the purge ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Milliseconds to purge a heap of 128 MiB of which one block in 64 is still in use. */
static double time_purge(void (*purge)(void))
{
    enum {
        BLOCK = 2048,
        BLOCKS = 128 * 512,
        KEPT = 64
    };
    char **blocks = malloc(BLOCKS * sizeof *blocks);
    bench_require(blocks != NULL, "malloc");
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(BLOCK);
        bench_require(blocks[i] != NULL, "malloc");
        memset(blocks[i], 1, BLOCK);
        bench_keep(blocks[i]);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        if (i % KEPT != 0)
            free(blocks[i]);
    int64_t begin_ns = bench_now_ns();
    purge();
    double taken_ms = (double)(bench_now_ns() - begin_ns) / 1e6;
    for (unsigned i = 0; i < BLOCKS; i += KEPT)
        free(blocks[i]);
    free(blocks);
    return taken_ms;
}

static void our_purge(void)
{
    bench_require(hr_purge() > 64 * MIB, "hr_purge");
}

static void plain_trim(void)
{
    malloc_trim(0);
}

static double measure_our_purge(void *context)
{
    (void)context;
    return time_purge(our_purge);
}

static double measure_plain_trim(void *context)
{
    (void)context;
    return time_purge(plain_trim);
}

/* ── groups ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static struct level_call our_level = {hr_guard_level, NULL}, bare_level = {one_load, NULL};

static int run_groups(int argc, char **argv, hr_guard *guard)
{
    const bench_group groups[] = {
        {.name = "guard_level",
         .cases = {{NULL, level_loop, NULL, &our_level}, {"one_load", level_loop, NULL, &bare_level}}},
        {.name = "guard_check",
         .unit = "us",
         .cases = {{NULL, check_loop, NULL, guard},
                   {"statm", file_or_nothing(STATM), NULL, &files[STATM]},
                   {"cgroup_usage", file_or_nothing(CGROUP_USAGE), NULL, &files[CGROUP_USAGE]},
                   {"cgroup_stat", file_or_nothing(CGROUP_STAT), NULL, &files[CGROUP_STAT]},
                   {"psi", file_or_nothing(PSI), NULL, &files[PSI]},
                   {"meminfo", file_or_nothing(MEMINFO), NULL, &files[MEMINFO]},
                   {"smaps_rollup", file_or_nothing(SMAPS_ROLLUP), NULL, &files[SMAPS_ROLLUP]},
                   {"mallinfo2", mallinfo_loop, NULL, NULL}}},
        {.name = "guard_read", .cases = {{NULL, read_loop, NULL, guard}}},
        {.name = "admit_release", .cases = {{NULL, admit_loop, NULL, guard}}},
        {.name = "relief_start", .unit = "us", .cases = {{NULL, NULL, relief_start, NULL}}},
        {.name = "purge_128_mib",
         .unit = "ms",
         .rounds = 5,
         .cases = {{NULL, NULL, measure_our_purge, NULL}, {"malloc_trim", NULL, measure_plain_trim, NULL}}},
    };
    return bench_main(argc, argv, groups, sizeof groups / sizeof groups[0]);
}

int main(int argc, char **argv)
{
    hr_guard *guard = new_guard(-1, 0);
    our_level.guard = guard;
    open_files();
    char *resident = malloc(64 * MIB);
    bench_require(files[STATM] >= 0 && resident, "opening /proc");
    memset(resident, 1, 64 * MIB);
    bench_keep(resident);
    int status = run_groups(argc, argv, guard);
    free(resident);
    hr_guard_free(guard);
    return status;
}
