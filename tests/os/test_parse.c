/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "os/parse.h"

#include <errno.h>
#include <headroom/base.h>
#include <string.h>

static void numbers(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_int_equal(hri_parse_number("104857600\n", &value), 0);
    assert_true(value == 100 * MIB);
    assert_int_equal(hri_parse_number("max\n", &value), 0);
    assert_true(value == HR_NONE);
    assert_int_equal(hri_parse_number("99999999999999999999999\n", &value), 0);
    assert_true(value == HR_NONE);
    assert_int_equal(hri_parse_number("", &value), -EINVAL);
    assert_int_equal(hri_parse_number("-5", &value), -EINVAL);
}

/* Prevents a limit of 1,048 bytes read from "104857600\n" that was cut: the kernel ends its lines, so what has no end
 * is not known. */
static void a_number_that_was_cut_is_not_read(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_int_equal(hri_parse_number("1048", &value), -EINVAL);
    assert_int_equal(hri_parse_number("max", &value), -EINVAL);
    assert_int_equal(hri_parse_number("12 34\n", &value), -EINVAL);
    assert_int_equal(hri_parse_key("anon 1\nfile 104", "file", &value), -EINVAL);
    assert_int_equal(hri_parse_key("MemTotal:       16", "MemTotal:", &value), -EINVAL);
    assert_int_equal(hri_parse_field("765 42", 1, &value), -EINVAL);
    assert_true(value == 7);
    assert_int_equal(hri_parse_field("765 42", 0, &value), 0);
    assert_true(value == 765);
}

static void keys_are_whole_words_at_the_start_of_a_line(void **state)
{
    (void)state;
    static const char text[] = "anon 1\nactive_anon 22\nkernel_stack 5\nkernel 7\nMemTotal:       16 kB\nbad x\ncut";
    uint64_t value = 0;
    assert_int_equal(hri_parse_key(text, "active_anon", &value), 0);
    assert_true(value == 22);
    assert_int_equal(hri_parse_key(text, "anon", &value), 0);
    assert_true(value == 1);
    assert_int_equal(hri_parse_key(text, "kernel", &value), 0);
    assert_true(value == 7);
    assert_int_equal(hri_parse_key(text, "MemTotal:", &value), 0);
    assert_true(value == 16);
    assert_int_equal(hri_parse_key(text, "stack", &value), -ENOENT);
    assert_int_equal(hri_parse_key(text, "bad", &value), -EINVAL);
    assert_int_equal(hri_parse_key(text, "cut", &value), -ENOENT);
}

static void fields_are_counted_from_0(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_int_equal(hri_parse_field("765 422 394 5 0 123 0\n", 5, &value), 0);
    assert_true(value == 123);
    assert_int_equal(hri_parse_field("765 422", 2, &value), -ENOENT);
    assert_int_equal(hri_parse_field("", 0, &value), -ENOENT);
}

static void the_group_of_each_version_is_found(void **state)
{
    (void)state;
    static const char text[] = "9:name=systemd:/\n4:memory:/docker/abc\n3:cpu,cpuacct:/x\n0::/unified/it\n";
    char path[64];
    assert_int_equal(hri_parse_cgroup_path(text, "memory", path, sizeof path), 0);
    assert_string_equal(path, "/docker/abc");
    assert_int_equal(hri_parse_cgroup_path(text, NULL, path, sizeof path), 0);
    assert_string_equal(path, "/unified/it");
    assert_int_equal(hri_parse_cgroup_path("3:cpu:/x\n", "memory", path, sizeof path), -ENOENT);
    assert_int_equal(hri_parse_cgroup_path("0::/cut/sho", NULL, path, sizeof path), -ENOENT);
    assert_int_equal(hri_parse_cgroup_path("5:memory:/too/long\n", "memory", path, 5), -ENAMETOOLONG);
}

static void check_mount(const char *text, const char *controller, const char *path, const char *mount,
                        const char *below)
{
    hri_cgroup_place place;
    assert_int_equal(hri_parse_cgroup_mount(text, controller, path, &place), 0);
    assert_string_equal(place.mount, mount);
    assert_string_equal(place.below, below);
}

static void the_mount_is_found_where_the_group_is_below_its_root(void **state)
{
    (void)state;
    static const char v1[] = "30 22 0:27 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
                             "31 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                             "34 30 0:31 / /sys/fs/cgroup/memory rw,relatime shared:3 - cgroup cgroup rw,memory\n";
    check_mount(v1, "memory", "/app", "/sys/fs/cgroup/memory", "/app");
    check_mount(v1, "memory", "/", "/sys/fs/cgroup/memory", "");
    /* Docker shows a container only its own part of the tree. */
    static const char docker[] = "1 2 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    check_mount(docker, "memory", "/docker/abc", "/sys/fs/cgroup/memory", "");
    check_mount(docker, "memory", "/docker/abc/sub", "/sys/fs/cgroup/memory", "/sub");
    check_mount(docker, "memory", "/docker/abcdef", "/sys/fs/cgroup/memory", "");
    /* A cgroup namespace may show a path that leads out of it. */
    check_mount("1 2 0:9 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", NULL, "/../other", "/sys/fs/cgroup", "");
    check_mount("1 2 0:9 / /my\\040group rw - cgroup2 cgroup2 rw\n", NULL, "/a", "/my group", "/a");
    hri_cgroup_place place;
    assert_int_equal(hri_parse_cgroup_mount(v1, NULL, "/", &place), -ENOENT);
}

