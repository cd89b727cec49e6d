/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "gauge/reading.h"

static hrt_world world;
static hri_gauge gauge;
static hri_reading reading;

static int set_up(void **state)
{
    (void)state;
    hrt_world_new(&world);
    hrt_world_set_process(&world, 10 * MIB, 1000 * MIB);
    hrt_world_set_group(&world, 100 * MIB, 30 * MIB, 5 * MIB);
    reading = (hri_reading){0};
    return hri_gauge_open(&gauge, &(hri_site){.root = world.root}, &world.clock);
}

static int tear_down(void **state)
{
    (void)state;
    hri_gauge_close(&gauge);
    hrt_world_free(&world);
    return 0;
}

static void one_reading_has_all_figures(void **state)
{
    (void)state;
    hri_gauge_read(&gauge, false, &reading);
    assert_int_equal(reading.time_ns, world.now_ns);
    assert_int_equal(reading.process.rss_bytes, 10 * MIB);
    assert_true(reading.process.address_limit_bytes == HR_NONE); /* another root has no resource limits */
    assert_int_equal(reading.host.available_bytes, 1000 * MIB);
    assert_int_equal(reading.group_count, 1);
    assert_int_equal(reading.binding, 0);
    assert_int_equal(reading.groups[0].limit_bytes, 100 * MIB);
    assert_int_equal(reading.groups[0].use_bytes, 30 * MIB);
    assert_true(reading.lag_bytes >= 1 * MIB);
}

static void the_hosts_figures_may_be_older_while_it_has_plenty(void **state)
{
    (void)state;
    hri_gauge_read(&gauge, false, &reading);
    hrt_world_set_process(&world, 20 * MIB, 500 * MIB);
    hri_gauge_read(&gauge, false, &reading);
    assert_int_equal(reading.process.rss_bytes, 20 * MIB);
    assert_int_equal(reading.host.available_bytes, 1000 * MIB);
    hri_gauge_read(&gauge, true, &reading); /* asked for */
    assert_int_equal(reading.host.available_bytes, 500 * MIB);
    hrt_world_set_process(&world, 20 * MIB, 15 * MIB);
    world.now_ns += HRI_HOST_AGE_NS; /* too old */
    hri_gauge_read(&gauge, false, &reading);
    assert_int_equal(reading.host.available_bytes, 15 * MIB);
    hrt_world_set_process(&world, 20 * MIB, 14 * MIB);
    hri_gauge_read(&gauge, false, &reading); /* the host is short: each time */
    assert_int_equal(reading.host.available_bytes, 14 * MIB);
}

static void an_unlimited_group_does_not_bind(void **state)
{
    (void)state;
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.max", "max\n");
    hri_gauge_read(&gauge, false, &reading);
    assert_int_equal(reading.binding, -1);
    assert_true(reading.groups[0].limit_bytes == HR_NONE);
}

/* Prevents a limit from being forgotten because the group's statistics cannot be read. */
static void a_limit_holds_without_statistics(void **state)
{
    (void)state;
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.stat", "anon 1\nfile 2\nkern");
    hri_gauge_read(&gauge, false, &reading);
    assert_int_equal(reading.binding, 0);
    assert_int_equal(reading.groups[0].limit_bytes, 100 * MIB);
    assert_true(reading.groups[0].use_bytes == HR_NONE);
}

/* Prevents figures that are too large for bytes from wrapping to small ones. */
static void figures_that_overflow_are_none(void **state)
{
    (void)state;
    hrt_world_write(&world, "/proc/self/statm", "4503599627370497 4503599627370497 0 0 0 99999999999999999999 0\n");
    hrt_world_write(&world, "/proc/meminfo", "MemTotal: 18014398509481985 kB\nMemAvailable: 99999999999999999999 kB\n");
    hri_gauge_read(&gauge, true, &reading);
    assert_true(reading.process.rss_bytes == HR_NONE);
    assert_true(reading.process.data_bytes == HR_NONE);
    assert_true(reading.host.total_bytes == HR_NONE);
    assert_true(reading.host.available_bytes == HR_NONE);
}

