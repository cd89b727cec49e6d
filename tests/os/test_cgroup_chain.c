/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "support/cmocka.h"
#include "support/world.h"

#include "os/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static hrt_world world;
static hri_cgroup_chain chain;
static hri_findings findings;
static char path[PATH_MAX]; /* of the group that nest() has come to */
static int folder;
static unsigned depth;
static const char *name; /* of each group */

static int climb(void)
{
    int above = openat(folder, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    close(folder);
    return above;
}

static int set_up(void **state)
{
    (void)state;
    hrt_world_new(&world);
    hrt_world_write(&world, "/proc/self/mountinfo", "24 30 0:22 / /cg rw - cgroup2 cgroup2 rw\n");
    chain = hri_cgroup_none;
    findings = (hri_findings){0};
    path[0] = '\0';
    depth = 0;
    name = "g";
    char mount[PATH_MAX];
    snprintf(mount, sizeof mount, "%s/cg", world.root);
    mkdir(mount, 0755);
    folder = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return folder < 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (; depth > 0; depth--) { /* from below: finding each by its whole path takes seconds */
        unlinkat(folder, "memory.max", 0);
        unlinkat(folder, "memory.stat", 0);
        folder = climb();
        unlinkat(folder, name, AT_REMOVEDIR);
    }
    close(folder);
    hri_cgroup_close(&chain);
    hri_findings_free(&findings);
    hrt_world_free(&world);
    return 0;
}

static void write_here(const char *file, const char *text)
{
    int fd = openat(folder, file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Goes a group further down, with a limit of its own or, at 0, "max". By one name at a time: a thousand are quick
 * so. */
static void nest(uint64_t limit_bytes)
{
    char text[32];
    strcat(strcat(path, "/"), name);
    depth++;
    assert_int_equal(mkdirat(folder, name, 0755), 0);
    int below = openat(folder, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    close(folder);
    folder = below;
    snprintf(text, sizeof text, "%llu\n", (unsigned long long)limit_bytes);
    write_here("memory.max", limit_bytes ? text : "max\n");
    write_here("memory.stat", "active_anon 4096\n");
}

/* The process is in the last group. */
static void open_chain(void)
{
    char text[PATH_MAX + 8];
    snprintf(text, sizeof text, "0::%s\n", path);
    hrt_world_write(&world, "/proc/self/cgroup", text);
    assert_int_equal(hri_cgroup_open(&chain, &(hri_site){.root = world.root, .findings = &findings}), 0);
    assert_int_equal(findings.shortage, 0);
}

static uint64_t limit_of(unsigned index)
{
    hri_cgroup_limits limits;
    assert_int_equal(hri_cgroup_read_limits(&chain, index, &limits), 0);
    return hri_cgroup_limit(&limits);
}

static bool is_found(const char *words)
{
    for (size_t i = 0; i < findings.unseen_count; i++) {
        if (strstr(findings.unseen[i], words))
            return true;
    }
    return false;
}

/* Regression: only the 16 nearest groups were looked at, and a limit beyond them was silently none. */
static void the_limit_of_the_farthest_of_1000_ancestors_is_found(void **state)
{
    (void)state;
    nest(64 * MIB);
    for (int i = 1; i < 1000; i++)
        nest(i == 500 ? 32 * MIB : 0);
    open_chain();
    assert_int_equal(chain.count, HRI_CGROUP_DEPTH);
    assert_int_equal(chain.left_out, 1000 - HRI_CGROUP_DEPTH);
    assert_true(limit_of(0) == HR_NONE); /* the own group comes first, whatever it has */
    assert_true(limit_of(HRI_CGROUP_DEPTH - 1) == 64 * MIB);
    assert_true(limit_of(HRI_CGROUP_DEPTH - 2) == 32 * MIB);
    assert_true(limit_of(HRI_CGROUP_DEPTH - 3) == HR_NONE);
    assert_non_null(strstr(chain.groups[0].name, "/g/g/g memory.max")); /* a long path keeps its end */
    assert_true(strlen(chain.groups[0].name) < sizeof chain.groups[0].name);
    assert_true(is_found("984 of the 1000 cgroups"));
    assert_true(strlen(findings.cgroup_path) == 2000);
}

/* The place of the group that is given shows in how many names it has above it. */
static unsigned depth_of(unsigned index)
{
    unsigned names = 0;
    for (const char *at = chain.groups[index].name; *at; at++)
        names += *at == '/';
    return names;
}

static void where_all_have_limits_the_smallest_are_kept(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 40; i++)
        nest((100 + (i * 7) % 40) * MIB); /* all different */
    nest(0);
    open_chain();
    assert_int_equal(chain.count, HRI_CGROUP_DEPTH);
    assert_int_equal(depth_of(0), 41);
    for (unsigned i = 1; i < chain.count; i++) {
        assert_true(limit_of(i) < (100 + HRI_CGROUP_DEPTH - 1) * MIB);
        assert_true(depth_of(i) < depth_of(i - 1)); /* upwards */
    }
}

static void without_limits_the_nearest_are_kept(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 40; i++)
        nest(0);
    open_chain();
    for (unsigned i = 0; i < chain.count; i++)
        assert_int_equal(depth_of(i), 40 - i);
}

static void a_chain_that_fits_is_whole(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= HRI_CGROUP_DEPTH; i++)
        nest(0);
    open_chain();
    assert_int_equal(chain.count, HRI_CGROUP_DEPTH);
    assert_int_equal(chain.left_out, 0);
    assert_false(is_found("not watched"));
}

static void a_path_of_the_longest_length_is_followed(void **state)
{
    (void)state;
    name = "a-name-as-runtimes-give-them-to-their-groups-with-a-digest-0123456789abcdef0123456789abcdef";
    while (strlen(path) + 1 + strlen(name) < PATH_MAX)
        nest(depth == 0 ? 8 * MIB : 0);
    assert_true(depth > HRI_CGROUP_DEPTH);
    open_chain();
    assert_true(limit_of(chain.count - 1) == 8 * MIB);
}

static void what_bars_the_way_is_said(void **state)
{
    (void)state;
    nest(64 * MIB);
    strcat(path, "/gone");
    open_chain();
    assert_int_equal(chain.count, 1); /* what is above it holds all the same */
    assert_true(limit_of(0) == 64 * MIB);
    assert_true(is_found("/g/gone cannot be opened: No such file or directory"));
}

static void limits_of_another_kind_are_told(void **state)
{
    (void)state;
    nest(64 * MIB);
    hrt_world_write(&world, "/cg/g/memory.high", "33554432\n");
    hrt_world_write(&world, "/cg/g/memory.swap.max", "1048576\n");
    open_chain();
    assert_int_equal(findings.note_count, 1);
    assert_string_equal(findings.notes[0].id, "memory-high-binds");
    assert_non_null(strstr(findings.notes[0].text, "memory.high of the cgroup /g is 32.0 MiB"));
    assert_true(is_found("Swap of the cgroup /g is limited to 1.0 MiB"));
}

/* Prevents: of 1.3 MB of mounts, of which the cgroup's line was the last, the first 64 KiB were read, and the host's
 * limit was taken. */
static void a_long_list_of_mounts_is_read_to_its_end(void **state)
{
    (void)state;
    enum {
        MOUNTS = 1800,
        LINE = 6200
    };
    char *text = malloc((size_t)MOUNTS * LINE + 256);
    assert_non_null(text);
    size_t length = 0;
    for (int i = 0; i < MOUNTS; i++)
        length += (size_t)sprintf(text + length, "%d 1 0:%d / /m/%d rw - overlay overlay rw,lowerdir=/%0*d\n", i + 100,
                                  i, i, i % 100 ? 600 : 6100, i);
    strcpy(text + length, "24 30 0:22 / /cg rw - cgroup2 cgroup2 rw\n");
    nest(64 * MIB);
    hrt_world_write(&world, "/proc/self/mountinfo", text);
    free(text);
    open_chain();
    assert_int_equal(chain.count, 1);
    assert_true(limit_of(0) == 64 * MIB);
}

static void a_namespace_hides_what_is_above_it(void **state)
{
    (void)state;
    strcpy(path, "/");
    hrt_world_write(&world, "/cg/memory.max", "max\n"); /* which the true root of v2 does not have */
    hrt_world_write(&world, "/cg/memory.stat", "active_anon 4096\n");
    open_chain();
    assert_int_equal(chain.count, 1);
    assert_true(is_found("Limits above /cg cannot be seen from here"));
}

static void a_group_outside_of_the_mount_is_told(void **state)
{
    (void)state;
    hrt_world_write(&world, "/cg/memory.max", "1048576\n");
    hrt_world_write(&world, "/cg/memory.stat", "active_anon 4096\n");
    strcpy(path, "/../elsewhere");
    open_chain();
    assert_true(is_found("lies outside of what is mounted at /cg"));
}

static void texts_that_say_nothing_are_told(void **state)
{
    (void)state;
    nest(64 * MIB);
    hrt_world_write(&world, "/cg/g/memory.stat", "anon 5");
    nest(64 * MIB);
    hrt_world_write(&world, "/cg/g/g/memory.max", "");
    open_chain();
    hri_cgroup_reading reading;
    assert_int_equal(chain.count, 2);
    assert_int_equal(hri_cgroup_read(&chain, 1, &reading), 0);
    assert_true(reading.limit_bytes == 64 * MIB); /* it holds, whatever is used of it */
    assert_true(reading.use_bytes == HR_NONE);
    assert_true(is_found("memory.stat of the cgroup /g is empty or cut short"));
    assert_true(is_found("memory.max of the cgroup /g/g says no number"));
}

static void a_tree_without_the_controller_is_told(void **state)
{
    (void)state;
    nest(0);
    unlinkat(folder, "memory.max", 0);
    open_chain();
    assert_int_equal(chain.count, 0);
    assert_int_equal(findings.cgroup_version, 2);
    assert_int_equal(findings.unseen_count, 1);
    assert_true(is_found("Neither the cgroup /g nor any above it has a file memory.max"));
}

static void where_nothing_is_mounted_it_is_told(void **state)
{
    (void)state;
    hrt_world_write(&world, "/proc/self/mountinfo", "24 30 0:22 / /cg rw - tmpfs tmpfs rw\n24 30 0:2");
    strcpy(path, "/g");
    open_chain();
    assert_int_equal(chain.count, 0);
    assert_true(is_found("No memory cgroup is mounted"));
    assert_true(is_found("/proc/self/mountinfo is cut short"));
    assert_int_equal(findings.cgroup_version, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_limit_of_the_farthest_of_1000_ancestors_is_found),
        TEST(where_all_have_limits_the_smallest_are_kept),
        TEST(without_limits_the_nearest_are_kept),
        TEST(a_chain_that_fits_is_whole),
        TEST(a_path_of_the_longest_length_is_followed),
        TEST(what_bars_the_way_is_said),
        TEST(limits_of_another_kind_are_told),
        TEST(a_long_list_of_mounts_is_read_to_its_end),
        TEST(a_namespace_hides_what_is_above_it),
        TEST(a_group_outside_of_the_mount_is_told),
        TEST(texts_that_say_nothing_are_told),
        TEST(a_tree_without_the_controller_is_told),
        TEST(where_nothing_is_mounted_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
