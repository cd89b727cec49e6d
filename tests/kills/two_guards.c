/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: two guards in one process do not know of each other's pending bytes. Each granted the whole limit.
 *
 *     two_guards OWN_MIB      in 64 MiB
 *
 * Each guard is asked for blocks of 250,000 bytes until it refuses one. All blocks are touched after that.
 * Right: no kill, and together at least 6/10 of the limit without OWN_MIB is granted.
 */
#include "kills/kills.h"

#define BLOCK 250000
#define BLOCKS_MAX 4096

int main(int argc, char **argv)
{
    static char *blocks[BLOCKS_MAX];
    size_t own = (size_t)hrt_number(argc, argv, 1, 20) * MIB, count = 0;
    hr_guard *guards[2];
    hr_budget *budgets[2];
    hr_figures figures;
    for (int i = 0; i < 2; i++)
        guards[i] = hrt_guard(&budgets[i]);
    HRT_MUST(hr_guard_read(guards[0], &figures) == 0);
    hrt_own(own);
    for (int i = 0; i < 2; i++) {
        while (count < BLOCKS_MAX && (blocks[count] = hr_alloc(budgets[i], BLOCK)) != NULL)
            count++;
        hrt_show(guards[i], i ? "second" : "first");
    }
    for (size_t i = 0; i < count; i++)
        memset(blocks[i], 1, BLOCK);
    return hrt_granted(count * BLOCK, (figures.limit_bytes - own) / 10 * 6);
}
