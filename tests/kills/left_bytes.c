/* SPDX-License-Identifier: Apache-2.0 */
/* Prevents: hr_budget_read() of the root promises what a charge does not get, or less than it gets. `left_bytes` of
 * the root is what a charge would get now.
 *
 *     left_bytes self|other OWN_MIB      in 64 MiB
 *
 * OWN_MIB of touched memory that no budget knows is held by the program itself or by another process of the group.
 * Nothing else happens meanwhile.
 * Right: a charge of exactly `left_bytes` is granted, one of 256 KiB more is refused, 20 times. The kernel's own
 * figures change between the reading and the charge: each CPU takes 64 pages of the group's in advance. So the charge
 * may be refused where less is left then, which `left_bytes` says at once; and mostly it is granted.
 */
#include "kills/kills.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define ROUNDS 20
#define MORE (256 << 10)

static pid_t start_other(size_t bytes)
{
    int ends[2];
    char byte = 0;
    HRT_MUST(pipe(ends) == 0);
    pid_t child = fork();
    HRT_MUST(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        hrt_own(bytes);
        HRT_MUST(write(ends[1], &byte, 1) == 1);
        for (;;)
            pause();
    }
    HRT_MUST(read(ends[0], &byte, 1) == 1);
    return child;
}

static uint64_t left_of(hr_budget *budget)
{
    hr_budget_figures figures;
    HRT_MUST(hr_budget_read(budget, &figures) == 0);
    return figures.left_bytes;
}

int main(int argc, char **argv)
{
    size_t bytes = (size_t)hrt_number(argc, argv, 2, 16) * MIB;
    bool other = argc > 1 && strcmp(argv[1], "other") == 0;
    long refused = 0, fell = 0, surplus = 0;
    pid_t child = other ? start_other(bytes) : 0;
    if (!other)
        hrt_own(bytes);
    hr_budget *budget;
    hr_guard *guard = hrt_guard(&budget);
    hr_budget *root = hr_guard_root(guard);
    hr_guard_check(guard);
    hrt_show(guard, "idle");
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t left = left_of(root);
        if (hr_budget_charge(budget, left) == 0)
            hr_budget_uncharge(budget, left);
        else if (left_of(root) >= left)
            refused++;
        else
            fell++;
        left = left_of(root);
        if (hr_budget_charge(budget, left + MORE) == 0) {
            hr_budget_uncharge(budget, left + MORE);
            surplus++;
        }
        if (i == 0)
            printf("left %.2f MiB\n", hrt_mib(left));
        usleep(20000);
    }
    if (child) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    printf("of %d: left_bytes refused %ld, had fallen %ld, and 256 KiB more granted %ld\n", ROUNDS, refused, fell,
           surplus);
    return refused || fell > ROUNDS / 2 ? HRT_REFUSED : surplus ? HRT_WRONG : HRT_RIGHT;
}
