/* SPDX-License-Identifier: Apache-2.0 */
/* The layouts of tests/fixtures: each must give the figures that its expected.json says. */
#define _GNU_SOURCE
#include "support/cmocka.h"
#include "support/layouts.h"

#include <headroom/survey.h>

#include <string.h>

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

static void check_survey(const hrt_layout *layout)
{
    hr_survey *survey;
    assert_int_equal(hr_survey_new(&(hr_survey_options){.root = layout->root}, &survey), 0);
    expect_number(layout, "limit_bytes", survey->limit_bytes, layout->limit_bytes);
    expect_text(layout, "limit_source", survey->limit_source, layout->limit_source);
    expect_number(layout, "cgroup_version", (uint64_t)survey->cgroup_version, layout->cgroup_version);
    expect_text(layout, "cgroup_path", survey->cgroup_path, layout->cgroup_path);
    expect_number(layout, "cgroup_bytes", survey->cgroup_bytes, layout->cgroup_bytes);
    expect_number(layout, "cgroup_cache_bytes", survey->cgroup_cache_bytes, layout->cgroup_cache_bytes);
    expect_text(layout, "level", hr_level_text(survey->level), layout->level);
    hr_survey_free(survey);
}

static void each_layout_gives_its_figures(void **state)
{
    (void)state;
    offences = 0;
    assert_true(hrt_layouts_each(check_survey) >= 18);
    assert_int_equal(offences, 0);
}

/* Prevents "1048" of "104857600\n" from becoming a limit. Each byte in turn is nightly_layouts' business. */
static void files_cut_short_give_no_wrong_figure(void **state)
{
    (void)state;
    assert_int_equal(hrt_layouts_cut(7), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_layout_gives_its_figures),
        cmocka_unit_test(files_cut_short_give_no_wrong_figure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
