/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/base.h>

static void sizes_are_read_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        {"0", 0},
        {"65536", 65536},
        {"1B", 1},
        {"1k", 1024},
        {"512MiB", 512 * MIB},
        {"512 mb", 512 * MIB},
        {"512Mi", 512 * MIB},
        {"4ki", 4096},
        {" 100M ", 100 * MIB},
        {"1.5G", 1536 * MIB},
        {"0.5KiB", 512},
        {"0.0009765625K", 1},
        {"1.000000000931322575G", (UINT64_C(1) << 30) + 1},
        {"2T", UINT64_C(2) << 40},
        {"8P", UINT64_C(8) << 50},
        {"1.0 EiB", UINT64_C(1) << 60}, /* as hr_size_format() writes it */
        {"none", HR_NONE},
        {"Unlimited", HR_NONE},
        {" None  ", HR_NONE},
        {"18446744073709551614", HR_NONE - 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t bytes = 7;
        assert_int_equal(hr_size_parse(rows[i].text, &bytes), 0);
        assert_true(bytes == rows[i].bytes);
    }
}

static void what_is_no_size_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const rows[] = {"",    " ",   "MiB",  "12XB", "-1",  "+1",   "1..5M",
                                       "1.M", "1 2", "0x10", "5iB",  "1e3", "1MiBs"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t bytes = 7;
        assert_int_equal(hr_size_parse(rows[i], &bytes), -EINVAL);
        assert_true(bytes == 7);
    }
    static const char *const huge[] = {"18446744073709551615", "18446744073709551616", "16384P", "16E",
                                       "99999999999999999999T"};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        uint64_t bytes = 7;
        assert_int_equal(hr_size_parse(huge[i], &bytes), -ERANGE);
        assert_true(bytes == 7);
    }
    assert_int_equal(hr_size_parse(NULL, &(uint64_t){0}), -EINVAL);
}

static void sizes_are_written_for_people(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {100 * MIB, "100.0 MiB"},
        {1024 * MIB - 1, "1.0 GiB"},
        {HR_NONE - 1, "16.0 EiB"},
        {HR_NONE, "none"},
    };
    char buffer[16];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(hr_size_format(rows[i].bytes, buffer, sizeof buffer), rows[i].text);
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(hr_level_text(HR_NORMAL), "normal");
    assert_string_equal(hr_level_text(HR_CRITICAL), "critical");
    assert_string_equal(hr_level_text((hr_level)4), "unknown");
    assert_string_equal(hr_level_text((hr_level)-1), "unknown");
    assert_string_equal(hr_version(), "0.1.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read_as_people_write_them),
        cmocka_unit_test(what_is_no_size_is_refused_and_changes_nothing),
        cmocka_unit_test(sizes_are_written_for_people),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
