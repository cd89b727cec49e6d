/* SPDX-License-Identifier: Apache-2.0 */
/* Runs with libheadroom-malloc loaded by LD_PRELOAD: what malloc(3) promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "preloaded.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void the_library_is_loaded(void **state)
{
    (void)state;
    size_t before = held();
    void *block = hide(malloc(1000));
    assert_int_equal(held() - before, 1040); /* the class of a block with its word: glibc has another figure */
    free(block);
    assert_int_equal(held(), before);
}

static void every_size_is_aligned_usable_and_apart(void **state)
{
    (void)state;
    enum {
        COUNT = 400
    };
    static unsigned char *blocks[COUNT];
    size_t sizes[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        sizes[i] = i < 300 ? i : i * i * 7;
        blocks[i] = hide(malloc(sizes[i]));
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        assert_true(malloc_usable_size(blocks[i]) >= sizes[i]);
        memset(blocks[i], (int)i, malloc_usable_size(blocks[i])); /* all that is usable may be used */
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(blocks[i][at], i & 255);
        free(blocks[i]);
    }
}

static void alignments_are_kept(void **state)
{
    (void)state;
    for (size_t align = 8; align <= (size_t)4 << 20; align *= 2) {
        for (size_t size = 0; size < 300000; size = size * 3 + 1) {
            void *block = NULL;
            assert_int_equal(posix_memalign(&block, align, size), 0);
            assert_int_equal((uintptr_t)block % align, 0);
            assert_true(malloc_usable_size(block) >= size);
            memset(block, 1, size);
            void *other = hide(aligned_alloc(align, size)), *third = hide(memalign(align, size));
            assert_int_equal((uintptr_t)other % align, 0);
            assert_int_equal((uintptr_t)third % align, 0);
            free(other);
            free(block);
            free(third);
        }
    }
    void *page = hide(valloc(10)), *pages = hide(pvalloc(5000));
    assert_int_equal((uintptr_t)page % 4096, 0);
    assert_int_equal((uintptr_t)pages % 4096, 0);
    assert_true(malloc_usable_size(pages) >= 8192);
    free(page);
    free(pages);
}

static void an_aligned_block_can_be_resized(void **state)
{
    (void)state;
    for (size_t size = 100; size < 200000; size *= 3) {
        char *block = hide(memalign(256, size));
        memset(block, 7, size);
        block = hide(realloc(block, 2 * size));
        assert_non_null(block);
        for (size_t at = 0; at < size; at++)
            assert_int_equal(block[at], 7);
        free(block);
    }
}

static void bad_alignments_are_refused(void **state)
{
    (void)state;
    void *block = (void *)1;
    volatile size_t no_alignment = SIZE_MAX; /* compilers know better than to let it be written down */
    assert_int_equal(posix_memalign(&block, 3, 10), EINVAL);
    assert_int_equal(posix_memalign(&block, 0, 10), EINVAL);
    assert_int_equal(posix_memalign(&block, 4, 10), EINVAL);
    assert_ptr_equal(block, (void *)1);
    errno = 0;
    assert_null(hide(memalign(no_alignment, 10)));
    assert_int_equal(errno, EINVAL);
    static const size_t no_powers[] = {0, 3, 65};
    for (size_t i = 0; i < sizeof no_powers / sizeof *no_powers; i++) {
        errno = 0;
        assert_null(hide(aligned_alloc(no_powers[i], 64)));
        assert_int_equal(errno, EINVAL);
    }
    void *rounded = hide(memalign(65, 10)); /* memalign() takes any alignment, and makes it the next power of two */
    assert_int_equal((uintptr_t)rounded % 128, 0);
    free(rounded);
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {(size_t)PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096, SIZE_MAX};
    void *block = hide(malloc(100)), *same = hidden, *none = (void *)1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        volatile size_t size = sizes[i];
        errno = 0;
        assert_null(hide(malloc(size)));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(hide(calloc(1, size)));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(hide(realloc(block, size)));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(hide(memalign(64, size)));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(hide(valloc(size)));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(hide(pvalloc(size)));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_int_equal(posix_memalign(&none, 64, size), ENOMEM);
        assert_int_equal(errno, ENOMEM);
    }
    volatile size_t half = SIZE_MAX / 2;
    assert_null(hide(calloc(half, 3)));
    assert_null(hide(reallocarray(block, half, 3)));
    assert_ptr_equal(none, (void *)1);
    free(same);
}

static void errno_is_left_alone_by_what_succeeds(void **state)
{
    (void)state;
    errno = 77;
    for (size_t size = 1; size < ((size_t)64 << 20); size = size * 5 + 3) {
        void *block = hide(malloc(size)), *other = hide(calloc(1, size));
        block = hide(realloc(block, 2 * size));
        free(block);
        free(other);
        assert_int_equal(errno, 77);
    }
    malloc_trim(0);
    assert_int_equal(errno, 77);
}

static void calloc_gives_zeros_on_used_memory(void **state)
{
    (void)state;
    for (size_t size = 1; size < ((size_t)20 << 20); size = size * 2 + 1) {
        char *block = hide(malloc(size));
        memset(block, 0xAB, size);
        free(block);
        block = hide(calloc(size, 1));
        for (size_t at = 0; at < size; at++)
            assert_int_equal(block[at], 0);
        free(block);
    }
}

static size_t resident_pages(void *block, size_t size)
{
    static unsigned char map[65536];
    uintptr_t from = ((uintptr_t)block + 4095) & ~(uintptr_t)4095;
    size_t pages = size / 4096 - 1, there = 0;
    assert_int_equal(mincore((void *)from, pages * 4096, map), 0);
    for (size_t i = 0; i < pages; i++)
        there += map[i] & 1;
    return there;
}

