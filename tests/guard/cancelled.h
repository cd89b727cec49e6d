/* SPDX-License-Identifier: Apache-2.0 */
/* A guard whose callbacks are cancellation points, and threads that are cancelled, for the tests of cancellation. */
#ifndef HRT_GUARD_CANCELLED_H
#define HRT_GUARD_CANCELLED_H

#include "support/cmocka.h"

#include <headroom/headroom.h>

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define LIMIT 1000000
#define SECONDS_TO_HANG 20

static hr_guard *guard;
static hr_budget *budget;
static char path[] = "/tmp/headroom-cancel-XXXXXX";

/* A callback does this: it would end a thread whose cancellation is pending. */
static inline void come_by_a_cancellation_point(void)
{
    usleep(1);
}

static inline uint64_t reclaim(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)want_bytes, (void)deadline_ns;
    come_by_a_cancellation_point();
    return 0;
}

static inline void on_level(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context, (void)from, (void)to, (void)figures;
    come_by_a_cancellation_point();
}

static hr_reclaimer reclaimer = {.name = "nothing", .reclaim = reclaim};

static inline int set_up(void **state)
{
    (void)state;
    hr_guard_options options = {
        .limit_bytes = LIMIT,
        .interval_ns = -1,
        .dwell_ns = -1,
        .on_level = on_level,
        .history_file = path,
    };
    alarm(SECONDS_TO_HANG);
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "b", HR_NONE, &budget), 0);
    assert_int_equal(hr_reclaimer_add(guard, &reclaimer), 0);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    hr_reclaimer_remove(guard, &reclaimer);
    assert_int_equal(hr_budget_free(budget), 0);
    hr_guard_free(guard);
    alarm(0);
    return 0;
}

/* The guard works, for all that its accounts hold. */
static inline void assert_whole(uint64_t used_bytes)
{
    hr_budget_figures figures;
    hr_guard_check(guard);
    assert_int_equal(hr_budget_read(budget, &figures), 0);
    assert_int_equal(figures.used_bytes, used_bytes);
    assert_int_equal(figures.promised_bytes, 0);
    assert_int_equal(figures.waiting, 0);
    assert_int_equal(hr_budget_charge(budget, LIMIT - used_bytes), 0);
    hr_budget_uncharge(budget, LIMIT - used_bytes);
    hr_relieve(guard, 1);
}

struct cancelled {
    void (*call)(void);
    atomic_bool ended;
};

static inline void *call_cancelled(void *context)
{
    struct cancelled *cancelled = context;
    pthread_cancel(pthread_self());
    cancelled->call();
    cancelled->ended = true;
    pthread_testcancel();
    return NULL;
}

static inline void join_cancelled(pthread_t thread)
{
    void *result;
    pthread_join(thread, &result);
    assert_ptr_equal(result, PTHREAD_CANCELED);
}

#endif
