/* SPDX-License-Identifier: Apache-2.0 */
/* How much is committed for what lives. Each case is a process of its own, so that none finds what another left. */
#include "support/cmocka.h"

#include "heap/heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
    return now;
}

static void put(void *block)
{
    hri_heap_block was;
    if (!hri_heap_put(block, &was))
        abort();
}

/* Runs a pattern in a child, which gives what is committed in thousandths of what lives, in a pipe. */
static unsigned run(unsigned (*pattern)(void))
{
    int ends[2], status;
    unsigned thousandths = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        thousandths = pattern();
        _exit(write(ends[1], &thousandths, sizeof thousandths) != sizeof thousandths);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &thousandths, sizeof thousandths), sizeof thousandths);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    print_message("committed: %u thousandths of what lives\n", thousandths);
    return thousandths;
}

static unsigned committed_for(uint64_t live)
{
    hri_heap_trim(UINT64_MAX);
    hri_heap_check();
    return (unsigned)(figures().committed_bytes * 1000 / live);
}

/* The pattern by which glibc's dynamic mmap threshold keeps 119 MiB for 84 MiB that live. */
static unsigned random_sizes(void)
{
    enum {
        BLOCKS = 20000
    };
    static struct {
        char *block;
        size_t size;
    } held[BLOCKS];
    size_t live = 0, cap = (size_t)85 << 20;
    unsigned count = 0;
    for (unsigned i = 0; i < 8000; i++) {
        unsigned shift = 10 + (unsigned)random_below(12);
        size_t size = ((size_t)1 << shift) + random_below((uint64_t)1 << shift);
        while (live + size > cap) {
            unsigned at = (unsigned)random_below(count);
            live -= held[at].size;
            put(held[at].block);
            held[at] = held[--count];
        }
        held[count].block = hri_heap_get(size, OWNER);
        memset(held[count].block, 1, size);
        held[count++].size = size;
        live += size;
    }
    return committed_for(live);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_drain_little_more_is_committed_than_lives),
        cmocka_unit_test(gaps_of_one_size_serve_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
