/* SPDX-License-Identifier: Apache-2.0 */
/* A watcher tells foreign processes what it may grant: those that share its limit and do not count by its word. */
#include "support/caged.h"
#include "support/cmocka.h"

#include <fcntl.h>
#include <headroom/headroom.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LIMIT (64 * MIB)
#define OWN (60 * MIB)
#define PAGE 4096
#define TAG ((off_t)1 << 40) /* see os/share.c: a foreign process's place in the limit's file */

static char limit_path[HRT_CGROUP_PATH + 32];

/* Gives how many bytes this process says to be pending, as others read it, between two places of the file. */
static uint64_t told(int fd, off_t from, off_t to)
{
    struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = to ? to - from : 0};
    return fcntl(fd, F_OFD_GETLK, &found) == 0 && found.l_type != F_UNLCK ? (uint64_t)(found.l_len - 1) * PAGE : 0;
}

/* Prevents: sixteen processes of a full group each told the others that they would take half of their margin, which
 * was more than was left. A process that came late was refused everything. */
static int fill_beside_a_foreign_process(void *context)
{
    (void)context;
    int fd = open(limit_path, O_RDWR), its = open(limit_path, O_RDONLY);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 5 * TAG, .l_len = 1};
    HRT_CAGED_CHECK(fd >= 0 && its >= 0 && fcntl(its, F_OFD_SETLK, &lock) == 0);
    void *own = mmap(NULL, OWN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    HRT_CAGED_CHECK(own != MAP_FAILED && memset(own, 1, OWN));
    hr_guard *guard;
    hr_figures figures;
    HRT_CAGED_CHECK(hr_guard_new(&(hr_guard_options){.interval_ns = -1}, &guard) == 0);
    hr_guard_check(guard);
    HRT_CAGED_CHECK(hr_guard_read(guard, &figures) == 0);
    uint64_t bytes = told(fd, 0, 5 * TAG) + told(fd, 6 * TAG, 0);
    if (bytes > figures.pending_bytes + figures.lease_bytes / 8)
        print_error("%llu bytes are told, %llu are left\n", (unsigned long long)bytes,
                    (unsigned long long)figures.lease_bytes);
    HRT_CAGED_CHECK(bytes <= figures.pending_bytes + figures.lease_bytes / 8);
    hr_guard_free(guard);
    return 0;
}

static void foreign_processes_are_told_of_no_more_than_is_left(void **state)
{
    (void)state;
    hrt_cgroup group;
    assert_int_equal(hrt_cgroup_new("watcher", LIMIT, &group), 0);
    snprintf(limit_path, sizeof limit_path, "%s/%s", group.path,
             group.version == 1 ? "memory.limit_in_bytes" : "memory.max");
    int status = hrt_cgroup_run(&group, fill_beside_a_foreign_process, NULL);
    hrt_cgroup_free(&group);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_processes_are_told_of_no_more_than_is_left),
    };
    return cmocka_run_group_tests(tests, hrt_caged_set_up, NULL);
}
