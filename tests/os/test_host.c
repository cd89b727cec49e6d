/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "os/host.h"

#include <headroom/base.h>

static hri_host_reading parse(const char *meminfo, const char *arcstats)
{
    hri_host_reading host;
    hri_host_parse(meminfo, arcstats, &host);
    return host;
}

/* Prevents a MemTotal of 0 from being a limit of 0, and an available that wrapped from being room. */
static void figures_that_cannot_be_true_are_not_known(void **state)
{
    (void)state;
    hri_host_reading host = parse("MemTotal: 0 kB\nMemFree: 18446744073708785356 kB\n"
                                  "MemAvailable: 18446744073708785356 kB\n",
                                  NULL);
    assert_true(host.absurd && host.total_bytes == HR_NONE && host.available_bytes == HR_NONE);
    host = parse("MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 1001 kB\n", NULL);
    assert_true(host.absurd && host.total_bytes == 1000 * KIB && host.available_bytes == HR_NONE);
    host = parse("MemTotal: 18446744073709551615 kB\nMemAvailable: 5 kB\n", NULL);
    assert_true(host.absurd && host.total_bytes == HR_NONE && host.available_bytes == HR_NONE);
    host = parse("MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 600 kB\n", NULL);
    assert_true(!host.absurd && host.available_bytes == 600 * KIB);
    host = parse("", NULL);
    assert_true(!host.absurd && host.total_bytes == HR_NONE && host.available_bytes == HR_NONE);
}

/* Prevents 0.85 for 0.67: an lxcfs leaves slab that can be reclaimed out of what is available. */
static void reclaimable_slab_is_available(void **state)
{
    (void)state;
    const uint64_t gib = 1024 * MIB;
    hri_host_reading host = parse("MemTotal: 134217728 kB\nMemFree: 14847836 kB\nMemAvailable: 14847836 kB\n"
                                  "SReclaimable: 26770145 kB\n",
                                  NULL);
    double use = 80.0 * (double)gib / (80.0 * (double)gib + (double)host.available_bytes);
    assert_true(use > 0.66 && use < 0.68);
    host = parse("MemTotal: 1000 kB\nMemFree: 500 kB\nMemAvailable: 700 kB\nSReclaimable: 200 kB\n", NULL);
    assert_true(host.available_bytes == 700 * KIB); /* the kernel's has it already */
}

static void zfs_gives_back_its_cache_down_to_a_minimum(void **state)
{
    (void)state;
    static const char meminfo[] = "MemTotal: 8192 kB\nMemFree: 1 kB\nMemAvailable: 1024 kB\n";
    static const char arcstats[] =
        "13 1 0x01 123 33456 6363 979\nname                            type data\n"
        "hits                            4    77\nc_min                           4    1048576\n"
        "size                            4    3145728\n";
    assert_true(parse(meminfo, arcstats).available_bytes == 3 * MIB);
    assert_true(parse(meminfo, "size 4 99999999999\nc_min 4 0\n").available_bytes == 8 * MIB); /* never more than all */
    assert_true(parse(meminfo, "size 4 5\nc_min 4 7\n").available_bytes == 1 * MIB);
    assert_true(parse(meminfo, "size 4\nc_min 4\n").available_bytes == 1 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_that_cannot_be_true_are_not_known),
        cmocka_unit_test(reclaimable_slab_is_available),
        cmocka_unit_test(zfs_gives_back_its_cache_down_to_a_minimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
