/* SPDX-License-Identifier: Apache-2.0 */
/* Strategy 8: whatever path leaves the scope, everything is given back, once. */
#include "support/cmocka.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static hr_guard *guard;
static hr_budget *root;
static char order[16];

static int set_up(void **state)
{
    (void)state;
    order[0] = '\0';
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

static uint64_t used(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(root, &figures), 0);
    return figures.used_bytes;
}

static void note(const char *name)
{
    strcat(order, name);
}

static int note_number(int number)
{
    order[strlen(order) + 1] = '\0';
    order[strlen(order)] = (char)('0' + number);
    return number;
}

enum path {
    RETURN,
    GOTO,
    BREAK,
    CONTINUE,
    END
};

static void leave(enum path path)
{
    for (int round = 0; round < 1; round++) {
        HR_SCOPED_ALLOC char *block = hr_alloc(root, 1000);
        HR_SCOPED_CHARGE hr_charge held = hr_charge_make(root, 5000);
        HR_SCOPED_TICKET hr_ticket ticket = {0};
        HR_DEFER(note, "a");
        HR_DEFER(note_number, 7);
        assert_non_null(block);
        assert_int_equal(held.error, 0);
        assert_int_equal(hr_admit(guard, &(hr_request){.bytes = 3000}, &ticket), HR_ADMITTED);
        assert_true(used() >= 9000);
        if (path == RETURN)
            return;
        if (path == GOTO)
            goto out;
        if (path == BREAK)
            break;
        if (path == CONTINUE)
            continue;
    }
out:
    assert_int_equal(used(), 0);
}

static void every_path_gives_back_in_reverse_order(void **state)
{
    (void)state;
    for (enum path path = RETURN; path <= END; path++) {
        order[0] = '\0';
        leave(path);
        assert_int_equal(used(), 0);
        assert_string_equal(order, "7a");
    }
}

static char *kept(void)
{
    HR_SCOPED_ALLOC char *block = hr_strdup(root, "kept");
    return HR_KEEP(block);
}

static void what_is_kept_is_not_freed(void **state)
{
    (void)state;
    char *block = kept();
    assert_string_equal(block, "kept");
    assert_true(used() > 0);
    hr_free(block);
    assert_int_equal(used(), 0);
}

static void a_refused_charge_is_not_given_back(void **state)
{
    (void)state;
    {
        HR_SCOPED_CHARGE hr_charge held = hr_charge_make(root, 65 * MIB);
        assert_int_equal(held.error, -EDQUOT);
        HR_SCOPED_CHARGE hr_charge early = hr_charge_make(root, 10);
        hr_charge_release(&early);
        hr_charge_release(&early);
        assert_int_equal(used(), 0);
    }
    assert_int_equal(used(), 0);
}

static hr_byte_pool *bytes;
static hr_object_pool *objects;
static hr_slice_pool *slices;
static hr_cache *cache;

static void make_all(void)
{
    assert_int_equal(hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = 100}, &bytes), 0);
    assert_int_equal(hr_object_pool_new(guard, &(hr_object_pool_options){.size = 50}, &objects), 0);
    assert_int_equal(hr_slice_pool_new(guard, &(hr_slice_pool_options){.item_size = sizeof(int)}, &slices), 0);
    assert_int_equal(hr_cache_new(guard, NULL, &cache), 0);
    assert_int_equal(hr_cache_put(cache, "k", 1, "value", 6, 0), 0);
}

/* Frees all: that succeeds where nothing is out. */
static void free_all(void)
{
    hr_pool_figures figures;
    assert_int_equal(hr_byte_pool_read(bytes, &figures), 0);
    assert_int_equal(figures.faults + figures.in_use, 0);
    assert_int_equal(hr_object_pool_read(objects, &figures), 0);
    assert_int_equal(figures.faults + figures.in_use, 0);
    assert_int_equal(hr_byte_pool_free(bytes), 0);
    assert_int_equal(hr_object_pool_free(objects), 0);
    assert_int_equal(hr_slice_pool_free(slices), 0);
    assert_int_equal(hr_cache_free(cache), 0);
}

static void use_all(enum path path)
{
    for (int round = 0; round < 1; round++) {
        HR_SCOPED_BYTES hr_bytes buffer = hr_bytes_make(bytes, 80);
        HR_SCOPED_OBJECT hr_object object = hr_object_make(objects);
        HR_SCOPED_SLICE hr_slice slice = hr_slice_make(slices);
        HR_SCOPED_CACHE_REF hr_cache_ref value = hr_cache_ref_make(cache, "k", 1);
        assert_int_equal(buffer.error | object.error, 0);
        memset(buffer.data, 'x', buffer.size);
        memset(object.data, 'x', 50);
        for (int i = 0; i < 100; i++)
            assert_int_equal(hr_slice_push(&slice, &i), 0);
        assert_string_equal(value.data, "value");
        if (path == RETURN)
            return;
        if (path == GOTO)
            goto out;
        if (path == BREAK)
            break;
        if (path == CONTINUE)
            continue;
    }
out:
    return;
}

