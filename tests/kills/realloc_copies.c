/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: hr_realloc() charges only the difference, but an allocator that copies holds the old and the new block at
 * the same time. The kernel killed the process for the block that was not charged.
 *
 *     realloc_copies BLOCKS SIZE MORE [AT_LEAST]      in 64 MiB
 *
 * Takes BLOCKS blocks of SIZE bytes, with a block of 64 bytes after each, and makes each MORE bytes larger.
 * glibc copies below 128 KiB; jemalloc, tcmalloc and mimalloc copy at any size.
 * Right: no kill, and at least AT_LEAST blocks grow. A refusal is right where both blocks do not fit.
 */
#include "kills/kills.h"

#define BLOCKS_MAX 4096

int main(int argc, char **argv)
{
    static char *blocks[BLOCKS_MAX];
    long count = hrt_number(argc, argv, 1, 1), grown = 0;
    size_t size = (size_t)hrt_number(argc, argv, 2, 36000000), more = (size_t)hrt_number(argc, argv, 3, 4096);
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    HRT_MUST(count <= BLOCKS_MAX);
    for (long i = 0; i < count; i++) {
        blocks[i] = hr_alloc(budget, size);
        if (!blocks[i])
            hrt_end(HRT_REFUSED, "the blocks do not fit");
        memset(blocks[i], 1, size);
        char *between = hr_alloc(budget, 64);
        if (between)
            *between = 1;
    }
    hrt_show(guard, "taken");
    for (long i = 0; i < count; i++) {
        char *block = hr_realloc(budget, blocks[i], size + more);
        if (!block)
            continue;
        blocks[i] = block;
        memset(block + size, 1, more);
        if (block[0] != 1 || block[size - 1] != 1)
            hrt_end(HRT_WRONG, "the contents changed");
        grown++;
    }
    hrt_show(guard, "grown");
    printf("grown %ld of %ld\n", grown, count);
    return grown >= hrt_number(argc, argv, 4, 0) ? HRT_RIGHT : HRT_REFUSED;
}
