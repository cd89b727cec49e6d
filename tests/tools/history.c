/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a history file through a guard, for tests of what reads it, and ends with all that it holds. Its arguments:
 * FILE COUNT [REFUSALS]. REFUSALS requests are refused as too large, between the last two samples. */
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = 64 << 20, .interval_ns = -1, .dwell_ns = -1};
    if (argc != 3 && argc != 4)
        return 2;
    options.history_file = argv[1];
    if (hr_guard_new(&options, &guard) != 0)
        return 1;
    for (long i = 1; i < atol(argv[2]); i++) {
        if (hr_budget_charge(hr_guard_root(guard), 500000) != 0)
            return 1;
        usleep(2000);
        hr_guard_check(guard);
    }
    for (long i = 0; argc == 4 && i < atol(argv[3]); i++) {
        hr_ticket ticket;
        if (hr_admit(guard, &(hr_request){.bytes = 65 << 20}, &ticket) == HR_ADMITTED)
            return 1;
    }
    if (argc == 4) {
        usleep(1100000); /* the spell is over */
        hr_guard_check(guard);
        usleep(1100000);
        hr_guard_check(guard);
    }
    _exit(0); /* as one that is killed: nothing is given back, and nothing closed */
}
