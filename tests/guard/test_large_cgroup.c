/* SPDX-License-Identifier: Apache-2.0 */
/* Large blocks in real cgroups: granted bytes can be touched, at once and as a whole. That holds whatever the allocator
 * keeps, and whoever has taken memory since the gauges were last read. Each of these was killed by the kernel. */
#include "support/caged.h"
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT (64 * MIB)
#define SMALL 1000

static void assert_survives(hrt_cgroup_function *function)
{
    hrt_caged_survives("large", LIMIT, function);
}

static hr_guard *guard;
static hr_budget *budget;

static bool make_guard(int64_t interval_ns)
{
    hr_guard_options options = {.interval_ns = interval_ns};
    return hr_guard_new(&options, &guard) == 0 && hr_budget_new(hr_guard_root(guard), "large", HR_NONE, &budget) == 0;
}

/* Takes a block and uses all of it. */
static void *use(size_t size)
{
    void *block = hr_alloc(budget, size);
    return block ? memset(block, 1, size) : NULL;
}

/* ── what the allocator keeps ───────────────────────────────────────────────────────────────────────────────────── */

static pthread_barrier_t barrier;
static void **small_blocks; /* each points to the next */

static uint64_t free_small(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)deadline_ns;
    uint64_t freed = 0;
    while (small_blocks && freed < want_bytes) {
        void **block = small_blocks;
        small_blocks = *block;
        freed += hr_alloc_size(block);
        hr_free(block);
    }
    return freed;
}

/* Takes small blocks until it is refused, in an arena of its own, which no other thread's blocks come from. */
static void *fill_with_small(void *frees)
{
    for (void **block; (block = use(SMALL)); small_blocks = block)
        *block = small_blocks;
    if (frees)
        free_small(NULL, HR_NONE, 0);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* the arena is not handed on meanwhile */
    return NULL;
}

static bool start_filling(pthread_t *thread, bool frees)
{
    if (pthread_barrier_init(&barrier, NULL, 2) != 0 ||
        pthread_create(thread, NULL, fill_with_small, frees ? &barrier : NULL) != 0)
        return false;
    pthread_barrier_wait(&barrier);
    return true;
}

static void end_filling(pthread_t thread)
{
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
}

static int take_a_large_block_after_small_ones(void *context)
{
    (void)context;
    for (int round = 0; round < 6; round++) {
        pthread_t thread;
        HRT_CAGED_CHECK(
            make_guard(round % 2 ? -1 : 0)); /* with a monitor, that purges in the midst of it, or without */
        HRT_CAGED_CHECK(start_filling(&thread, true));
        void *block = use(50 * MIB);
        HRT_CAGED_CHECK(block); /* nothing is held: what is in the way can be purged */
        hr_free(block);
        end_filling(thread);
        HRT_CAGED_CHECK(hr_budget_free(budget) == 0);
        hr_guard_free(guard);
    }
    return 0;
}

static int take_many_mapped_blocks_after_small_ones(void *context)
{
    (void)context;
    static void *blocks[256];
    size_t count = 0;
    pthread_t thread;
    HRT_CAGED_CHECK(make_guard(-1)); /* nobody looks but who charges */
    HRT_CAGED_CHECK(start_filling(&thread, true));
    while (count < 256 && (blocks[count] = use(MIB / 4)))
        count++;
    HRT_CAGED_CHECK(count >= 48 * 4);
    while (count > 0)
        hr_free(blocks[--count]);
    end_filling(thread);
    return 0;
}

static int take_a_large_block_from_a_cache_of_small_ones(void *context)
{
    (void)context;
    pthread_t thread;
    hr_reclaimer cache = {.name = "cache", .reclaim = free_small};
    HRT_CAGED_CHECK(make_guard(-1)); /* a monitor would be at the cache at the same time */
    HRT_CAGED_CHECK(start_filling(&thread, false));
    HRT_CAGED_CHECK(hr_reclaimer_add(guard, &cache) == 0);
    void *block = use(40 * MIB);
    HRT_CAGED_CHECK(block);
    hr_free(block);
    hr_reclaimer_remove(guard, &cache);
    end_filling(thread);
    return 0;
}

static int admit_a_large_request_after_small_blocks(void *context)
{
    (void)context;
    pthread_t thread;
    hr_ticket ticket;
    HRT_CAGED_CHECK(make_guard(0));
    HRT_CAGED_CHECK(start_filling(&thread, true));
    hr_guard_check(guard); /* the level may fall straight; where it does not, it refuses */
    if (hr_admit(guard, &(hr_request){.bytes = 50 * MIB, .budget = budget}, &ticket) == HR_ADMITTED) {
        void *block = hr_ticket_alloc(&ticket, 49 * MIB);
        HRT_CAGED_CHECK(block);
        memset(block, 1, 49 * MIB);
        hr_free(block);
        hr_ticket_release(&ticket);
    }
    end_filling(thread);
    return 0;
}

/* ── what nobody has charged ────────────────────────────────────────────────────────────────────────────────────── */

static void *take_uncharged(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : memset(pages, 1, size);
}

static int ask_for_more_than_uncharged_memory_leaves(void *context)
{
    (void)context;
    hr_ticket ticket;
    HRT_CAGED_CHECK(make_guard(-1));
    HRT_CAGED_CHECK(take_uncharged(40 * MIB));
    HRT_CAGED_CHECK(!use(40 * MIB) && errno == EDQUOT);
    HRT_CAGED_CHECK(hr_budget_try_charge(budget, 40 * MIB) == -EDQUOT);
    HRT_CAGED_CHECK(hr_admit(guard, &(hr_request){.bytes = 40 * MIB, .budget = budget}, &ticket) != HR_ADMITTED);
    HRT_CAGED_CHECK(use(10 * MIB)); /* what is left is granted */
    return 0;
}

static int ask_by_and_by_for_more_than_uncharged_memory_leaves(void *context)
{
    (void)context;
    size_t count = 0;
    HRT_CAGED_CHECK(make_guard(-1));
    HRT_CAGED_CHECK(take_uncharged(52 * MIB));
    while (count < 100 && use(MIB))
        count++;
    HRT_CAGED_CHECK(count >= 5 && count <= 12);
    return 0;
}

#define TEST(play, name)                                                                                               \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        assert_survives(play);                                                                                         \
    }

TEST(take_a_large_block_after_small_ones, a_large_block_fits_once_the_allocator_has_returned_small_ones)
TEST(take_many_mapped_blocks_after_small_ones, mapped_blocks_are_not_granted_beside_what_the_allocator_keeps)
TEST(take_a_large_block_from_a_cache_of_small_ones, what_reclaimers_free_is_returned_before_a_large_block_has_it)
TEST(admit_a_large_request_after_small_blocks, a_large_request_is_not_admitted_beside_what_the_allocator_keeps)
TEST(ask_for_more_than_uncharged_memory_leaves, a_large_block_is_not_granted_by_old_figures)
TEST(ask_by_and_by_for_more_than_uncharged_memory_leaves, blocks_that_are_large_together_are_not_either)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_block_fits_once_the_allocator_has_returned_small_ones),
        cmocka_unit_test(mapped_blocks_are_not_granted_beside_what_the_allocator_keeps),
        cmocka_unit_test(what_reclaimers_free_is_returned_before_a_large_block_has_it),
        cmocka_unit_test(a_large_request_is_not_admitted_beside_what_the_allocator_keeps),
        cmocka_unit_test(a_large_block_is_not_granted_by_old_figures),
        cmocka_unit_test(blocks_that_are_large_together_are_not_either),
    };
    return cmocka_run_group_tests(tests, hrt_caged_set_up, NULL);
}
