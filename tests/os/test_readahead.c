/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "os/readahead.h"

#include <stdio.h>

/* Prevents: a process in 64 MiB was killed with 8 MB of clean page cache, all of which was being read. */
static void it_is_the_largest_window_of_this_machine(void **state)
{
    (void)state;
    uint64_t kib, most = 128;
    FILE *list = popen("cat /sys/class/bdi/*/read_ahead_kb 2>/dev/null", "r");
    assert_non_null(list);
    for (unsigned long long next; fscanf(list, "%llu", &next) == 1;)
        most = next > most ? next : most;
    pclose(list);
    kib = hri_readahead_bytes() / 1024;
    assert_int_equal(kib, most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_largest_window_of_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
