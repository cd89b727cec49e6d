/* SPDX-License-Identifier: Apache-2.0 */
/* A writer of histories is there, or an error says why not, and nothing stays open. */
#include "support/cmocka.h"
#include "support/fault.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/headroom-writer-XXXXXX";

static void make_a_writer(void *context)
{
    (void)context;
    hr_history_writer *writer = NULL;
    int error = hr_history_writer_new(path, 0, &writer);
    assert_true(error == 0 || hrt_fault_failed() > 0);
    assert_true(error == 0 ? writer != NULL : writer == NULL);
    hr_history_writer_free(writer);
}

static void with_faults(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_true(hrt_each_fault(make_a_writer, NULL) > 0);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(with_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
