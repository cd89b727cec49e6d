/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of all sizes, and the figures: they are compared with what the kernel says. */
#include "support/cmocka.h"

#include "heap/heap.h"
#include "heap/large.h"
#include "heap/segment.h"
#include "heap/span.h"
#include "os/pages.h"
#include "os/resident.h"
#include "os/rseq.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define OWNER 77

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t end)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % end;
}

static hri_heap_figures figures(void)
{
    hri_heap_figures now;
    hri_heap_read(&now);
    assert_int_equal(now.committed_bytes, now.in_use_bytes + now.idle_bytes + now.gap_bytes + now.own_bytes);
    return now;
}

/* The bytes that the kernel has of all segments that are in the list. */
static uint64_t resident_bytes(void)
{
    uint64_t bytes = 0;
    for (const hri_heap_segment *segment = hri_heap_segment_first(); segment; segment = segment->next)
        bytes += segment->map_bytes - hri_resident_absent(-1, segment->map, segment->map_bytes);
    return bytes;
}

/* Of the page map, which is in no segment. */
static uint64_t map_bytes(void)
{
    uint64_t bytes = hri_heap_pages_sum.own_bytes;
    for (const hri_heap_segment *segment = hri_heap_segment_first(); segment; segment = segment->next)
        bytes -= hri_bits_count(segment->records, 0, HRI_HEAP_RECORD_PAGES_MAX) * HRI_HEAP_PAGE;
    return bytes;
}

static void assert_as_the_kernel_says(void)
{
    hri_heap_check();
    assert_int_equal(figures().committed_bytes - hri_heap_lazy_bytes(), resident_bytes() + map_bytes());
}

static void put(void *block)
{
    hri_heap_block was;
    assert_true(hri_heap_put(block, &was));
    assert_int_equal(was.owner, OWNER);
}

static void every_size_is_served_and_costs_what_was_said(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300000; size += size < 20000 ? 1 : 1 + random_below(999)) {
        unsigned char *block = hri_heap_get(size, OWNER);
        hri_heap_block is;
        size_t usable;
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 16, 0);
        assert_true(hri_heap_look(block, &is, &usable));
        assert_int_equal(is.owner, OWNER);
        assert_int_equal(is.bytes, hri_heap_cost(size));
        assert_true(usable >= size);
        memset(block, 1, size);
        put(block);
    }
    assert_int_equal(figures().in_use_bytes, 0);
    hri_heap_check();
}

static void a_size_that_no_address_can_have_is_refused(void **state)
{
    (void)state;
    errno = 0;
    assert_null(hri_heap_get(SIZE_MAX, OWNER));
    assert_int_equal(errno, ENOMEM);
    assert_null(hri_heap_get((size_t)PTRDIFF_MAX, OWNER));
    assert_null(hri_heap_get_aligned(4096, SIZE_MAX - 100, OWNER));
    assert_int_equal(hri_heap_cost(SIZE_MAX), UINT64_MAX);
    assert_int_equal(figures().in_use_bytes, 0);
    assert_int_equal(figures().pending_bytes, 0);
}

static void zeros_are_zeros_also_where_others_were(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 24, 1000, 16000, 16384, 100000, 131072, 1 << 20, 5 << 20};
    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            unsigned char *block = hri_heap_get_zeroed(sizes[i], OWNER);
            assert_non_null(block);
            for (size_t at = 0; at < sizes[i]; at++)
                if (block[at] != 0)
                    fail_msg("byte %zu of %zu is not 0", at, sizes[i]);
            memset(block, 0xa5, sizes[i]);
            put(block);
        }
    }
}

static void alignments_hold(void **state)
{
    (void)state;
    for (size_t align = 1; align <= (size_t)4 << 20; align *= 2) {
        for (size_t size = 0; size < 400000; size = size * 3 + 7) {
            void *blocks[4];
            hri_heap_block is;
            size_t usable;
            for (unsigned i = 0; i < 4; i++) {
                blocks[i] = hri_heap_get_aligned(align, size, OWNER);
                assert_non_null(blocks[i]);
                assert_int_equal((uintptr_t)blocks[i] % align, 0);
                assert_true(hri_heap_look(blocks[i], &is, &usable));
                assert_int_equal(is.bytes, hri_heap_cost_aligned(align, size));
                assert_true(usable >= size);
                memset(blocks[i], 3, size);
            }
            for (unsigned i = 0; i < 4; i++)
                put(blocks[i]);
        }
    }
    assert_int_equal(figures().in_use_bytes, 0);
    hri_heap_check();
}

