/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: pages that no process maps, but a pipe holds, count as free. The level was normal with 21 MiB in use, and
 * the process was killed.
 *
 *     vmsplice_unmapped MIB      in 64 MiB
 *
 * MIB of pages are given to pipes by vmsplice() and unmapped. After a second blocks are taken until one is refused.
 * Right: no kill, and at least 6/10 of the limit without MIB is granted.
 */
#include "kills/kills.h"

#include <fcntl.h>
#include <sys/uio.h>

static void hold_in_pipe(void)
{
    int ends[2];
    HRT_MUST(pipe(ends) == 0 && fcntl(ends[1], F_SETPIPE_SZ, (int)MIB) >= (int)MIB);
    struct iovec pages = {hrt_own(MIB), MIB};
    HRT_MUST(vmsplice(ends[1], &pages, 1, SPLICE_F_NONBLOCK) == (ssize_t)MIB);
    munmap(pages.iov_base, MIB);
}

int main(int argc, char **argv)
{
    long count = hrt_number(argc, argv, 1, 20);
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    hr_figures figures;
    HRT_MUST(hr_guard_read(guard, &figures) == 0);
    for (long i = 0; i < count; i++)
        hold_in_pipe();
    hr_guard_check(guard);
    hrt_show(guard, "spliced");
    sleep(1);
    hr_guard_check(guard);
    hrt_show(guard, "later");
    size_t granted = hrt_fill(budget, 100000);
    hrt_show(guard, "filled");
    return hrt_granted(granted, (figures.limit_bytes - (size_t)count * MIB) / 10 * 6);
}
