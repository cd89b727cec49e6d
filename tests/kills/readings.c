/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: a refused charge reads the gauges again and again. It read them five times.
 *
 *     readings [INTERVAL_MS]      in 64 MiB
 *
 * Blocks of 4 KiB are taken until one is refused; then 100 charges of 4 KiB are tried, 10 ms apart. The program's own
 * pread() counts how often each of them reads memory.stat. INTERVAL_MS is the guard's; -1: without a monitor thread.
 * Right: they are refused, by at most three readings each. Now and then one may be granted: what is held back for
 * surprises is so for a second.
 */
#include "kills/kills.h"

#include <sys/syscall.h>

#define CHARGES 100
#define READINGS_MOST 3

static _Thread_local bool counts;
static _Thread_local unsigned reads;

/* The library calls this one, since it is the program's. */
ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    char path[64], file[512];
    if (counts) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, file, sizeof file - 1);
        file[length > 0 ? length : 0] = '\0';
        reads += strstr(file, "/memory.stat") != NULL;
    }
    return syscall(SYS_pread64, fd, buffer, size, offset);
}

int main(int argc, char **argv)
{
    hr_guard *guard;
    unsigned most = 0, all = 0, refused = 0;
    int64_t interval_ns = hrt_number(argc, argv, 1, 0) * (SECOND / 1000);
    HRT_MUST(hr_guard_new(&(hr_guard_options){.interval_ns = interval_ns}, &guard) == 0);
    hr_budget *root = hr_guard_root(guard);
    for (char *block; (block = hr_alloc(root, 4000)) != NULL;)
        memset(block, 1, 4000);
    for (int i = 0; i < CHARGES; i++) {
        reads = 0;
        counts = true;
        int error = hr_budget_charge(root, 4096);
        counts = false;
        most = error && reads > most ? reads : most;
        all += error ? reads : 0;
        refused += error != 0;
        usleep(10000);
    }
    printf("readings of %u refused charges: %u at the most, %u in all\n", refused, most, all);
    return refused < CHARGES / 4 || all == 0 || most > READINGS_MOST ? HRT_WRONG : HRT_RIGHT;
}
