/* SPDX-License-Identifier: Apache-2.0 */
/* The data of pages: no more points than may be drawn, the least and the most of each stretch, times that only grow, holes
 * between processes, and strangers' texts. */
#include "support/cmocka.h"

#include "report/codec.h"
#include "report/page.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS 100000
#define TEXT_BYTES (UINT64_C(2) << 20)

static hr_record records[ROWS];
static char text[TEXT_BYTES];

static void fill(size_t count)
{
    for (size_t i = 0; i < count; i++)
        records[i] = (hr_record){
            .time_ns = (int64_t)i * 1000000000,
            .wall_ns = (int64_t)(i + 1) * 1000000000,
            .live_bytes = 1000 + i % 7,
            .rss_bytes = HR_NONE,
            .cgroup_bytes = HR_NONE,
            .cgroup_anonymous_bytes = HR_NONE,
            .cgroup_kernel_bytes = HR_NONE,
            .cgroup_cache_bytes = HR_NONE,
            .limit_bytes = 2000,
            .refusals = i,
        };
}

/* Formats a page of one run; gives how many rows it has. */
static size_t format(const hr_page_run *run, bool live)
{
    ssize_t length = hr_page_format(&(hr_page){.runs = run, .run_count = 1, .live = live}, text, sizeof text);
    assert_true(length > 0 && (size_t)length < sizeof text);
    assert_int_equal(length, hr_page_format(&(hr_page){.runs = run, .run_count = 1, .live = live}, NULL, 0));
    const char *at = strstr(text, "\"rows\": [");
    assert_non_null(at);
    size_t rows = 0;
    long long last = -1, time_ms;
    for (at = strchr(at, '\n'); at && sscanf(at, "\n[%lld", &time_ms) == 1; at = strchr(at + 1, '\n'), rows++) {
        assert_true(time_ms > last); /* a chart needs times that only grow */
        last = time_ms;
    }
    return rows;
}

static void few_samples_are_all_there(void **state)
{
    (void)state;
    fill(3000);
    assert_int_equal(format(&(hr_page_run){.history = {records, 3000, NULL, 0}}, false), 3000);
    assert_int_equal(format(&(hr_page_run){.history = {records, 1, NULL, 0}}, false), 1);
    assert_int_equal(format(&(hr_page_run){.title = "empty"}, false), 0);
}

static void of_many_the_least_and_the_most_stay(void **state)
{
    (void)state;
    fill(ROWS);
    records[54321].live_bytes = 1999;
    records[12345].live_bytes = 1;
    size_t rows = format(&(hr_page_run){.history = {records, ROWS, NULL, 0}}, false);
    assert_in_range(rows, 3000, HRI_PAGE_POINTS);
    assert_non_null(strstr(text, ",1999,2000,"));
    assert_non_null(strstr(text, ",1,2000,"));
    assert_non_null(strstr(text, "\"peak_bytes\": 1999"));
    assert_in_range(format(&(hr_page_run){.history = {records, ROWS, NULL, 0}}, true), 700, HRI_PAGE_LIVE_POINTS);
}

static void no_number_of_processes_makes_more_points(void **state)
{
    (void)state;
    static size_t begins[400];
    fill(ROWS);
    for (size_t i = 0; i < 400; i++)
        begins[i] = (i + 1) * 240;
    hr_page_run run = {.history = {records, ROWS, NULL, 0}, .begins = begins, .begin_count = 400};
    assert_in_range(format(&run, false), 1500, HRI_PAGE_POINTS);
    run.history.record_count = 3500;
    run.begin_count = 14;
    assert_in_range(format(&run, false), 1700, HRI_PAGE_POINTS);
}

static void processes_have_a_hole_between_them_and_counts_of_their_own(void **state)
{
    (void)state;
    const size_t begin = 5;
    fill(10);
    for (size_t i = 5; i < 10; i++)
        records[i].refusals = i - 5;
    hr_page_run run = {.history = {records, 10, NULL, 0}, .begins = &begin, .begin_count = 1};
    assert_int_equal(format(&run, false), 11);
    assert_non_null(strstr(text, ",null,null,null,null,null,null,null,null,null,null,null,null,null,null]"));
    assert_non_null(strstr(text, "\"refusals\": 8, ")); /* four, and four of the second */
}

static void a_clock_that_is_set_back_stands_still(void **state)
{
    (void)state;
    fill(100);
    for (size_t i = 50; i < 100; i++)
        records[i].wall_ns -= INT64_C(60) * 1000000000;
    assert_int_equal(format(&(hr_page_run){.history = {records, 100, NULL, 0}}, false), 100);
}

