/* SPDX-License-Identifier: Apache-2.0 */
/* A block is with one user: what is put a second time is refused wherever it waits, and never handed out twice. It is
 * counted with its pool. Debug builds abort at the second put instead.
 */
#include "support/cmocka.h"

#include <headroom/headroom.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static hr_guard *guard;
static hr_byte_pool *bytes;
static hr_object_pool *objects;
static hr_slice_pool *slices;
static size_t size;
static _Atomic unsigned resets;

static void count_reset(void *object, void *context)
{
    (void)object, (void)context;
    atomic_fetch_add(&resets, 1);
}

/* The kinds of pools, as one. A slice is known by its array. */
static void *get(void)
{
    if (bytes)
        return hr_byte_pool_get(bytes, size);
    if (objects)
        return hr_object_pool_get(objects);
    hr_slice slice = {0};
    return hr_slice_pool_get(slices, &slice) == 0 ? slice.data : NULL;
}

static void put(void *block)
{
    if (bytes)
        hr_byte_pool_put(bytes, block);
    else if (objects)
        hr_object_pool_put(objects, block);
    else
        hr_slice_pool_put(slices, &(hr_slice){.data = block, .capacity = 1, .pool_ = slices});
}

static hr_pool_figures figures(void)
{
    hr_pool_figures all = {0};
    int error = bytes     ? hr_byte_pool_read(bytes, &all)
                : objects ? hr_object_pool_read(objects, &all)
                          : hr_slice_pool_read(slices, &all);
    return error ? (hr_pool_figures){0} : all;
}

static uint64_t trim(void)
{
    return bytes ? hr_byte_pool_trim(bytes) : objects ? hr_object_pool_trim(objects) : hr_slice_pool_trim(slices);
}

static int compare(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t) * (void *const *)left, b = (uintptr_t) * (void *const *)right;
    return (a > b) - (a < b);
}

/* Gets `count` blocks; false if one of them is with two users. */
static bool get_distinct(void **blocks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!(blocks[i] = get()))
            return false;
    qsort(blocks, count, sizeof *blocks, compare);
    for (unsigned i = 1; i < count; i++)
        if (blocks[i] == blocks[i - 1])
            return false;
    return true;
}

static void put_all(void **blocks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put(blocks[i]);
}

/* ── misuses; each runs in a child, and says whether all is right afterwards ─────────────────────────────────────── */

#define MANY 1000

static void *all[MANY], *again[MANY];

static bool with_another_between(void)
{
    void *a = get(), *b = get();
    put(a);
    put(b);
    put(a);
    return figures().faults == 1 && get_distinct(all, 3);
}

static bool in_a_row(void)
{
    void *a = get();
    put(a);
    put(a);
    return figures().faults == 1 && get_distinct(all, 2);
}

/* In this thread's magazines, in the depot, and in regions. */
static bool wherever_they_wait(void)
{
    unsigned count = size > 16384 ? MANY / 10 : MANY;
    if (!get_distinct(all, count))
        return false;
    put_all(all, count);
    put_all(all, count);
    return figures().faults == count && figures().idle == count && get_distinct(again, count);
}

static bool after_figures_were_read(void)
{
    void *a = get(), *b = get();
    put(a);
    hr_pool_figures drained = figures();
    put(a);
    put(b);
    put(a);
    return drained.idle == 1 && figures().faults == 2 && get_distinct(all, 3);
}

static bool after_its_memory_went(void)
{
    void *a = get();
    put(a);
    trim();
    put(a);
    return figures().faults == 1 && figures().idle == 0 && get_distinct(all, 2);
}

static void *put_it(void *block)
{
    put(block);
    return NULL;
}

/* The second one comes from a thread that did not get it, which has a magazine of its own. */
static bool from_another_thread(void)
{
    pthread_t thread;
    void *a = get(), *b = get();
    put(a);
    if (pthread_create(&thread, NULL, put_it, b) != 0 || pthread_join(thread, NULL) != 0 ||
        pthread_create(&thread, NULL, put_it, a) != 0 || pthread_join(thread, NULL) != 0)
        return false;
    return figures().faults == 1 && get_distinct(all, 3);
}

static bool inside_of_a_block(void)
{
    char *a = get();
    put(a + 16);
    put(a + 1);
    return figures().faults == 2 && figures().in_use == 1 && get_distinct(all, 2);
}

static bool what_is_no_block(void)
{
    static char foreign[256];
    const uintptr_t wild[] = {1, 16, 4096, UINT64_C(0x7ffffffff000), UINT64_C(0x4141414141414140), UINTPTR_MAX - 15};
    for (unsigned i = 0; i < sizeof wild / sizeof *wild; i++)
        put((void *)wild[i]);
    put(foreign + 64);
    return figures().faults == sizeof wild / sizeof *wild + 1 && get_distinct(all, 2);
}

static const struct misuse {
    bool (*run)(void);
    const char *name;
} misuses[] = {
    {with_another_between, "with_another_between"},   {in_a_row, "in_a_row"},
    {wherever_they_wait, "wherever_they_wait"},       {after_figures_were_read, "after_figures_were_read"},
    {after_its_memory_went, "after_its_memory_went"}, {from_another_thread, "from_another_thread"},
    {inside_of_a_block, "inside_of_a_block"},         {what_is_no_block, "what_is_no_block"},
};

static void expect(const struct misuse *misuse, const char *kind)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        _exit(misuse->run() ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
#ifdef HRI_DEBUG
    bool right = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
#else
    bool right = WIFEXITED(status) && WEXITSTATUS(status) == 0;
#endif
    if (!right)
        fail_msg("%s, %s of %zu bytes: status %#x", misuse->name, kind, size, (unsigned)status);
}

