/* SPDX-License-Identifier: Apache-2.0 */
/* The promises of the strategies at their edges, a case for each fault that a user met. Items lie in memory that the
 * call moves, or nodes in two lists. Budgets are of another guard, and callbacks answer what is no answer.
 */
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static hr_guard *guard, *other;

static int set_up(void **state)
{
    (void)state;
    int error = hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard);
    return error ? error : hr_guard_new(&(hr_guard_options){.limit_bytes = MIB, .interval_ns = -1}, &other);
}

static int tear_down(void **state)
{
    (void)state;
    hr_guard_free(guard);
    hr_guard_free(other);
    return 0;
}

/* ── memory that the call itself moves ──────────────────────────────────────────────────────────────────────────── */

static void push_up_to(hr_slice *slice, int count)
{
    for (int i = (int)slice->length; i < count; i++)
        assert_int_equal(hr_slice_push(slice, &(int){100 + i}), 0);
}

/* Before, the old array was put before the item was copied: it was 0 where arrays are wiped, and beyond pooled_max
 * gone. */
static void an_item_of_the_slice_itself_may_be_pushed(void **state)
{
    (void)state;
    for (int wipe = 0; wipe < 2; wipe++) {
        hr_slice_pool_options options = {.item_size = sizeof(int), .capacity = 16, .pooled_max = 1024, .wipe = wipe};
        hr_slice_pool *pool;
        hr_slice slice;
        assert_int_equal(hr_slice_pool_new(guard, &options, &pool), 0);
        assert_int_equal(hr_slice_pool_get(pool, &slice), 0);
        for (int capacity = 16; capacity <= 65536; capacity *= 2) {
            push_up_to(&slice, capacity);
            int first = ((int *)slice.data)[0];
            assert_int_equal(hr_slice_push(&slice, (int *)slice.data), 0);
            assert_int_equal(((int *)slice.data)[capacity], first);
            assert_int_equal(((int *)slice.data)[3], 103);
        }
        hr_slice_pool_put(pool, &slice);
        assert_int_equal(hr_slice_pool_free(pool), 0);
    }
}

static void a_part_of_a_block_may_be_copied_while_it_is_resized(void **state)
{
    (void)state;
    hr_budget *root = hr_guard_root(guard);
    char *block = hr_alloc(root, 100);
    memset(block, 'b', 100);
    char *copy = hr_memdup(root, block + 10, 50);
    block = hr_realloc(root, block, 100000);
    assert_memory_equal(block, copy, 50);
    block = hr_realloc(root, block, 60);
    assert_memory_equal(block, copy, 50);
    hr_free(block);
    hr_free(copy);
}

/* The value is borrowed, from an entry that the put evicts. */
static void a_borrowed_value_may_be_put(void **state)
{
    (void)state;
    enum {
        SIZE = 20000
    };
    static char text[SIZE];
    hr_cache *cache;
    hr_cache_ref ref, again;
    memset(text, 'v', sizeof text);
    assert_int_equal(hr_cache_new(guard, &(hr_cache_options){.max_bytes = 3 * SIZE / 2, .shards = 1}, &cache), 0);
    assert_int_equal(hr_cache_put(cache, "a", 1, text, SIZE, 0), 0);
    assert_int_equal(hr_cache_get(cache, "a", 1, &ref), 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(hr_cache_put(cache, "a", 1, ref.data, ref.size, 0), 0);
        (void)!hr_cache_put(cache, "b", 1, ref.data, ref.size, 0);
    }
    assert_memory_equal(ref.data, text, SIZE);
    if (hr_cache_get(cache, "b", 1, &again) == 0) {
        assert_memory_equal(again.data, text, SIZE);
        hr_cache_release(cache, &again);
    }
    hr_cache_release(cache, &ref);
    assert_int_equal(hr_cache_free(cache), 0);
}

static hr_batch *batch;
static int added, flushed[16];
static size_t flushes;

static int add_own(void *context, const void *items, size_t count)
{
    (void)context;
    assert_true(flushes + count <= 16);
    memcpy(flushed + flushes, items, count * sizeof(int));
    flushes += count;
    if (!added++)
        return hr_batch_add(batch, items) == -ENOBUFS ? 0 : -EIO; /* it is full */
    return 0;
}

static void an_item_of_the_batch_itself_may_be_added(void **state)
{
    (void)state;
    hr_batch_options options = {.item_bytes = sizeof(int), .items_max = 4, .on_flush = add_own};
    assert_int_equal(hr_batch_new(&options, &batch), 0);
    for (int i = 1; i <= 4; i++)
        assert_int_equal(hr_batch_add(batch, &i), 0);
    assert_int_equal(flushes, 4);
    assert_int_equal(flushed[3], 4);
    assert_int_equal(hr_batch_free(batch), 0);
}

/* ── nodes, budgets and intervals ───────────────────────────────────────────────────────────────────────────────── */

static uint64_t answer;

static uint64_t reclaim(void *context, uint64_t want_bytes, int64_t deadline_ns)
{
    (void)want_bytes, (void)deadline_ns;
    ++*(int *)context;
    return answer;
}

