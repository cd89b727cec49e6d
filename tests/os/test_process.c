/* SPDX-License-Identifier: Apache-2.0 */
/* A process that is watched from outside, one that ends, and one that is given its number. */
#include "support/cmocka.h"
#include "support/processes.h"

#include "os/process.h"

#include <errno.h>
#include <sys/resource.h>

#define LIMIT_BYTES (UINT64_C(1) << 40)

static void limit_address(pid_t pid)
{
    const struct rlimit limit = {LIMIT_BYTES, LIMIT_BYTES};
    prlimit(pid, RLIMIT_AS, &limit, NULL);
}

static bool is_unknown(const hri_process *process)
{
    hri_process_reading reading;
    hri_process_read(process, &reading);
    return reading.rss_bytes == HR_NONE && reading.address_bytes == HR_NONE && reading.data_bytes == HR_NONE &&
           reading.address_limit_bytes == HR_NONE && reading.data_limit_bytes == HR_NONE;
}

static void one_that_ends_is_gone(void **state)
{
    (void)state;
    hri_process process;
    hri_process_reading reading;
    pid_t pid = hrt_process_start();
    assert_true(pid > 0);
    limit_address(pid);
    assert_int_equal(hri_process_open(&process, &(hri_site){.root = "", .pid = pid}), 0);
    hri_process_read(&process, &reading);
    assert_true(reading.rss_bytes > 0 && reading.rss_bytes != HR_NONE && reading.address_limit_bytes == LIMIT_BYTES);
    assert_false(hri_process_is_gone(&process));
    hrt_process_end(pid);
    assert_true(hri_process_is_gone(&process));
    assert_true(is_unknown(&process));
    hri_process_close(&process);
    assert_int_equal(hri_process_open(&process, &(hri_site){.root = "", .pid = pid}), -ESRCH);
}

static void this_one_is_never_gone(void **state)
{
    (void)state;
    hri_process process;
    assert_int_equal(hri_process_open(&process, &(hri_site){.root = ""}), 0);
    assert_false(hri_process_is_gone(&process));
    hri_process_close(&process);
    assert_false(hri_process_is_gone(&process));
}

/* Gives 0, or which of the steps was wrong. */
static int give_a_number_twice(void *context)
{
    (void)context;
    hri_process process;
    pid_t pid = hrt_process_start();
    if (hri_process_open(&process, &(hri_site){.root = "", .pid = pid}) != 0 || is_unknown(&process))
        return 1;
    hrt_process_end(pid);
    if (!hrt_process_start_as(pid))
        return HRT_NO_CHOICE;
    limit_address(pid); /* it is known by the number alone */
    if (!hri_process_is_gone(&process))
        return 2;
    if (!is_unknown(&process))
        return 3;
    hri_process_close(&process);
    if (hri_process_open(&process, &(hri_site){.root = "", .pid = pid}) != 0 || is_unknown(&process) ||
        hri_process_is_gone(&process))
        return 4;
    return 0;
}

static void one_that_is_given_its_number_is_another(void **state)
{
    (void)state;
    int status = hrt_processes_run(give_a_number_twice, NULL);
    if (hrt_processes_skip(status))
        skip();
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_ends_is_gone),
        cmocka_unit_test(this_one_is_never_gone),
        cmocka_unit_test(one_that_is_given_its_number_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
