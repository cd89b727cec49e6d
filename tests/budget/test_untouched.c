/* SPDX-License-Identifier: Apache-2.0 */
/* The list of memory that is charged and has no page: what is in it is known until it was seen whole, and nothing stays
 * behind. */
#include "support/cmocka.h"

#include "budget/untouched.h"
#include "os/pages.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Memory with a node, as a pool's region is. */
typedef struct region {
    hri_untouched_node node;
    char *bytes;
    size_t size;
} region;

static void map(region *area, size_t size)
{
    *area = (region){.size = size};
    area->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area->bytes != MAP_FAILED);
    madvise(area->bytes, size, MADV_NOHUGEPAGE);
    hri_untouched_widen(&area->node, &(hri_span){.raw = area->bytes, .size = size}, size);
}

static void unmap(region *area)
{
    hri_untouched_remove(&area->node);
    munmap(area->bytes, area->size);
}

/* As an upper bound, and once the kernel was asked. */
static uint64_t bound(void)
{
    return hri_untouched_bytes();
}

static uint64_t measured(void)
{
    hri_untouched_measure();
    return bound();
}

static void an_area_counts_until_it_is_touched(void **state)
{
    (void)state;
    region area;
    map(&area, 8 * MIB);
    assert_true(bound() == 8 * MIB);
    assert_true(measured() == 8 * MIB);
    memset(area.bytes, 1, 3 * MIB);
    assert_true(measured() == 5 * MIB);
    memset(area.bytes, 1, 8 * MIB);
    assert_true(bound() == 5 * MIB); /* nobody has asked the kernel since */
    assert_true(measured() == 0);
    unmap(&area);
    assert_true(bound() == 0);
}

/* Prevents a look from taking as long as there are areas. */
static void many_areas_are_asked_about_in_turn(void **state)
{
    (void)state;
    enum {
        COUNT = 3 * HRI_UNTOUCHED_ASKED
    };
    static region areas[COUNT];
    const size_t size = hri_page_size();
    char *all = mmap(NULL, COUNT * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(all != MAP_FAILED);
    madvise(all, COUNT * size, MADV_NOHUGEPAGE);
    for (unsigned i = 0; i < COUNT; i++)
        hri_untouched_widen(&areas[i].node, &(hri_span){.raw = all + i * size, .size = size}, size);
    assert_true(measured() == COUNT * size);
    memset(all, 1, COUNT * size);
    uint64_t once = measured();
    assert_true(once < COUNT * size && once > COUNT * size / 3);
    measured(), measured();
    assert_true(measured() == 0);
    for (unsigned i = 0; i < COUNT; i++)
        hri_untouched_remove(&areas[i].node);
    munmap(all, COUNT * size);
}

static void what_grows_is_listed_again(void **state)
{
    (void)state;
    region area;
    map(&area, MIB);
    memset(area.bytes, 1, MIB / 2);
    assert_true(measured() == MIB / 2);
    memset(area.bytes, 1, MIB);
    assert_true(measured() == 0);
    hri_untouched_widen(&area.node, &(hri_span){.raw = area.bytes, .size = MIB}, 0);
    assert_true(bound() == 0); /* there is no more of it */
    hri_untouched_widen(&area.node, &(hri_span){.raw = area.bytes, .size = MIB}, 4096);
    assert_true(bound() == 4096);
    unmap(&area);
    assert_true(bound() == 0);
}

static void what_is_expected_counts_until_it_is_there_or_is_not_to_come(void **state)
{
    (void)state;
    hri_untouched_expect(MIB);
    assert_true(measured() == MIB);
    hri_untouched_arrive(MIB);
    assert_true(bound() == 0);
}

/* ── threads ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static _Atomic bool done, wrong;

static void *make_and_remove(void *context)
{
    unsigned seed = *(unsigned *)context;
    region areas[8] = {0};
    for (int i = 0; i < 3000; i++) {
        region *at = &areas[rand_r(&seed) % 8];
        if (at->bytes)
            unmap(at);
        map(at, hri_page_size() * (1 + (size_t)rand_r(&seed) % 8));
        if (i & 1)
            memset(at->bytes, 1, at->size);
    }
    for (unsigned i = 0; i < 8; i++)
        unmap(&areas[i]);
    return NULL;
}

static void *measure_all_the_time(void *context)
{
    (void)context;
    while (!done)
        if (measured() > 512 * MIB) /* a sum is never below nothing */
            wrong = true;
    return NULL;
}

static void counting_beside_threads_that_make_and_remove_adds_up(void **state)
{
    (void)state;
    pthread_t makers[4], counter;
    unsigned seeds[4] = {1, 2, 3, 4};
    done = false;
    assert_int_equal(pthread_create(&counter, NULL, measure_all_the_time, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&makers[i], NULL, make_and_remove, &seeds[i]), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(makers[i], NULL);
    done = true;
    pthread_join(counter, NULL);
    assert_false(wrong);
    assert_true(bound() == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_area_counts_until_it_is_touched),
        cmocka_unit_test(many_areas_are_asked_about_in_turn),
        cmocka_unit_test(what_grows_is_listed_again),
        cmocka_unit_test(what_is_expected_counts_until_it_is_there_or_is_not_to_come),
        cmocka_unit_test(counting_beside_threads_that_make_and_remove_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
