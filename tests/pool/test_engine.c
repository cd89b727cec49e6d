/* SPDX-License-Identifier: Apache-2.0 */
/* How large magazines are: they grow where threads meet at the lock, within their bytes, and shrink when memory is
 * short. And that what an engine gives back is gone. */
#include "support/cmocka.h"

#include "base/assert.h"
#include "os/pages.h"
#include "pool/magazine.h"
#include "pool/redzone.h"

#include <headroom/headroom.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static hr_guard *guard;
static hri_engine engine;

static void make(size_t block_bytes)
{
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard), 0);
    hri_engine_options options = {.budget = hr_guard_root(guard), .block_bytes = block_bytes};
    assert_int_equal(hri_engine_init(&engine, &options), 0);
}

static int tear_down(void **state)
{
    (void)state;
    int error = hri_engine_destroy(&engine);
    hr_guard_free(guard);
    return error;
}

static pthread_barrier_t held;

static void *hold_the_lock(void *context)
{
    (void)context;
    pthread_mutex_lock(&engine.lock);
    pthread_barrier_wait(&held);
    usleep(1000);
    pthread_mutex_unlock(&engine.lock);
    return NULL;
}

/* Gets a block while another thread has the lock, so often that the two have met `meetings` times. */
static void meet(unsigned meetings)
{
    pthread_barrier_init(&held, NULL, 2);
    for (unsigned tries = 0; meetings > 0 && tries < 1000; tries++) {
        pthread_t thread;
        unsigned before = engine.meetings;
        assert_int_equal(pthread_create(&thread, NULL, hold_the_lock, NULL), 0);
        pthread_barrier_wait(&held);
        hri_magazine_lock(&engine);
        meetings -= engine.meetings != before;
        pthread_mutex_unlock(&engine.lock);
        pthread_join(thread, NULL);
    }
    pthread_barrier_destroy(&held);
    assert_int_equal(meetings, 0);
}

static void meetings_make_magazines_grow_to_a_limit(void **state)
{
    (void)state;
    make(64);
    assert_int_equal(engine.slots, HRI_MAGAZINE_SLOTS);
    meet(HRI_MAGAZINE_MEETINGS - 1);
    assert_int_equal(engine.slots, HRI_MAGAZINE_SLOTS);
    for (unsigned slots = 2 * HRI_MAGAZINE_SLOTS; slots <= HRI_MAGAZINE_SLOTS_MAX; slots *= 2) {
        meet(HRI_MAGAZINE_MEETINGS);
        assert_int_equal(engine.slots, slots);
    }
    meet(HRI_MAGAZINE_MEETINGS);
    assert_int_equal(engine.slots, HRI_MAGAZINE_SLOTS_MAX);
}

/* Now and then threads always meet: it is the rate that counts. */
static void meetings_before_the_janitor_came_are_forgotten(void **state)
{
    (void)state;
    make(64);
    meet(HRI_MAGAZINE_MEETINGS - 1);
    hri_engine_reap(&engine);
    meet(HRI_MAGAZINE_MEETINGS - 1);
    assert_int_equal(engine.slots, HRI_MAGAZINE_SLOTS);
}

static void a_stack_of_large_blocks_does_not_grow(void **state)
{
    (void)state;
    make(MIB);
    assert_int_equal(engine.slots, 1);
    meet(HRI_MAGAZINE_MEETINGS);
    assert_int_equal(engine.slots, 1);
}

/* A thread keeps two magazines at least: blocks of a page and more begin with few. */
static void what_a_thread_keeps_is_bounded_in_bytes(void **state)
{
    (void)state;
    make(2 * 4096);
    assert_in_range(engine.slots * engine.options.block_bytes, 1, HRI_MAGAZINE_BYTES_FIRST);
    for (int i = 0; i < 8; i++)
        meet(HRI_MAGAZINE_MEETINGS);
    assert_in_range(engine.slots * engine.options.block_bytes, HRI_MAGAZINE_BYTES_FIRST + 1, HRI_MAGAZINE_BYTES);
}

