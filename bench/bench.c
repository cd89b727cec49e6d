/* SPDX-License-Identifier: Apache-2.0 */
/* The harness: calibrates each loop to a length that a clock can measure, then alternates rounds. */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ROUNDS_DEFAULT = 7,
    ROUNDS_MAX = 15,
    THREADS_MAX = 8
};

/* A round lasts 20 ms at least; a little more is aimed at, since loops get faster once they are warm. */
#define ROUND_LEAST_NS 20e6
#define ROUND_NS 25e6

/* ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

int64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void bench_require(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s failed\n", program_invocation_short_name, what);
    exit(1);
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* Loaders' messages may hold quotes; nothing else that we print does. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++)
        putchar(*text == '"' || *text == '\\' || (unsigned char)*text < ' ' ? '\'' : *text);
    putchar('"');
}

void bench_missing(const char *peer, const char *package, const char *why)
{
    printf("{\"missing\": \"%s\", \"package\": \"%s\", \"why\": ", peer, package);
    print_quoted(why);
    puts("}");
}

static double unit_ns(const char *unit)
{
    if (unit && strcmp(unit, "us") == 0)
        return 1e3;
    return unit && strcmp(unit, "ms") == 0 ? 1e6 : 1;
}

/* ── one round ──────────────────────────────────────────────────────────────────────────────────────────────────── */

struct worker {
    const bench_case *test;
    pthread_barrier_t *start;
    uint64_t count;
    unsigned thread;
    int64_t begin_ns, end_ns;
    pthread_t handle;
};

/* The first processors that this process may use. Gives their number, `count` at most. */
static unsigned processors(unsigned *ret_list, unsigned count)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 0;
    unsigned found = 0;
    for (unsigned at = 0; at < CPU_SETSIZE && found < count; at++)
        if (CPU_ISSET(at, &set))
            ret_list[found++] = at;
    return found;
}

static void *work(void *context)
{
    struct worker *worker = context;
    pthread_barrier_wait(worker->start);
    worker->begin_ns = bench_now_ns();
    worker->test->loop(worker->test->context, worker->thread, worker->count);
    worker->end_ns = bench_now_ns();
    return NULL;
}

/* From the first thread's start to the last one's end: each has done `count` then. */
static double time_threads(const bench_case *test, unsigned threads, uint64_t count)
{
    struct worker workers[THREADS_MAX];
    pthread_barrier_t start;
    unsigned list[THREADS_MAX];
    unsigned found = processors(list, threads);
    bench_require(pthread_barrier_init(&start, NULL, threads) == 0, "pthread_barrier_init");
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.test = test, .start = &start, .count = count, .thread = i};
        pthread_attr_t attributes;
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(list[i % found], &set);
        pthread_attr_init(&attributes);
        pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
        bench_require(pthread_create(&workers[i].handle, &attributes, work, &workers[i]) == 0, "pthread_create");
        pthread_attr_destroy(&attributes);
    }
    int64_t begin_ns = INT64_MAX, end_ns = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].handle, NULL);
        begin_ns = workers[i].begin_ns < begin_ns ? workers[i].begin_ns : begin_ns;
        end_ns = workers[i].end_ns > end_ns ? workers[i].end_ns : end_ns;
    }
    pthread_barrier_destroy(&start);
    return (double)(end_ns - begin_ns);
}

static double time_loop(const bench_case *test, unsigned threads, uint64_t count)
{
    if (threads > 1)
        return time_threads(test, threads, count);
    int64_t begin_ns = bench_now_ns();
    test->loop(test->context, 0, count);
    return (double)(bench_now_ns() - begin_ns);
}

/* How often a loop must run to last a round. The shortest of three tries tells how long it takes: in the others it may
 * have lost its processor to somebody else. */
static uint64_t calibrate(const bench_case *test, unsigned threads)
{
    for (uint64_t count = 1;;) {
        double shortest_ns = ROUND_NS;
        for (unsigned attempt = 0; attempt < 3 && shortest_ns >= ROUND_LEAST_NS; attempt++) {
            double taken_ns = time_loop(test, threads, count);
            shortest_ns = taken_ns < shortest_ns ? taken_ns : shortest_ns;
        }
        if (shortest_ns >= ROUND_LEAST_NS)
            return count;
        double more = shortest_ns > ROUND_NS / 8 ? ROUND_NS / shortest_ns : 8;
        count = (uint64_t)((double)count * more) + 1;
    }
}

