/* SPDX-License-Identifier: Apache-2.0 */
/* A history file says who held what: the largest budgets, pools and caches of its guard, whole or not at all. */
#include "support/cmocka.h"
#include "support/history_folder.h"

#include "report/census.h"
#include "report/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <headroom/headroom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
#define SECOND INT64_C(1000000000)

/* The findings alone are wanted. */
static int pass_by(void *context, const hr_history_entry *entry)
{
    (void)context, (void)entry;
    return 0;
}

static hr_census census;

static const hr_census_row *find(hr_census_kind kind, const char *name)
{
    for (size_t i = 0; i < census.count; i++)
        if (census.rows[i].kind == kind && strcmp(census.rows[i].name, name) == 0)
            return &census.rows[i];
    fail_msg("there is no row of %s", name);
    return NULL;
}

static size_t count_of(hr_census_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < census.count; i++)
        count += census.rows[i].kind == kind;
    return count;
}

/* A census is written when the level rises: a guard that is killed then has one. */
static void a_guards_budgets_pools_and_caches_are_in_its_file(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_budget *uploads, *plain;
    hr_byte_pool *pool;
    hr_cache *cache;
    hr_guard_options options = {.limit_bytes = 64 * MIB, .interval_ns = -1, .history_file = path, .share_lease = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    hr_guard_check(guard); /* the first census: there is no more than the root */
    assert_int_equal(hr_budget_new(hr_guard_root(guard), "uploads", 8 * MIB, &uploads), 0);
    assert_int_equal(hr_budget_new(uploads, "plain", HR_NONE, &plain), 0);
    assert_int_equal(hr_byte_pool_new(guard, &(hr_byte_pool_options){.name = "bodies", .size_bytes = 4096}, &pool), 0);
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.name = "pages"}, &cache), 0);
    void *block = hr_byte_pool_get(pool, 4096);
    assert_non_null(block);
    assert_int_equal(hr_cache_put(cache, "key", 3, "value", 5, 0), 0);
    assert_int_equal(hr_budget_charge(plain, 7 * MIB), 0);
    assert_int_equal(hr_budget_charge(plain, 2 * MIB), -EDQUOT);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 48 * MIB), 0);
    assert_int_equal(hr_guard_check(guard), HR_WARNING);
    assert_int_equal(hr_history_file_read_census(path, &census), 0);
    assert_int_equal(count_of(HR_CENSUS_BUDGET) + count_of(HR_CENSUS_POOL) + count_of(HR_CENSUS_CACHE), census.count);
    const hr_census_row *row = find(HR_CENSUS_BUDGET, "root/uploads");
    assert_true(row->used_bytes >= 7 * MIB && row->limit_bytes == 8 * MIB && row->peak_bytes >= 7 * MIB);
    assert_int_equal(row->refused, 1);
    assert_int_equal(find(HR_CENSUS_BUDGET, "root/uploads/plain")->limit_bytes, HR_NONE);
    assert_true(census.rows[0].used_bytes >= census.rows[1].used_bytes); /* the largest first */
    row = find(HR_CENSUS_POOL, "bodies");
    assert_true(row->used_bytes >= 4096 && row->peak_bytes >= 4096 && row->limit_bytes == HR_NONE && row->refused == 0);
    assert_true(find(HR_CENSUS_CACHE, "pages")->used_bytes >= 8);
    assert_true(census.wall_ns > 0 && census.session > 0);

    hr_history_findings findings;
    assert_int_equal(hr_history_file_visit(path, pass_by, NULL, &findings), 0);
    assert_int_equal(findings.unknown, 0);
    assert_true(findings.census == 1 + census.count);
    hr_byte_pool_put(pool, block);
    hr_budget_uncharge(plain, 7 * MIB);
    hr_budget_uncharge(hr_guard_root(guard), 48 * MIB);
    assert_int_equal(hr_byte_pool_free(pool) | hr_cache_free(cache), 0);
    assert_int_equal(hr_budget_free(plain) | hr_budget_free(uploads), 0);
    hr_guard_free(guard);
}

static void of_many_the_largest_are_there_and_the_others_counted(void **state)
{
    (void)state;
    hr_guard *guard;
    hr_budget *budgets[100];
    hr_guard_options options = {.limit_bytes = 64 * MIB, .interval_ns = -1, .history_file = path, .share_lease = -1};
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "b%02u", i);
        assert_int_equal(hr_budget_new(hr_guard_root(guard), name, HR_NONE, &budgets[i]), 0);
        assert_int_equal(hr_budget_charge(budgets[i], (i + 1) * 4096), 0);
    }
    hr_guard_check(guard);
    assert_int_equal(hr_history_file_read_census(path, &census), 0);
    assert_int_equal(count_of(HR_CENSUS_BUDGET), HR_CENSUS_ROWS);
    assert_int_equal(census.left_out[HR_CENSUS_BUDGET], 101 - HR_CENSUS_ROWS);
    assert_string_equal(census.rows[0].name, "root");
    assert_string_equal(census.rows[1].name, "root/b99");
    assert_string_equal(census.rows[HR_CENSUS_ROWS - 1].name, "root/b85");
    for (unsigned i = 0; i < 100; i++) {
        hr_budget_uncharge(budgets[i], (i + 1) * 4096);
        assert_int_equal(hr_budget_free(budgets[i]), 0);
    }
    hr_guard_free(guard);
}

