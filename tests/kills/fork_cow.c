/* SPDX-License-Identifier: Apache-2.0 */
/* Shows what cannot be prevented: after a fork() the pages of both processes are shared until one of them writes.
 * Nothing charges the copy. README says so under "Limits of headroom".
 *
 *     fork_cow MIB      in 64 MiB
 *
 * The parent holds MIB when it forks, and both write all of it.
 */
#include "kills/kills.h"

#include <sys/wait.h>

#define BLOCKS_MAX 4096

static void write_all(char **blocks, size_t count, int byte)
{
    for (size_t i = 0; i < count; i++)
        memset(blocks[i], byte, MIB);
}

int main(int argc, char **argv)
{
    static char *blocks[BLOCKS_MAX];
    size_t most = (size_t)hrt_number(argc, argv, 1, 40), count = 0;
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    int status;
    while (count < most && (blocks[count] = hr_alloc(budget, MIB)) != NULL)
        count++;
    write_all(blocks, count, 1);
    hrt_show(guard, "parent");
    pid_t child = fork();
    HRT_MUST(child >= 0);
    if (child == 0) {
        hr_guard_start(guard, 0);
        usleep(500000);
        write_all(blocks, count, 2);
        _exit(0);
    }
    write_all(blocks, count, 3);
    hrt_show(guard, "parent wrote");
    HRT_MUST(waitpid(child, &status, 0) == child);
    return status ? HRT_WRONG : HRT_RIGHT;
}
