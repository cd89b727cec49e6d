/* SPDX-License-Identifier: Apache-2.0 */
/* The layouts of tests/fixtures: each must give the figures that its expected.json says. */
#define _GNU_SOURCE
#include "support/cmocka.h"
#include "support/layouts.h"

#include "guard/environment.h"

#include <headroom/report.h>
#include <headroom/survey.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned offences;

static void expect_number(const hrt_layout *layout, const char *what, uint64_t got, uint64_t expected)
{
    if (got == expected)
        return;
    print_error("%s: %s is %llu, and must be %llu\n", layout->name, what, (unsigned long long)got,
                (unsigned long long)expected);
    offences++;
}

static void expect_text(const hrt_layout *layout, const char *what, const char *got, const char *expected)
{
    got = got ? got : "";
    if (strcmp(got, expected) == 0)
        return;
    print_error("%s: %s is \"%s\", and must be \"%s\"\n", layout->name, what, got, expected);
    offences++;
}

static const char *name_findings(const hr_survey *survey, char text[HRT_TEXT_BYTES])
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < survey->finding_count; i++)
        length += (size_t)snprintf(text + length, HRT_TEXT_BYTES - length, i ? " %s" : "%s", survey->findings[i].id);
    return text;
}

/* A guard there: the sentence that explains its level names the ledger that decides, and its limit is the same. */
static void check_guard(const hrt_layout *layout, const hrt_world *world, const hr_survey *survey)
{
    hr_guard *guard;
    hr_figures figures;
    char sentence[HR_EXPLANATION_BYTES], words[HRT_TEXT_BYTES] = "";
    const hri_environment environment = {world->root, &world->clock};
    assert_int_equal(hri_guard_new_in(&environment, &(hr_guard_options){.interval_ns = -1}, &guard), 0);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    expect_number(layout, "a guard's limit_bytes", figures.limit_bytes, layout->limit_bytes);
    if (layout->limit_bytes != HR_NONE)
        expect_text(layout, "a guard's limit_source", figures.limit_source, layout->limit_source);
    for (size_t i = 0; i < survey->ledger_count; i++) {
        if (survey->ledgers[i].decides)
            snprintf(words, sizeof words, "the limit set by %s;", survey->ledgers[i].source);
    }
    assert_true(hr_report_explain(guard, NULL, sentence, sizeof sentence) > 0);
    if (!strstr(sentence, words))
        expect_text(layout, "the sentence", sentence, words);
    hr_guard_free(guard);
}

static void check_survey(const hrt_layout *layout)
{
    hr_survey *survey;
    hrt_world world;
    hrt_world_new(&world);
    hrt_layout_unpack(layout, &world);
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = world.root}, &survey), 0);
    expect_number(layout, "limit_bytes", survey->limit_bytes, layout->limit_bytes);
    expect_text(layout, "limit_source", survey->limit_source, layout->limit_source);
    expect_number(layout, "cgroup_version", (uint64_t)survey->cgroup_version, layout->cgroup_version);
    expect_text(layout, "cgroup_path", survey->cgroup_path, layout->cgroup_path);
    expect_number(layout, "cgroup_bytes", survey->cgroup_bytes, layout->cgroup_bytes);
    expect_number(layout, "cgroup_cache_bytes", survey->cgroup_cache_bytes, layout->cgroup_cache_bytes);
    expect_text(layout, "level", hr_level_text(survey->level), layout->level);
    char findings[HRT_TEXT_BYTES];
    expect_text(layout, "findings", name_findings(survey, findings), layout->findings);
    check_guard(layout, &world, survey);
    hr_survey_free(survey);
    hrt_world_free(&world);
}

static void each_layout_gives_its_figures(void **state)
{
    (void)state;
    offences = 0;
    assert_true(hrt_layouts_each(check_survey) >= 52);
    assert_int_equal(offences, 0);
}

/* Prevents "1048" of "104857600\n" from becoming a limit. Each byte in turn is nightly_layouts' business. */
static void files_cut_short_give_no_wrong_figure(void **state)
{
    (void)state;
    assert_int_equal(hrt_layouts_cut(37), 0);
}