static void texts_of_strangers_end_no_element(void **state)
{
    (void)state;
    static const char evil[] = "</script><!--\"\\\n\x01\xff";
    hr_event event = {.kind = HR_EVENT_REFUSALS, .budget = "</script>"};
    fill(2);
    hr_page_run run = {.title = evil,
                       .command = evil,
                       .source = evil,
                       .sampling = evil,
                       .left_out = evil,
                       .explanation = evil,
                       .limit_source = evil,
                       .history = {records, 2, &event, 1}};
    format(&run, false);
    assert_null(strchr(text, '<'));
    assert_non_null(strstr(text, "\"title\": \"\\u003c/script>\\u003c!--\\\"\\\\\\u000a\\u0001?\""));
}

/* A program under a cgroup's limit is drawn against that. */
static void the_ledger_that_decided_is_the_use(void **state)
{
    (void)state;
    fill(4);
    for (size_t i = 0; i < 4; i++) {
        records[i].cgroup_bytes = 500;
        records[i].use = 0.5;
        strcpy(records[i].decided_by, i ? "cgroup" : "budget");
    }
    format(&(hr_page_run){.history = {records, 4, NULL, 0}}, false);
    assert_non_null(strstr(text, "\"binding\": \"cgroup\""));
    assert_non_null(strstr(text, "\n[2000,0,500,1000,1001,"));
    assert_non_null(strstr(text, "\"use_bytes\": 500, \"limit_bytes\": 1000"));
}

static void a_guard_tells_all_of_its_history(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = UINT64_C(64) << 20, .interval_ns = -1, .share_lease = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    for (int i = 0; i < 150; i++)
        assert_int_equal(hr_history_record(guard), 0);
    ssize_t length = hr_report_format(guard, HR_PAGE_DATA, text, sizeof text);
    assert_in_range(length, 5000, 128 << 10);
    assert_non_null(strstr(text, "\"is_guard\": true"));
    assert_non_null(strstr(text, "\"live\": true"));
    ssize_t page = hr_report_format(guard, HR_HTML, text, sizeof text);
    if (hri_page.head.size == 0)
        assert_int_equal(page, -ENOTSUP);
    else
        assert_true(page > length && strncmp(text, "<!doctype html>", 15) == 0);
    hr_guard_free(guard);
}

/* A page that is written in pieces is the one that is formatted. */
static void a_page_is_written_whole(void **state)
{
    (void)state;
    char path[] = "/tmp/headroom-page-XXXXXX";
    hr_page_parts parts;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    fill(5000);
    hr_page_run run = {.history = {records, 5000, NULL, 0}};
    hr_page page = {.runs = &run, .run_count = 1, .live = true};
    int error = hr_page_write(&page, fd);
    if (hr_page_read_parts(&parts) == -ENOTSUP) {
        assert_int_equal(error, -ENOTSUP);
        close(fd);
        return;
    }
    assert_int_equal(error, 0);
    ssize_t data = hr_page_format(&page, NULL, 0);
    off_t size = lseek(fd, 0, SEEK_END);
    assert_int_equal(size, parts.head_bytes + strlen("; connect-src 'self'") + parts.middle_bytes + (size_t)data +
                               parts.tail_bytes);
    assert_true(pread(fd, text, parts.tail_bytes, size - (off_t)parts.tail_bytes) == (ssize_t)parts.tail_bytes);
    assert_memory_equal(text, parts.tail, parts.tail_bytes);
    close(fd);
    assert_int_equal(hr_page_write(&page, -1), -EBADF);
}

static void what_headroom_run_did_comes_through_a_file(void **state)
{
    (void)state;
    unsigned char bytes[HRI_ENTRY_BYTES];
    hr_history_entry in = {.is_event = true, .event = {.kind = HR_EVENT_KERNEL_KILL, .kills = 7, .budget = "x"}}, out;
    hri_entry_encode(&in, bytes);
    assert_int_equal(hri_entry_decode(bytes, HRI_FILE_VERSION, &out), 0);
    assert_true(out.event.kind == HR_EVENT_KERNEL_KILL && out.event.kills == 7);
    assert_string_equal(hr_event_kind_text(out.event.kind), "kernel kill");
    assert_string_equal(hr_event_kind_text((hr_event_kind)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_samples_are_all_there),
        cmocka_unit_test(of_many_the_least_and_the_most_stay),
        cmocka_unit_test(no_number_of_processes_makes_more_points),
        cmocka_unit_test(processes_have_a_hole_between_them_and_counts_of_their_own),
        cmocka_unit_test(a_clock_that_is_set_back_stands_still),
        cmocka_unit_test(texts_of_strangers_end_no_element),
        cmocka_unit_test(the_ledger_that_decided_is_the_use),
        cmocka_unit_test(a_guard_tells_all_of_its_history),
        cmocka_unit_test(a_page_is_written_whole),
        cmocka_unit_test(what_headroom_run_did_comes_through_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