/* ── a group ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool measurable(const bench_case *test)
{
    return test->loop || test->measure;
}

static void print_pairs(const char *key, const bench_group *group, const double *values)
{
    printf(", \"%s\": {", key);
    const char *comma = "";
    for (size_t i = 1; i < BENCH_CASES_MAX; i++) {
        if (!measurable(&group->cases[i]))
            continue;
        printf("%s\"%s\": %.6g", comma, group->cases[i].name, values[i]);
        comma = ", ";
    }
    putchar('}');
}

static void print_figure(const bench_group *group, double results[BENCH_CASES_MAX][ROUNDS_MAX], unsigned rounds)
{
    double values[BENCH_CASES_MAX] = {0}, ratios[BENCH_CASES_MAX] = {0};
    for (size_t i = 0; i < BENCH_CASES_MAX; i++) {
        double of_rounds[ROUNDS_MAX];
        for (unsigned round = 0; round < rounds; round++)
            of_rounds[round] = results[i][round] > 0 ? results[0][round] / results[i][round] : 0;
        ratios[i] = bench_median(of_rounds, rounds);
    }
    /* Sorting takes the rounds apart, so this comes second. */
    for (size_t i = 0; i < BENCH_CASES_MAX; i++)
        values[i] = bench_median(results[i], rounds);
    printf("{\"name\": \"%s\", \"metric\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"", group->name,
           group->metric ? group->metric : "time", values[0], group->unit ? group->unit : "ns");
    print_pairs("peers", group, values);
    print_pairs("ratios", group, ratios);
    puts("}");
    fflush(stdout);
}

static void run_group(const bench_group *group)
{
    unsigned threads = group->threads ? group->threads : 1;
    unsigned rounds = group->rounds ? group->rounds : ROUNDS_DEFAULT;
    bench_require(threads <= THREADS_MAX && rounds <= ROUNDS_MAX && measurable(&group->cases[0]), group->name);
    unsigned list[THREADS_MAX];
    if (threads > 1 && processors(list, threads) < threads) {
        printf("{\"skipped\": \"%s\", \"why\": \"it takes %u processors\"}\n", group->name, threads);
        return;
    }
    uint64_t counts[BENCH_CASES_MAX] = {0};
    for (size_t i = 0; i < BENCH_CASES_MAX; i++)
        if (group->cases[i].loop)
            counts[i] = calibrate(&group->cases[i], threads);
    double results[BENCH_CASES_MAX][ROUNDS_MAX] = {{0}};
    for (unsigned round = 0; round < rounds; round++)
        for (size_t i = 0; i < BENCH_CASES_MAX; i++) {
            const bench_case *test = &group->cases[i];
            if (test->measure)
                results[i][round] = test->measure(test->context);
            else if (test->loop)
                results[i][round] = time_loop(test, threads, counts[i]) / (double)counts[i] / unit_ns(group->unit);
        }
    print_figure(group, results, rounds);
}

/* ── the command line ───────────────────────────────────────────────────────────────────────────────────────────── */

/* Has a name that callgrind finds: bench/run has it collect inside of this call alone. Set-up that draws random numbers
 * differs from run to run by more than a loop takes. */
__attribute__((noinline)) void bench_counted(const bench_case *test, uint64_t count);
void bench_counted(const bench_case *test, uint64_t count)
{
    test->loop(test->context, 0, count);
}

static int run_loop_once(char **names, const bench_group *groups, size_t group_count)
{
    for (size_t i = 0; i < group_count; i++) {
        if (strcmp(groups[i].name, names[0]) != 0)
            continue;
        for (size_t at = 0; at < BENCH_CASES_MAX; at++) {
            const bench_case *test = &groups[i].cases[at];
            bool found = test->loop && strcmp(at == 0 ? "headroom" : test->name, names[1]) == 0;
            if (found) {
                bench_counted(test, strtoull(names[2], NULL, 10));
                return 0;
            }
        }
    }
    fprintf(stderr, "%s: there is no loop %s %s\n", program_invocation_short_name, names[0], names[1]);
    return 2;
}

static void *nothing(void *context)
{
    return context;
}

/* glibc's locks and malloc leave their atomics out until a process has its first thread. The programs that headroom is
 * for have threads, and figures must not depend on whether a group with threads has run before. */
static void become_threaded(void)
{
    pthread_t thread;
    bench_require(pthread_create(&thread, NULL, nothing, NULL) == 0, "pthread_create");
    pthread_join(thread, NULL);
}

int bench_main(int argc, char **argv, const bench_group *groups, size_t group_count)
{
    become_threaded();
    if (argc == 5 && strcmp(argv[1], "--loop") == 0)
        return run_loop_once(argv + 2, groups, group_count);
    for (size_t i = 0; i < group_count; i++) {
        bool wanted = argc == 1;
        for (int at = 1; at < argc; at++)
            wanted |= strcmp(argv[at], groups[i].name) == 0;
        if (wanted)
            run_group(&groups[i]);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
