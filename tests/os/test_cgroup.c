/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"
#include "support/world.h"

#include "os/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void page_cache_is_not_use_on_v2(void **state)
{
    (void)state;
    hri_cgroup_reading reading = {0};
    int error = hri_cgroup_parse_stat(
        "anon 113\nfile 900\nkernel 50\nkernel_stack 9\nsock 6\nshmem 7\ninactive_anon 100\n"
        "active_anon 20\ninactive_file 500\nactive_file 300\nunevictable 3\nslab_reclaimable 40\n",
        2, &reading);
    assert_int_equal(error, 0);
    assert_int_equal(reading.use_bytes, 100 + 20 + 3 + (50 - 40) + 6);
    assert_int_equal(reading.cache_bytes, 800);
}

/* Where half of a huge page was given back, the whole is charged until the kernel splits it. */
static void what_nobody_maps_is_not_use(void **state)
{
    (void)state;
    hri_cgroup_reading reading = {0};
    static const char *const texts[2] = {
        "anon 3\ntotal_rss 70\ntotal_rss_huge 30\ntotal_shmem 10\ntotal_inactive_anon 80\ntotal_active_anon 20\n"
        "total_inactive_file 0\ntotal_active_file 0\ntotal_unevictable 5\n",
        "anon 70\nanon_thp 30\nshmem 10\ninactive_anon 80\nactive_anon 20\ninactive_file 0\nactive_file 0\nunevictable "
        "5\n"
        "kernel 0\nslab_reclaimable 0\n"};
    for (int version = 1; version <= 2; version++) {
        assert_int_equal(hri_cgroup_parse_stat(texts[version - 1], version, &reading), 0);
        assert_int_equal(reading.unmapped_bytes, 20);
        assert_int_equal(reading.huge_bytes, 30);
        assert_int_equal(reading.use_bytes, 80 + 5);
        assert_int_equal(reading.anonymous_bytes, 80 + 5);
    }
    /* Locked and MADV_FREE pages are mapped, and not on that list. */
    assert_int_equal(hri_cgroup_parse_stat("anon 200\nshmem 10\ninactive_anon 100\nactive_anon 0\nunevictable 110\n"
                                           "kernel 0\nslab_reclaimable 0\ninactive_file 0\nactive_file 0\n",
                                           2, &reading),
                     0);
    assert_int_equal(reading.unmapped_bytes, 0);
    assert_true(reading.huge_bytes == HR_NONE);
    assert_int_equal(reading.use_bytes, 210);
}

static void old_kernels_give_kernel_memory_in_parts(void **state)
{
    (void)state;
    hri_cgroup_reading reading = {0};
    int error = hri_cgroup_parse_stat("kernel_stack 1\npagetables 2\npercpu 4\ninactive_anon 100\nactive_anon 0\n"
                                      "inactive_file 0\nactive_file 0\nunevictable 0\nslab_reclaimable 1000\n"
                                      "slab_unreclaimable 8\n",
                                      2, &reading);
    assert_int_equal(error, 0);
    assert_int_equal(reading.use_bytes, 100 + 1 + 2 + 4 + 8);
}

/* Prevents use from looking smaller than it is where memory.stat was cut: within a line that shows, and then it is not
 * known. */
static void statistics_cut_within_a_line_are_not_known(void **state)
{
    (void)state;
    static const char *const texts[2] = {
        "cache 1\nactive_anon 1\ntotal_cache 5\ntotal_inactive_anon 100\ntotal_active_anon 20\n"
        "total_inactive_file 60\ntotal_active_file 5\ntotal_unevictable 3\n",
        "anon 1\nfile 2\nkernel_stack 4\npagetables 3\npercpu 2\nsock 6\ninactive_anon 100\nactive_anon 20\n"
        "inactive_file 60\nactive_file 5\nunevictable 3\nslab_reclaimable 40\nslab_unreclaimable 7\n"};
    static const uint64_t uses[2] = {100 + 20 + 3, 100 + 20 + 3 + 6 + 4 + 3 + 2 + 7};
    for (int version = 1; version <= 2; version++) {
        char text[512];
        size_t whole = strlen(texts[version - 1]);
        for (size_t length = 0; length <= whole; length++) {
            hri_cgroup_reading reading = {.use_bytes = 7};
            snprintf(text, sizeof text, "%.*s", (int)length, texts[version - 1]);
            if (length < whole && length > 0 && text[length - 1] == '\n')
                continue; /* nobody can tell it from a kernel that has fewer lines */
            int error = hri_cgroup_parse_stat(text, version, &reading);
            assert_int_equal(error, length == whole ? 0 : -ENODATA);
            assert_int_equal(reading.use_bytes, error ? 7 : uses[version - 1]);
        }
    }
}