/* Before, the second guard's list took the node over, and the first one lost what came behind it. */
static void a_node_is_in_one_list(void **state)
{
    (void)state;
    int calls = 0;
    hr_reclaimer nodes[] = {{.name = "1", .reclaim = reclaim, .context = &calls, .priority = 1},
                            {.name = "2", .reclaim = reclaim, .context = &calls, .priority = 5},
                            {.name = "3", .reclaim = reclaim, .context = &calls, .priority = 9}};
    answer = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(hr_reclaimer_add(guard, &nodes[i]), 0);
    assert_int_equal(hr_reclaimer_add(guard, &nodes[1]), -EEXIST);
    assert_int_equal(hr_reclaimer_add(other, &nodes[1]), -EEXIST);
    hr_cleanup(guard);
    assert_int_equal(calls, 3);
    hr_reclaimer copy = nodes[1];
    assert_int_equal(hr_reclaimer_add(other, &copy), 0);
    hr_reclaimer_remove(other, &copy);
    hr_reclaimer_remove(guard, &nodes[1]);
    assert_int_equal(hr_reclaimer_add(other, &nodes[1]), 0);
    hr_reclaimer_remove(other, &nodes[1]);
    hr_reclaimer_remove(guard, &nodes[0]);
    hr_reclaimer_remove(guard, &nodes[2]);
}

static void a_budget_of_another_guard_is_refused(void **state)
{
    (void)state;
    hr_ticket ticket;
    hr_budget_figures figures;
    hr_request request = {.bytes = 1000, .budget = hr_guard_root(other)};
    assert_int_equal(hr_admit(guard, &request, &ticket), HR_REFUSED_NO_BUDGET);
    assert_int_equal(ticket.left_bytes, 0);
    assert_string_equal(ticket.limit_name, "");
    assert_int_equal(hr_budget_read(hr_guard_root(other), &figures), 0);
    assert_int_equal(figures.promised_bytes, 0);
    hr_ticket_release(&ticket);
}

/* Before, an interval of a nanosecond took half of a processor. */
static void intervals_have_a_floor(void **state)
{
    (void)state;
    hr_guard *busy;
    struct timespec before, after;
    assert_int_equal(hr_guard_new(&(hr_guard_options){.limit_bytes = MIB, .interval_ns = 1}, &busy), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    hr_guard_free(busy);
    int64_t spent_ns = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
    assert_in_range(spent_ns, 0, 100000000); /* 300 samples of at most a third of a millisecond */
}

/* ── answers that are none ──────────────────────────────────────────────────────────────────────────────────────── */

/* Before, the sum of what was cleaned wrapped. */
static void nobody_frees_more_than_there_is(void **state)
{
    (void)state;
    int calls = 0;
    hr_reclaimer node = {.name = "boaster", .reclaim = reclaim, .context = &calls};
    hr_figures figures;
    answer = UINT64_MAX;
    assert_int_equal(hr_reclaimer_add(guard, &node), 0);
    hr_cleanup(guard);
    hr_cleanup(guard);
    assert_true(hr_relieve(guard, 100) < 64 * MIB);
    assert_int_equal(hr_guard_read(guard, &figures), 0);
    assert_true(figures.cleaned_bytes < 64 * MIB);
    assert_true(calls >= 3);
    hr_reclaimer_remove(guard, &node);
}

static ssize_t read_least(void *self, void *buffer, size_t size, bool *ret_end)
{
    (void)buffer, (void)size, (void)ret_end;
    return *(ssize_t *)self;
}

static int take(void *context, const hr_chunk *chunk)
{
    (void)context, (void)chunk;
    return 0;
}

/* Before, the smallest number was cut to 0, and the stream went on for ever. */
static void a_reader_says_bytes_or_an_errno(void **state)
{
    (void)state;
    static const ssize_t answers[] = {-SSIZE_MAX - 1, -SSIZE_MAX, -4096, (ssize_t)1 << 40};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        ssize_t said = answers[i];
        hr_stream_result result;
        hr_stream_options options = {.reader = hr_reader_custom(read_least, &said), .on_chunk = take};
        assert_int_equal(hr_stream_run(&options, &result), -EINVAL);
    }
}

static int construct(void *object, void *context)
{
    (void)object;
    return *(int *)context;
}

/* Before, errno was the negative of what construct() said, -5. */
static void construct_says_0_or_an_errno(void **state)
{
    (void)state;
    static const int answers[][2] = {{5, EINVAL}, {-5, EIO}, {-5000, EINVAL}};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        int said = answers[i][0];
        hr_object_pool *pool;
        hr_object_pool_options options = {.size = 8, .construct = construct, .context = &said};
        assert_int_equal(hr_object_pool_new(guard, &options, &pool), 0);
        errno = 0;
        assert_null(hr_object_pool_get(pool));
        assert_int_equal(errno, answers[i][1]);
        assert_int_equal(hr_object_pool_free(pool), 0);
    }
}

static int refuse_strangely(void *context, const void *items, size_t count)
{
    (void)items, (void)count;
    int said = *(int *)context;
    *(int *)context = 0;
    return said;
}

static void a_flush_says_0_or_an_errno(void **state)
{
    (void)state;
    int said = 7;
    hr_batch *few;
    hr_batch_options options = {
        .item_bytes = sizeof(int), .items_max = 4, .on_flush = refuse_strangely, .context = &said};
    assert_int_equal(hr_batch_new(&options, &few), 0);
    assert_int_equal(hr_batch_add(few, &(int){1}), 0);
    assert_int_equal(hr_batch_flush(few), -EINVAL);
    assert_int_equal(hr_batch_flush(few), 0);
    assert_int_equal(hr_batch_free(few), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_item_of_the_slice_itself_may_be_pushed),
        TEST(a_part_of_a_block_may_be_copied_while_it_is_resized),
        TEST(a_borrowed_value_may_be_put),
        TEST(an_item_of_the_batch_itself_may_be_added),
        TEST(a_node_is_in_one_list),
        TEST(a_budget_of_another_guard_is_refused),
        TEST(intervals_have_a_floor),
        TEST(nobody_frees_more_than_there_is),
        TEST(a_reader_says_bytes_or_an_errno),
        TEST(construct_says_0_or_an_errno),
        TEST(a_flush_says_0_or_an_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