/* Each block has a pattern of its own; what overlaps would change it. */
static void blocks_do_not_overlap_and_the_kernel_agrees(void **state)
{
    (void)state;
    enum {
        BLOCKS = 3000
    };
    static unsigned char *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    memset(blocks, 0, sizeof blocks);
    for (unsigned step = 0; step < 60000; step++) {
        unsigned at = (unsigned)random_below(BLOCKS);
        if (blocks[at]) {
            for (size_t i = 0; i<sizes[at]; i += sizes[at]> 64 ? sizes[at] / 7 : 1)
                assert_int_equal(blocks[at][i], (unsigned char)at);
            put(blocks[at]);
            blocks[at] = NULL;
        } else {
            sizes[at] = (size_t)1 << random_below(step % 50 == 0 ? 19 : 13);
            sizes[at] += random_below(sizes[at]);
            blocks[at] = hri_heap_get(sizes[at], OWNER);
            assert_non_null(blocks[at]);
            memset(blocks[at], (int)at, sizes[at]);
        }
        if (step % 20000 == 0) {
            hri_heap_lazy_measure(1000000);
            assert_as_the_kernel_says();
        }
        if (step % 30000 == 0)
            hri_heap_trim(1 << 20);
    }
    hri_heap_lazy_measure(1000000);
    assert_as_the_kernel_says();
    for (unsigned at = 0; at < BLOCKS; at++)
        if (blocks[at])
            put(blocks[at]);
    assert_int_equal(figures().in_use_bytes, 0);
    hri_heap_trim(UINT64_MAX);
    assert_as_the_kernel_says();
    assert_int_equal(figures().idle_bytes, 0);
    assert_int_equal(figures().gap_bytes, 0);
}

static void a_trim_gives_what_is_wanted_and_little_more(void **state)
{
    (void)state;
    enum {
        BLOCKS = 4096
    };
    static void *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_non_null(blocks[i] = hri_heap_get(1500, OWNER));
    for (unsigned i = 0; i < BLOCKS; i++)
        put(blocks[i]);
    hri_heap_figures before = figures();
    assert_true(before.idle_bytes > (4 << 20));
    assert_int_equal(hri_heap_trim(1), HRI_HEAP_PAGE);
    assert_int_equal(hri_heap_trim(300 << 10), 300 << 10);
    assert_int_equal(figures().committed_bytes, before.committed_bytes - (300 << 10) - HRI_HEAP_PAGE);
    assert_true(hri_heap_trim(UINT64_MAX) > (4 << 20));
    assert_int_equal(figures().idle_bytes, 0);
    assert_int_equal(hri_heap_trim(UINT64_MAX), 0);
    assert_as_the_kernel_says();
}

/* The kernel keeps pages that are locked: then they stay committed, and idle. */
static void what_the_kernel_does_not_take_back_stays_committed(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: under a sanitizer mlock() locks nothing\n");
    skip();
#endif
    hri_heap_trim(UINT64_MAX);
    void *block = hri_heap_get(20000, OWNER), *small = hri_heap_get(3000, OWNER);
    assert_non_null(block);
    assert_non_null(small);
    if (mlock(block, 20000) != 0 || mlock(small, 3000) != 0) {
        print_message("skipped: mlock() is not permitted\n");
        munlock(block, 20000);
        put(block);
        put(small);
        skip();
    }
    put(block);
    put(small);
    uint64_t before = figures().committed_bytes;
    assert_true(hri_heap_trim(UINT64_MAX) < before);
    assert_true(figures().idle_bytes >= 20000);
    assert_as_the_kernel_says();
    munlock(block, 20000);
    munlock(small, 3000);
    assert_true(hri_heap_trim(UINT64_MAX) >= 20000);
    assert_int_equal(figures().idle_bytes, 0);
    assert_as_the_kernel_says();
}

static void at_rest_little_is_idle(void **state)
{
    (void)state;
    enum {
        BLOCKS = 16384
    };
    static void *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_non_null(blocks[i] = hri_heap_get(16 + i % 4000, OWNER));
    for (unsigned i = 0; i < BLOCKS; i += 2)
        put(blocks[i]);
    hri_heap_rest();
    assert_true(figures().idle_bytes <= hri_heap_idle_cap(figures().committed_bytes));
    for (unsigned i = 1; i < BLOCKS; i += 2)
        put(blocks[i]);
    hri_heap_rest();
    hri_heap_rest();
    assert_true(figures().idle_bytes <= hri_heap_idle_cap(figures().committed_bytes));
    assert_true(figures().committed_bytes <= (4 << 20));
}