/* Prevents: a process in 64 MiB was killed by the last 2 MiB of slab that counts as reclaimable. */
static void the_last_of_reclaimable_slab_is_not_free(void **state)
{
    (void)state;
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.stat",
                    "anon 31457280\nfile 0\nkernel 12582912\nsock 0\nshmem 0\ninactive_anon 31457280\nactive_anon 0\n"
                    "inactive_file 0\nactive_file 0\nunevictable 0\nslab_reclaimable 10485760\n");
    hri_gauge_read(&gauge, 0, &reading);
    assert_int_equal(reading.groups[0].use_bytes, 32 * MIB);
    assert_int_equal(reading.groups[0].lasting_bytes, 0);
    assert_int_equal(reading.groups[0].stuck_bytes, 10 * MIB); /* nobody knows of names that are idle, */
    gauge.pins.idle_bytes = 500 * MIB;                         /* and now it may be all of them */
    hri_gauge_read(&gauge, 0, &reading);
    assert_int_equal(reading.groups[0].stuck_bytes, 100 * MIB / 32);
}

/* Prevents: on v1 full pipes and sockets pass for names of files, and blocks are granted for them. */
static void kernel_memory_that_grows_without_names_is_held(void **state)
{
    (void)state;
    hri_group_memory memory = {.doubtful_bytes = 10 * MIB};
    assert_int_equal(hri_held_sample(&memory, 30 * MIB, 500 * MIB, 520 * MIB, false), 0);        /* names */
    assert_int_equal(hri_held_sample(&memory, 30 * MIB, 500 * MIB, 500 * MIB, false), 20 * MIB); /* pipes */
    assert_int_equal(hri_held_sample(&memory, 30 * MIB, 500 * MIB, 505 * MIB, false), 15 * MIB); /* both */
    assert_int_equal(hri_held_sample(&memory, 30 * MIB, 500 * MIB, 100 * MIB, false),
                     20 * MIB);                                                           /* a neighbour's leave */
    assert_int_equal(hri_held_sample(&memory, 30 * MIB, 500 * MIB, 900 * MIB, false), 0); /* or come */
    memory = (hri_group_memory){.doubtful_bytes = 30 * MIB, .held_bytes = 20 * MIB};
    assert_int_equal(hri_held_sample(&memory, 30 * MIB, 500 * MIB, 500 * MIB, false), 20 * MIB);
    assert_int_equal(hri_held_sample(&memory, 25 * MIB, 500 * MIB, 500 * MIB, false), 15 * MIB); /* pipes are read */
    assert_int_equal(hri_held_sample(&memory, 25 * MIB, 500 * MIB, 495 * MIB, false), 20 * MIB); /* names are dropped */
    assert_int_equal(hri_held_sample(&memory, 5 * MIB, 500 * MIB, 490 * MIB, false), 5 * MIB);
    /* At the limit names make room for pipes, and there are 10 MiB of names. */
    assert_int_equal(hri_held_sample(&memory, 30 * MIB, 500 * MIB, 496 * MIB, true), 24 * MIB);
    assert_int_equal(hri_held_sample(&memory, 30 * MIB, 500 * MIB, 400 * MIB, true), 30 * MIB);
    assert_int_equal(hri_held_sample(&memory, 26 * MIB, 500 * MIB, 496 * MIB, true), 20 * MIB);
}

/* Prevents: pages that a pipe holds pass for rests of huge pages while neighbours split theirs. */
static void only_what_was_huge_leaves_rests(void **state)
{
    (void)state;
    hri_group_memory memory = {0};
    assert_int_equal(hri_rests_sample(&memory, 40 * MIB, 0), 0);
    assert_int_equal(hri_rests_sample(&memory, 40 * MIB, 20 * MIB), 0); /* a pipe has them */
    assert_int_equal(hri_rests_sample(&memory, 10 * MIB, 45 * MIB), 30 * MIB);
    assert_int_equal(hri_rests_sample(&memory, 10 * MIB, 35 * MIB), 30 * MIB); /* the pipe is read, or rests go: */
    assert_int_equal(hri_rests_sample(&memory, 20 * MIB, 12 * MIB), 12 * MIB);
    assert_int_equal(hri_rests_sample(&memory, 20 * MIB, 30 * MIB), 12 * MIB);
    assert_int_equal(hri_rests_sample(&memory, 16 * MIB, 30 * MIB), 16 * MIB);
    assert_int_equal(hri_rests_sample(&memory, 10 * MIB, 0), 0); /* whole huge pages were given back, */
    assert_int_equal(hri_rests_sample(&memory, 10 * MIB, 0), 0);
    assert_int_equal(hri_rests_sample(&memory, 10 * MIB, 8 * MIB), 0); /* of which nothing was left */
    assert_int_equal(hri_rests_sample(&memory, HR_NONE, 8 * MIB), 8 * MIB);
}

