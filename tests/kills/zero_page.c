/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a block of hr_calloc() is read before it is written. mincore() says that its pages are resident, but they
 * all are the kernel's page of zeros, which costs nothing until they are written. The block was not pending any more.
 *
 *     zero_page OWN_MIB ZEROS_MIB      in 64 MiB
 *
 * ZEROS_MIB of zeros are read beside OWN_MIB of the program's own memory. Blocks are taken until one is refused, then
 * the zeros are written.
 * Right: the zeros are granted, and no kill. A kernel without a page of zeros charges them when they are read.
 */
#include "kills/kills.h"

int main(int argc, char **argv)
{
    size_t size = (size_t)hrt_number(argc, argv, 2, 30) * MIB;
    unsigned sum = 0;
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    hrt_own((size_t)hrt_number(argc, argv, 1, 25) * MIB);
    volatile unsigned char *zeros = hr_calloc(budget, 1, size);
    if (!zeros)
        hrt_end(HRT_REFUSED, "the zeros were refused");
    for (size_t i = 0; i < size; i += 512)
        sum += zeros[i];
    hrt_show(guard, "read");
    size_t granted = hrt_fill(budget, 256 * KIB);
    hrt_show(guard, "filled");
    printf("granted %.1f MiB beside the zeros, sum %u\n", hrt_mib(granted), sum);
    fflush(stdout);
    for (size_t i = 0; i < size; i += 4096)
        zeros[i] = 1;
    hrt_show(guard, "written");
    return sum ? HRT_WRONG : HRT_RIGHT;
}