static uint64_t idle_pages(void)
{
    hri_heap_lock();
    uint64_t bytes = hri_heap_idle_pages();
    hri_heap_unlock();
    return bytes;
}

static void a_large_block_takes_the_place_of_idle_pages(void **state)
{
    (void)state;
    enum {
        BLOCKS = 16384
    };
    static void *blocks[BLOCKS];
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_non_null(blocks[i] = hri_heap_get(4000, OWNER));
    for (unsigned i = 0; i < BLOCKS; i++)
        if (i % 8 > 0)
            put(blocks[i]);
    assert_true(idle_pages() >= (3 << 20));
    void *large = hri_heap_get((size_t)128 << 20, OWNER);
    assert_non_null(large);
    assert_true(idle_pages() <= figures().committed_bytes / 60); /* a 64th of what was committed before they went */
    put(large);
    for (unsigned i = 0; i < BLOCKS; i += 8)
        put(blocks[i]);
}

static void large_blocks_are_pending_until_they_are_touched(void **state)
{
    (void)state;
    const size_t sizes[] = {(size_t)1 << 20, (size_t)8 << 20};
    for (unsigned i = 0; i < 2; i++) {
        hri_heap_trim(UINT64_MAX);
        char *block = hri_heap_get(sizes[i], OWNER);
        assert_non_null(block);
        assert_true(figures().lazy_bytes >= sizes[i]);
        memset(block, 1, sizes[i] / 2);
        hri_heap_lazy_measure(100);
        assert_true(figures().lazy_bytes >= sizes[i] / 2 - 4096 && figures().lazy_bytes <= sizes[i] / 2 + 8192);
        memset(block, 1, sizes[i]);
        hri_heap_lazy_measure(100);
        hri_heap_lazy_measure(100);
        assert_true(figures().lazy_bytes <= (HRI_HEAP_TRAILER ? 4096 : 0));
        put(block);
        assert_int_equal(figures().lazy_bytes, 0);
    }
}

/* A span hands out its first block again and again. Those of all classes once met in one set of the processor's first
 * cache: 16 sizes in turn took 1.1 of the time. */
static void hot_blocks_of_many_sizes_lie_in_many_sets(void **state)
{
    (void)state;
    enum {
        SIZES = 16,
        SETS = 64,
    };
    void *blocks[SIZES];
    bool taken[SETS] = {false};
    unsigned sets = 0;
    for (unsigned i = 0; i < SIZES; i++) {
        blocks[i] = hri_heap_get(40 + 56 * i, OWNER);
        unsigned set = (unsigned)((uintptr_t)blocks[i] / 64 % SETS);
        sets += !taken[set];
        taken[set] = true;
    }
    assert_true(sets >= SIZES / 2);
    for (unsigned i = 0; i < SIZES; i++)
        put(blocks[i]);
}

static uint64_t asked_bytes;

static bool count_asked(void *context, uint64_t bytes)
{
    (void)context;
    asked_bytes += bytes;
    return true;
}

/* Bytes that are asked for and not needed have spent the lease until the next reading. Each commit once asked for 32
 * KiB of records, 8 times what it needed. And pages that were committed for a magazine once went to blocks: 1.6 times
 * what lived was committed. */
static void a_commit_asks_for_little_more_than_it_needs(void **state)
{
    (void)state;
    enum {
        BLOCKS = 4096,
    };
    static void *blocks[BLOCKS];
    hri_heap_trim(UINT64_MAX);
    hri_heap_hook(&(hri_heap_hooks){.commit = count_asked});
    uint64_t before = figures().committed_bytes;
    asked_bytes = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = hri_heap_get(3000, OWNER);
    uint64_t more = figures().committed_bytes - before;
    assert_true(more <= BLOCKS * hri_heap_cost(3000) * 11 / 10);
    assert_true(asked_bytes >= more);
    assert_true(asked_bytes <= more + more / 5);
    hri_heap_hook(NULL);
    for (unsigned i = 0; i < BLOCKS; i++)
        put(blocks[i]);
}