static void they_are_small_again_when_memory_is_short(void **state)
{
    (void)state;
    make(64);
    meet(HRI_MAGAZINE_MEETINGS);
    assert_int_equal(engine.slots, 2 * HRI_MAGAZINE_SLOTS);
    hri_engine_trim(&engine, UINT64_MAX);
    assert_int_equal(engine.slots, HRI_MAGAZINE_SLOTS);
}

/* Smaller ones that are about are used up; what they cost is given back. */
static void magazines_of_both_sizes_lose_nothing(void **state)
{
    (void)state;
    make(64);
    void *blocks[4 * HRI_MAGAZINE_SLOTS_MAX];
    unsigned count = sizeof blocks / sizeof blocks[0];
    for (int round = 0; round < 4; round++) {
        for (unsigned i = 0; i < count; i++)
            assert_non_null(blocks[i] = hri_engine_get(&engine, true));
        for (unsigned i = 0; i < count; i++)
            assert_true(hri_engine_put(&engine, blocks[i]));
        meet(HRI_MAGAZINE_MEETINGS);
    }
    hr_pool_figures figures = {0};
    hri_engine_read(&engine, &figures);
    assert_int_equal(figures.idle, count);
    assert_int_equal(figures.in_use, 0);
    assert_int_equal(figures.misses, count);
    hri_engine_trim(&engine, UINT64_MAX);
    hr_figures guards;
    hr_guard_read(guard, &guards);
    assert_int_equal(guards.live_bytes, 0);
}

/* Gets `count` blocks; puts those from `from` to before `to`. */
static void get_blocks(void **blocks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_non_null(blocks[i] = hri_engine_get(&engine, true));
}

static void put_blocks(void **blocks, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        assert_true(hri_engine_put(&engine, blocks[i]));
}

/* As if two threads had put it in the same instant, and both had seen a mark that says that a user has it. */
static void put_past_the_mark(void *block)
{
    *hri_block_mark(block) = engine.used;
    assert_true(hri_place_push(engine.place, engine.used, block));
}

static unsigned count_same(void **blocks, unsigned count)
{
    unsigned same = 0;
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < i; k++)
            same += blocks[i] == blocks[k];
    return same;
}

/* The mark names one of the two stacks: from the other one nobody gets it. (The word of a block of whole pages keeps it
 * from coming into two: test_double_put.c.) */
static void a_block_in_two_magazines_comes_out_of_one(void **state)
{
    (void)state;
    make(16000);
    if (!engine.place) {
        print_message("skipped: debug builds have no magazines\n");
        skip();
    }
    void *blocks[12], *again[12];
    uint64_t faults = hri_fault_count();
    get_blocks(blocks, 12);
    put_blocks(blocks, 0, 12);
    assert_int_equal(engine.depot_blocks, 4); /* the first four */
    void *top = hri_engine_get(&engine, true);
    assert_true(hri_engine_put(&engine, top));
    assert_ptr_equal(hri_engine_get(&engine, true), top); /* so that there is room */
    put_past_the_mark(blocks[0]);
    get_blocks(again, 12);
    assert_int_equal(count_same(again, 12), 0);
    assert_true(hri_fault_count() > faults);
    put_blocks(again, 0, 12);
    assert_true(hri_engine_put(&engine, top));
    hr_pool_figures figures = {0};
    hri_engine_read(&engine, &figures);
    assert_int_equal(figures.in_use, 0);
}

/* A user who writes in front of the block, or behind the one before. */
static void a_mark_that_was_written_over_is_a_fault(void **state)
{
    (void)state;
    make(16000);
    void *block = hri_engine_get(&engine, true);
    hri_mark mark = *hri_block_mark(block);
    *hri_block_mark(block) = 1;
#ifndef HRI_DEBUG
    uint64_t faults = hri_fault_count();
    assert_false(hri_engine_put(&engine, block));
    assert_int_equal(hri_fault_count(), faults + 1);
#endif
    *hri_block_mark(block) = mark;
    assert_true(hri_engine_put(&engine, block));
}