/* Prevents a sandbox's few lines, or a text longer than our buffer, from being taken for nothing. */
static void what_counts_is_enough(void **state)
{
    (void)state;
    hri_cgroup_reading reading = {0};
    assert_int_equal(hri_cgroup_parse_stat("active_anon 5\nsock 2\n", 2, &reading), 0);
    assert_int_equal(reading.use_bytes, 7);
    assert_int_equal(hri_cgroup_parse_stat("kernel 50\nsock 6\ninactive_anon 100\nactive_anon 20\ninactive_file 500\n"
                                           "active_file 300\nunevictable 3\nslab_reclaimable 40\nworkings",
                                           2, &reading),
                     0);
    assert_int_equal(reading.use_bytes, 100 + 20 + 3 + (50 - 40) + 6);
}

static void v1_is_read_by_its_total_fields(void **state)
{
    (void)state;
    hrt_world world;
    hrt_world_new(&world);
    hrt_world_write(&world, "/proc/self/cgroup", "4:memory:/app\n0::/\n");
    hrt_world_write(&world, "/proc/self/mountinfo", "34 30 0:31 / /cg rw - cgroup cgroup rw,memory\n");
    hrt_world_write(&world, "/cg/memory.limit_in_bytes", "9223372036854771712\n");
    hrt_world_write(&world, "/cg/memory.stat", "");
    hrt_world_write(&world, "/cg/app/memory.limit_in_bytes", "104857600\n");
    hrt_world_write(&world, "/cg/app/memory.stat",
                    "rss 5\nactive_anon 1\ninactive_anon 1\ntotal_rss 9999\ntotal_inactive_file 60\n"
                    "total_active_file 5\ntotal_inactive_anon 30\ntotal_active_anon 20\ntotal_unevictable 4\n");
    hrt_world_write(&world, "/cg/app/memory.kmem.usage_in_bytes", "1000\n");
    hrt_world_write(&world, "/cg/app/memory.kmem.tcp.usage_in_bytes", "200\n");
    hri_cgroup_chain chain;
    hri_cgroup_reading reading;
    hri_cgroup_limits limits;
    assert_int_equal(hri_cgroup_open(&chain, &(hri_site){.root = world.root}), 0);
    assert_int_equal(chain.version, 1);
    assert_int_equal(chain.count, 2);
    assert_int_equal(hri_cgroup_read(&chain, 0, &reading), 0);
    assert_int_equal(reading.limit_bytes, 100 * MIB);
    assert_int_equal(reading.use_bytes, 30 + 20 + 4 + 1000 + 200);
    assert_int_equal(reading.cache_bytes, 65);
    assert_int_equal(hri_cgroup_read_limits(&chain, 1, &limits), 0);
    assert_true(hri_cgroup_limit(&limits) == HR_NONE); /* v1's huge number */
    assert_string_equal(chain.groups[0].name, "cgroup v1 /app memory.limit_in_bytes");
    hri_cgroup_close(&chain);
    hrt_world_free(&world);
}

/* A container sees its own part of the tree; the limit of a pod above it binds all the same. */
static void a_hidden_ancestors_limit_is_found_on_v1(void **state)
{
    (void)state;
    hrt_world world;
    hrt_world_new(&world);
    hrt_world_write(&world, "/proc/self/cgroup", "4:memory:/kubepods/burstable/podX/abc\n");
    hrt_world_write(&world, "/proc/self/mountinfo",
                    "34 30 0:31 /kubepods/burstable/podX/abc /cg ro - cgroup cgroup rw,memory\n");
    hrt_world_write(&world, "/cg/memory.limit_in_bytes", "9223372036854771712\n");
    hrt_world_write(&world, "/cg/memory.stat",
                    "hierarchical_memory_limit 67108864\ntotal_inactive_anon 0\ntotal_active_anon 4096\n"
                    "total_inactive_file 0\ntotal_active_file 0\ntotal_unevictable 0\n");
    hri_cgroup_chain chain;
    hri_cgroup_reading reading;
    assert_int_equal(hri_cgroup_open(&chain, &(hri_site){.root = world.root}), 0);
    assert_int_equal(chain.count, 1);
    assert_int_equal(hri_cgroup_read(&chain, 0, &reading), 0);
    assert_int_equal(reading.limit_bytes, 64 * MIB);
    assert_int_equal(reading.use_bytes, 4096);
    hri_cgroup_close(&chain);
    hrt_world_free(&world);
}

/* Prevents a group from being throttled to a crawl at memory.high while the guard waits for memory.max. */
static void memory_high_is_a_limit(void **state)
{
    (void)state;
    hrt_world world;
    hrt_world_new(&world);
    hrt_world_set_group(&world, 100 * MIB, 10 * MIB, 0);
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.high", "83886080\n");
    hri_cgroup_chain chain;
    hri_cgroup_reading reading;
    assert_int_equal(hri_cgroup_open(&chain, &(hri_site){.root = world.root}), 0);
    assert_int_equal(hri_cgroup_read(&chain, 0, &reading), 0);
    assert_true(reading.limit_bytes == 80 * MIB && reading.limits.max_bytes == 100 * MIB);
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.high", "max\n");
    assert_int_equal(hri_cgroup_read(&chain, 0, &reading), 0);
    assert_true(reading.limit_bytes == 100 * MIB && reading.limits.second_bytes == HR_NONE);
    hri_cgroup_close(&chain);
    hrt_world_free(&world);
}