/* Idle pages are handed out again without asking, so they must be resident. */
static void what_was_never_touched_is_not_idle(void **state)
{
    (void)state;
    hri_heap_trim(UINT64_MAX);
    uint64_t before = figures().committed_bytes;
    char *block = hri_heap_get(1 << 20, OWNER);
    block[0] = 1;
    put(block);
    assert_int_equal(figures().idle_bytes, 0);
    assert_true(figures().committed_bytes <= before + HRI_HEAP_RECORDS_BYTES);
    block = hri_heap_get(1 << 20, OWNER);
    memset(block, 1, 1 << 20);
    put(block);
    if (!HRI_HEAP_TRAILER)
        assert_true(figures().idle_bytes >= 1 << 20);
    block = hri_heap_get(1 << 20, OWNER);
    if (!HRI_HEAP_TRAILER)
        assert_int_equal(figures().lazy_bytes, 0);
    put(block);
}

static void a_block_changes_its_size_in_place(void **state)
{
    (void)state;
    char *block = hri_heap_get(100, OWNER);
    assert_true(hri_heap_resize(block, 98));
    assert_false(hri_heap_resize(block, 5000));
    put(block);
    block = hri_heap_get(1 << 20, OWNER);
    memset(block, 7, 1 << 20);
    assert_true(hri_heap_resize(block, 300 << 10));
    assert_true(hri_heap_resize(block, 1 << 20)); /* nobody was behind it */
    for (unsigned i = 0; i < 300 << 10; i++)
        assert_int_equal(block[i], 7);
    hri_heap_block is;
    assert_true(hri_heap_look(block, &is, NULL));
    assert_int_equal(is.bytes, hri_heap_cost(1 << 20));
    assert_false(hri_heap_resize(block, 100));
    memset(block, 8, 1 << 20);
    put(block);
    hri_heap_lazy_measure(100);
    assert_int_equal(figures().in_use_bytes, 0);
    hri_heap_trim(UINT64_MAX);
    assert_as_the_kernel_says();
}

/* A very large block grows without being copied: its pages move, and its alignment stays. */
static void a_block_with_a_segment_to_itself_grows_and_shrinks_without_being_copied(void **state)
{
    (void)state;
    const size_t sizes[] = {9 << 20, 21 << 20, 20 << 20, 90 << 20, (5 << 20) + 1, 300 << 10};
    const size_t align = 1 << 22;
    char *block = hri_heap_get_aligned(align, 6 << 20, OWNER);
    assert_non_null(block);
    memset(block, 'x', 6 << 20);
    size_t written = 6 << 20;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        block = hri_heap_resize_or_move(block, sizes[i], align);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % align, 0);
        written = written < sizes[i] ? written : sizes[i];
        for (size_t at = 0; at < written; at += 4096)
            assert_int_equal(block[at], 'x');
        hri_heap_block found;
        size_t usable;
        assert_true(hri_heap_look(block, &found, &usable));
        assert_int_equal(found.owner, OWNER);
        assert_int_equal(found.bytes, hri_heap_cost(sizes[i]));
        assert_true(usable >= sizes[i]);
        hri_heap_lazy_measure(100);
        assert_int_equal(hri_heap_lazy_bytes(), hri_resident_absent(-1, block, found.bytes));
        hri_heap_check();
    }
    put(block);
    assert_int_equal(hri_heap_lazy_bytes(), 0);
    assert_as_the_kernel_says();
}

