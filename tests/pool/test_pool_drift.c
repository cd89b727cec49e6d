/* SPDX-License-Identifier: Apache-2.0 */
/* An hour's worth of operations of a server that takes a hundred requests a second. Each has a buffer, an object and
 * an array that grows, while others trim. The pools' figures stay true. The truth is counted beside them.
 */
#include "support/cmocka.h"

#include <headroom/headroom.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#ifdef __SANITIZE_THREAD__
#define REQUESTS 90000u /* a quarter of one, in the same time */
#else
#define REQUESTS 360000u
#endif
#define THREADS 4u
#define ROUNDS 8u /* after each, all is counted */
#define HELD 64u  /* by a thread at a time, at most */
#define POOLED_MAX 8000u
#define LIMIT_BYTES 720000u /* sometimes something is refused */

static hr_guard *guard;
static hr_budget *budget;
static hr_byte_pool *bytes;
static hr_object_pool *objects;
static hr_slice_pool *slices;

static atomic_uint_fast64_t refused[3]; /* bytes, objects, slices: counted by those who asked */

struct request {
    void *buffer;
    bool unpooled;
    void *object;
    hr_slice slice;
};

struct worker {
    pthread_t thread;
    unsigned random;
    struct request held[HELD];
};

static struct worker workers[THREADS];

static unsigned draw(struct worker *worker, unsigned below)
{
    return (unsigned)rand_r(&worker->random) % below;
}

static void begin(struct worker *worker, struct request *request)
{
    bool unpooled = draw(worker, 100) == 0;
    uint64_t items = 1 + draw(worker, 40);
    *request = (struct request){.unpooled = unpooled};
    request->buffer = hr_byte_pool_get(bytes, unpooled ? 2 * POOLED_MAX : 1 + draw(worker, POOLED_MAX));
    refused[0] += !request->buffer;
    request->object = hr_object_pool_get(objects);
    refused[1] += !request->object;
    if (hr_slice_pool_get(slices, &request->slice) != 0) {
        refused[2]++;
        return;
    }
    for (uint64_t i = 0; i < items; i++)
        if (hr_slice_push(&request->slice, &i) != 0) {
            refused[2]++;
            break;
        }
}

static void end(struct request *request)
{
    hr_byte_pool_put(bytes, request->buffer);
    hr_object_pool_put(objects, request->object);
    hr_slice_pool_put(slices, &request->slice);
    *request = (struct request){0};
}

/* Leaves some requests open, which the count finds in use. */
static void *serve(void *context)
{
    struct worker *worker = context;
    for (unsigned i = 0; i < 2 * REQUESTS / ROUNDS / THREADS; i++) {
        struct request *request = &worker->held[draw(worker, HELD)];
        if (request->object || request->buffer || request->slice.data)
            end(request);
        else
            begin(worker, request);
        if (i % 4000 == 0)
            hr_byte_pool_trim(bytes);
        else if (i % 4000 == 1000)
            hr_cleanup(guard);
        else if (i % 4000 == 2000)
            hr_relieve(guard, 100000);
    }
    return NULL;
}

/* Holds one pool's figures against the truth, and adds what it says is charged. */
static void hold(const hr_pool_figures *figures, uint64_t in_use, uint64_t unpooled, uint64_t *charged_bytes)
{
    assert_int_equal(figures->in_use, in_use);
    assert_int_equal(figures->misses + unpooled,
                     figures->in_use + figures->idle + figures->trimmed); /* none came or went unseen */
    assert_true(figures->peak_bytes >= figures->in_use_bytes + figures->idle_bytes);
    *charged_bytes += figures->in_use_bytes + figures->idle_bytes;
}

static void count_all(void)
{
    uint64_t in_use[3] = {0}, unpooled[3] = {0}, charged_bytes = 0;
    hr_pool_figures figures[3];
    hr_budget_figures budgets;
    for (struct worker *worker = workers; worker < workers + THREADS; worker++)
        for (struct request *request = worker->held; request < worker->held + HELD; request++) {
            in_use[0] += request->buffer != NULL;
            in_use[1] += request->object != NULL;
            in_use[2] += request->slice.data != NULL;
            unpooled[0] += request->buffer && request->unpooled;
        }
    hr_byte_pool_trim(bytes); /* with the empty magazines */
    hr_object_pool_trim(objects);
    hr_slice_pool_trim(slices);
    assert_int_equal(hr_byte_pool_read(bytes, &figures[0]), 0);
    assert_int_equal(hr_object_pool_read(objects, &figures[1]), 0);
    assert_int_equal(hr_slice_pool_read(slices, &figures[2]), 0);
    for (int i = 0; i < 3; i++) {
        hold(&figures[i], in_use[i], unpooled[i], &charged_bytes);
        assert_int_equal(figures[i].refused, refused[i]);
    }
    assert_int_equal(hr_budget_read(budget, &budgets), 0);
    assert_int_equal(budgets.used_bytes, charged_bytes);
}

static void an_hour_leaves_no_drift(void **state)
{
    (void)state;
    hr_guard_options options = {.limit_bytes = 64 * MIB, .interval_ns = -1, .purge_interval_ns = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "pooled", LIMIT_BYTES, &budget), 0);
    hr_byte_pool_options buffers = {.budget = budget, .min_bytes = 500, .max_bytes = POOLED_MAX};
    hr_object_pool_options sessions = {.budget = budget, .size = 300};
    hr_slice_pool_options arrays = {.budget = budget, .item_size = sizeof(uint64_t), .capacity = 4};
    assert_int_equal(hr_byte_pool_new(guard, &buffers, &bytes), 0);
    assert_int_equal(hr_object_pool_new(guard, &sessions, &objects), 0);
    assert_int_equal(hr_slice_pool_new(guard, &arrays, &slices), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < THREADS; i++) {
            workers[i].random = round * THREADS + i + 1;
            assert_int_equal(pthread_create(&workers[i].thread, NULL, serve, &workers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++)
            pthread_join(workers[i].thread, NULL);
        count_all();
    }
    assert_true(refused[0] > 0); /* or it has not been tried */
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned k = 0; k < HELD; k++)
            end(&workers[i].held[k]);
    count_all();
    assert_int_equal(hr_byte_pool_free(bytes), 0);
    assert_int_equal(hr_object_pool_free(objects), 0);
    assert_int_equal(hr_slice_pool_free(slices), 0);
    assert_int_equal(hr_budget_free(budget), 0); /* so nothing is held any more */
    hr_figures figures;
    hr_guard_read(guard, &figures);
    assert_int_equal(figures.faults, 0);
    hr_guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_hour_leaves_no_drift)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
