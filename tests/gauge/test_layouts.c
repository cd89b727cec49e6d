/* SPDX-License-Identifier: Apache-2.0 */
/* The layouts of tests/fixtures: each must give the figures that its expected.json says. */
#define _GNU_SOURCE
#include "support/cmocka.h"
#include "support/layouts.h"

#include "gauge/ledger.h"
#include "gauge/levels.h"

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
    if (strcmp(got, expected) == 0)
        return;
    print_error("%s: %s is \"%s\", and must be \"%s\"\n", layout->name, what, got, expected);
    offences++;
}

static void check_gauge(const hrt_layout *layout)
{
    hrt_world world = {.clock = {0}};
    hrt_world_new(&world);
    hri_gauge gauge;
    hri_reading reading = {0};
    assert_int_equal(hri_gauge_open(&gauge, &(hri_site){.root = layout->root}, &world.clock), 0);
    hri_gauge_read(&gauge, true, &reading);
    hri_books books = {.reading = &reading, .accounts = {.own_limit_bytes = HR_NONE}};
    hri_ledgers ledgers;
    hri_ledgers_compute(&books, &ledgers);
    expect_number(layout, "cgroup_version", (uint64_t)gauge.chain.version, layout->cgroup_version);
    expect_number(layout, "limit_bytes", ledgers.kernel_limit_bytes, layout->limit_bytes);
    const char *source = "host memory";
    if (ledgers.kernel_limit == HRI_LEDGER_CGROUP && reading.binding >= 0)
        source = gauge.chain.groups[reading.binding].name;
    expect_text(layout, "limit_source", source, layout->limit_source);
    hri_cgroup_reading group = {.use_bytes = HR_NONE, .cache_bytes = HR_NONE};
    if (reading.binding >= 0)
        group = reading.groups[reading.binding];
    else if (gauge.chain.count > 0)
        assert_int_equal(hri_cgroup_read(&gauge.chain, 0, &group), 0);
    expect_number(layout, "cgroup_bytes", group.use_bytes, layout->cgroup_bytes);
    expect_number(layout, "cgroup_cache_bytes", group.cache_bytes, layout->cgroup_cache_bytes);
    hri_level_rules rules = {0};
    hri_level_state state = {0};
    assert_int_equal(hri_level_rules_fit(&rules), 0);
    hr_level level = hri_level_next(&rules, &state, &(hri_level_input){.use = ledgers.use});
    expect_text(layout, "level", hr_level_text(level), layout->level);
    hri_gauge_close(&gauge);
    hrt_world_free(&world);
}

static void each_layout_gives_its_figures(void **state)
{
    (void)state;
    offences = 0;
    assert_true(hrt_layouts_each(check_gauge) >= 18);
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