/* ── hooks
 * ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static uint64_t granted, given_back, allowed;

static bool may_commit(void *context, uint64_t bytes)
{
    assert_ptr_equal(context, &granted);
    if (granted - given_back + bytes > allowed)
        return false;
    granted += bytes;
    return true;
}

static void decommitted(void *context, uint64_t bytes)
{
    assert_ptr_equal(context, &granted);
    given_back += bytes;
}

static void hooks_are_told_to_the_byte(void **state)
{
    (void)state;
    enum {
        BLOCKS = 2000
    };
    static void *blocks[BLOCKS];
    hri_heap_trim(UINT64_MAX);
    hri_heap_hook(&(hri_heap_hooks){.commit = may_commit, .decommitted = decommitted, .context = &granted});
    granted = given_back = 0;
    allowed = 64 << 20;
    uint64_t before = figures().committed_bytes;
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = hri_heap_get(random_below(i % 100 == 0 ? 3000000 : 30000), OWNER);
        assert_true(figures().committed_bytes - before == granted - given_back);
        if (i % 3 == 0 && blocks[i]) {
            put(blocks[i]);
            blocks[i] = NULL;
        }
    }
    assert_int_equal(figures().pending_bytes, figures().lazy_bytes);
    for (unsigned i = 0; i < BLOCKS; i++)
        if (blocks[i])
            put(blocks[i]);
    assert_int_equal(figures().committed_bytes - before, granted - given_back);
    hri_heap_trim(UINT64_MAX);
    assert_int_equal(figures().committed_bytes - before, granted - given_back);
    assert_int_equal(figures().in_use_bytes, 0);
    hri_heap_hook(NULL);
    hri_heap_check();
}

static void a_refused_commit_is_a_refused_block_and_idle_ones_still_serve(void **state)
{
    (void)state;
    hri_heap_trim(UINT64_MAX);
    void *first = hri_heap_get(3000, OWNER);
    hri_heap_hook(&(hri_heap_hooks){.commit = may_commit, .decommitted = decommitted, .context = &granted});
    allowed = 0;
    granted = given_back = 0;
    put(first);
    void *second = hri_heap_get(3000, OWNER);
    assert_ptr_equal(second, first);
    errno = 0;
    void *block, *blocks[64];
    unsigned count = 0;
    while (count < 64 && (block = hri_heap_get(3000, OWNER)) != NULL)
        blocks[count++] = block;
    assert_true(count < 64);
    assert_int_equal(errno, ENOMEM);
    assert_null(hri_heap_get(1 << 20, OWNER));
    assert_null(hri_heap_get(20000, OWNER));
    assert_int_equal(figures().pending_bytes, 0);
    put(second);
    while (count > 0)
        put(blocks[--count]);
    hri_heap_hook(NULL);
}

/* ── threads
 * ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void *use_and_end(void *context)
{
    void *blocks[100];
    (void)context;
    for (unsigned i = 0; i < 100; i++)
        blocks[i] = hri_heap_get(200, OWNER);
    for (unsigned i = 0; i < 100; i++) {
        hri_heap_block was;
        hri_heap_put(blocks[i], &was);
    }
    return NULL;
}

static void a_thread_that_ends_leaves_nothing(void **state)
{
    (void)state;
    pthread_t thread;
    hri_heap_trim(UINT64_MAX);
    assert_int_equal(pthread_create(&thread, NULL, use_and_end, NULL), 0);
    pthread_join(thread, NULL);
    hri_heap_figures now = figures();
    assert_int_equal(now.in_use_bytes, 0);
    uint64_t blocks[HRI_HEAP_CLASSES] = {0};
    hri_heap_lock();
    hri_heap_depot_empty(UINT64_MAX);
    hri_heap_unlock();
    hri_heap_magazines_count(blocks);
    if (hri_rseq_usable(NULL))
        assert_int_equal(blocks[hri_heap_class_of(200)], 0);
}

static void a_tight_heap_has_no_magazines(void **state)
{
    (void)state;
    hri_heap_tighten(true);
    put(hri_heap_get(100, OWNER));
    uint64_t blocks[HRI_HEAP_CLASSES] = {0};
    hri_heap_magazines_count(blocks);
    for (unsigned i = 0; i < HRI_HEAP_CLASSES; i++)
        assert_int_equal(blocks[i], 0);
    hri_heap_tighten(false);
    put(hri_heap_get(100, OWNER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_asks_for_little_more_than_it_needs), /* first: in a heap without gaps */
        cmocka_unit_test(a_large_block_takes_the_place_of_idle_pages), /* while the heap had little so far */
        cmocka_unit_test(every_size_is_served_and_costs_what_was_said),
        cmocka_unit_test(a_size_that_no_address_can_have_is_refused),
        cmocka_unit_test(zeros_are_zeros_also_where_others_were),
        cmocka_unit_test(alignments_hold),
        cmocka_unit_test(blocks_do_not_overlap_and_the_kernel_agrees),
        cmocka_unit_test(a_trim_gives_what_is_wanted_and_little_more),
        cmocka_unit_test(what_the_kernel_does_not_take_back_stays_committed),
        cmocka_unit_test(at_rest_little_is_idle),
        cmocka_unit_test(large_blocks_are_pending_until_they_are_touched),
        cmocka_unit_test(hot_blocks_of_many_sizes_lie_in_many_sets),
        cmocka_unit_test(what_was_never_touched_is_not_idle),
        cmocka_unit_test(a_block_changes_its_size_in_place),
        cmocka_unit_test(a_block_with_a_segment_to_itself_grows_and_shrinks_without_being_copied),
        cmocka_unit_test(hooks_are_told_to_the_byte),
        cmocka_unit_test(a_refused_commit_is_a_refused_block_and_idle_ones_still_serve),
        cmocka_unit_test(a_thread_that_ends_leaves_nothing),
        cmocka_unit_test(a_tight_heap_has_no_magazines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
