/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "os/stalls.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char text[] = "some avg10=12.34 avg60=5.00 avg300=0.01 total=123456\n"
                           "full avg10=2.50 avg60=100.00 avg300=0.00 total=99\n";

static void both_lines_are_read(void **state)
{
    (void)state;
    hri_stalls stalls;
    assert_int_equal(hri_stalls_parse(text, &stalls), 0);
    assert_true(stalls.known && fabs(stalls.some.avg10 - 12.34) < 1e-9 && fabs(stalls.some.avg300 - 0.01) < 1e-9);
    assert_true(stalls.some.total_us == 123456 && stalls.full.total_us == 99);
    assert_true(fabs(stalls.full.avg10 - 2.5) < 1e-9 && fabs(stalls.full.avg60 - 100) < 1e-9);
}

static void what_is_cut_or_no_share_is_not_known(void **state)
{
    (void)state;
    hri_stalls stalls = {.full.total_us = 7};
    char cut[sizeof text];
    for (size_t length = 0; length < sizeof text - 1; length++) {
        snprintf(cut, sizeof cut, "%.*s", (int)length, text);
        assert_int_equal(hri_stalls_parse(cut, &stalls), -ENODATA);
    }
    strcpy(cut, text);
    memcpy(strstr(cut, "12.34"), "912.3", 5);
    assert_int_equal(hri_stalls_parse(cut, &stalls), -ENODATA);
    assert_true(stalls.full.total_us == 7 && !stalls.known); /* untouched */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_lines_are_read),
        cmocka_unit_test(what_is_cut_or_no_share_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
