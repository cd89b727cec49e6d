/* SPDX-License-Identifier: Apache-2.0 */
/* A limit on the whole process (strategy 10), on the machine as it is: memory that nobody charges counts. */
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static int calls;

static void note_level(void *context, hr_level from, hr_level to, const hr_figures *figures)
{
    (void)context, (void)from, (void)to;
    assert_string_equal(figures->use_source, "process");
    calls++;
}

static int set_up(void **state)
{
    (void)state;
    calls = 0;
    return unsetenv("HEADROOM_LIMIT");
}

/* The bytes that the process has now. */
static uint64_t resident(void)
{
    hr_survey *survey;
    assert_int_equal(hr_survey_new(NULL, &survey), 0);
    uint64_t bytes = survey->rss_bytes;
    hr_survey_free(survey);
    return bytes;
}

/* Regression: 300 MiB of malloc() under a limit of 100 MiB and no cgroup: the level stayed normal, on_level was never
 * called, and 100 MiB more were granted. */
static void memory_that_nobody_charged_counts(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_figures figures;
    hr_ticket ticket;
    char text[HR_EXPLANATION_BYTES];
    uint64_t limit = resident() + 32 * MIB;
    hr_guard_options options = {.process_limit_bytes = limit, .interval_ns = -1, .on_level = note_level};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_int_equal(figures.limit_bytes, limit);
    assert_string_equal(figures.limit_source, "process_limit_bytes");
    assert_true(figures.lease_bytes <= 32 * MIB + limit / 4); /* resident files are no use of it */
    void *own = mmap(NULL, limit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_true(own != MAP_FAILED);
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    assert_true(calls > 0);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 1 * MIB), -EDQUOT);
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 1 * MIB}, &ticket), HR_REFUSED_OVERLOADED);
    assert_string_equal(ticket.limit_name, "level critical");
    hr_report_explain(guard, NULL, text, sizeof text);
    assert_non_null(strstr(text, "process_limit_bytes; most is held by this process, in no budget, "));
    munmap(own, limit);
    assert_true(hr_guard_check(guard) < HR_DEGRADED);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 1 * MIB), 0);
    hr_budget_uncharge(hr_guard_root(guard), 1 * MIB);
    hr_guard_free(guard);
}

/* Bytes that may be granted and bytes that are there already share the limit. */
static void what_is_granted_stays_below_it(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_budget_figures root;
    uint64_t limit = resident() + 64 * MIB;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.process_limit_bytes = limit, .interval_ns = -1}, &guard), 0);
    void *own = mmap(NULL, 40 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_true(own != MAP_FAILED);
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &root), 0);
    assert_true(root.left_bytes <= limit - 40 * MIB);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), limit - 40 * MIB), -EDQUOT);
    munmap(own, 40 * MIB);
    hr_guard_free(guard);
}

static void the_environment_declares_it_where_the_option_does_not(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_figures figures;
    assert_int_equal(setenv("HEADROOM_LIMIT", "512M", 1), 0);
    assert_int_equal(hr_guard_new(NULL, &guard), 0);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_true(figures.limit_bytes <= 512 * MIB);
    assert_true(figures.limit_bytes < 512 * MIB || strcmp(figures.limit_source, "HEADROOM_LIMIT") == 0);
    hr_guard_free(guard);
    assert_int_equal(hr_guard_new(&(hr_guard_options){.process_limit_bytes = 256 * MIB}, &guard), 0);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_true(figures.limit_bytes <= 256 * MIB);
    hr_guard_free(guard);
    assert_int_equal(hr_guard_new(&(hr_guard_options){.process_limit_bytes = HR_NONE}, &guard), 0);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_string_not_equal(figures.limit_source, "HEADROOM_LIMIT");
    hr_guard_free(guard);
    assert_int_equal(setenv("HEADROOM_LIMIT", "50%", 1), 0);
    uint64_t whole = figures.limit_bytes;
    assert_int_equal(hr_guard_new(NULL, &guard), 0);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_in_range(figures.limit_bytes, whole / 2 - 1, whole / 2 + 1);
    assert_string_equal(figures.limit_source, "HEADROOM_LIMIT");
    hr_guard_free(guard);
}

static void a_value_that_is_no_limit_makes_no_guard(void **state)
{
    (void)state;
    hr_guard *guard = NULL;
    static const char *const bad[] = {"much", "0", "120%", "5 %%"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(setenv("HEADROOM_LIMIT", bad[i], 1), 0);
        assert_int_equal(hr_guard_new(NULL, &guard), -EINVAL);
        assert_null(guard);
    }
}

#define TEST(function) cmocka_unit_test_setup(function, set_up)

static int find_own(void *context, const hr_status *status)
{
    if (status->pid == getpid())
        *(hr_status *)context = *status;
    return 0;
}

/* Prevents: at 94 % of a limit on the process, its status page had a use of 0, which was the budget's. */
static void the_status_page_has_the_ledger_that_decides(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_status status = {0};
    uint64_t limit = resident() + 32 * MIB;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.process_limit_bytes = limit, .interval_ns = 10000000}, &guard),
                     0);
    void *own = mmap(NULL, 24 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_true(own != MAP_FAILED);
    for (int i = 0; i < 600 && status.use_bytes < 24 * MIB; i++) { /* pages are written twice a second */
        usleep(50000);
        assert_int_equal(hr_status_visit(find_own, &status), 0);
    }
    assert_int_equal(status.limit_bytes, limit);
    assert_in_range(status.use_bytes, 24 * MIB, limit);
    munmap(own, 24 * MIB);
    hr_guard_free(guard);
}

/* Prevents: the resident set of a process that charges nothing was held against limit_bytes, which does not limit it.
 * The forecast was that a limit of 100 MiB was reached, at 2 % of the host's memory. */
static void the_resident_set_grows_towards_a_limit_of_the_kernel(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_trend trend;
    char text[HR_EXPLANATION_BYTES];
    void *blocks[8];
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = 1 * MIB, .interval_ns = -1}, &guard), 0);
    for (unsigned i = 0; i < 8; i++) {
        blocks[i] = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        assert_true(blocks[i] != MAP_FAILED);
        usleep(10000);
        hr_guard_check(guard);
    }
    assert_int_equal(hr_trend_read(guard, &trend), 0);
    assert_int_equal(trend.ledger, HR_HISTORY_RSS);
    assert_true(trend.time_to_limit_ns != 0);
    assert_in_range(hr_report_explain(guard, NULL, text, sizeof text), 1, sizeof text - 1);
    assert_null(strstr(text, "reached"));
    assert_null(strstr(text, "limit_bytes"));
    for (unsigned i = 0; i < 8; i++)
        munmap(blocks[i], MIB);
    hr_guard_free(guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_status_page_has_the_ledger_that_decides),           TEST(memory_that_nobody_charged_counts),
        TEST(the_resident_set_grows_towards_a_limit_of_the_kernel),  TEST(what_is_granted_stays_below_it),
        TEST(the_environment_declares_it_where_the_option_does_not), TEST(a_value_that_is_no_limit_makes_no_guard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
