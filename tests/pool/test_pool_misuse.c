/* SPDX-License-Identifier: Apache-2.0 */
/* A put of an address that is no block, or no longer one: a fault in all builds, and never a look at its memory, which
 * may be gone.
 * Debug builds say at once what it was, and who called. */
#include "support/cmocka.h"

#include "base/assert.h"

#include <errno.h>
#include <headroom/headroom.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 256

static hr_guard *guard;
static hr_byte_pool *pool, *other;
static hr_object_pool *objects;

static int set_up(void **state)
{
    (void)state;
    int error = hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1}, &guard);
    if (!error)
        error = hr_byte_pool_new(guard, &(hr_byte_pool_options){.name = "ours", .size_bytes = SIZE}, &pool);
    if (!error)
        error = hr_byte_pool_new(guard, &(hr_byte_pool_options){.name = "others", .size_bytes = SIZE}, &other);
    if (!error)
        error = hr_object_pool_new(guard, &(hr_object_pool_options){.name = "things", .size = SIZE}, &objects);
    return error;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(hr_byte_pool_free(pool), 0);
    assert_int_equal(hr_byte_pool_free(other), 0);
    assert_int_equal(hr_object_pool_free(objects), 0);
    hr_guard_free(guard);
    return 0;
}

static void read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got;
    while (length + 1 < size && (got = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
}

/* Did the message name this program as the caller? As a file and a place in it, or as an address where it has no
 * other. */
static bool names_this_program(const char *text)
{
    extern const char etext, __executable_start;
    const char *at = strstr(text, "(called at ");
    uintptr_t caller = at ? (uintptr_t)strtoull(at + strlen("(called at "), NULL, 16) : 0;
    return strstr(text, "(called at test_pool_misuse+0x") ||
           (caller > (uintptr_t)&__executable_start && caller < (uintptr_t)&etext);
}

/* Runs a misuse in a child: debug builds abort with `text`, release builds go on, with one fault. */
static void expect_a_fault(void (*misuse)(void), const char *text)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        uint64_t before = hri_fault_count();
        misuse();
        _exit(hri_fault_count() - before == 1 ? 0 : 1);
    }
    char said[1000];
    close(ends[1]);
    read_all(ends[0], said, sizeof said);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
#ifdef HRI_DEBUG
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    if (!strstr(said, text))
        fail_msg("\"%s\" is not in: %s", text, said);
    assert_true(names_this_program(said));
#else
    (void)text;
    (void)names_this_program;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
#endif
}

static void *wild;

static void put_wild(void)
{
    hr_byte_pool_put(pool, wild);
}

static void put_wild_object(void)
{
    hr_object_pool_put(objects, wild);
}

static void put_after_trim(void)
{
    void *block = hr_byte_pool_get(pool, SIZE);
    hr_byte_pool_put(pool, block);
    hr_byte_pool_trim(pool);
    hr_byte_pool_put(pool, block);
}

static void put_object_after_trim(void)
{
    void *object = hr_object_pool_get(objects);
    hr_object_pool_put(objects, object);
    hr_object_pool_trim(objects);
    hr_object_pool_put(objects, object);
}

static void put_inside(void)
{
    hr_byte_pool_put(pool, (char *)hr_byte_pool_get(pool, SIZE) + 16);
}

static void put_anothers_large_one(void)
{
    hr_byte_pool_put(pool, hr_byte_pool_get(other, 10 * SIZE));
}

static void put_of_the_allocators(void)
{
    hr_byte_pool_put(pool, hr_alloc(hr_guard_root(guard), SIZE));
}

static void put_large_one_twice(void)
{
    void *large = hr_byte_pool_get(pool, 10 * SIZE);
    hr_byte_pool_put(pool, large);
    hr_byte_pool_put(pool, large);
}

static void use_freed_bytes(void)
{
    void *block = hr_byte_pool_get(other, SIZE); /* so that this thread's cell has been in use */
    hr_byte_pool_put(other, block);
    (void)!hr_byte_pool_free(other);
    (void)!hr_byte_pool_get(other, SIZE);
}

static void put_into_freed(void)
{
    hr_byte_pool *gone = other;
    void *block = hr_byte_pool_get(pool, SIZE);
    (void)!hr_byte_pool_free(gone);
    hr_byte_pool_put(gone, block);
}

