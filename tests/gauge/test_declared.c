/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "gauge/declared.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <math.h>

static void values_are_sizes_or_shares(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int error;
        uint64_t bytes;
        double share;
    } rows[] = {
        {"512M", 0, 512 << 20, 0}, {"1.5GiB", 0, UINT64_C(3) << 29, 0},
        {"65536", 0, 65536, 0},    {"80%", 0, 0, 0.8},
        {" 12.5 % ", 0, 0, 0.125}, {"100%", 0, 0, 1},
        {NULL, 0, 0, 0},           {"", 0, 0, 0},
        {"none", 0, 0, 0},         {"unlimited", 0, 0, 0},
        {"0", -EINVAL, 0, 0},      {"0%", -EINVAL, 0, 0},
        {"101%", -EINVAL, 0, 0},   {"-5%", -EINVAL, 0, 0},
        {"80%%", -EINVAL, 0, 0},   {"80% of it", -EINVAL, 0, 0},
        {"%", -EINVAL, 0, 0},      {".%", -EINVAL, 0, 0},
        {"1.2.3%", -EINVAL, 0, 0}, {"nan%", -EINVAL, 0, 0},
        {"1e3%", -EINVAL, 0, 0},   {"much", -EINVAL, 0, 0},
        {"-1", -EINVAL, 0, 0},     {"99999999E", -ERANGE, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hri_declared declared = {.bytes = 4711};
        int error = hri_declared_parse(rows[i].text, &declared);
        if (error != rows[i].error)
            fail_msg("'%s': %d", rows[i].text, error);
        if (error) {
            assert_int_equal(declared.bytes, 4711); /* untouched on failure */
            continue;
        }
        assert_int_equal(declared.bytes, rows[i].bytes);
        assert_true(fabs(declared.share - rows[i].share) < 1e-12);
        assert_string_equal(declared.source, "HEADROOM_LIMIT");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_sizes_or_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
