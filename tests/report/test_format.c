/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "report/format.h"

#include <errno.h>
#include <string.h>

static const hr_figures figures = {
    .level = HR_WARNING,
    .limit_bytes = 100 * MIB,
    .limit_source = "cgroup v2 /a\"b\\c memory.max",
    .live_bytes = 81 * MIB,
    .total_bytes = 5,
    .cgroup_bytes = HR_NONE,
    .use = 0.81,
    .use_source = "budget",
    .purge_longest_ns = 1500000,
    .refusals = 7,
    .wall_ns = 7000,
    .refusals_degraded = 2,
    .refusals_critical = 4,
    .time_ns = 42,
};

static char buffer[16384];

static ssize_t put(const hr_figures *of, hr_format format, char *into, size_t size)
{
    hri_report report = {.figures = of};
    hri_text text = {.buffer = into, .size = size};
    int error = hri_report_put(&report, format, &text);
    return error ? error : (ssize_t)text.length;
}

static void format(hr_format format)
{
    ssize_t length = put(&figures, format, buffer, sizeof buffer);
    assert_int_equal(length, strlen(buffer));
}

static void contains(const char *text)
{
    if (!strstr(buffer, text))
        fail_msg("missing: %s\nin:\n%s", text, buffer);
}

static void text_is_for_people(void **state)
{
    (void)state;
    format(HR_TEXT);
    contains("warning, 81.0 % of the budget limit");
    contains("100.0 MiB");
    contains("cgroup_bytes                none");
    contains("1.5 ms");
    const char *line = strstr(buffer, "\nlimit_bytes ");
    assert_non_null(line);
    for (const char *end; (end = strchr(++line, '\n')) != NULL; line = end) { /* names, values, words: columns */
        assert_true(end - line <= 80);
        assert_true(line[27] == ' ' && line[28] != ' ');
    }
}

static void json_escapes_and_knows_null(void **state)
{
    (void)state;
    format(HR_JSON);
    contains("\"level\": \"warning\"");
    contains("\"limit_source\": \"cgroup v2 /a\\\"b\\\\c memory.max\"");
    contains("\"live_bytes\": 84934656");
    contains("\"cgroup_bytes\": null");
}

static void csv_has_as_many_values_as_names(void **state)
{
    (void)state;
    format(HR_CSV);
    size_t commas[2] = {0};
    int line = 0;
    for (const char *at = buffer; *at; at++) {
        line += *at == '\n';
        if (*at == ',')
            commas[line]++;
    }
    assert_int_equal(line, 2);
    assert_int_equal(commas[0], commas[1]);
    contains("42,7000,warning,0.810000,");
}

static void openmetrics_names_units_and_leaves_out_what_is_absent(void **state)
{
    (void)state;
    format(HR_OPENMETRICS);
    contains("headroom_level 1\n");
    contains("# TYPE headroom_refusals counter\n");
    contains("headroom_refusals_total 7\n");
    contains("headroom_purge_longest_seconds 0.001500000\n");
    contains("headroom_held_bytes_total 5\n");
    assert_null(strstr(buffer, "headroom_cgroup_bytes "));
    assert_string_equal(buffer + strlen(buffer) - 6, "# EOF\n");
}

/* Lesson 12: a guard that cannot be relieved says so, and who holds what is in the way. */
static void a_stall_names_who_holds(void **state)
{
    (void)state;
    format(HR_TEXT);
    assert_null(strstr(buffer, "most is held by"));
    hr_figures stalled = figures;
    stalled.stalled_ns = INT64_C(12500000000);
    stalled.holder_bytes = 42 * MIB;
    strcpy(stalled.holder, "budget \"inner\"");
    assert_true(put(&stalled, HR_TEXT, buffer, sizeof buffer) > 0);
    contains("relief has achieved nothing for 12.5 s; most is held by budget \"inner\": 42.0 MiB\n");
    assert_true(put(&stalled, HR_JSON, buffer, sizeof buffer) > 0);
    contains("\"stalled_ns\": 12500000000");
    contains("\"holder\": \"budget \\\"inner\\\"\"");
    assert_true(put(&stalled, HR_OPENMETRICS, buffer, sizeof buffer) > 0);
    contains("headroom_stalled_seconds 12.500000000\n");
}

static void a_small_buffer_cuts_and_says_how_much_there_was(void **state)
{
    (void)state;
    char small[10];
    ssize_t whole = put(&figures, HR_JSON, buffer, sizeof buffer);
    assert_int_equal(put(&figures, HR_JSON, small, sizeof small), whole);
    assert_int_equal(strlen(small), 9);
    assert_int_equal(put(&figures, HR_JSON, NULL, 0), whole);
    assert_int_equal(put(&figures, (hr_format)9, small, sizeof small), -EINVAL);
}

static void the_largest_figures_fit(void **state)
{
    (void)state;
    char source[256];
    memset(source, '\1', sizeof source - 1);
    source[sizeof source - 1] = '\0';
    hr_figures largest;
    memset(&largest, 0xFE, sizeof largest);
    memset(largest.holder, '\1', sizeof largest.holder - 1);
    largest.holder[sizeof largest.holder - 1] = '\0';
    largest.limit_source = source;
    largest.holder[sizeof largest.holder - 1] = '\0';
    largest.use_source = "address space";
    largest.use = 1e6;
    for (hr_format which = HR_TEXT; which <= HR_OPENMETRICS; which++)
        assert_true(put(&largest, which, buffer, sizeof buffer) < (ssize_t)sizeof buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_for_people),
        cmocka_unit_test(json_escapes_and_knows_null),
        cmocka_unit_test(csv_has_as_many_values_as_names),
        cmocka_unit_test(openmetrics_names_units_and_leaves_out_what_is_absent),
        cmocka_unit_test(a_stall_names_who_holds),
        cmocka_unit_test(a_small_buffer_cuts_and_says_how_much_there_was),
        cmocka_unit_test(the_largest_figures_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
