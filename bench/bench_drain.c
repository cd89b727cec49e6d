/* SPDX-License-Identifier: Apache-2.0 */
/* How long it takes to take back what other threads have in stock: while they run, and while they sleep. Reading a
 * budget does just that.
 */
#include "bench.h"

#include <headroom/headroom.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define MIB (UINT64_C(1) << 20)
#define PAGE 4096u
#define SAMPLES 1000
#define THREADS_MAX 1000

static hr_budget *budget;

struct crowd {
    unsigned threads;
    bool asleep;       /* each takes a stock and sleeps; else all charge all the time */
    double percentile; /* 0.5: the median */
};

static atomic_bool stop;
static atomic_uint ready;

static void *charge_until_stopped(void *context)
{
    (void)context;
    atomic_fetch_add(&ready, 1);
    while (!atomic_load_explicit(&stop, memory_order_relaxed))
        if (hr_budget_charge(budget, PAGE) == 0)
            hr_budget_uncharge(budget, PAGE);
    return NULL;
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static unsigned round_now;

/* Takes a stock again in each round, and sleeps in between. */
static void *stock_up_and_sleep(void *context)
{
    (void)context;
    for (unsigned round = 1; !atomic_load(&stop); round++) {
        if (hr_budget_charge(budget, PAGE) == 0)
            hr_budget_uncharge(budget, PAGE);
        atomic_fetch_add(&ready, 1);
        pthread_mutex_lock(&gate);
        while (round_now < round && !atomic_load(&stop))
            pthread_cond_wait(&opened, &gate);
        pthread_mutex_unlock(&gate);
    }
    return NULL;
}

static void nap(long microseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, NULL);
}

static double drain_us(void)
{
    hr_budget_figures figures;
    int64_t begin_ns = bench_now_ns();
    bench_require(hr_budget_read(budget, &figures) == 0, "hr_budget_read");
    return (double)(bench_now_ns() - begin_ns) / 1e3;
}

static void await_all(unsigned count)
{
    while (atomic_load(&ready) < count)
        nap(200);
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate);
    atomic_store(&ready, 0);
    round_now++;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&gate);
}

static double drain(void *context)
{
    static double taken_us[SAMPLES];
    static pthread_t threads[THREADS_MAX];
    const struct crowd *crowd = context;
    unsigned samples = crowd->asleep ? SAMPLES / 10 : SAMPLES;
    atomic_store(&stop, false);
    atomic_store(&ready, 0);
    round_now = 0;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    for (unsigned i = 0; i < crowd->threads; i++)
        bench_require(
            pthread_create(&threads[i], &small, crowd->asleep ? stock_up_and_sleep : charge_until_stopped, NULL) == 0,
            "pthread_create");
    await_all(crowd->threads);
    for (unsigned i = 0; i < samples; i++) {
        nap(crowd->asleep ? 100 : 2000);
        taken_us[i] = drain_us();
        if (crowd->asleep) {
            open_gate();
            await_all(crowd->threads);
        }
    }
    atomic_store(&stop, true);
    open_gate();
    for (unsigned i = 0; i < crowd->threads; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&small);
    bench_median(taken_us, samples); /* sorts */
    return taken_us[(unsigned)((double)(samples - 1) * crowd->percentile)];
}

static struct crowd run_1 = {1, false, 0.5}, run_16 = {16, false, 0.5}, run_64 = {64, false, 0.5};
static struct crowd run_64_p99 = {64, false, 0.99}, sleep_1000 = {1000, true, 0.5}, sleep_1000_p99 = {1000, true, 0.99};

#define GROUP(NAME, METRIC, CROWD)                                                                                     \
    {                                                                                                                  \
        .name = NAME, .metric = METRIC, .unit = "us", .rounds = 1, .cases = { {NULL, NULL, drain, CROWD} }             \
    }

int main(int argc, char **argv)
{
    static const bench_group groups[] = {
        GROUP("budget_drain_1_running", "median", &run_1),
        GROUP("budget_drain_16_running", "median", &run_16),
        GROUP("budget_drain_64_running", "median", &run_64),
        GROUP("budget_drain_64_running", "p99", &run_64_p99),
        GROUP("budget_drain_1000_asleep", "median", &sleep_1000),
        GROUP("budget_drain_1000_asleep", "p99", &sleep_1000_p99),
    };
    hr_guard *guard = NULL;
    hr_guard_options options = {.limit_bytes = 4096 * MIB, .interval_ns = -1, .purge_interval_ns = -1};
    bench_require(hr_guard_new(&options, &guard) == 0, "hr_guard_new");
    bench_require(hr_budget_new(hr_guard_root(guard), "busy", HR_NONE, &budget) == 0, "hr_budget_new");
    for (int i = 0; i < 200; i++) { /* until it has stocks */
        bench_require(hr_budget_charge(budget, 1) == 0, "a charge");
        hr_budget_uncharge(budget, 1);
    }
    int status = bench_main(argc, argv, groups, sizeof groups / sizeof *groups);
    bench_require(hr_budget_free(budget) == 0, "giving everything back");
    hr_guard_free(guard);
    return status;
}