static void free_twice(void)
{
    if (hr_byte_pool_free(other) != 0 || hr_byte_pool_free(other) != -EINVAL)
        _exit(2);
}

static void use_freed_objects(void)
{
    void *object = hr_object_pool_get(objects);
    hr_object_pool_put(objects, object);
    (void)!hr_object_pool_free(objects);
    (void)!hr_object_pool_get(objects);
}

static void put_into_freed_objects(void)
{
    (void)!hr_object_pool_free(objects);
    hr_object_pool_put(objects, &objects);
}

static void push_to_a_freed_pools_slice(void)
{
    hr_slice_pool *slices;
    hr_slice slice = {0};
    if (hr_slice_pool_new(guard, &(hr_slice_pool_options){.item_size = 8}, &slices) != 0 ||
        hr_slice_pool_get(slices, &slice) != 0)
        _exit(2);
    hr_slice stale = slice;
    hr_slice_pool_put(slices, &slice);
    (void)!hr_slice_pool_free(slices);
    (void)!hr_slice_push(&stale, "12345678");
}

/* Before, it read memory that was the allocator's again, and jumped from there. */
static void a_freed_pool_is_known(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: AddressSanitizer finds it itself, and ThreadSanitizer loses count of locks in a fork\n");
    skip();
#endif
    static void (*const misuses[])(void) = {use_freed_bytes,   put_into_freed,         free_twice,
                                            use_freed_objects, put_into_freed_objects, push_to_a_freed_pools_slice};
    for (unsigned i = 0; i < sizeof misuses / sizeof *misuses; i++)
        expect_a_fault(misuses[i], "a pool is used after it was freed");
}

/* Before, the header in front of the address was read, wherever that was. */
static void wild_pointers_are_not_looked_at(void **state)
{
    (void)state;
    static const uintptr_t addresses[] = {
        1, 16, 4096, UINT64_C(0x7ffffffff000), UINT64_C(0x4141414141414140), UINTPTR_MAX - 15};
    for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        wild = (void *)addresses[i];
        expect_a_fault(put_wild, "is put into the pool \"ours\", and is no block of it");
    }
}

static void what_was_trimmed_is_no_block_any_more(void **state)
{
    (void)state;
    expect_a_fault(put_after_trim, "is put into the pool \"ours\", and is no block of it");
}

/* In builds that go on, the pool that it was put into counts it. Before, no pool did. */
static void put_anothers_slice(void)
{
    hr_slice_pool *mine, *its;
    hr_slice slice = {0};
    hr_pool_figures figures = {0};
    if (hr_slice_pool_new(guard, &(hr_slice_pool_options){.item_size = 8}, &its) != 0 ||
        hr_slice_pool_new(guard, &(hr_slice_pool_options){.name = "ours", .item_size = 8}, &mine) != 0 ||
        hr_slice_pool_get(its, &slice) != 0)
        _exit(2);
    hr_slice_pool_put(mine, &slice);
    if (hr_slice_pool_read(mine, &figures) != 0 || figures.faults != 1 || !slice.data)
        _exit(3);
    hr_slice_pool_put(its, &slice); /* it is whole */
    if (hr_slice_pool_free(its) != 0 || hr_slice_pool_free(mine) != 0)
        _exit(4);
}

static void what_is_not_out_is_told(void **state)
{
    (void)state;
    expect_a_fault(put_anothers_slice, "is put into the pool \"ours\", and is no block of it");
    expect_a_fault(put_inside, "is put into the pool \"ours\", and is no block of it");
    expect_a_fault(put_anothers_large_one, "is put into the pool \"ours\", and is no block of it");
    expect_a_fault(put_of_the_allocators, "is put into the pool \"ours\", and is no block of it");
    expect_a_fault(put_large_one_twice, "is put into the pool \"ours\", and is no block of it");
}

static void objects_are_looked_at_in_the_same_way(void **state)
{
    (void)state;
    wild = (void *)UINT64_C(0x4141414141414140);
    expect_a_fault(put_wild_object, "is put into the pool \"things\"");
    expect_a_fault(put_object_after_trim, "is put into the pool \"things\"");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wild_pointers_are_not_looked_at), TEST(what_was_trimmed_is_no_block_any_more),
        TEST(what_is_not_out_is_told),         TEST(objects_are_looked_at_in_the_same_way),
        TEST(a_freed_pool_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
