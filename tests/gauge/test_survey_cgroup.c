/* SPDX-License-Identifier: Apache-2.0 */
/* Cases that only the kernel's own files show: groups that vanish, and trees that are deeper than a guard's table. */
#include "support/caged.h"
#include "support/cmocka.h"
#include "support/processes.h"

#include "gauge/reading.h"
#include "os/clock.h"

#include <fcntl.h>
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void assert_well(int status)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ── a group that is removed ────────────────────────────────────────────────────────────────────────────────────── */

static hrt_cgroup first, second;

static bool enter(const hrt_cgroup *group, pid_t pid)
{
    char path[HRT_CGROUP_PATH + 32];
    snprintf(path, sizeof path, "%s/cgroup.procs", group->path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool entered = fd >= 0 && dprintf(fd, "%d", pid) > 0;
    close(fd);
    return entered;
}

static int move_and_remove(void *context)
{
    (void)context;
    hr_guard *guard;
    hr_figures before, after;
    HRT_CAGED_CHECK(hr_guard_new(&(hr_guard_options){.interval_ns = -1}, &guard) == 0);
    HRT_CAGED_CHECK(hr_guard_read(guard, &before) == 0);
    HRT_CAGED_CHECK(before.limit_bytes == 64 * MIB);
    HRT_CAGED_CHECK(strstr(before.limit_source, strrchr(first.path, '/')) != NULL);
    char was[256];
    snprintf(was, sizeof was, "%s", before.limit_source);
    HRT_CAGED_CHECK(enter(&second, 0));
    HRT_CAGED_CHECK(rmdir(first.path) == 0);
    hr_guard_check(guard);
    HRT_CAGED_CHECK(hr_guard_read(guard, &after) == 0);
    HRT_CAGED_CHECK(after.limit_bytes == 48 * MIB);
    HRT_CAGED_CHECK(strstr(after.limit_source, strrchr(second.path, '/')) != NULL);
    HRT_CAGED_CHECK(strcmp(before.limit_source, was) == 0); /* a text that was given stays what it was */
    hr_guard_free(guard);
    return 0;
}

/* Regression: a removed group counted as unlimited, and the group that the process had been moved to was never
 * found. */
static void a_removed_group_makes_the_guard_find_its_new_one(void **state)
{
    (void)state;
    assert_int_equal(hrt_cgroup_new("first", 64 * MIB, &first), 0);
    assert_int_equal(hrt_cgroup_new("second", 48 * MIB, &second), 0);
    assert_well(hrt_cgroup_run(&first, move_and_remove, NULL));
    hrt_cgroup_free(&second);
    hrt_cgroup_free(&first);
}

/* ── a number that is given to another process ──────────────────────────────────────────────────────────────────── */

static int watch_one_and_give_its_number_away(void *context)
{
    (void)context;
    hri_gauge gauge;
    hri_reading reading = {0};
    pid_t pid = hrt_process_start();
    HRT_CAGED_CHECK(enter(&first, pid));
    HRT_CAGED_CHECK(hri_gauge_open(&gauge, &(hri_site){.root = "", .pid = pid}, &hri_os_clock) == 0);
    hri_gauge_read(&gauge, true, &reading);
    HRT_CAGED_CHECK(reading.binding >= 0 && reading.groups[reading.binding].limit_bytes == 64 * MIB);
    hrt_process_end(pid);
    HRT_CAGED_CHECK(rmdir(first.path) == 0);
    if (!hrt_process_start_as(pid))
        return HRT_NO_CHOICE;
    HRT_CAGED_CHECK(enter(&second, pid));
    hri_gauge_read(&gauge, true, &reading);
    HRT_CAGED_CHECK(reading.process.rss_bytes == HR_NONE);
    for (unsigned i = 0; i < reading.group_count; i++)
        HRT_CAGED_CHECK(reading.groups[i].limit_bytes != 48 * MIB);
    hri_gauge_close(&gauge);
    return 0;
}

/* Regression: the groups of a process were found anew by its number, which was another process's by then. */
static void the_groups_of_another_process_with_its_number_are_not_its_own(void **state)
{
    (void)state;
    assert_int_equal(hrt_cgroup_new("first", 64 * MIB, &first), 0);
    assert_int_equal(hrt_cgroup_new("second", 48 * MIB, &second), 0);
    int status = hrt_processes_run(watch_one_and_give_its_number_away, NULL);
    hrt_cgroup_free(&second);
    hrt_cgroup_free(&first);
    if (hrt_processes_skip(status))
        skip();
    assert_int_equal(status, 0);
}

/* ── a deep tree ────────────────────────────────────────────────────────────────────────────────────────────────── */

#define DEPTH 40

static int find_the_limit_far_above(void *context)
{
    (void)context;
    hr_survey *survey;
    hr_guard *guard;
    hr_figures figures;
    HRT_CAGED_CHECK(hr_survey_new(NULL, &survey) == 0);
    HRT_CAGED_CHECK(survey->limit_bytes == 64 * MIB);
    HRT_CAGED_CHECK(survey->cgroup_bytes != HR_NONE);
    bool told = false;
    for (size_t i = 0; i < survey->unseen_count; i++)
        told |= strstr(survey->unseen[i], "are not watched") != NULL;
    HRT_CAGED_CHECK(told);
    hr_survey_free(survey);
    HRT_CAGED_CHECK(hr_guard_new(&(hr_guard_options){.interval_ns = -1}, &guard) == 0);
    HRT_CAGED_CHECK(hr_guard_read(guard, &figures) == 0);
    HRT_CAGED_CHECK(figures.limit_bytes == 64 * MIB);
    hr_guard_free(guard);
    return 0;
}

static void a_limit_40_groups_above_is_found(void **state)
{
    (void)state;
    static hrt_cgroup groups[DEPTH];
    assert_int_equal(hrt_cgroup_new("deep", 64 * MIB, &groups[0]), 0);
    for (unsigned i = 1; i < DEPTH; i++)
        assert_int_equal(hrt_cgroup_new_inside(&groups[i - 1], "g", UINT64_MAX, &groups[i]), 0);
    assert_well(hrt_cgroup_run(&groups[DEPTH - 1], find_the_limit_far_above, NULL));
    for (unsigned i = DEPTH; i-- > 0;)
        hrt_cgroup_free(&groups[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_removed_group_makes_the_guard_find_its_new_one),
        cmocka_unit_test(the_groups_of_another_process_with_its_number_are_not_its_own),
        cmocka_unit_test(a_limit_40_groups_above_is_found),
    };
    return cmocka_run_group_tests(tests, hrt_caged_set_up, NULL);
}
