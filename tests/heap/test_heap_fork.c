/* SPDX-License-Identifier: Apache-2.0 */
/* A child goes on with a heap that is whole, whatever other threads did at the fork. */
#include "support/cmocka.h"

#include "base/fork.h"
#include "heap/heap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWNER 5

static _Atomic bool done;

static void *churn(void *context)
{
    uint64_t random = (uint64_t)(uintptr_t)context;
    void *blocks[16] = {NULL};
    hri_heap_block was;
    while (!atomic_load(&done)) {
        random = random * UINT64_C(6364136223846793005) + 1;
        unsigned at = (unsigned)(random >> 60);
        if (blocks[at])
            hri_heap_put(blocks[at], &was);
        blocks[at] = hri_heap_get((random >> 33) % (at == 0 ? 6000000 : 20000), OWNER);
        if (at == 1)
            hri_heap_trim(1 << 16);
    }
    for (unsigned at = 0; at < 16; at++)
        if (blocks[at])
            hri_heap_put(blocks[at], &was);
    return NULL;
}

/* Blocks of the other threads stay in use in the child: nobody is there to free them. All else works. */
static int go_on(void)
{
    void *blocks[200];
    hri_heap_figures before, now;
    hri_heap_block was;
    hri_heap_trim(UINT64_MAX);
    hri_heap_read(&before);
    if (before.pending_bytes != before.lazy_bytes || before.idle_bytes != 0)
        return 1;
    for (unsigned i = 0; i < 200; i++)
        if (!(blocks[i] = hri_heap_get(i * i * 7, OWNER)))
            return 2;
    for (unsigned i = 0; i < 200; i++)
        if (!hri_heap_put(blocks[i], &was))
            return 3;
    hri_heap_trim(UINT64_MAX);
    hri_heap_check();
    hri_heap_read(&now);
    return now.in_use_bytes == before.in_use_bytes && now.idle_bytes == 0 ? 0 : 4;
}

static void fork_often(void)
{
    for (unsigned i = 0; i < 20; i++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit(go_on());
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
}

static void a_child_goes_on(void **state)
{
    pthread_t threads[3];
    hri_heap_block was;
    (void)state;
    hri_heap_put(hri_heap_get(100, OWNER), &was); /* the first block registers the handlers: before any thread forks */
    for (uintptr_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    fork_often();
    atomic_store(&done, true);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    hri_heap_trim(UINT64_MAX);
    hri_heap_figures now;
    hri_heap_read(&now);
    assert_int_equal(now.in_use_bytes, 0);
    hri_heap_check();
}

static void *commit_in_turn(void *context)
{
    hri_heap_block was;
    (void)context;
    while (!atomic_load(&done)) {
        void *block = hri_heap_get(200000, OWNER);
        if (block) {
            memset(block, 1, 200000);
            hri_heap_put(block, &was);
        }
        hri_heap_trim(UINT64_MAX);
    }
    return NULL;
}

/* A fork waits until no thread commits. Eight threads that do so in turn must not keep it waiting. */
static void a_fork_does_not_starve(void **state)
{
    pthread_t threads[8];
    (void)state;
    atomic_store(&done, false);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, commit_in_turn, NULL), 0);
    fork_often();
    atomic_store(&done, true);
    for (unsigned i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_goes_on),
        cmocka_unit_test(a_fork_does_not_starve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