static void calloc_does_not_touch_fresh_pages(void **state)
{
    (void)state;
    size_t size = (size_t)64 << 20;
    void *block = hide(calloc(1, size));
    assert_true(resident_pages(block, size) < 600); /* a huge page at the edges at the most */
    free(block);
}

static void realloc_keeps_what_was_there(void **state)
{
    (void)state;
    unsigned char *block = NULL;
    size_t size = 0;
    for (size_t next = 1; next < ((size_t)40 << 20); next = next + next / 3 + 1) {
        block = hide(realloc(block, next));
        assert_non_null(block);
        for (size_t at = 0; at < size; at += 61)
            assert_int_equal(block[at], at % 251);
        for (size_t at = 0; at < next; at += 61)
            block[at] = (unsigned char)(at % 251);
        size = next;
    }
    while (size > 1) {
        size = size / 3;
        block = hide(realloc(block, size + 1));
        assert_non_null(block);
        for (size_t at = 0; at < size; at += 61)
            assert_int_equal(block[at], at % 251);
    }
    free(block);
}

/* A large block is moved by its pages: nothing is copied, and there are never two of them. */
static void a_large_block_grows_without_a_copy(void **state)
{
    (void)state;
    size_t size = (size_t)100 << 20;
    char *block = hide(malloc(size));
    block[0] = 1;
    block[size - 1] = 2;
    block = hide(realloc(block, size + ((size_t)30 << 20)));
    assert_int_equal(block[0], 1);
    assert_int_equal(block[size - 1], 2);
    assert_true(resident_pages(block, size) < 2000);
    block = hide(realloc(block, (size_t)50 << 20));
    assert_int_equal(block[0], 1);
    free(block);
}

static void realloc_in_place_where_it_fits(void **state)
{
    (void)state;
    void *block = hide(malloc(100));
    assert_ptr_equal(hide(realloc(block, 104)), block);
    assert_ptr_equal(hide(realloc(block, 90)), block);
    assert_null(hide(realloc(block, 0)));
    block = hide(realloc(NULL, 10));
    assert_non_null(block);
    free(block);
}

extern __attribute__((weak)) void free_sized(void *block, size_t size);
extern __attribute__((weak)) void free_aligned_sized(void *block, size_t align, size_t size);

static void sized_frees_are_there(void **state)
{
    (void)state;
    size_t before = held();
    free_sized(hide(malloc(50)), 50);
    free_aligned_sized(hide(aligned_alloc(64, 128)), 64, 128);
    free_sized(NULL, 0);
    free(NULL);
    assert_int_equal(held(), before);
    assert_int_equal(malloc_usable_size(NULL), 0);
}

/* Blocks that were made before the library was there: their allocator is gone. */
static void a_foreign_block_is_left_alone(void **state)
{
    (void)state;
    static _Alignas(16) char stranger[256];
    size_t before = held();
    memset(stranger, 0x21, sizeof stranger);
    free(stranger + 64);
    void *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    free(hide(page));
    assert_int_equal(malloc_usable_size(stranger + 64), 0);
    errno = 0;
    assert_null(hide(realloc(stranger + 64, 10)));
    assert_int_equal(errno, ENOMEM);
    munmap(page, 8192);
    assert_int_equal(held(), before);
}

/* libc's own malloc() under a name of its own: it makes blocks as one does that was there before this library. */
extern __attribute__((weak)) void *__libc_malloc(size_t size);

static void a_block_of_libc_is_left_alone(void **state)
{
    (void)state;
    if (!__libc_malloc)
        skip();
    size_t before = held();
    for (size_t size = 1; size < ((size_t)4 << 20); size = size * 2 + 7) {
        unsigned char *block = hide(__libc_malloc(size));
        assert_non_null(block);
        memset(block, 0x5A, size);
        assert_int_equal(malloc_usable_size(block), 0);
        errno = 0;
        assert_null(hide(realloc(block, 2 * size)));
        assert_int_equal(errno, ENOMEM);
        free(block);
        for (size_t at = 0; at < size; at++)
            assert_int_equal(block[at], 0x5A);
    }
    assert_int_equal(held(), before);
}

static void mallinfo_adds_up(void **state)
{
    (void)state;
    void *large = hide(malloc((size_t)10 << 20)), *small = hide(malloc(100));
    struct mallinfo2 all = mallinfo2();
    assert_true(all.hblkhd >= (size_t)10 << 20);
    assert_int_equal(all.arena, all.uordblks + all.fordblks);
    free(large);
    free(small);
    assert_true(mallinfo2().hblkhd <= all.hblkhd - ((size_t)10 << 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_is_loaded),
        cmocka_unit_test(every_size_is_aligned_usable_and_apart),
        cmocka_unit_test(alignments_are_kept),
        cmocka_unit_test(an_aligned_block_can_be_resized),
        cmocka_unit_test(bad_alignments_are_refused),
        cmocka_unit_test(what_is_too_large_is_refused),
        cmocka_unit_test(errno_is_left_alone_by_what_succeeds),
        cmocka_unit_test(calloc_gives_zeros_on_used_memory),
        cmocka_unit_test(calloc_does_not_touch_fresh_pages),
        cmocka_unit_test(realloc_keeps_what_was_there),
        cmocka_unit_test(a_large_block_grows_without_a_copy),
        cmocka_unit_test(realloc_in_place_where_it_fits),
        cmocka_unit_test(sized_frees_are_there),
        cmocka_unit_test(a_foreign_block_is_left_alone),
        cmocka_unit_test(a_block_of_libc_is_left_alone),
        cmocka_unit_test(mallinfo_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
