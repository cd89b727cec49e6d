/* SPDX-License-Identifier: Apache-2.0 */
#include "support/cmocka.h"

#include "report/text.h"

#include <errno.h>
#include <headroom/base.h>
#include <string.h>
#include <unistd.h>

static char buffer[256];

#define PUTS(expected, ...)                                                                                            \
    do {                                                                                                               \
        hri_text text = {.buffer = buffer, .size = sizeof buffer};                                                     \
        __VA_ARGS__;                                                                                                   \
        assert_string_equal(buffer, expected);                                                                         \
        assert_int_equal(text.length, strlen(buffer));                                                                 \
    } while (0)

static void names_of_others_are_harmless(void **state)
{
    (void)state;
    static const char nasty[] = "a\n\"\\\033\x7f\xff\xc3\xb6\xe2\x82\xed\xa0\x80\xc0\xaf";
    PUTS("a?\"\\???\xc3\xb6???????", hri_text_put_name(&text, nasty));
    PUTS("\"a\\u000a\\\"\\\\\\u001b\\u007f?\xc3\xb6???????\"", hri_text_put_json(&text, nasty));
    PUTS("\"a?\\\"\\\\???\xc3\xb6???????\"", hri_text_put_label(&text, nasty));
    PUTS("\"a?\"\"\\???\xc3\xb6???????\"", hri_text_put_csv(&text, nasty));
    PUTS("\"'=1+1\"", hri_text_put_csv(&text, "=1+1")); /* no formula for a spreadsheet */
    PUTS("\"\"", hri_text_put_csv(&text, ""));
}

static void times_have_a_unit_that_suits(void **state)
{
    (void)state;
    PUTS("3 ms", hri_text_put_time(&text, 3000000));
    PUTS("119 s", hri_text_put_time(&text, INT64_C(119000000000)));
    PUTS("5 min", hri_text_put_time(&text, INT64_C(300000000000)));
    PUTS("2.5 h", hri_text_put_time(&text, INT64_C(9000000000000)));
    PUTS("106752 days", hri_text_put_time(&text, INT64_MAX));
    PUTS("none", hri_text_put_size(&text, HR_NONE));
}

static void a_small_buffer_cuts(void **state)
{
    (void)state;
    char small[4];
    hri_text text = {.buffer = small, .size = sizeof small};
    hri_text_put_name(&text, "abcdef");
    hri_text_put(&text, "%d", 12);
    assert_string_equal(small, "abc");
    assert_int_equal(text.length, 8);
    hri_text none = {.buffer = NULL, .size = 0};
    hri_text_put(&none, "%s", "abc");
    hri_text_put_json(&none, "abc");
    assert_int_equal(none.length, 8);
}

/* Whatever the buffer's size, what streams arrives whole and once. */
static void what_streams_arrives_whole(void **state)
{
    (void)state;
    for (size_t size = 12; size < 40; size++) {
        char small[40], got[4096];
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        hri_text text = {.buffer = small, .size = size, .streams = true, .fd = ends[1]};
        for (int i = 0; i < 100; i++) {
            hri_text_put(&text, "%d,", i);
            hri_text_put_json(&text, "xyz");
        }
        assert_int_equal(hri_text_finish(&text), 0);
        ssize_t length = read(ends[0], got, sizeof got);
        assert_int_equal(length, (ssize_t)text.length);
        assert_int_equal(length, 10 * 2 + 90 * 3 + 100 * 5);
        assert_memory_equal(got, "0,\"xyz\"1,\"xyz\"2,", 16);
        close(ends[0]);
        close(ends[1]);
    }
    hri_text text = {.buffer = buffer, .size = 16, .streams = true, .fd = -1};
    for (int i = 0; i < 100; i++)
        hri_text_put(&text, "%d,", i);
    assert_int_equal(hri_text_finish(&text), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_others_are_harmless),
        cmocka_unit_test(times_have_a_unit_that_suits),
        cmocka_unit_test(a_small_buffer_cuts),
        cmocka_unit_test(what_streams_arrives_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