/* ── by entries ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static hri_census_entry entry_of(int64_t time_ns, hr_census_kind kind, size_t number, size_t count)
{
    hri_census_entry entry = {.session = 1, .time_ns = time_ns, .number = number, .count = count};
    entry.row = (hr_census_row){.kind = kind, .used_bytes = (uint64_t)time_ns};
    snprintf(entry.row.name, sizeof entry.row.name, "%lld", (long long)time_ns);
    return entry;
}

static void take(hri_census_reader *reader, int64_t time_ns, hr_census_kind kind, size_t number, size_t count)
{
    hri_census_entry entry = entry_of(time_ns, kind, number, count);
    hri_census_take(reader, &entry);
}

static void a_torn_or_damaged_census_leaves_the_one_before_it(void **state)
{
    (void)state;
    census = (hr_census){0};
    hri_census_reader reader = {.census = &census};
    take(&reader, 1, HR_CENSUS_BUDGET, 0, 2);
    assert_int_equal(census.count, 0);
    take(&reader, 1, HR_CENSUS_BUDGET, 1, 2);
    take(&reader, 1, HR_CENSUS_CACHE, 0, 1);
    assert_int_equal(census.count, 3);
    take(&reader, 2, HR_CENSUS_BUDGET, 0, 2); /* torn: the second one never came */
    take(&reader, 3, HR_CENSUS_BUDGET, 1, 2); /* its first one was damaged */
    assert_int_equal(census.count, 3);
    assert_int_equal(census.time_ns, 1);
    take(&reader, 4, HR_CENSUS_BUDGET, 0, 1); /* whole: and there is no cache any more */
    assert_int_equal(census.count, 1);
    assert_int_equal(census.time_ns, 4);
    for (int i = 0; i < 100; i++) /* a file that a stranger made */
        take(&reader, 4, HR_CENSUS_BUDGET, 0, 1);
    assert_true(census.count <= HRI_CENSUS_ENTRIES);
}

static void an_entry_comes_back_and_damage_is_seen(void **state)
{
    (void)state;
    unsigned char bytes[HRI_ENTRY_BYTES], copy[HRI_ENTRY_BYTES];
    hri_census_entry entry = {.session = 5,
                              .time_ns = 6,
                              .wall_ns = 7,
                              .number = 3,
                              .count = HR_CENSUS_ROWS,
                              .left_out = 9,
                              .row = {HR_CENSUS_POOL, "", 10, HR_NONE, 12, 13}},
                     again;
    hr_history_entry plain;
    memset(entry.row.name, 'n', sizeof entry.row.name - 1);
    hri_census_entry_encode(&entry, bytes);
    assert_int_equal(hri_entry_decode(bytes, HRI_FILE_VERSION, &plain), -ENOMSG); /* older readers pass it over */
    assert_true(hri_census_entry_decode(bytes, HRI_FILE_VERSION, &again));
    hri_census_entry_encode(&again, copy);
    assert_memory_equal(copy, bytes, sizeof bytes);
    assert_string_equal(again.row.name, entry.row.name);
    assert_true(again.number == 3 && again.left_out == 9 && again.row.peak_bytes == 12 && again.row.refused == 13);
    assert_false(hri_census_entry_decode(bytes, 1, &again));
    for (size_t at = 5; at <= 7; at++) { /* kind, number, count */
        unsigned char kept = bytes[at];
        bytes[at] = 200;
        assert_false(hri_census_entry_decode(bytes, HRI_FILE_VERSION, &again));
        bytes[at] = kept;
    }
}

static void censuses_are_ever_rarer_and_come_at_once_when_the_level_rises(void **state)
{
    (void)state;
    hri_census_times times = {0};
    unsigned count = 0, last = 0;
    for (unsigned second = 0; second < 3600; second++) {
        bool due = hri_census_is_due(&times, HR_NORMAL, second * SECOND);
        assert_true(second > 8 || due);
        count += due;
        if (due)
            last = second;
        assert_true(second - last < 60);
    }
    assert_true(count < 60 + 60); /* about one a minute: less than a thirtieth of the samples */
    assert_false(hri_census_is_due(&times, HR_NORMAL, last * SECOND + 1));
    assert_true(hri_census_is_due(&times, HR_DEGRADED, last * SECOND + 2));
    assert_false(hri_census_is_due(&times, HR_DEGRADED, last * SECOND + 3));
    assert_false(hri_census_is_due(&times, HR_WARNING, last * SECOND + 4));
    assert_true(hri_census_is_due(&times, HR_CRITICAL, last * SECOND + 5));
}

static void a_file_without_one_says_so(void **state)
{
    (void)state;
    hr_history_writer *writer;
    assert_int_equal(hr_history_file_read_census(path, &census), -ENOENT);
    assert_int_equal(hr_history_writer_new(path, 0, &writer), 0);
    assert_int_equal(hr_history_writer_add(writer, &(hr_history_entry){.record.live_bytes = 1}), 0);
    hr_history_writer_free(writer);
    assert_int_equal(hr_history_file_read_census(path, &census), -ENODATA);
    assert_int_equal(hr_history_file_read_census(NULL, &census), -EINVAL);
    assert_int_equal(hr_history_file_read_census(path, NULL), -EINVAL);
}

#define TEST(function) cmocka_unit_test_setup(function, empty_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_guards_budgets_pools_and_caches_are_in_its_file),
        TEST(of_many_the_largest_are_there_and_the_others_counted),
        TEST(a_torn_or_damaged_census_leaves_the_one_before_it),
        TEST(an_entry_comes_back_and_damage_is_seen),
        TEST(censuses_are_ever_rarer_and_come_at_once_when_the_level_rises),
        TEST(a_file_without_one_says_so),
    };
    return RUN_IN_FOLDER(tests);
}
