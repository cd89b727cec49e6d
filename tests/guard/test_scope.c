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
        TEST(cancelling_the_thread_gives_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