static void write_swap(uint64_t bytes)
{
    char text[32];
    snprintf(text, sizeof text, "%llu\n", (unsigned long long)bytes);
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.swap.current", text);
}

static void open_again(void)
{
    hri_gauge_close(&gauge);
    assert_int_equal(hri_gauge_open(&gauge, &(hri_site){.root = world.root}, &world.clock), 0);
}

/* Prevents a level from falling because the kernel swaps: memory that went there was wanted. */
static void growth_into_swap_is_no_relief(void **state)
{
    (void)state;
    write_swap(7 * MIB);
    open_again();
    hri_gauge_read(&gauge, 0, &reading);
    assert_int_equal(reading.groups[0].swap_bytes, 7 * MIB);
    assert_int_equal(reading.groups[0].lasting_bytes, 0); /* what was there before is no news */
    hrt_world_set_group(&world, 100 * MIB, 10 * MIB, 5 * MIB);
    write_swap(27 * MIB);
    world.now_ns += HRI_SECOND;
    hri_gauge_read(&gauge, 0, &reading);
    assert_int_equal(reading.groups[0].use_bytes, 10 * MIB);
    assert_int_equal(reading.groups[0].lasting_bytes, 20 * MIB);
    assert_true(reading.groups[0].stuck_bytes >= 20 * MIB);
}

/* Prevents neighbours who keep the host short from closing a server whose own group is idle. */
static void the_hosts_pressure_is_not_the_groups(void **state)
{
    (void)state;
    hrt_world_write(&world, "/proc/pressure/memory",
                    "some avg10=95.00 avg60=95.00 avg300=95.00 total=1\n"
                    "full avg10=90.00 avg60=90.00 avg300=90.00 total=1\n");
    open_again();
    hri_gauge_read(&gauge, 0, &reading);
    assert_false(reading.stalls.known);
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.pressure",
                    "some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n"
                    "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
    open_again();
    world.now_ns += HRI_STALLS_AGE_NS;
    hri_gauge_read(&gauge, 0, &reading);
    assert_true(reading.stalls.known && reading.stalls.full.avg10 == 0);
}

/* Prevents kills by page cache that is just being read: the disk's window is what one reader may have under way. */
static void clean_page_cache_is_free_but_for_what_is_being_read(void **state)
{
    (void)state;
    hri_gauge_read(&gauge, 0, &reading);
    assert_int_equal(reading.groups[0].lasting_bytes, 0);
    assert_true(reading.groups[0].stuck_bytes > 0);
    gauge.readahead_bytes = 1 * MIB / 8;
    hri_gauge_read(&gauge, 0, &reading);
    assert_int_equal(reading.groups[0].stuck_bytes, 1 * MIB);
    gauge.readahead_bytes = 8 * MIB;
    hri_gauge_read(&gauge, 0, &reading);
    assert_int_equal(reading.groups[0].stuck_bytes, 5 * MIB); /* there is no more cache than that */
    hrt_world_set_group(&world, 100 * MIB, 30 * MIB, 50 * MIB);
    hri_gauge_read(&gauge, 0, &reading);
    assert_int_equal(reading.groups[0].stuck_bytes, 100 * MIB / 8);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_of_reclaimable_slab_is_not_free),
        TEST(kernel_memory_that_grows_without_names_is_held),
        TEST(only_what_was_huge_leaves_rests),
        TEST(one_reading_has_all_figures),
        TEST(the_hosts_figures_may_be_older_while_it_has_plenty),
        TEST(an_unlimited_group_does_not_bind),
        TEST(a_limit_holds_without_statistics),
        TEST(figures_that_overflow_are_none),
        TEST(growth_into_swap_is_no_relief),
        TEST(the_hosts_pressure_is_not_the_groups),
        TEST(clean_page_cache_is_free_but_for_what_is_being_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
