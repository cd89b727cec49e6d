/* SPDX-License-Identifier: Apache-2.0 */
/* A survey is whole or an error: with its Nth allocation or descriptor failing it never leaves something out silently,
 * and never leaves something behind. */
#include "support/cmocka.h"
#include "support/fault.h"
#include "support/world.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <string.h>
#include <unistd.h>

static hrt_world world;

static unsigned open_files(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += dup2(fd, fd) == fd;
    return count;
}

struct wanted {
    hr_survey_options options;
    size_t ledgers;
    size_t unseen;
};

static void make_a_survey(void *context)
{
    const struct wanted *wanted = context;
    unsigned files = open_files();
    hr_survey *survey = NULL;
    int error = hr_survey_new(&wanted->options, &survey);
    if (error) {
        assert_true(hrt_fault_failed() > 0);
        assert_true(error == -ENOMEM || error == -EMFILE || error == -ENFILE);
        assert_null(survey);
    } else {
        assert_int_equal(survey->ledger_count, wanted->ledgers);
        assert_int_equal(survey->unseen_count, wanted->unseen);
        assert_int_equal(open_files(), files); /* also while it lives */
        hr_survey_free(survey);
    }
    assert_int_equal(open_files(), files);
}

static uint64_t survey_with_faults(hr_survey_options options)
{
    struct wanted wanted = {.options = options};
    hr_survey *survey;
    assert_int_equal(hr_survey_new(&options, &survey), 0);
    wanted.ledgers = survey->ledger_count;
    wanted.unseen = survey->unseen_count;
    hr_survey_free(survey);
    return hrt_each_fault(make_a_survey, &wanted);
}

static void of_this_process(void **state)
{
    (void)state;
    assert_true(survey_with_faults((hr_survey_options){0}) >= 8);
}

static void of_another_process(void **state)
{
    (void)state;
    assert_true(survey_with_faults((hr_survey_options){.pid = getppid()}) >= 8);
}

static void of_a_root_with_much_to_say(void **state)
{
    (void)state;
    hrt_world_set_group(&world, 100 * MIB, 10 * MIB, 0);
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.high", "1048576\n");
    hrt_world_write(&world, "/sys/fs/cgroup/app/memory.swap.max", "1048576\n");
    assert_true(survey_with_faults((hr_survey_options){.root = world.root}) >= 12);
}

static void of_a_root_without_a_cgroup(void **state)
{
    (void)state;
    hrt_world_write(&world, "/proc/self/cgroup", "0::/app\n");
    hrt_world_write(&world, "/proc/self/mountinfo", "cut");
    assert_true(survey_with_faults((hr_survey_options){.root = world.root}) >= 8);
}

static int set_up(void **state)
{
    (void)state;
    hrt_world_new(&world);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hrt_world_free(&world);
    return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(of_this_process),
        TEST(of_another_process),
        TEST(of_a_root_with_much_to_say),
        TEST(of_a_root_without_a_cgroup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
