/* SPDX-License-Identifier: Apache-2.0 */
/* Each mapping and each commit fails once, and from then on: a block is refused, and the counts are right. */
#include "support/cmocka.h"
#include "support/fault.h"

#include "heap/heap.h"
#include "heap/segment.h"

#include <errno.h>
#include <string.h>

#define BLOCKS 60

static uint64_t granted, given_back;

static bool commit(void *context, uint64_t bytes)
{
    (void)context;
    granted += bytes;
    return true;
}

static void decommitted(void *context, uint64_t bytes)
{
    (void)context;
    given_back += bytes;
}

/* Sizes of all kinds, so many that there is a new segment in each run; what is idle goes back each time, so that all
 * of it is committed again. */
static void get_and_put(void *context)
{
    static const size_t sizes[] = {40, 1000, 9000, 16384, 100000, 300000, 5 << 20};
    void *blocks[BLOCKS];
    hri_heap_figures before, now;
    (void)context;
    hri_heap_read(&before);
    granted = given_back = 0;
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = sizes[i % (sizeof sizes / sizeof *sizes)];
        errno = 0;
        blocks[i] = i % 10 == 9 ? hri_heap_get_aligned(1 << 16, size, i) : hri_heap_get(size, i);
        if (!blocks[i]) {
            assert_true(hrt_fault_failed() > 0);
            assert_int_equal(errno, ENOMEM);
        } else {
            memset(blocks[i], (int)i, size < 100000 ? size : 100000);
        }
    }
    hri_heap_read(&now);
    assert_int_equal(now.committed_bytes - before.committed_bytes, granted - given_back);
    for (unsigned i = 0; i < BLOCKS; i++) {
        hri_heap_block was;
        if (!blocks[i])
            continue;
        assert_int_equal(*(unsigned char *)blocks[i], (unsigned char)i);
        assert_true(hri_heap_put(blocks[i], &was));
        assert_int_equal(was.owner, i);
    }
    hrt_fault_disarm();
    hri_heap_trim(UINT64_MAX);
    hri_heap_read(&now);
    assert_int_equal(now.in_use_bytes, 0);
    assert_int_equal(now.idle_bytes, 0);
    assert_int_equal(now.pending_bytes, 0);
    assert_int_equal(now.committed_bytes - before.committed_bytes, granted - given_back);
    hri_heap_check();
}

static void every_commit_may_fail(void **state)
{
    (void)state;
    hri_heap_hook(&(hri_heap_hooks){.commit = commit, .decommitted = decommitted});
    assert_true(hrt_each_fault(get_and_put, NULL) > 20);
    hri_heap_hook(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_commit_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
