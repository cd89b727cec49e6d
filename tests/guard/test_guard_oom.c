/* SPDX-License-Identifier: Apache-2.0 */
/* Every path of the spine that allocates, with its Nth allocation failing, once and from then on; and the proof that
 * relief, refusal and reports do not allocate at all. */
#include "support/cmocka.h"
#include "support/fault.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_shortage(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN;
}

static void make_a_guard(void *context)
{
    const hr_guard_options *options = context;
    hr_guard *guard = NULL;
    int error = hr_guard_new(options, &guard);
    if (error) {
        assert_true(hrt_fault_failed() > 0);
        assert_true(is_shortage(error));
        assert_null(guard);
        return;
    }
    int fd = hr_guard_fd(guard);
    assert_true(fd >= 0 || (hrt_fault_failed() > 0 && is_shortage(fd)));
    assert_int_equal(hr_guard_check(guard), HR_NORMAL);
    hr_guard_free(guard);
}

static void making_a_guard(void **state)
{
    (void)state;
    hr_guard_options options = {.limit_bytes = 64 * MIB, .reserve_bytes = 1 * MIB};
    assert_true(hrt_each_fault(make_a_guard, &options) >= 6);
    char path[] = "/tmp/headroom-history-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    options.history_file = path;
    assert_true(hrt_each_fault(make_a_guard, &options) >= 7);
    unlink(path);
}

static hr_guard *guard;
static hr_budget *root;

static uint64_t used(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(root, &figures), 0);
    return figures.used_bytes;
}

static void allocate_in_all_ways(void *context)
{
    (void)context;
    hr_budget *budget = NULL;
    if (hr_budget_new(root, "child", HR_NONE, &budget) != 0)
        return;
    hr_ticket ticket;
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 1 * MIB, .budget = budget}, &ticket), HR_ADMITTED);
    void *blocks[] = {
        hr_alloc(budget, 100),        hr_calloc(budget, 10, 10), hr_alloc_aligned(budget, 4096, 100),
        hr_strdup(budget, "text"),    hr_memdup(budget, "x", 1), hr_ticket_alloc(&ticket, 5000),
        hr_realloc(budget, NULL, 10),
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        if (!blocks[i]) {
            assert_int_equal(errno, ENOMEM);
            continue;
        }
        char first = *(char *)memset(blocks[i], 'a' + (int)i, 1);
        char *grown = hr_realloc(budget, blocks[i], 200000);
        if (grown)
            blocks[i] = grown;
        assert_int_equal(*(char *)blocks[i], first); /* a failed growth keeps the block */
        hr_free(blocks[i]);
    }
    hr_ticket_release(&ticket);
    assert_int_equal(hr_budget_free(budget), 0); /* everything is back */
    assert_int_equal(used(), 0);
}

static void allocating(void **state)
{
    (void)state;
    assert_true(hrt_each_fault(allocate_in_all_ways, NULL) >= 15);
}

static uint64_t give_back(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)deadline_ns;
    uint64_t *bytes = context, given = want_bytes < *bytes ? want_bytes : *bytes;
    *bytes -= given;
    hr_budget_uncharge(root, given);
    return given;
}

/* From a full root to critical and back, with every call that could allocate failing. */
static void nothing_allocates_on_the_way_out(void **state)
{
    (void)state;
    uint64_t bytes = 20 * MIB;
    hr_reclaimer node = {.name = "cache", .reclaim = give_back, .context = &bytes};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    hrt_fault_arm(HRT_FAULT_ALWAYS, 1);
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    assert_int_equal(hr_budget_charge(root, 40 * MIB), 0);
    assert_int_equal(hr_budget_charge(root, 30 * MIB), 0); /* over the limit: relief, the retry */
    assert_int_equal(hr_budget_charge(root, 13 * MIB), 0); /* critical: the reserve is dropped */
    assert_int_equal(hr_budget_charge(root, 60 * MIB), -EDQUOT);
    assert_true(hr_guard_level(guard) == HR_CRITICAL);
    hr_ticket ticket;
    assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 5000}, &ticket), HR_REFUSED_OVERLOADED);
    hr_guard_check(guard);
    hr_relieve(guard, 1 * MIB);
    for (hr_format format = HR_TEXT; format <= HR_OPENMETRICS; format++)
        assert_int_equal(hr_report_write(guard, format, ends[1]), 0);
    hr_ledger ledgers[HR_LEDGERS_MAX];
    size_t ledger_count;
    assert_int_equal(hr_guard_ledgers(guard, ledgers, HR_LEDGERS_MAX, &ledger_count), 0);
    hr_record record;
    size_t count;
    assert_int_equal(hr_history_read(guard, &record, 1, &count), 0);
    char why[HR_EXPLANATION_BYTES];
    hr_refusal refusal;
    assert_int_equal(hr_budget_refusal(&refusal), 0);
    assert_true(hr_report_explain(guard, &refusal, why, sizeof why) > 0);
    hr_trend trend;
    assert_int_equal(hr_trend_read(guard, &trend), 0);
    hr_bucket bucket;
    hr_event event;
    assert_int_equal(hr_history_read_tier(guard, HR_TIER_MINUTES, &bucket, 1, &count), 0);
    assert_int_equal(hr_history_read_events(guard, &event, 1, &count), 0);
    hr_budget_uncharge(root, used());
    hr_reclaimer_remove(guard, &node);
    assert_int_equal(hr_guard_check(guard), HR_NORMAL); /* takes the reserve back */
    uint64_t failed = hrt_fault_failed();
    const char *first = hrt_fault_first();
    hrt_fault_disarm();
    close(ends[0]);
    close(ends[1]);
    if (failed)
        fail_msg("%llu calls, first %s", (unsigned long long)failed, first);
}

static int set_up(void **state)
{
    (void)state;
    int error =
        hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1, .reserve_bytes = 1 * MIB}, &guard);
    root = error ? NULL : hr_guard_root(guard);
    return error;
}

static int tear_down(void **state)
{
    (void)state;
    hr_guard_free(guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(making_a_guard),
        cmocka_unit_test_setup_teardown(allocating, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_allocates_on_the_way_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