/* Prevents a limit above ours from being missed where a second mount shows it, as with a host's tree in a container. */
static void the_mount_that_shows_most_groups_is_taken(void **state)
{
    (void)state;
    static const char host_too[] = "40 22 0:9 /pod/own /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
                                   "41 22 0:9 / /host/sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
                                   "42 22 0:9 /pod /pod ro - cgroup2 cgroup2 rw\n"
                                   "43 22 0:9 /elsewhere /other ro - cgroup2 cgroup2 rw\n";
    check_mount(host_too, NULL, "/pod/own", "/host/sys/fs/cgroup", "/pod/own");
    /* It is of no use where another one is mounted over it. */
    static const char covered[] = "40 22 0:9 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n"
                                  "41 40 0:9 /pod /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
    check_mount(covered, NULL, "/pod/own", "/sys/fs/cgroup", "/own");
}

/* Prevents "/..name", which is a name like any other, from being taken for a way out. The way out of a namespace is
 * followed if the place outside is mounted. */
static void only_whole_components_lead_out(void **state)
{
    (void)state;
    check_mount("1 2 0:9 / /cg rw - cgroup2 cgroup2 rw\n", NULL, "/a/..b", "/cg", "/a/..b");
    check_mount("1 2 0:9 / /cg rw - cgroup2 cgroup2 rw\n", NULL, "/a/..", "/cg", "");
    check_mount("1 2 0:9 /.. /cg rw - cgroup2 cgroup2 rw\n", NULL, "/../other", "/cg", "/other");
    check_mount("1 2 0:9 /.. /cg rw - cgroup2 cgroup2 rw\n", NULL, "/../../other", "/cg", "");
}

static void a_path_begins_with_a_slash(void **state)
{
    (void)state;
    char path[64] = "as it was";
    assert_int_equal(hri_parse_cgroup_path("0::\n", NULL, path, sizeof path), -ENOENT);
    assert_int_equal(hri_parse_cgroup_path("4:memory:app\n", "memory", path, sizeof path), -ENOENT);
    assert_string_equal(path, "as it was");
}

/* Prevents slabs that are pinned, or have nothing to do with files, from counting as free. */
static void slabs_of_names_and_inodes_are_given_back(void **state)
{
    (void)state;
    assert_int_equal(hri_parse_slab("dentry              1200   1344    192   21    1 : tunables    0    0    0\n"),
                     1344 * 192);
    assert_int_equal(hri_parse_slab("ext4_inode_cache 1 30 1080 30 8\n"), 30 * 1080);
    assert_int_equal(hri_parse_slab("xfs_inode 1 30 1000 30 8\n"), 30 * 1000);
    assert_int_equal(hri_parse_slab("shmem_inode_cache 1 30 712 30 8\n"), 0);
    assert_int_equal(hri_parse_slab("sock_inode_cache 1 30 704 30 8\n"), 0);
    assert_int_equal(hri_parse_slab("kmalloc-1k 1 30 1024 30 8\n"), 0);
    assert_int_equal(hri_parse_slab("# name <active_objs> <num_objs> <objsize>\n"), 0);
    assert_int_equal(hri_parse_slab("dentry 1 30"), 0);
}

static void texts_cut_anywhere_do_no_harm(void **state)
{
    (void)state;
    static const char text[] = "34 30 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
    char cut[sizeof text];
    hri_cgroup_place place;
    for (size_t length = 0; length < sizeof text - 1; length++) {
        memcpy(cut, text, length);
        cut[length] = '\0';
        assert_int_equal(hri_parse_cgroup_mount(cut, "memory", "/a", &place), -ENOENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(a_number_that_was_cut_is_not_read),
        cmocka_unit_test(keys_are_whole_words_at_the_start_of_a_line),
        cmocka_unit_test(fields_are_counted_from_0),
        cmocka_unit_test(the_group_of_each_version_is_found),
        cmocka_unit_test(the_mount_is_found_where_the_group_is_below_its_root),
        cmocka_unit_test(the_mount_that_shows_most_groups_is_taken),
        cmocka_unit_test(only_whole_components_lead_out),
        cmocka_unit_test(a_path_begins_with_a_slash),
        cmocka_unit_test(slabs_of_names_and_inodes_are_given_back),
        cmocka_unit_test(texts_cut_anywhere_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