/* Prevents: with 60 MiB in memory and 60 swapped out, 120 MiB for both are full, and memory.limit_in_bytes does not
 * say. */
static void v1s_limit_on_memory_and_swap_leaves_what_is_not_swapped_out(void **state)
{
    (void)state;
    hrt_world world;
    hrt_world_new(&world);
    hrt_world_write(&world, "/proc/self/cgroup", "4:memory:/app\n");
    hrt_world_write(&world, "/proc/self/mountinfo", "34 30 0:31 / /cg rw - cgroup cgroup rw,memory\n");
    hrt_world_write(&world, "/cg/app/memory.limit_in_bytes", "104857600\n");
    hrt_world_write(&world, "/cg/app/memory.usage_in_bytes", "62914560\n");
    hrt_world_write(&world, "/cg/app/memory.memsw.limit_in_bytes", "125829120\n");
    hrt_world_write(&world, "/cg/app/memory.memsw.usage_in_bytes", "104857600\n");
    hri_cgroup_chain chain;
    hri_cgroup_reading reading;
    assert_int_equal(hri_cgroup_open(&chain, &(hri_site){.root = world.root}), 0);
    assert_int_equal(hri_cgroup_read(&chain, 0, &reading), 0);
    assert_true(reading.swap_bytes == 40 * MIB && reading.limit_bytes == 80 * MIB);
    hri_cgroup_close(&chain);
    hrt_world_free(&world);
}

/* Prevents use from being shown below rss: a CPU keeps pages to itself before they are on a list. */
static void pages_on_no_list_are_use_and_those_that_were_freed_are_not(void **state)
{
    (void)state;
    hri_cgroup_reading reading = {0};
    static const char format[] = "anon 100\nshmem 10\nfile %d\ninactive_anon 40\nactive_anon 0\nunevictable 5\n"
                                 "inactive_file 70\nactive_file 0\nkernel 0\nslab_reclaimable 0\nfile_dirty 50\n"
                                 "file_writeback 30\n";
    char text[512];
    snprintf(text, sizeof text, format, 80); /* the lists of files hold files alone */
    assert_int_equal(hri_cgroup_parse_stat(text, 2, &reading), 0);
    assert_int_equal(reading.use_bytes, 110);
    assert_int_equal(reading.dirty_bytes, 70); /* never more than the cache */
    snprintf(text, sizeof text, format, 30);   /* 50 of them are anonymous: MADV_FREE */
    assert_int_equal(hri_cgroup_parse_stat(text, 2, &reading), 0);
    assert_int_equal(reading.use_bytes, 60);
}

static void limits_are_read_again_and_0_means_0(void **state)
{
    (void)state;
    hrt_world world;
    hrt_world_new(&world);
    hrt_world_set_group(&world, 100 * MIB, 0, 0);
    hri_cgroup_chain chain;
    hri_cgroup_limits limits = {1, 1};
    assert_int_equal(hri_cgroup_open(&chain, &(hri_site){.root = world.root}), 0);
    assert_int_equal(chain.version, 2);
    assert_int_equal(chain.count, 1); /* the root of v2 has no memory.max */
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.max", "0\n");
    assert_int_equal(hri_cgroup_read_limits(&chain, 0, &limits), 0);
    assert_int_equal(limits.max_bytes, 0);
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.max", "max\n");
    assert_int_equal(hri_cgroup_read_limits(&chain, 0, &limits), 0);
    assert_true(hri_cgroup_limit(&limits) == HR_NONE);
    hri_cgroup_close(&chain);
    hrt_world_free(&world);
}

static void no_cgroup_is_no_error(void **state)
{
    (void)state;
    hrt_world world;
    hrt_world_new(&world);
    hri_cgroup_chain chain;
    assert_int_equal(hri_cgroup_open(&chain, &(hri_site){.root = world.root}), 0);
    assert_int_equal(chain.version, 0);
    assert_int_equal(chain.count, 0);
    hri_cgroup_close(&chain);
    hrt_world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_cache_is_not_use_on_v2),
        cmocka_unit_test(what_nobody_maps_is_not_use),
        cmocka_unit_test(old_kernels_give_kernel_memory_in_parts),
        cmocka_unit_test(statistics_cut_within_a_line_are_not_known),
        cmocka_unit_test(what_counts_is_enough),
        cmocka_unit_test(v1_is_read_by_its_total_fields),
        cmocka_unit_test(a_hidden_ancestors_limit_is_found_on_v1),
        cmocka_unit_test(limits_are_read_again_and_0_means_0),
        cmocka_unit_test(memory_high_is_a_limit),
        cmocka_unit_test(v1s_limit_on_memory_and_swap_leaves_what_is_not_swapped_out),
        cmocka_unit_test(pages_on_no_list_are_use_and_those_that_were_freed_are_not),
        cmocka_unit_test(no_cgroup_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
