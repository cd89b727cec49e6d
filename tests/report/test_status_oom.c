/* SPDX-License-Identifier: Apache-2.0 */
/* Status pages: what is written is read, whatever fails; a fork takes none along. */
#include "support/cmocka.h"
#include "support/fault.h"

#include "report/status.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static hr_status found;
static unsigned count;

static int keep(void *context, const hr_status *status)
{
    if (status->pid == *(int *)context) {
        found = *status;
        count++;
    }
    return 0;
}

static void look(int pid)
{
    count = 0;
    assert_int_equal(hr_status_visit(keep, &pid), 0);
}

static void write_and_read(void *context)
{
    (void)context;
    hr_status_page *page;
    int error = hr_status_page_new(getpid(), &page);
    assert_true(!error || hrt_fault_failed() > 0);
    if (error)
        return;
    hr_status status = {.level = HR_DEGRADED, .name = "some", .use_bytes = 90, .limit_bytes = 100, .refusals = HR_NONE};
    assert_int_equal(hr_status_page_set(page, &status), 0);
    bool failed = hrt_fault_failed() > 0;
    hrt_fault_disarm();
    look(getpid());
    assert_true(count == 1 || failed);
    assert_true(found.level == HR_DEGRADED && found.use_bytes == 90 && found.points[0] == 900 &&
                found.refusals == HR_NONE);
    hr_status_page_free(page);
    look(getpid());
    assert_int_equal(count, 0);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    if (access("/dev/shm", W_OK) != 0)
        skip();
    assert_true(hrt_each_fault(write_and_read, NULL) >= 3);
}

static void one_process_has_one(void **state)
{
    (void)state;
    hr_status_page *first, *second;
    if (access("/dev/shm", W_OK) != 0)
        skip();
    assert_int_equal(hr_status_page_new(getpid(), &first), 0);
    assert_int_equal(hr_status_page_new(getpid(), &second), -EEXIST);
    assert_int_equal(hr_status_page_new(INT32_MAX, &second), -ESRCH);
    look(getpid());
    assert_int_equal(count, 0); /* nothing is there yet */
    hr_status_page_free(first);
}

/* A rate is of the last seconds, and so is the forecast. */
static void rates_and_forecasts(void **state)
{
    (void)state;
    hri_status status;
    if (access("/dev/shm", W_OK) != 0)
        skip();
    assert_int_equal(hri_status_open(&status, getpid()), 0);
    hr_status said = {.limit_bytes = 1000000};
    for (int i = 0; i < 100; i++) {
        said.use_bytes = 10000 + (uint64_t)i * 1000;
        hri_status_put(&status, &said, (int64_t)(i + 1) * 1000000000);
    }
    look(getpid());
    assert_int_equal(count, 1);
    assert_true(found.rate_bytes_per_s > 999 && found.rate_bytes_per_s < 1001);
    assert_true(found.full_in_ns > INT64_C(890) * 1000000000 && found.full_in_ns < INT64_C(892) * 1000000000);
    assert_int_equal(found.point_count, HR_STATUS_POINTS);
    assert_true(found.points[59] == 109 && found.points[0] == 50);
    said.use_bytes = 0;
    hri_status_put(&status, &said, INT64_C(101) * 1000000000);
    look(getpid());
    assert_true(found.rate_bytes_per_s < 0 && found.full_in_ns == -1);
    hri_status_close(&status);
}

/* A child is not its parent: it must neither write the parent's page nor remove it. */
static void a_child_leaves_it_alone(void **state)
{
    (void)state;
    hr_guard *guard;
    if (access("/dev/shm", W_OK) != 0)
        skip();
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 64 << 20, .interval_ns = 10000000}, &guard), 0);
    count = 0;
    for (int i = 0; i < 500 && count == 0; i++) {
        look(getpid());
        usleep(10000);
    }
    assert_int_equal(count, 1);
    int parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        hr_guard_free(guard);
        count = 0;
        hr_status_visit(keep, &parent);
        _exit(count == 1 ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    hr_guard_free(guard);
    look(parent);
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(one_process_has_one),
        cmocka_unit_test(rates_and_forecasts),
        cmocka_unit_test(a_child_leaves_it_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