/* Some hundred magazines, and what the depot needs to keep them is given back too. */
static void the_depot_grows_and_shrinks(void **state)
{
    (void)state;
    make(16384);
    static void *blocks[2000];
    get_blocks(blocks, 2000);
    put_blocks(blocks, 0, 2000);
    assert_true(!engine.place || engine.full->count > 2 * HRI_MAGAZINE_SLOTS_GROWING);
    void *again[2000];
    get_blocks(again, 2000);
    put_blocks(again, 0, 2000);
    hr_pool_figures figures = {0};
    hri_engine_read(&engine, &figures);
    assert_int_equal(figures.misses, 2000);
    assert_int_equal(figures.idle, 2000);
    hri_engine_trim(&engine, UINT64_MAX);
    assert_null(engine.full);
    hr_figures guards;
    hr_guard_read(guard, &guards);
    assert_int_equal(guards.live_bytes, 0);
}

/* Is this address a block's of the engine? */
static bool is_block(const void *block)
{
    return hri_engine_find(block).engine == &engine;
}

/* Blocks of whole pages are given back one by one. */
static void no_block_stays_behind(void **state)
{
    (void)state;
    make(16384);
    static void *blocks[1000];
    for (unsigned i = 0; i < 1000; i++)
        assert_non_null(blocks[i] = hri_engine_get(&engine, true));
    for (unsigned i = 0; i < 1000; i++) /* every hundredth stays */
        if (i % 100)
            assert_true(hri_engine_put(&engine, blocks[i]));
    assert_true(hri_engine_trim(&engine, UINT64_MAX) >= 990 * 16384);
    for (unsigned i = 0; i < 1000; i += 100) {
        memset(blocks[i], 1, 16384);
        assert_true(hri_engine_put(&engine, blocks[i]));
    }
    hri_engine_trim(&engine, UINT64_MAX);
    for (unsigned i = 0; i < 1000; i++)
        assert_false(is_block(blocks[i]));
    assert_null(engine.free_pages);
    hr_pool_figures figures = {0};
    hri_engine_read(&engine, &figures);
    assert_int_equal(figures.trimmed, 1000);
    assert_int_equal(figures.idle + figures.in_use, 0);
}

static size_t resident_pages(void *block, size_t bytes)
{
    unsigned char pages[16];
    size_t count = 0, page = hri_page_size();
    assert_true(bytes / page <= sizeof pages);
    assert_int_equal(mincore((void *)((uintptr_t)block / page * page), bytes, pages), 0);
    for (size_t i = 0; i < bytes / page; i++)
        count += pages[i] & 1;
    return count;
}

/* Before, blocks of one to three pages did not begin at pages: the kernel refused to take theirs, and construct() found
 * in them what the last user had left. */
static void blocks_of_whole_pages_are_given_back_among_others(void **state)
{
    (void)state;
    for (size_t pages = 1; pages <= 4; pages++) {
        size_t bytes = pages * hri_page_size();
        make(bytes - HRI_REDZONE_BYTES); /* so they are of whole pages in debug builds too */
        char *blocks[64];
        for (int i = 0; i < 64; i++)
            memset(blocks[i] = hri_engine_get(&engine, true), 's', bytes - HRI_REDZONE_BYTES);
        for (int i = 0; i < 64; i++)
            if (i % 8)
                assert_true(hri_engine_put(&engine, blocks[i]));
        assert_true(hri_engine_trim(&engine, UINT64_MAX) >= 56 * bytes);
        for (int i = 0; i < 64; i++)
            assert_int_equal(resident_pages(blocks[i], bytes), i % 8 ? 0 : pages);
        for (int i = 1; i < 64; i++) {
            if (i % 8 == 0)
                continue;
            blocks[i] = hri_engine_get(&engine, true);
            assert_int_equal(blocks[i][0] | blocks[i][bytes / 2], 0);
        }
        for (int i = 0; i < 64; i++)
            assert_true(hri_engine_put(&engine, blocks[i]));
        if (pages < 4)
            tear_down(NULL);
    }
}

