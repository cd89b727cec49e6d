/* SPDX-License-Identifier: Apache-2.0 */
/* The cost of a memory of what happened: recording a sample, a day of history in memory, and a history file. Also of a
 * trend of 600 and of 100,000 records, and of each form of a report. It links the static library, for calls that are no
 * program's.
 */
#include "bench.h"

#include "guard/rooms.h"

#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FEW 600
#define MANY 100000
#define TEXT_BYTES (1 << 20)

static hr_guard *guard, *writer;
static hr_budget *budgets[8];
static hr_record *records;
static char *text;

/* A sawtooth over a leak, with noise: what a trend has most to do with. */
static void make_records(void)
{
    uint64_t seed = 1;
    records = calloc(MANY, sizeof *records);
    text = malloc(TEXT_BYTES);
    bench_require(records && text, "malloc");
    for (uint64_t i = 0; i < MANY; i++) {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        uint64_t bytes = (100u << 20) + i * 1000 + i % 77 * 200000 + seed % 1000000;
        records[i] = (hr_record){
            .time_ns = (int64_t)i * 1000000000,
            .live_bytes = bytes,
            .total_bytes = i << 24,
            .rss_bytes = bytes + (20u << 20),
            .cgroup_bytes = bytes + (30u << 20),
            .cgroup_cache_bytes = (50u << 20) + seed % 10000000,
        };
    }
}

static void record_loop(void *context, unsigned thread, uint64_t count)
{
    (void)thread;
    for (uint64_t i = 0; i < count; i++)
        hri_guard_record(context);
}

static void add_loop(void *context, unsigned thread, uint64_t count)
{
    (void)thread;
    for (uint64_t i = 0; i < count; i++)
        hri_history_add(context, &records[i % MANY]);
}

/* As a reading does: the gauges stay as they are. */
static void read_loop(void *context, unsigned thread, uint64_t count)
{
    hr_figures figures;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        hr_guard_read(context, &figures);
        bench_keep(&figures);
    }
}

/* Records, and writes to the file. */
static void write_loop(void *context, unsigned thread, uint64_t count)
{
    hr_guard *of = context;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        hri_guard_record(of);
        hri_journal_follow(&of->history_file, &of->history);
    }
}

static double day_kib(void *context)
{
    hri_history history;
    (void)context;
    bench_require(hri_history_init(&history, HRI_HISTORY_BYTES) == 0, "hri_history_init");
    double bytes = (double)(sizeof history + history.pages_bytes);
    hri_history_destroy(&history);
    return bytes / 1024;
}

static void trend_loop(void *context, unsigned thread, uint64_t count)
{
    hr_trend trend;
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        bench_require(hr_trend_compute(records, *(const size_t *)context, UINT64_C(1) << 30, &trend) == 0, "a trend");
        bench_keep(&trend);
    }
}

static void report_loop(void *context, unsigned thread, uint64_t count)
{
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        ssize_t length = hr_report_format(guard, *(const hr_format *)context, text, TEXT_BYTES);
        bench_require(length > 0 && length < TEXT_BYTES, "a report");
        bench_keep(text);
    }
}

static void explain_loop(void *context, unsigned thread, uint64_t count)
{
    (void)thread;
    for (uint64_t i = 0; i < count; i++) {
        bench_require(hr_report_explain(context, NULL, text, TEXT_BYTES) > 0, "an explanation");
        bench_keep(text);
    }
}

static int run_groups(int argc, char **argv)
{
    static size_t few = FEW, many = MANY;
    static hr_format formats[] = {HR_TEXT, HR_JSON, HR_CSV, HR_OPENMETRICS};
    const bench_group groups[] = {
        {.name = "record_sample",
         .unit = "us",
         .cases = {{NULL, record_loop, NULL, guard}, {"hr_guard_read", read_loop, NULL, guard}}},
        {.name = "history_add", .cases = {{NULL, add_loop, NULL, &guard->history}}},
        {.name = "record_to_file", .unit = "us", .cases = {{NULL, write_loop, NULL, writer}}},
        {.name = "history_day", .metric = "size", .unit = "KiB", .rounds = 1, .cases = {{NULL, NULL, day_kib, NULL}}},
        {.name = "trend_600", .unit = "us", .cases = {{NULL, trend_loop, NULL, &few}}},
        {.name = "trend_100000", .unit = "us", .rounds = 3, .cases = {{NULL, trend_loop, NULL, &many}}},
        {.name = "report_text", .unit = "us", .cases = {{NULL, report_loop, NULL, &formats[0]}}},
        {.name = "report_json", .unit = "us", .cases = {{NULL, report_loop, NULL, &formats[1]}}},
        {.name = "report_csv", .unit = "us", .cases = {{NULL, report_loop, NULL, &formats[2]}}},
        {.name = "report_openmetrics", .unit = "us", .cases = {{NULL, report_loop, NULL, &formats[3]}}},
        {.name = "report_explain", .unit = "us", .cases = {{NULL, explain_loop, NULL, guard}}},
    };
    return bench_main(argc, argv, groups, sizeof groups / sizeof groups[0]);
}

int main(int argc, char **argv)
{
    char path[] = "/tmp/headroom-bench-XXXXXX", older[40];
    int fd = mkstemp(path);
    bench_require(fd >= 0, "a file in /tmp");
    close(fd);
    hr_guard_options options = {.limit_bytes = 1u << 30, .interval_ns = -1};
    bench_require(hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    options.history_file = path;
    bench_require(hr_guard_new(&options, &writer) == 0, "hr_guard_new");
    for (unsigned i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        bench_require(hr_budget_new(hr_guard_root(guard), "budget", HR_NONE, &budgets[i]) == 0, "hr_budget_new");
        bench_require(hr_budget_charge(budgets[i], (1u << 20) * (i + 1)) == 0, "hr_budget_charge");
    }
    make_records();
    /* A day of history, so that reports have as much to tell as they ever have. */
    for (size_t i = 0; i < 86400; i++)
        hri_history_add(&guard->history, &records[i]);
    int status = run_groups(argc, argv);
    for (unsigned i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        hr_budget_uncharge(budgets[i], (1u << 20) * (i + 1));
        hr_budget_free(budgets[i]);
    }
    hr_guard_free(writer);
    hr_guard_free(guard);
    snprintf(older, sizeof older, "%s.1", path);
    unlink(path);
    unlink(older);
    free(records);
    free(text);
    return status;
}
