/* SPDX-License-Identifier: Apache-2.0 */
/* An inline get reads the mark in front of a block that may be in two stacks, since two threads have put it in the same
 * instant. By then its region may be gone. Prevents: that get read addresses that nothing was mapped at. */
#include "support/cmocka.h"

#include "pool/region.h"

#include <stdlib.h>
#include <string.h>

#define PIECE ((size_t)64 << 10)
#define REGIONS 40

static int owner;

static hri_region *make(size_t bytes)
{
    hri_region *region = hri_region_new(&owner, 64, 64, bytes);
    assert_non_null(region);
    return region;
}

static size_t bytes_of(const hri_region *region)
{
    return region->run.pages * HRI_HEAP_PAGE;
}

static void a_mark_can_be_read_after_its_region(void **state)
{
    (void)state;
    hri_region *region = make(PIECE / 2);
    unsigned char *block = hri_region_block(region, hri_region_take_new(region));
    memset(block - HRI_MARK_BYTES, 0xa5, 64 + HRI_MARK_BYTES);
    hri_region_free(region);
    assert_null(hri_region_find(block));
    hri_mark mark = 1;
    memcpy(&mark, block - HRI_MARK_BYTES, sizeof mark); /* as the inline get reads it */
    assert_int_equal(mark, 0);                          /* which is no stack's */
    hri_region *again = make(PIECE / 2);
    assert_ptr_equal(again, region); /* addresses are used again */
    assert_ptr_equal(hri_region_find(block), again);
    hri_region_free(again);
}

/* Any order of making and freeing: no two regions meet, each is zero except for its head, and is found by its
 * blocks. */
static void addresses_never_meet(void **state)
{
    (void)state;
    hri_region *regions[REGIONS] = {NULL};
    srand(7);
    for (int step = 0; step < 20000; step++) {
        hri_region **at = &regions[rand() % REGIONS];
        if (*at) {
            hri_region_free(*at);
            *at = NULL;
            continue;
        }
        *at = make(PIECE * (size_t)(1 + rand() % 9) - PIECE / 4);
        uintptr_t from = (uintptr_t)*at, to = from + bytes_of(*at);
        assert_int_equal(from % PIECE, 0);
        for (int i = 0; i < REGIONS; i++) {
            uintptr_t other = (uintptr_t)regions[i];
            if (regions[i] && regions[i] != *at)
                assert_true(other >= to || other + bytes_of(regions[i]) <= from);
        }
        unsigned char *last = (unsigned char *)to - 1;
        assert_int_equal(*last, 0);
        *last = 1;
        unsigned char *block = hri_region_block(*at, hri_region_take_new(*at));
        assert_int_equal(block[0], 0);
        block[0] = 1;
        assert_ptr_equal(hri_region_find(block), *at);
    }
    for (int i = 0; i < REGIONS; i++)
        if (regions[i])
            hri_region_free(regions[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_can_be_read_after_its_region),
        cmocka_unit_test(addresses_never_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