static void expect_all(const char *kind)
{
#if defined(__SANITIZE_THREAD__)
    print_message("skipped: ThreadSanitizer loses count of locks in a fork\n");
    skip();
#endif
    for (unsigned i = 0; i < sizeof misuses / sizeof *misuses; i++)
        expect(&misuses[i], kind);
}

/* ── each kind of pool ──────────────────────────────────────────────────────────────────────────────────────────── */

static int set_up(void **state)
{
    (void)state;
    bytes = NULL;
    objects = NULL;
    slices = NULL;
    return hr_guard_new(&(hr_guard_options){.limit_bytes = 512 * MIB, .interval_ns = -1}, &guard);
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(hr_byte_pool_free(bytes), 0);
    assert_int_equal(hr_object_pool_free(objects), 0);
    assert_int_equal(hr_slice_pool_free(slices), 0);
    hr_guard_free(guard);
    return 0;
}

static void buffers_of_one_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 56, 64, 100, 4000, 4096, 5000, 16384, 65536, 131072};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size = sizes[i];
        for (int wipe = 0; wipe < 2; wipe++) {
            hr_byte_pool_options options = {.size_bytes = size, .wipe = wipe};
            assert_int_equal(hr_byte_pool_new(guard, &options, &bytes), 0);
            expect_all(wipe ? "wiped buffers" : "buffers");
            assert_int_equal(hr_byte_pool_free(bytes), 0);
            bytes = NULL;
        }
    }
}

static void buffers_of_many_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {64, 1000, 4096, 65536};
    assert_int_equal(hr_byte_pool_new(guard, &(hr_byte_pool_options){.min_bytes = 64, .max_bytes = 131072}, &bytes), 0);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size = sizes[i];
        expect_all("buffers of many sizes");
    }
}

static void objects_with_and_without_reset(void **state)
{
    (void)state;
    static const size_t sizes[] = {8, 64, 4096, 65536};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size = sizes[i];
        for (int reset = 0; reset < 2; reset++) {
            hr_object_pool_options options = {.size = size, .align = 64, .reset = reset ? count_reset : NULL};
            assert_int_equal(hr_object_pool_new(guard, &options, &objects), 0);
            expect_all(reset ? "objects that are reset" : "objects");
            assert_int_equal(hr_object_pool_free(objects), 0);
            objects = NULL;
        }
    }
}

static void slices_of_which_somebody_has_a_copy(void **state)
{
    (void)state;
    size = 128;
    assert_int_equal(hr_slice_pool_new(guard, &(hr_slice_pool_options){.item_size = 8, .capacity = 16}, &slices), 0);
    expect_all("slices");
}

/* ── at the same time ───────────────────────────────────────────────────────────────────────────────────────────── */

#define ROUNDS 3000

static pthread_barrier_t together;
static void *shared, *got[2];

static void *put_and_get(void *context)
{
    void **own = context;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&together); /* `shared` is there */
        put(shared);
        pthread_barrier_wait(&together);
        *own = get();
        pthread_barrier_wait(&together); /* both are looked at */
        pthread_barrier_wait(&together);
        put(*own);
    }
    return NULL;
}

/* Two threads put the same block in the same instant. One of them may get past the first check too late; each get is of
 * another block all the same. */
static bool race(void)
{
    pthread_t threads[2];
    unsigned twice = 0;
    pthread_barrier_init(&together, NULL, 3);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, put_and_get, &got[i]) != 0)
            return false;
    for (int i = 0; i < ROUNDS; i++) {
        shared = get();
        pthread_barrier_wait(&together);
        pthread_barrier_wait(&together);
        pthread_barrier_wait(&together);
        twice += !got[0] || got[0] == got[1];
        pthread_barrier_wait(&together);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    hr_pool_figures now = figures();
    return twice == 0 && now.in_use == 0 && now.idle == now.misses && now.faults > 0 && now.faults <= ROUNDS;
}

static void expect_race(const char *kind)
{
#if defined(__SANITIZE_THREAD__)
    print_message("skipped: ThreadSanitizer loses count of locks in a fork\n");
    skip();
#endif
    expect(&(struct misuse){race, "race"}, kind);
}

static void two_threads_put_the_same_block(void **state)
{
    (void)state;
    size = 64;
    assert_int_equal(hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = size}, &bytes), 0);
    expect_race("buffers");
    assert_int_equal(hr_byte_pool_free(bytes), 0);
    size = 65536;
    assert_int_equal(hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = size}, &bytes), 0);
    expect_race("large buffers");
}

static bool race_of_resets(void)
{
    return race() && atomic_load(&resets) == 3 * ROUNDS; /* of the shared one, and of one for each thread */
}

static void objects_are_reset_once(void **state)
{
    (void)state;
    size = 64;
    hr_object_pool_options options = {.size = size, .reset = count_reset};
    assert_int_equal(hr_object_pool_new(guard, &options, &objects), 0);
#if !defined(__SANITIZE_THREAD__)
    expect(&(struct misuse){race_of_resets, "race_of_resets"}, "objects");
#else
    (void)race_of_resets;
#endif
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(buffers_of_one_size),
        TEST(buffers_of_many_sizes),
        TEST(objects_with_and_without_reset),
        TEST(slices_of_which_somebody_has_a_copy),
        TEST(two_threads_put_the_same_block),
        TEST(objects_are_reset_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