/* Prevents a survey that fails, or says nothing, where a container's rules hide a file. */
static void unreadable_files_are_said_and_do_no_harm(void **state)
{
    (void)state;
    assert_int_equal(hrt_layouts_hide(), 0);
}

#define LEVELS 1000

static void write_in(int folder, const char *name, const char *text)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Makes LEVELS groups, each in the one before: one half way of 100 MiB, the topmost of 200 MiB. Gives the deepest's
 * folder. */
static int make_deep_world(const hrt_world *world)
{
    static char text[3 * LEVELS] = "0::";
    size_t length = 3;
    hrt_world_write(world, "/proc/self/mountinfo", "32 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    hrt_world_write(world, "/proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
    hrt_world_write(world, "/sys/fs/cgroup/cgroup.controllers", "memory\n");
    snprintf(text + length, sizeof text - length, "%s/sys/fs/cgroup", world->root);
    int folder = open(text + length, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned level = 1; level <= LEVELS; level++) {
        memcpy(text + length, "/n", 3);
        length += 2;
        assert_int_equal(mkdirat(folder, "n", 0755), 0);
        int next = openat(folder, "n", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(folder);
        folder = next;
        write_in(folder, "memory.max", level == 1 ? "209715200\n" : level == LEVELS - 500 ? "104857600\n" : "max\n");
    }
    memcpy(text + length, "\n", 2);
    hrt_world_write(world, "/proc/self/cgroup", text);
    return folder;
}

/* From below: finding each by its whole path takes seconds. */
static void remove_deep_world(int folder)
{
    for (unsigned level = LEVELS; level > 0; level--) {
        unlinkat(folder, "memory.max", 0);
        int above = openat(folder, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(above >= 0);
        close(folder);
        folder = above;
        assert_int_equal(unlinkat(folder, "n", AT_REMOVEDIR), 0);
    }
    close(folder);
}

/* Prevents a limit from being missed because it stands high above the process. */
static void limits_bind_through_1000_levels(void **state)
{
    (void)state;
    hrt_world world;
    hr_survey *survey;
    hrt_world_new(&world);
    int folder = make_deep_world(&world);
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = world.root}, &survey), 0);
    assert_true(survey->limit_bytes == 100 * MIB);
    assert_int_equal(survey->cgroup_version, 2);
    assert_int_equal(strlen(survey->cgroup_path), 2 * LEVELS);
    hr_survey_free(survey);
    hrt_world_write(&world, "/sys/fs/cgroup/n/memory.max", "52428800\n");
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = world.root}, &survey), 0);
    assert_true(survey->limit_bytes == 50 * MIB);
    assert_string_equal(survey->limit_source, "cgroup v2 /n memory.max");
    hr_survey_free(survey);
    remove_deep_world(folder);
    hrt_world_free(&world);
}

/* Prevents the old limit from being told of a group that is gone: what contained it binds. */
static void a_group_that_vanishes_between_two_looks_leaves_those_above(void **state)
{
    (void)state;
    hrt_world world;
    hr_survey *survey;
    char path[256];
    hrt_world_new(&world);
    hrt_world_set_process(&world, 10 * MIB, 1000 * MIB);
    hrt_world_set_group(&world, 500 * MIB, 30 * MIB, 0);
    hrt_world_write(&world, "/proc/self/cgroup", "0::/app/own\n");
    hrt_world_write(&world, "/sys/fs/cgroup/app/own/memory.max", "104857600\n");
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = world.root}, &survey), 0);
    assert_true(survey->limit_bytes == 100 * MIB);
    hr_survey_free(survey);
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/app/own/memory.max", world.root);
    assert_int_equal(unlink(path), 0);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = world.root}, &survey), 0);
    assert_true(survey->limit_bytes == 500 * MIB);
    assert_string_equal(survey->limit_source, "cgroup v2 /app memory.max");
    assert_true(survey->cgroup_bytes == 30 * MIB);
    assert_true(survey->unseen_count > 0);
    hr_survey_free(survey);
    hrt_world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_layout_gives_its_figures),
        cmocka_unit_test(files_cut_short_give_no_wrong_figure),
        cmocka_unit_test(unreadable_files_are_said_and_do_no_harm),
        cmocka_unit_test(limits_bind_through_1000_levels),
        cmocka_unit_test(a_group_that_vanishes_between_two_looks_leaves_those_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