static void what_pools_and_caches_gave_goes_back(void **state)
{
    (void)state;
    make_all();
    for (enum path path = RETURN; path <= END; path++)
        use_all(path);
    free_all();
    assert_int_equal(used(), 0);
}

static void early_is_once_and_kept_is_not_at_all(void **state)
{
    (void)state;
    void *kept;
    make_all();
    {
        HR_SCOPED_BYTES hr_bytes buffer = hr_bytes_make(bytes, 80);
        HR_SCOPED_BYTES hr_bytes early = hr_bytes_make(bytes, 80);
        HR_SCOPED_OBJECT hr_object object = hr_object_make(objects);
        HR_SCOPED_SLICE hr_slice slice = hr_slice_make(slices);
        HR_SCOPED_SLICE hr_slice by_hand = hr_slice_make(slices);
        HR_SCOPED_CACHE_REF hr_cache_ref value = hr_cache_ref_make(cache, "k", 1);
        HR_SCOPED_CACHE_REF hr_cache_ref released = hr_cache_ref_make(cache, "k", 1);
        hr_bytes_release(&early);
        hr_object_release(&object);
        hr_slice_release(&slice);
        hr_slice_pool_put(slices, &by_hand);
        hr_cache_ref_release(&value);
        hr_cache_release(cache, &released);
        kept = HR_KEEP(buffer.data);
    }
    hr_byte_pool_put(bytes, kept);
    free_all();
}

static void what_was_refused_is_not_given_back(void **state)
{
    (void)state;
    make_all();
    {
        HR_SCOPED_BYTES hr_bytes buffer = hr_bytes_make(NULL, 80);
        HR_SCOPED_BYTES hr_bytes large = hr_bytes_make(bytes, 65 * MIB);
        HR_SCOPED_OBJECT hr_object object = hr_object_make(NULL);
        HR_SCOPED_SLICE hr_slice slice = hr_slice_make(NULL);
        HR_SCOPED_CACHE_REF hr_cache_ref value = hr_cache_ref_make(cache, "none", 4);
        assert_int_equal(errno, ENOENT);
        HR_SCOPED_BYTES hr_bytes none = {0};
        HR_SCOPED_OBJECT hr_object nothing = {0};
        assert_int_equal(buffer.error, -EINVAL);
        assert_int_equal(large.error, -EDQUOT);
        assert_int_equal(object.error, -EINVAL);
        assert_null(slice.data);
        assert_null(value.data);
    }
    free_all();
}

/* As where a goto has passed the declarations: a release finds what was on the stack. */
static void garbage_is_not_given_back(void **state)
{
    (void)state;
    make_all();
    for (int fill = 0; fill < 256; fill += 85) {
        hr_charge charge;
        hr_bytes buffer;
        hr_object object;
        hr_slice slice;
        hr_cache_ref value;
        memset(&charge, fill, sizeof charge);
        memset(&buffer, fill, sizeof buffer);
        memset(&object, fill, sizeof object);
        memset(&slice, fill, sizeof slice);
        memset(&value, fill, sizeof value);
        charge.error = 0;
        hr_charge_release(&charge);
        hr_bytes_release(&buffer);
        hr_object_release(&object);
        hr_slice_release(&slice);
        hr_cache_ref_release(&value);
    }
    free_all();
}

static _Atomic int waiting;

static void *wait_to_be_cancelled(void *context)
{
    (void)context;
    HR_SCOPED_ALLOC void *block = hr_alloc(root, 1000);
    HR_SCOPED_CHARGE hr_charge held = hr_charge_make(root, 5000);
    HR_DEFER(note, "c");
    waiting = 1;
    for (;;)
        pause();
    return NULL;
}

static void cancelling_the_thread_gives_back(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("skipped: ThreadSanitizer does not see the locks of a thread that is being cancelled\n");
    skip();
#endif
    pthread_t thread;
    waiting = 0;
    assert_int_equal(pthread_create(&thread, NULL, wait_to_be_cancelled, NULL), 0);
    while (!waiting)
        usleep(100);
    assert_true(used() >= 6000);
    assert_int_equal(pthread_cancel(thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(used(), 0);
    assert_string_equal(order, "c");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_path_gives_back_in_reverse_order),
        TEST(what_is_kept_is_not_freed),
        TEST(a_refused_charge_is_not_given_back),
        TEST(what_pools_and_caches_gave_goes_back),
        TEST(early_is_once_and_kept_is_not_at_all),
        TEST(what_was_refused_is_not_given_back),
        TEST(garbage_is_not_given_back),
        TEST(cancelling_the_thread_gives_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