static void *made_meanwhile[16];

static void make_others(void *block, void *context)
{
    (void)block, (void)context;
    for (int i = 0; i < 16; i++)
        if (!made_meanwhile[i])
            assert_non_null(made_meanwhile[i] = hri_engine_get(&engine, true));
}

/* Before, it was the difference of what was charged before and after, and 0 where others made as much. */
static void what_a_trim_freed_is_its_own_sum(void **state)
{
    (void)state;
    void *blocks[16];
    make(16384);
    engine.options.destroy = make_others;
    for (int i = 0; i < 16; i++)
        assert_non_null(blocks[i] = hri_engine_get(&engine, true));
    for (int i = 0; i < 16; i++)
        assert_true(hri_engine_put(&engine, blocks[i]));
    assert_true(hri_engine_trim(&engine, UINT64_MAX) >= 8 * hri_engine_cost(&engine)); /* the rest they took before */
    for (int i = 0; i < 16; i++)
        assert_true(hri_engine_put(&engine, made_meanwhile[i]));
}

static uint64_t used(void)
{
    hr_budget_figures figures;
    hr_budget_read(hr_guard_root(guard), &figures);
    return figures.used_bytes;
}

/* The empty magazines are paid for too. */
static void what_a_trim_freed_is_what_was_uncharged(void **state)
{
    (void)state;
    void *blocks[500];
    make(64);
    for (int i = 0; i < 500; i++)
        assert_non_null(blocks[i] = hri_engine_get(&engine, true));
    for (int i = 0; i < 500; i++)
        assert_true(hri_engine_put(&engine, blocks[i]));
    uint64_t before = used();
    assert_int_equal(hri_engine_trim(&engine, UINT64_MAX), before);
    assert_int_equal(used(), 0);
}

static unsigned alive, dirty;

static int count_made(void *block, void *context)
{
    (void)context;
    for (size_t i = 0; i < engine.usable_bytes; i++)
        dirty += ((char *)block)[i] != 0;
    memset(block, 's', engine.usable_bytes);
    alive++;
    return 0;
}

static void count_destroyed(void *block, void *context)
{
    (void)context;
    dirty += *(char *)block != 's' || ((char *)block)[engine.usable_bytes - 1] != 's';
    alive--;
}

static void get_all(char **blocks, unsigned count, unsigned step)
{
    for (unsigned i = 0; i < count; i++)
        if (step == 0 || i % step)
            assert_non_null(blocks[i] = hri_engine_get(&engine, true));
}

static void put_all(char **blocks, unsigned count, unsigned step)
{
    for (unsigned i = 0; i < count; i++)
        if (step == 0 || i % step)
            assert_true(hri_engine_put(&engine, blocks[i]));
}

/* Holds every `step`th of `count` blocks, whose contents must stay, and gives back what the others are on. Gives the
 * share of them that went. */
static double trim_around(size_t block_bytes, unsigned count, unsigned step)
{
    static char *blocks[40000];
    hr_pool_figures figures = {0};
    make(block_bytes);
    engine.options.construct = count_made;
    engine.options.destroy = count_destroyed;
    alive = dirty = 0;
    get_all(blocks, count, 0);
    put_all(blocks, count, step);
    uint64_t before = used(), freed = hri_engine_trim(&engine, UINT64_MAX);
    assert_int_equal(used(), before - freed);
    hri_engine_read(&engine, &figures);
    assert_int_equal(figures.in_use, (count + step - 1) / step);
    assert_int_equal(figures.in_use + figures.idle, alive);
    assert_int_equal(figures.in_use_bytes + figures.idle_bytes, used());
    unsigned went = count - alive;
    get_all(blocks, count, step); /* made of zeros, or as it was */
    for (unsigned i = 0; i < count; i++)
        assert_true(blocks[i][0] == 's' && blocks[i][block_bytes - 1] == 's');
    put_all(blocks, count, 0);
    hri_engine_trim(&engine, UINT64_MAX);
    assert_null(engine.regions);
    assert_int_equal(alive + dirty, 0);
    tear_down(NULL);
    return (double)went / (count - count / step);
}

