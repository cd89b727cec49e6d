/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "base/figures.h"

#include <stdio.h>
#include <string.h>

static hri_figure_registry registry;
static hri_figure_sheet sheet;

static const hri_figure figures[] = {{"out_bytes", NULL, HRI_BYTES, "taken"}, {"gets", NULL, HRI_COUNTER, "so far"}};

/* `*context` things, all of one name, each larger than the one before. */
static void each(void *context, hri_figures_visit *visit, void *visitor)
{
    for (uint64_t i = 0; i < *(const unsigned *)context; i++)
        visit(visitor, "pool", (const uint64_t[]){i, 7});
}

static hri_figure_source make(const char *noun, unsigned *count)
{
    return (hri_figure_source){.noun = noun, .figures = figures, .count = 2, .each = each, .context = count};
}

static int set_up(void **state)
{
    (void)state;
    return hri_figures_init(&registry);
}

static int tear_down(void **state)
{
    (void)state;
    hri_figures_destroy(&registry);
    return 0;
}

static void sources_come_in_order(void **state)
{
    (void)state;
    unsigned one = 1, two = 2;
    hri_figure_source a = make("pool", &one), b = make("cache", &two);
    assert_false(hri_figures_take(&registry, 0, &sheet));
    hri_figures_add(&registry, &a);
    hri_figures_add(&registry, &b);
    assert_true(hri_figures_take(&registry, 1, &sheet));
    assert_string_equal(sheet.source.noun, "cache");
    assert_int_equal(sheet.count, 2);
    assert_int_equal(sheet.rows[1].values[1], 7);
    assert_true(hri_figures_take(&registry, 0, &sheet));
    assert_string_equal(sheet.source.noun, "pool");
    assert_false(hri_figures_take(&registry, 2, &sheet));
}

static void the_largest_are_kept_and_told_apart(void **state)
{
    (void)state;
    unsigned many = 200;
    hri_figure_source source = make("pool", &many);
    hri_figures_add(&registry, &source);
    assert_true(hri_figures_take(&registry, 0, &sheet));
    assert_int_equal(sheet.count, HRI_FIGURES_SHOWN);
    assert_int_equal(sheet.left_out, 200 - HRI_FIGURES_SHOWN);
    for (size_t i = 0; i < sheet.count; i++) {
        assert_true(sheet.rows[i].values[0] >= 200 - HRI_FIGURES_SHOWN);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(sheet.rows[i].name, sheet.rows[k].name);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sources_come_in_order),
        TEST(the_largest_are_kept_and_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
