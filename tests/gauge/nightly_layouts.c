/* SPDX-License-Identifier: Apache-2.0 */
/* Every file of every layout, cut at every byte. */
#include "support/cmocka.h"
#include "support/layouts.h"

static void files_cut_at_every_byte_give_no_wrong_figure(void **state)
{
    (void)state;
    assert_int_equal(hrt_layouts_cut(1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_cut_at_every_byte_give_no_wrong_figure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