/* Before, one block in use kept all of its region, up to 4 MiB: charges were refused with nearly everything idle. */
static void one_block_in_use_keeps_its_pages_only(void **state)
{
    (void)state;
    assert_true(trim_around(256, 40000, 64) > 0.65); /* of four or five pages one or two stay */
    assert_true(trim_around(1024, 20000, 64) > 0.9);
    assert_true(trim_around(2048, 10000, 64) > 0.9);
    assert_true(trim_around(12000, 2000, 16) > 0.8);
    assert_true(trim_around(5000, 4000, 4) > 0.4);
    assert_true(trim_around(64, 40000, 8) < 0.01); /* on each page some are in use */
    trim_around(16, 40000, 3000);
}

static size_t resident(void)
{
    unsigned long size, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
    fclose(file);
    return pages * hri_page_size();
}

/* Blocks that are uncharged are not resident. */
static void pages_that_went_are_gone(void **state)
{
    (void)state;
    static char *blocks[16384];
    make(1024);
    get_all(blocks, 16384, 0);
    for (unsigned i = 0; i < 16384; i++)
        memset(blocks[i], 's', 1024);
    put_all(blocks, 16384, 64);
    size_t before = resident();
    assert_true(hri_engine_trim(&engine, UINT64_MAX) > 14 * MIB);
    assert_true(before - resident() > 13 * MIB);
    for (unsigned i = 0; i < 16384; i += 64)
        assert_true(hri_engine_put(&engine, blocks[i]));
}

/* Where huge pages are for all, the first block would make 2 MiB resident, of which only the block is paid for. */
static void what_is_not_touched_is_not_resident(void **state)
{
    (void)state;
    make(16384);
    void *block = hri_engine_get(&engine, true);
    uintptr_t address = (uintptr_t)block, from, to;
    char line[512];
    bool here = false, small = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
            here = from <= address && address < to;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            small = strstr(line, " nh") != NULL;
    }
    fclose(maps);
    bool possible = access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) == 0;
    assert_true(small || !possible);
    assert_true(hri_engine_put(&engine, block));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(meetings_make_magazines_grow_to_a_limit, tear_down),
        cmocka_unit_test_teardown(meetings_before_the_janitor_came_are_forgotten, tear_down),
        cmocka_unit_test_teardown(a_stack_of_large_blocks_does_not_grow, tear_down),
        cmocka_unit_test_teardown(what_a_thread_keeps_is_bounded_in_bytes, tear_down),
        cmocka_unit_test_teardown(they_are_small_again_when_memory_is_short, tear_down),
        cmocka_unit_test_teardown(what_is_not_touched_is_not_resident, tear_down),
        cmocka_unit_test_teardown(no_block_stays_behind, tear_down),
        cmocka_unit_test(one_block_in_use_keeps_its_pages_only),
        cmocka_unit_test_teardown(pages_that_went_are_gone, tear_down),
        cmocka_unit_test_teardown(what_a_trim_freed_is_its_own_sum, tear_down),
        cmocka_unit_test_teardown(what_a_trim_freed_is_what_was_uncharged, tear_down),
        cmocka_unit_test_teardown(blocks_of_whole_pages_are_given_back_among_others, tear_down),
        cmocka_unit_test_teardown(magazines_of_both_sizes_lose_nothing, tear_down),
        cmocka_unit_test_teardown(a_block_in_two_magazines_comes_out_of_one, tear_down),
        cmocka_unit_test_teardown(a_mark_that_was_written_over_is_a_fault, tear_down),
        cmocka_unit_test_teardown(the_depot_grows_and_shrinks, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
