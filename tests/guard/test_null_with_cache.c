/* SPDX-License-Identifier: Apache-2.0 */
/* Each public call with each of its pointers NULL: it answers as its header says, and crashes nowhere. A call that
 * stands in src/headroom.map and not here fails the last test. HEADROOM_SOURCE_DIR is where that is.
 */
#define HR_NO_INLINE 1
#include "support/cmocka.h"

#include <errno.h>
#include <fcntl.h>
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static hr_guard *guard;
static hr_budget *root;
static char seen[16384];

static int set_up(void **state)
{
    (void)state;
    int error = hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard);
    root = error ? NULL : hr_guard_root(guard);
    return error;
}

static int tear_down(void **state)
{
    (void)state;
    hr_guard_free(guard);
    return 0;
}

static void note(const char *name)
{
    strcat(strcat(seen, " "), name);
    strcat(seen, " ");
    assert_true(strlen(seen) < sizeof seen - 100);
    errno = 0;
}

/* The answers of a call without something that it needs. */
#define EXPECT(name, arguments, answer)                                                                                \
    do {                                                                                                               \
        note(#name);                                                                                                   \
        if (name arguments != (answer))                                                                                \
            fail_msg("%s%s", #name, #arguments);                                                                       \
    } while (0)
#define INVALID(name, arguments) EXPECT(name, arguments, -EINVAL)
#define NOTHING(name, arguments)                                                                                       \
    do {                                                                                                               \
        EXPECT(name, arguments, NULL);                                                                                 \
        assert_int_equal(errno, EINVAL);                                                                               \
    } while (0)
#define DROPPED(name, arguments)                                                                                       \
    do {                                                                                                               \
        note(#name);                                                                                                   \
        (void)name arguments;                                                                                          \
    } while (0)
#define HARMLESS(name, arguments)                                                                                      \
    do {                                                                                                               \
        note(#name);                                                                                                   \
        name arguments;                                                                                                \
    } while (0)

static int visit_budget(void *context, hr_budget *budget, const hr_budget_figures *figures)
{
    (void)context, (void)budget, (void)figures;
    return 0;
}

static void base_and_guard(void **state)
{
    (void)state;
    uint64_t bytes;
    hr_guard *made;
    hr_figures figures;
    hr_ledger ledger;
    size_t count;
    INVALID(hr_size_parse, (NULL, &bytes));
    DROPPED(hr_message_set, (NULL, NULL));
    INVALID(hr_size_parse, ("1", NULL));
    EXPECT(hr_size_format, (1, NULL, 16), NULL);
    INVALID(hr_guard_new, (NULL, NULL));
    assert_int_equal(hr_guard_new(NULL, &made), 0);
    hr_guard_free(made);
    HARMLESS(hr_guard_free, (NULL));
    EXPECT(hr_guard_root, (NULL), NULL);
    EXPECT(hr_guard_level, (NULL), HR_NORMAL);
    EXPECT(hr_guard_check, (NULL), HR_NORMAL);
    INVALID(hr_guard_read, (NULL, &figures));
    INVALID(hr_guard_read, (guard, NULL));
    char text[512];
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    INVALID(hr_figures_text, (NULL, text, sizeof text));
    INVALID(hr_figures_text, (&figures, NULL, 1));
    hr_thresholds thresholds;
    INVALID(hr_guard_thresholds, (NULL, &thresholds));
    INVALID(hr_guard_thresholds, (guard, NULL));
    INVALID(hr_guard_ledgers, (NULL, &ledger, 1, &count));
    INVALID(hr_guard_ledgers, (guard, NULL, 1, &count));
    INVALID(hr_guard_ledgers, (guard, &ledger, 1, NULL));
    INVALID(hr_guard_wait, (NULL, HR_NORMAL, 0));
    INVALID(hr_guard_fd, (NULL));
    INVALID(hr_guard_start, (NULL, 0));
    INVALID(hr_guard_stop, (NULL));
}

static void budgets(void **state)
{
    (void)state;
    hr_budget *budget;
    hr_budget_figures figures;
    INVALID(hr_budget_new, (NULL, "x", 1, &budget));
    INVALID(hr_budget_new, (root, NULL, 1, &budget));
    INVALID(hr_budget_new, (root, "x", 1, NULL));
    EXPECT(hr_budget_free, (NULL), 0);
    INVALID(hr_budget_charge, (NULL, 1));
    INVALID(hr_budget_try_charge, (NULL, 1));
    INVALID(hr_budget_transfer, (NULL, root, 1));
    INVALID(hr_budget_transfer, (root, NULL, 1));
    INVALID(hr_budget_charge_wait, (NULL, 1, 0));
    HARMLESS(hr_budget_uncharge, (NULL, 1));
    INVALID(hr_budget_set_limit, (NULL, 1));
    INVALID(hr_budget_set_reserve, (NULL, 1));
    INVALID(hr_budget_read, (NULL, &figures));
    INVALID(hr_budget_read, (root, NULL));
    INVALID(hr_budget_walk, (NULL, visit_budget, NULL));
    INVALID(hr_budget_walk, (guard, NULL, NULL));
    EXPECT(hr_budget_parent, (NULL), NULL);
    note("hr_budget_name");
    assert_string_equal(hr_budget_name(NULL), "");
    INVALID(hr_budget_refusal, (NULL));
}

static void blocks(void **state)
{
    (void)state;
    void *block = hr_alloc(root, 10);
    NOTHING(hr_alloc, (NULL, 1));
    NOTHING(hr_calloc, (NULL, 1, 1));
    NOTHING(hr_alloc_aligned, (NULL, 64, 1));
    NOTHING(hr_realloc, (NULL, NULL, 1));
    NOTHING(hr_realloc, (NULL, block, 1));
    HARMLESS(hr_free, (NULL));
    NOTHING(hr_strdup, (NULL, "x"));
    NOTHING(hr_strdup, (root, NULL));
    NOTHING(hr_memdup, (NULL, "x", 1));
    NOTHING(hr_memdup, (root, NULL, 1));
    EXPECT(hr_alloc_size, (NULL), 0);
    hr_free(block);
    block = hr_memdup(root, NULL, 0); /* nothing to copy is no mistake */
    assert_non_null(block);
    hr_free(block);
}

static void pools(void **state)
{
    (void)state;
    hr_byte_pool *bytes;
    hr_object_pool *objects;
    hr_pool_figures figures;
    assert_int_equal(hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = 64}, &bytes), 0);
    assert_int_equal(hr_object_pool_new(guard, &(hr_object_pool_options){.size = 64}, &objects), 0);
    INVALID(hr_byte_pool_new, (NULL, &(hr_byte_pool_options){.size_bytes = 64}, &bytes));
    INVALID(hr_byte_pool_new, (guard, NULL, &bytes));
    INVALID(hr_byte_pool_new, (guard, &(hr_byte_pool_options){.size_bytes = 64}, NULL));
    NOTHING(hr_byte_pool_get, (NULL, 1));
    NOTHING(hr_byte_pool_get_slowly_, (NULL, 1));
    HARMLESS(hr_byte_pool_put, (NULL, &figures));
    HARMLESS(hr_byte_pool_put, (bytes, NULL));
    HARMLESS(hr_byte_pool_put_slowly_, (NULL, &figures));
    HARMLESS(hr_byte_pool_put_slowly_, (bytes, NULL));
    EXPECT(hr_byte_pool_trim, (NULL), 0);
    INVALID(hr_byte_pool_read, (NULL, &figures));
    INVALID(hr_byte_pool_read, (bytes, NULL));
    INVALID(hr_object_pool_new, (NULL, &(hr_object_pool_options){.size = 64}, &objects));
    INVALID(hr_object_pool_new, (guard, NULL, &objects));
    INVALID(hr_object_pool_new, (guard, &(hr_object_pool_options){.size = 64}, NULL));
    NOTHING(hr_object_pool_get, (NULL));
    NOTHING(hr_object_pool_get_slowly_, (NULL));
    HARMLESS(hr_object_pool_put, (NULL, &figures));
    HARMLESS(hr_object_pool_put, (objects, NULL));
    HARMLESS(hr_object_pool_put_slowly_, (NULL, &figures));
    HARMLESS(hr_object_pool_put_slowly_, (objects, NULL));
    EXPECT(hr_object_pool_trim, (NULL), 0);
    INVALID(hr_object_pool_read, (NULL, &figures));
    INVALID(hr_object_pool_read, (objects, NULL));
    assert_int_equal(hr_byte_pool_read(bytes, &figures), 0);
    assert_int_equal(figures.faults, 0);
    EXPECT(hr_byte_pool_free, (NULL), 0);
    EXPECT(hr_object_pool_free, (NULL), 0);
    assert_int_equal(hr_byte_pool_free(bytes), 0);
    assert_int_equal(hr_object_pool_free(objects), 0);
    note("hr_cells_mine_"); /* data */
    note("hr_pool_pieces_");
}

static void slices(void **state)
{
    (void)state;
    hr_slice_pool *pool;
    hr_slice slice;
    hr_pool_figures figures;
    assert_int_equal(hr_slice_pool_new(guard, &(hr_slice_pool_options){.item_size = 8}, &pool), 0);
    assert_int_equal(hr_slice_pool_get(pool, &slice), 0);
    INVALID(hr_slice_pool_new, (NULL, &(hr_slice_pool_options){.item_size = 8}, &pool));
    INVALID(hr_slice_pool_new, (guard, NULL, &pool));
    INVALID(hr_slice_pool_new, (guard, &(hr_slice_pool_options){.item_size = 8}, NULL));
    INVALID(hr_slice_pool_get, (NULL, &slice));
    INVALID(hr_slice_pool_get, (pool, NULL));
    HARMLESS(hr_slice_pool_put, (pool, NULL));
    HARMLESS(hr_slice_pool_put, (NULL, NULL));
    INVALID(hr_slice_push, (NULL, "12345678"));
    INVALID(hr_slice_push, (&slice, NULL));
    INVALID(hr_slice_reserve, (NULL, 1));
    EXPECT(hr_slice_pool_trim, (NULL), 0);
    INVALID(hr_slice_pool_read, (NULL, &figures));
    INVALID(hr_slice_pool_read, (pool, NULL));
    EXPECT(hr_slice_pool_free, (NULL), 0);
    hr_slice_pool_put(pool, &slice);
    assert_int_equal(hr_slice_pool_free(pool), 0);
}

static uint64_t reclaim(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)context, (void)want_bytes, (void)deadline_ns;
    return 0;
}

static void relief(void **state)
{
    (void)state;
    hr_reclaimer node = {.name = "none", .reclaim = reclaim};
    hr_ticket ticket = {0};
    hr_request request = {.bytes = 1};
    INVALID(hr_reclaimer_add, (NULL, &node));
    INVALID(hr_reclaimer_add, (guard, NULL));
    HARMLESS(hr_reclaimer_remove, (NULL, &node));
    HARMLESS(hr_reclaimer_remove, (guard, NULL));
    EXPECT(hr_relieve, (NULL, 1), 0);
    EXPECT(hr_cleanup, (NULL), 0);
    EXPECT(hr_guard_cleanup, (NULL), 0);
    EXPECT(hr_admit, (NULL, &request, &ticket), HR_REFUSED_NO_BUDGET);
    EXPECT(hr_admit, (guard, NULL, &ticket), HR_REFUSED_NO_BUDGET);
    EXPECT(hr_admit, (guard, &request, NULL), HR_REFUSED_NO_BUDGET);
    INVALID(hr_ticket_spend, (NULL, 1));
    NOTHING(hr_ticket_alloc, (NULL, 1));
    HARMLESS(hr_ticket_return, (NULL, 1));
    char text[512];
    INVALID(hr_ticket_text, (NULL, text, sizeof text));
    INVALID(hr_ticket_text, (&ticket, NULL, 1));
    HARMLESS(hr_ticket_release, (NULL));
}

static ssize_t read_nothing(void *self, void *buffer, size_t size, bool *ret_end)
{
    (void)self, (void)buffer, (void)size;
    *ret_end = true;
    return 0;
}

static int ignore(void *context, const void *items, size_t count)
{
    (void)context, (void)items, (void)count;
    return 0;
}

static void streams(void **state)
{
    (void)state;
    hr_folder *folder;
    hr_cancel *cancel;
    hr_stream *stream;
    hr_stream_result result;
    bool end;
    char buffer[8];
    hr_reader reader = hr_reader_custom(read_nothing, NULL);
    hr_stream_options options = {.reader = reader};
    DROPPED(hr_reader_file, (NULL));
    DROPPED(hr_reader_memory, (NULL, 0));
    DROPPED(hr_reader_custom, (NULL, NULL));
    DROPPED(hr_reader_folder, (NULL));
    hr_reader nothing[] = {hr_reader_file(NULL), hr_reader_memory(NULL, 5), hr_reader_custom(NULL, NULL),
                           hr_reader_folder(NULL)};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        INVALID(hr_reader_read, (&nothing[i], NULL, buffer, sizeof buffer, &end));
    INVALID(hr_folder_new, (NULL, &folder));
    INVALID(hr_folder_new, ("/", NULL));
    HARMLESS(hr_folder_free, (NULL));
    INVALID(hr_reader_read, (NULL, NULL, buffer, sizeof buffer, &end));
    INVALID(hr_reader_read, (&reader, NULL, NULL, sizeof buffer, &end));
    INVALID(hr_reader_read, (&reader, NULL, buffer, sizeof buffer, NULL));
    INVALID(hr_cancel_new, (NULL));
    HARMLESS(hr_cancel_free, (NULL));
    HARMLESS(hr_cancel_set, (NULL));
    HARMLESS(hr_cancel_clear, (NULL));
    EXPECT(hr_cancel_is_set, (NULL), false);
    INVALID(hr_stream_run, (NULL, &result));
    INVALID(hr_stream_run, (&options, NULL));
    INVALID(hr_stream_new, (NULL, &stream));
    INVALID(hr_stream_new, (&options, NULL));
    INVALID(hr_stream_continue, (NULL, &result));
    HARMLESS(hr_stream_free, (NULL));
    EXPECT(hr_frame_length32, (NULL, NULL, 0), 0);
    EXPECT(hr_frame_length32, (NULL, NULL, 4), 0);
    assert_int_equal(hr_cancel_new(&cancel), 0);
    hr_cancel_free(cancel);
}

static void batches(void **state)
{
    (void)state;
    hr_batch *batch;
    hr_batch_figures figures;
    hr_batch_options options = {.item_bytes = 8, .items_max = 4, .on_flush = ignore};
    assert_int_equal(hr_batch_new(&options, &batch), 0);
    INVALID(hr_batch_new, (NULL, &batch));
    INVALID(hr_batch_new, (&options, NULL));
    INVALID(hr_batch_new, (&(hr_batch_options){.item_bytes = 8, .items_max = 4}, &batch));
    INVALID(hr_batch_add, (NULL, "1234567"));
    INVALID(hr_batch_add, (batch, NULL));
    INVALID(hr_batch_add_sized, (NULL, "1234567", 1));
    INVALID(hr_batch_add_sized, (batch, NULL, 1));
    INVALID(hr_batch_flush, (NULL));
    INVALID(hr_batch_flush_aged, (NULL));
    INVALID(hr_batch_fd, (NULL));
    INVALID(hr_batch_read, (NULL, &figures));
    INVALID(hr_batch_read, (batch, NULL));
    EXPECT(hr_batch_clear, (NULL), 0);
    EXPECT(hr_batch_free, (NULL), 0);
    assert_int_equal(hr_batch_free(batch), 0);
}

static int visit_history(void *context, const hr_history_entry *entry)
{
    (void)context, (void)entry;
    return 0;
}

static void history_files(void **state)
{
    (void)state;
    hr_history_file_figures file;
    hr_history_findings findings;
    INVALID(hr_history_file_read, (NULL, &file));
    INVALID(hr_history_file_read, (guard, NULL));
    INVALID(hr_history_file_visit, (NULL, visit_history, NULL, &findings));
    assert_true(hr_history_file_visit("/dev/null", visit_history, NULL, NULL) <= 0);
    hr_census census;
    INVALID(hr_history_file_read_census, (NULL, &census));
    INVALID(hr_history_file_read_census, ("/dev/null", NULL));
    hr_history_origin origin;
    INVALID(hr_history_file_read_origin, (NULL, &origin));
    INVALID(hr_history_file_read_origin, ("/dev/null", NULL));
    hr_history_writer *writer;
    INVALID(hr_history_writer_new, (NULL, 0, &writer));
    INVALID(hr_history_writer_new, ("/dev/null", 0, NULL));
    INVALID(hr_history_writer_add, (NULL, &(hr_history_entry){0}));
    INVALID(hr_history_writer_describe, (NULL, "a", "b"));
    HARMLESS(hr_history_writer_free, (NULL));
}

static void reports(void **state)
{
    (void)state;
    hr_record record;
    hr_bucket bucket;
    hr_event event;
    hr_trend trend;
    hr_survey *survey;
    size_t count;
    char text[100];
    INVALID(hr_history_read, (NULL, &record, 1, &count));
    INVALID(hr_history_read, (guard, NULL, 1, &count));
    INVALID(hr_history_read, (guard, &record, 1, NULL));
    INVALID(hr_history_read_tier, (NULL, HR_TIER_SECONDS, &bucket, 1, &count));
    INVALID(hr_history_read_tier, (guard, HR_TIER_SECONDS, NULL, 1, &count));
    INVALID(hr_history_read_tier, (guard, HR_TIER_SECONDS, &bucket, 1, NULL));
    INVALID(hr_history_read_events, (NULL, &event, 1, &count));
    INVALID(hr_history_read_events, (guard, NULL, 1, &count));
    INVALID(hr_history_read_events, (guard, &event, 1, NULL));
    INVALID(hr_history_record, (NULL));
    INVALID(hr_refusals_format, (NULL, text, sizeof text));
    INVALID(hr_refusals_format, (&(hr_history_view){0}, NULL, 1));
    hr_page_parts parts;
    INVALID(hr_page_write, (NULL, 1));
    INVALID(hr_page_write, (&(hr_page){.run_count = 1}, 1));
    INVALID(hr_page_format, (NULL, text, sizeof text));
    assert_true(hr_page_format(&(hr_page){0}, NULL, 1) > 0);
    INVALID(hr_page_read_parts, (NULL));
    assert_true(hr_page_read_parts(&parts) == 0 || hr_page_read_parts(&parts) == -ENOTSUP);
    hr_status_page *page;
    INVALID(hr_status_visit, (NULL, NULL));
    INVALID(hr_status_page_new, (0, &page));
    INVALID(hr_status_page_new, (1, NULL));
    INVALID(hr_status_page_set, (NULL, &(hr_status){0}));
    HARMLESS(hr_status_page_free, (NULL));
    INVALID(hr_trend_compute, (NULL, 3, 1, &trend));
    INVALID(hr_trend_compute, (&record, 1, 1, NULL));
    INVALID(hr_trend_compute_buckets, (NULL, 3, 1, &trend));
    INVALID(hr_trend_compute_buckets, (&bucket, 1, 1, NULL));
    INVALID(hr_trend_read, (NULL, &trend));
    INVALID(hr_trend_read, (guard, NULL));
    INVALID(hr_trend_format, (NULL, text, sizeof text));
    INVALID(hr_trend_format, (&trend, NULL, 1));
    INVALID(hr_report_explain, (NULL, NULL, text, sizeof text));
    INVALID(hr_report_explain, (guard, NULL, NULL, 1));
    INVALID(hr_report_write, (NULL, HR_TEXT, 1));
    INVALID(hr_report_format, (NULL, HR_TEXT, text, sizeof text));
    assert_true(hr_report_format(guard, HR_TEXT, NULL, 1) > 0);
    INVALID(hr_survey_new, (NULL, NULL));
    assert_int_equal(hr_survey_new(NULL, &survey), 0);
    hr_survey_free(survey);
    HARMLESS(hr_survey_free, (NULL));
    INVALID(hr_survey_again, (NULL));
}

static int visit_entry(void *context, const void *key, size_t key_size, const hr_cache_ref *value)
{
    (void)context, (void)key, (void)key_size, (void)value;
    return 0;
}

static void caches(void **state)
{
    (void)state;
    hr_cache *cache;
    hr_cache_ref ref = {0};
    hr_cache_figures figures;
    const hr_cache_held held = {.data = "x", .size = 1};
    assert_int_equal(hr_cache_new(guard, NULL, &cache), 0);
    hr_cache *alone; /* a cache needs no guard */
    assert_int_equal(hr_cache_new(NULL, &(hr_cache_options){.max_bytes = MIB}, &alone), 0);
    assert_int_equal(hr_cache_free(alone), 0);
    INVALID(hr_cache_new, (guard, NULL, NULL));
    INVALID(hr_cache_put, (NULL, "k", 1, "v", 1, 0));
    INVALID(hr_cache_put, (cache, NULL, 1, "v", 1, 0));
    INVALID(hr_cache_put, (cache, "k", 1, NULL, 1, 0));
    INVALID(hr_cache_put_held, (NULL, "k", 1, &held));
    INVALID(hr_cache_put_held, (cache, NULL, 1, &held));
    INVALID(hr_cache_put_held, (cache, "k", 1, NULL));
    INVALID(hr_cache_reserve, (NULL, "k", 1, 1, 0, &ref));
    INVALID(hr_cache_reserve, (cache, NULL, 1, 1, 0, &ref));
    INVALID(hr_cache_reserve, (cache, "k", 1, 1, 0, NULL));
    INVALID(hr_cache_commit, (NULL, &ref));
    INVALID(hr_cache_commit, (cache, NULL));
    EXPECT(hr_cache_make_room, (NULL, 1), 0);
    INVALID(hr_cache_get, (NULL, "k", 1, &ref));
    INVALID(hr_cache_get, (cache, NULL, 1, &ref));
    INVALID(hr_cache_get, (cache, "k", 1, NULL));
    HARMLESS(hr_cache_release, (NULL, &ref));
    HARMLESS(hr_cache_release, (cache, NULL));
    INVALID(hr_cache_supply, (NULL, "v", 1, 0));
    INVALID(hr_cache_remove, (NULL, "k", 1));
    INVALID(hr_cache_remove, (cache, NULL, 1));
    HARMLESS(hr_cache_clear, (NULL));
    EXPECT(hr_cache_trim, (NULL, 1), 0);
    INVALID(hr_cache_walk, (NULL, visit_entry, NULL));
    INVALID(hr_cache_walk, (cache, NULL, NULL));
    INVALID(hr_cache_read, (NULL, &figures));
    INVALID(hr_cache_read, (cache, NULL));
    EXPECT(hr_cache_free, (NULL), 0);
    assert_int_equal(hr_cache_free(cache), 0);
}

/* The last of all: whatever is exported was called above, or takes no pointer. hr_sized_() is behind inline forms of
 * these calls (tests/install/older.sh). */
static void no_call_is_forgotten(void **state)
{
    (void)state;
    static const char without_pointers[] =
        " hr_level_text hr_version hr_purge hr_verdict_text hr_history_ledger_text hr_event_kind_text "
        "hr_trend_kind_text hr_reader_fd hr_alloc_cost hr_sized_ ";
    char path[4096], line[200], name[202], missing[4096] = "";
    const char *source = getenv("HEADROOM_SOURCE_DIR");
    if (!source) {
        print_message("skipped: HEADROOM_SOURCE_DIR does not name the tree\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/src/headroom.map", source);
    FILE *map = fopen(path, "r");
    assert_non_null(map);
    while (fgets(line, sizeof line, map)) {
        char *at = line + strspn(line, " "), *end = strchr(at, ';');
        if (strncmp(at, "hr_", 3) != 0 || !end)
            continue;
        *end = '\0';
        snprintf(name, sizeof name, " %s ", at);
        if (!strstr(seen, name) && !strstr(without_pointers, name))
            strncat(missing, name, sizeof missing - strlen(missing) - 1);
    }
    fclose(map);
    assert_string_equal(missing, "");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(base_and_guard), TEST(budgets), TEST(blocks),  TEST(pools),
        TEST(slices),         TEST(relief),  TEST(streams), TEST(batches),
        TEST(history_files),  TEST(reports), TEST(caches),  TEST(no_call_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
