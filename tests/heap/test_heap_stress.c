/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that get, put and hand on blocks, while another one trims, reads and tightens. No block is with two users,
 * none is lost, and the counts agree at the end. And 10,000 threads at once.
 */
#include "support/cmocka.h"

#include "heap/heap.h"
#include "heap/large.h"
#include "os/rseq.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 6
#define STEPS 60000
#define SHARED 512

static _Atomic(unsigned char *) shared[SHARED];
static _Atomic bool done;

static uint64_t next(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *random >> 33;
}

/* The first bytes say how large a block is; all carry its mark. */
static unsigned char *make(uint64_t *random)
{
    size_t size = 16 + next(random) % (next(random) % 50 == 0 ? 200000 : 600);
    unsigned char *block = hri_heap_get(size, size);
    if (!block)
        abort();
    memset(block, (unsigned char)size, size < 4096 ? size : 4096);
    memcpy(block, &size, sizeof size);
    return block;
}

static void end(unsigned char *block)
{
    size_t size;
    hri_heap_block was;
    memcpy(&size, block, sizeof size);
    for (size_t i = sizeof size; i < size && i < 4096; i++)
        if (block[i] != (unsigned char)size)
            abort();
    if (!hri_heap_put(block, &was) || was.owner != size || was.bytes != hri_heap_cost(size))
        abort();
}

static void *work(void *context)
{
    uint64_t random = (uint64_t)(uintptr_t)context;
    unsigned char *mine[64] = {NULL};
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t what = next(&random);
        if (what % 3 == 0) { /* exchange with the others */
            unsigned char *other = atomic_exchange(&shared[what / 3 % SHARED], make(&random));
            if (other)
                end(other);
            continue;
        }
        unsigned at = (unsigned)(what / 3 % 64);
        if (mine[at])
            end(mine[at]);
        mine[at] = mine[at] ? NULL : make(&random);
    }
    for (unsigned at = 0; at < 64; at++)
        if (mine[at])
            end(mine[at]);
    return NULL;
}

static void *disturb(void *context)
{
    (void)context;
    for (unsigned round = 0; !atomic_load(&done); round++) {
        hri_heap_figures now;
        hri_heap_trim(round % 7 == 0 ? UINT64_MAX : (uint64_t)round << 12);
        hri_heap_read(&now);
        hri_heap_rest();
        hri_heap_lazy_measure(10);
        hri_heap_tighten(round % 5 == 0);
        usleep(500);
    }
    hri_heap_tighten(false);
    return NULL;
}

static void no_block_is_lost_or_with_two(void **state)
{
    pthread_t threads[THREADS], other;
    (void)state;
    assert_int_equal(pthread_create(&other, NULL, disturb, NULL), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&done, true);
    pthread_join(other, NULL);
    for (unsigned i = 0; i < SHARED; i++)
        if (shared[i])
            end(shared[i]);
    hri_heap_trim(UINT64_MAX);
    hri_heap_figures now;
    hri_heap_read(&now);
    assert_int_equal(now.in_use_bytes, 0);
    assert_int_equal(now.idle_bytes, 0);
    assert_int_equal(now.gap_bytes, 0);
    assert_int_equal(now.pending_bytes, 0);
    hri_heap_check();
}

/* ── many threads
 * ───────────────────────────────────────────────────────────────────────────────────────────────── */

#ifdef __SANITIZE_THREAD__
#define MANY 1000
#else
#define MANY 10000
#endif

static pthread_barrier_t used, read_barrier;

static void *use_some(void *context)
{
    void *blocks[6];
    hri_heap_block was;
    (void)context;
    for (unsigned i = 0; i < 6; i++)
        blocks[i] = hri_heap_get(100 + 200 * (i % 3), 1);
    for (unsigned i = 0; i < 6; i++)
        hri_heap_put(blocks[i], &was);
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&read_barrier);
    return NULL;
}

static void many_threads_have_little_idle_at_rest(void **state)
{
    static pthread_t threads[MANY];
    static void *blocks[4096];
    pthread_attr_t attributes;
    hri_heap_figures before, at_rest, now;
    hri_heap_block was;
    (void)state;
    for (unsigned i = 0; i < 4096; i++) /* 32 MiB in use */
        assert_non_null(blocks[i] = hri_heap_get(8000, 1));
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    unsigned count;
    pthread_barrier_init(&used, NULL, MANY + 1);
    pthread_barrier_init(&read_barrier, NULL, MANY + 1);
    for (count = 0; count < MANY; count++)
        if (pthread_create(&threads[count], &attributes, use_some, NULL) != 0)
            break;
    if (count < MANY) { /* the others wait for ever at the barrier */
        print_message("skipped: this machine has no room for %u threads, only for %u\n", MANY, count);
        _exit(77);
    }
    pthread_barrier_wait(&used);
    hri_heap_read(&before);
    hri_heap_rest();
    hri_heap_rest();
    hri_heap_read(&at_rest);
    print_message("idle %llu KiB, at rest %llu KiB of %llu KiB\n", (unsigned long long)before.idle_bytes >> 10,
                  (unsigned long long)at_rest.idle_bytes >> 10, (unsigned long long)at_rest.committed_bytes >> 10);
    assert_true(at_rest.idle_bytes <= hri_heap_idle_cap(at_rest.committed_bytes));
    pthread_barrier_wait(&read_barrier);
    for (unsigned i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < 4096; i++)
        hri_heap_put(blocks[i], &was);
    hri_heap_trim(UINT64_MAX);
    hri_heap_read(&now);
    assert_int_equal(now.in_use_bytes, 0);
    assert_int_equal(now.idle_bytes, 0);
    hri_heap_check();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_block_is_lost_or_with_two),
        cmocka_unit_test(many_threads_have_little_idle_at_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
