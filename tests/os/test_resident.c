/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages are there, by each way of asking, and whether the child of a fork shares them. */
#include "support/cmocka.h"

#include "os/pages.h"
#include "os/resident.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char *map_pages(size_t size)
{
    void *pages;
    assert_int_equal(hri_pages_map(size, &pages), 0);
    hri_pages_keep_small(pages, size);
    return pages;
}

static void absent_pages_are_counted(void **state)
{
    (void)state;
    const size_t page = hri_page_size();
    int maps[] = {-1, hri_resident_open()};
    for (int i = 0; i < 2; i++) {
        char *bytes = map_pages(6 * MIB); /* more than one question to the kernel */
        assert_true(hri_resident_absent(maps[i], bytes, 6 * MIB) == 6 * MIB);
        bytes[5 * MIB] = 1;
        assert_true(hri_resident_absent(maps[i], bytes, 6 * MIB) == 6 * MIB - page);
        assert_true(hri_resident_absent(maps[i], bytes + 1, 2 * page) == page); /* whole pages only */
        assert_true(hri_resident_absent(maps[i], bytes + 1, page) == 0);
        hri_pages_touch(bytes, 6 * MIB);
        assert_true(hri_resident_absent(maps[i], bytes, 6 * MIB) == 0);
        for (size_t at = 0; at < MIB; at += 2 * page) /* more pieces than one answer holds */
            hri_pages_drop(bytes + at, page);
        assert_true(hri_resident_absent(maps[i], bytes, 6 * MIB) == MIB / 2);
        hri_pages_unmap(bytes, 6 * MIB);
    }
    hri_resident_close(maps[1]);
    assert_true(hri_resident_absent(-1, (void *)page, 0) == 0);
}

/* Does a page that is read cost nothing here? Some kernels give a page of its own at once. */
static bool has_page_of_zeros(void)
{
    const volatile char *bytes = map_pages(MIB);
    unsigned long size, resident[2];
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen("/proc/self/statm", "r");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%lu %lu", &size, &resident[i]), 2);
        fclose(file);
        for (size_t at = 0; i == 0 && at < MIB; at += hri_page_size())
            (void)bytes[at];
    }
    hri_pages_unmap((void *)(uintptr_t)bytes, MIB);
    return resident[1] - resident[0] < MIB / hri_page_size() / 2;
}

/* Prevents: a block that was only read counts as resident, is granted to somebody else, and then written. */
static void pages_that_were_only_read_are_absent(void **state)
{
    (void)state;
    if (!has_page_of_zeros()) {
        print_message("skipped: this kernel has no page of zeros: a page that is read is charged\n");
        skip();
    }
    int map = hri_resident_open();
    if (map < 0) {
        print_message("skipped: /proc/self/pagemap cannot be opened\n");
        skip();
    }
    const volatile char *bytes = map_pages(3 * MIB);
    for (size_t at = 0; at < 3 * MIB; at += hri_page_size())
        (void)bytes[at];
    char *written = (char *)(uintptr_t)bytes;
    for (int round = 0; round < 2; round++) { /* the second by what the first has found out */
        hri_pages_touch(written, MIB);
        assert_true(hri_resident_absent(map, written, 3 * MIB) == 2 * MIB);
    }
    hri_pages_unmap(written, 3 * MIB);
    hri_resident_close(map);
}

/* A child that lives until it is told, or has called exec. */
static pid_t fork_child(int wait_fd, bool executes)
{
    hri_resident_fork(HRI_FORK_BEFORE);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0) {
        hri_resident_fork(HRI_FORK_PARENT);
        return child;
    }
    hri_resident_fork(HRI_FORK_CHILD);
    if (hri_resident_is_shared()) /* with its parent alone */
        _exit(1);
    if (executes)
        execlp("sleep", "sleep", "20", (char *)NULL);
    struct pollfd end = {.fd = wait_fd, .events = POLLIN};
    poll(&end, 1, 20000);
    _exit(0);
}

static void a_child_shares_pages_until_it_ends_or_executes(void **state)
{
    (void)state;
    int ends[2], map = hri_resident_open();
    if (map < 0) {
        print_message("skipped: /proc/self/pagemap cannot be opened\n");
        skip();
    }
    hri_resident_close(map);
    assert_int_equal(pipe(ends), 0);
    assert_false(hri_resident_is_shared());
    pid_t first = fork_child(ends[0], false), second = fork_child(ends[0], true);
    assert_true(hri_resident_is_shared());
    assert_int_equal(write(ends[1], "x", 1), 1);
    int status;
    assert_int_equal(waitpid(first, &status, 0), first);
    assert_int_equal(status, 0);
    for (int i = 0; i < 1000 && hri_resident_is_shared(); i++)
        usleep(10000);
    assert_false(hri_resident_is_shared());
    kill(second, SIGKILL);
    assert_int_equal(waitpid(second, &status, 0), second);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_pages_are_counted),
        cmocka_unit_test(pages_that_were_only_read_are_absent),
        cmocka_unit_test(a_child_shares_pages_until_it_ends_or_executes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
